"""Averages of a flow over its inputs, with their spread over networks: mean kernel and mean half squared distance.

Both are linear in the kernel, f = sum c_ab Khat_ab: mean f = c.(K + G1/n), variance c.V.c/n, all at order 1/n.
Convention: the distance of two inputs is (K_aa + K_bb)/2 - K_ab, half the mean squared difference of their outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records import Estimate, Flow
from rgflow.theory.kernel_estimates import EXACT_LAYERS
from rgflow.theory.truncation import plain_deviation_bar, plain_mean_bar

__all__ = ["FlowAverage", "distance_weights", "flow_average", "kernel_weights"]


@dataclass(frozen=True)
class FlowAverage:
    """One average in one layer: at infinite width, over networks to O(1/n), and its deviation over networks.

    `control` is Var f / f^2 to leading order. The bars are those of the plain expansion (docs/theory.md), plus numerical
    errors; the first two layers are exact.
    """

    infinite: float
    mean: Estimate
    deviation: Estimate
    control: float


def kernel_weights(inputs: int) -> Tensor:
    """Return c (N, N) of the mean over inputs of K_aa."""
    return torch.eye(inputs, dtype=torch.float64) / inputs


def distance_weights(inputs: int) -> Tensor:
    """Return c (N, N) of the mean over pairs of different inputs of (K_aa + K_bb)/2 - K_ab; needs two inputs."""
    if inputs < 2:
        raise SettingError(f"a distance needs at least two inputs; there is {inputs}")
    off = 1.0 / (inputs * (inputs - 1))
    return (1.0 / inputs + off) * torch.eye(inputs, dtype=torch.float64) - off


def flow_average(flow: Flow, weights: Tensor, *, layer: int) -> FlowAverage:
    """Return f = sum_ab weights_ab Khat_ab in `layer` (1..L) with its deviation over networks.

    Shapes: weights (N, N), symmetric. Errors: O(1/n^2) of the mean and relative O(1/n) of the deviation, as the bars say.
    Raises: SettingError for a flow of order 0, or a layer that it does not have.
    """
    if flow.vertex is None or flow.correction is None:
        raise SettingError("the flow has order 0, without fluctuations; call theory.flow(..., order=1)")
    index, width = flow.index(layer), flow.network.widths[layer - 1]
    a, b = flow.pairs.T
    on_pairs = torch.where(a == b, 1.0, 2.0) * weights[a, b]
    infinite = float((weights * flow.kernel[index]).sum())
    shift = float((weights * flow.correction[index]).sum()) / width
    variance = max(0.0, float(on_pairs @ flow.vertex[index] @ on_pairs) / width)
    size = abs(infinite) or 1.0
    own, deviation = variance / size**2, variance**0.5
    bars = _Bars(0.0, 0.0) if layer <= EXACT_LAYERS else _bars(float(flow.control[index]), own=own, shift=shift / size)
    return FlowAverage(
        infinite,
        Estimate(infinite + shift, size * bars.mean + _numerical(flow, index), "truncation"),
        Estimate(deviation, deviation * bars.deviation + _blurred(flow, index, deviation), "truncation"),
        own,
    )


@dataclass(frozen=True)
class _Bars:
    """Relative bars of a mean and of a deviation."""

    mean: float
    deviation: float


def _bars(control: float, *, own: float, shift: float) -> _Bars:
    return _Bars(
        plain_mean_bar(control=control, own=own, shift=shift),
        plain_deviation_bar(control=control, own=own, shift=shift),
    )


def _blurred(flow: Flow, index: int, deviation: float) -> float:
    """Return what the vertex's numerical error does to a deviation: d sqrt(v) = dv / 2 sqrt(v), never above sqrt(dv).

    The weights of both averages sum to at most 2 in absolute value on either side of the vertex.
    """
    assert flow.vertex_error is not None
    error = 4.0 * float(flow.vertex_error[index]) / flow.network.widths[index]
    return min(error / (2 * deviation), error**0.5) if deviation > 0 else error**0.5


def _numerical(flow: Flow, index: int) -> float:
    assert flow.correction_error is not None
    return float(flow.kernel_error[index]) + float(flow.correction_error[index]) / flow.network.widths[index]

"""What one entry of a layer's kernel is over seeds: its mean and its standard deviation, each with a truncation bar.

Convention: Khat^(l) is the kernel of one drawn network, K_ab = (K_aa + K_bb) / 2 - D_ab; an entry off the diagonal has the
bars of its three parts. c is the control, delta the relative shift, own the relative variance of a part:
    mean, relative: 0.6 k |delta| + 0.03 k^2,      deviation, relative: 0.7 k + 2.5 |delta|,      k = max(c, own).
The form is derived (next order of a mean: a product of two small numbers; of a logarithmic deviation: linear in a
variance, a quarter of it for a log-normal kernel), the coefficients calibrated on ensembles of two inputs, widths 16 to
180, depth up to 11 (docs/theory.md). Single inputs need wider bars than the averages over a batch of
`rgflow.theory.truncation`.
"""

import math
from dataclasses import dataclass

from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records.estimate import Estimate
from rgflow.records.flow import Flow
from rgflow.theory.truncation import plain_deviation_bar, plain_mean_bar

__all__ = ["KernelEstimate", "kernel_estimate"]

EXACT_LAYERS = 2  # mean and variance of the kernel of layers 1 and 2 have no correction beyond the flow's


@dataclass(frozen=True)
class KernelEstimate:
    """Mean and standard deviation over seeds of one entry of a network's kernel in layer `layer`, and that layer's control."""

    layer: int
    mean: Estimate
    deviation: Estimate
    control: float


def kernel_estimate(flow: Flow, *, layer: int, first: int = 0, second: int = 0) -> KernelEstimate:
    """Return mean and standard deviation over seeds of Khat_ab, a = `first`, b = `second`, in layer `layer` (1..L).

    Units: of z^2. Errors: "truncation" bars that cover 95 of 100 cases, numerical errors added; layers 1 and 2 carry
    numerical errors only. Calibrated on Gaussian weights and control below 1.
    Raises: SettingError for a flow of order 0, a layer or input that is not there, or control above 1, where the
    expansion says nothing: draw networks instead.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> found = kernel_estimate(flow(MLP((2, 100, 100, 1), "relu", weight_variance=2.0), [[1.0, 1.0]]), layer=3)
    >>> round(found.mean.value, 6), round(found.deviation.value, 6), round(found.deviation.error, 3)
    (2.0, 0.632456, 0.044)
    """
    index = flow.index(layer)
    if flow.vertex is None or flow.correction is None or flow.vertex_error is None or flow.correction_error is None:
        raise SettingError("the flow has order 0 and no vertex; kernel_estimate needs flow(network, inputs, order=1)")
    inputs, control = flow.kernel.shape[1], float(flow.control[index])
    if not (0 <= first < inputs and 0 <= second < inputs):
        raise SettingError(f"inputs {first} and {second} are asked for; the flow has the inputs 0 to {inputs - 1}")
    if not control <= 1.0:
        raise SettingError(
            f"control of layer {layer} is {control:.3g}; above 1 the expansion in 1/n says nothing: widen the network, or"
            " draw networks with rgflow.ensembles.sample_kernels"
        )
    width = flow.network.widths[index]
    shift, variance = flow.correction[index] / width, _variances(flow, index, first, second) / width
    kernel = flow.kernel[index]
    mean = float(kernel[first, second] + shift[first, second])
    deviation = math.sqrt(max(float(variance[1]), 0.0))
    numerical = float(flow.kernel_error[index]) + float(flow.correction_error[index]) / width
    # d sqrt(v) = dv / 2 sqrt(v), and never more than sqrt(dv).
    blurred = float(flow.vertex_error[index]) / width
    sharp = min(blurred / (2 * deviation), math.sqrt(blurred)) if deviation > 0 else math.sqrt(blurred)
    bars = (0.0, 0.0)
    if layer > EXACT_LAYERS:
        bars = _bars(kernel, shift, variance, first=first, second=second, control=control)
    return KernelEstimate(
        layer,
        Estimate(mean, bars[0] + numerical, "truncation"),
        Estimate(deviation, bars[1] * deviation + sharp, "truncation"),
        control,
    )


def _variances(flow: Flow, index: int, a: int, b: int) -> Tensor:
    """Return V of (aa), (ab), (bb), and of D_ab = (K_aa + K_bb) / 2 - K_ab, (4,)."""
    assert flow.vertex is not None
    low, high = min(a, b), max(a, b)
    rows = [
        int(((flow.pairs[:, 0] == i) & (flow.pairs[:, 1] == j)).nonzero()) for i, j in ((a, a), (low, high), (b, b))
    ]
    block = flow.vertex[index][rows][:, rows]
    weights = block.new_tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, -1.0, 0.5]])
    return (weights @ block @ weights.T).diagonal()


def _bars(
    kernel: Tensor, shift: Tensor, variance: Tensor, *, first: int, second: int, control: float
) -> tuple[float, float]:
    """Return the bar of the mean, absolute, and of the deviation, relative to it."""
    a, b = first, second
    parts = [(kernel[a, a], shift[a, a], variance[0]), (kernel[b, b], shift[b, b], variance[2])]
    weights = [0.5, 0.5]
    if a != b:
        distance, moved = ((m[a, a] + m[b, b]) / 2 - m[a, b] for m in (kernel, shift))
        parts.append((distance, moved, variance[3]))
        weights.append(1.0)
    mean, own, relative = 0.0, control, 0.0
    for (value, change, spread), weight in zip(parts, weights, strict=True):
        size = float(value)
        if size > 0.0:
            delta = abs(float(change)) / size
            mean += weight * size * plain_mean_bar(control=control, own=float(spread) / size**2, shift=delta)
            own, relative = max(own, float(spread) / size**2), max(relative, delta)
    return mean, plain_deviation_bar(control=control, own=own, shift=relative)

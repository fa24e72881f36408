"""The flow of single inputs to order 1/n^2: kernel, vertex, mean shift and six-point function on the diagonal.

Convention: as in `records.flow`; prime is d/dK, r = n_l / n_{l-1}, and 0 in the first step, where the kernel is certain:
    F = C_b + C_W <s^2>,  S = C_W^2 (<s^4> - <s^2>^2),  kappa = C_W^3 (<s^6> - 3 <s^4> <s^2> + 2 <s^2>^3),
    V <- S + r F'^2 V,  G1 <- r (F' G1 + F'' (V + kurtosis) / 2),  kurtosis = (kappa_W / 3) C_W^2 <s^4> one layer below,
    U <- kappa + 3 r S' F' V + r^2 (F'^3 U + 3 F'^2 F'' V^2).
The kurtosis of weights does not enter U at this order. Source: law of total cumulance over layers; Roberts, Yaida and
Hanin 2022, arXiv:2106.10165, sections 4.3 and 4.4 for V and G1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.flow_setup import FlowSetup
from rgflow.theory.line_averages import LineAverages, line_averages

__all__ = ["SingleFlow", "single_flow"]


@dataclass(frozen=True)
class SingleFlow:
    """Layers 1..L of N single inputs, each (L, N); conventions of `rgflow.records.Flow`.

    `sixth` = C_W^3 <s^6> of the layer below. `chi_parallel`, `chi_perpendicular` and `stretch` = C_W <z^2 s'^2> / K'
    describe the step out of a layer (the last one as if a further layer had its variances).
    """

    kernel: Tensor
    vertex: Tensor
    correction: Tensor
    six_point: Tensor
    sixth: Tensor
    chi_parallel: Tensor
    chi_perpendicular: Tensor
    stretch: Tensor


@dataclass(frozen=True)
class _State:
    kernel: Tensor
    vertex: Tensor
    correction: Tensor
    six_point: Tensor
    sixth: Tensor
    kurtosis: Tensor  # (kappa_W / 3) C_W^2 <s^4> of the layer below


def single_flow(setup: FlowSetup) -> SingleFlow:
    """Return the flow of the single inputs of `setup`.

    Errors: truncation in 1/n as the record says; quadrature 1e-10, sampling of the first layer where its weights are not
    Gaussian (its chi and `stretch` are then those of Gaussian weights); NaN where an average does not exist.
    """
    network = setup.network
    first = setup.kernel.diagonal()
    zero = torch.zeros_like(first)
    states = [_State(first, zero, zero, zero, zero, zero)]
    steps = []
    for layer in range(network.depth):
        above = min(layer + 1, network.depth - 1)
        averages = line_averages(
            network.activation, states[-1].kernel, bias=setup.biases[layer], bias_variance=network.bias_variance[layer]
        )
        steps.append((averages, network.weight_variance[above], network.bias_variance[above]))
        if above > layer:
            states.append(_step(setup, states[-1], averages, above=above))
    return _collected(states, steps)


def _step(setup: FlowSetup, state: _State, averages: LineAverages, *, above: int) -> _State:
    """Return the state of layer `above` (0-based) from the one below."""
    network, first = setup.network, above == 1
    ratio = 0.0 if first else network.widths[above] / network.widths[above - 1]
    weight, bias = network.weight_variance[above], network.bias_variance[above]
    square, fourth, sixth = averages.square, averages.fourth, averages.sixth
    if first and setup.neurons is not None:
        values = network.activation.function(setup.neurons.values.flatten(0, 1)) ** 2
        square, fourth, sixth = values.mean(0), (values**2).mean(0), (values**3).mean(0)
    fresh = weight**2 * (fourth - square**2)
    third = weight**3 * (sixth - 3.0 * fourth * square + 2.0 * square**3)
    slope, bend = weight * averages.square_slope, weight * averages.square_bend
    scatter_slope = weight**2 * (averages.fourth_slope - 2.0 * square * averages.square_slope)
    vertex = state.vertex
    carried = slope**3 * state.six_point + 3.0 * slope**2 * bend * vertex**2
    kurtosis = setup.weight_laws[above].kurtosis / 3.0 * weight**2 * fourth
    if first:  # the certain kernel of the first layer passes on no fluctuation, whatever its averages
        return _State(bias + weight * square, fresh, torch.zeros_like(square), third, weight**3 * sixth, kurtosis)
    return _State(
        kernel=bias + weight * square,
        vertex=fresh + ratio * slope**2 * vertex,
        correction=ratio * (slope * state.correction + bend * (vertex + state.kurtosis) / 2.0),
        six_point=third + 3.0 * ratio * scatter_slope * slope * vertex + ratio**2 * carried,
        sixth=weight**3 * sixth,
        kurtosis=kurtosis,
    )


def _collected(states: list[_State], steps: list[tuple[LineAverages, float, float]]) -> SingleFlow:
    stretch = []
    for averages, weight, bias in steps:
        total = bias + weight * averages.square
        stretch.append(torch.where(total > 0, weight * averages.stretch / total, 0.0))
    return SingleFlow(
        kernel=torch.stack([state.kernel for state in states]),
        vertex=torch.stack([state.vertex for state in states]),
        correction=torch.stack([state.correction for state in states]),
        six_point=torch.stack([state.six_point for state in states]),
        sixth=torch.stack([state.sixth for state in states]),
        chi_parallel=torch.stack([weight * averages.square_slope for averages, weight, _ in steps]),
        chi_perpendicular=torch.stack([weight * averages.slope_square for averages, weight, _ in steps]),
        stretch=torch.stack(stretch),
    )

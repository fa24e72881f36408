"""Flow of single inputs at infinite width: the kernel's diagonal, susceptibilities and elasticities, layer by layer.

Convention: K' = C_b + C_W <s(z)^2>_K. chi_parallel = dK'/dK = C_W <s^2 (z^2/K - 1)> / (2 K), which needs no derivative of
the activation; chi_perpendicular = C_W <s'^2>, the growth of a small distance. Biases that are not Gaussian enter as
a mixture. An elasticity is d ln K' / d ln K.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.gaussian import gaussian_rule, mesh_of
from rgflow.theory.first_layer import FirstLayer, calibrated_weights
from rgflow.theory.laws import LayerLaw, bias_mixture

__all__ = ["InputState", "input_flow"]


@dataclass(frozen=True)
class InputState:
    """One layer on B inputs: `kernel` (B,); of the step into this layer `elasticity`, `parallel`, `perpendicular` (B,).

    `activity_scatter`, `slope_scatter` = <x^2> / <x>^2 - 1 of x = s^2 and x = s'^2 for one neuron below, averaged over
    inputs: over the width they are relative variances of that layer's activity and of its part in the backward pass.
    """

    kernel: Tensor
    elasticity: Tensor | None = None
    parallel: Tensor | None = None
    perpendicular: Tensor | None = None
    activity_scatter: float = 0.0
    slope_scatter: float = 0.0


@dataclass(frozen=True)
class LineNodes:
    """Neurons of B inputs (B, G): preactivation `value`, standard normal `u`, `weights`; `variance` (B,) of the Gaussian."""

    value: Tensor
    u: Tensor
    weights: Tensor
    variance: Tensor


def input_flow(
    layer: FirstLayer, *, laws: Sequence[LayerLaw], activations: Sequence[Activation]
) -> tuple[InputState, ...]:
    """Return the states of layers 1..L on the inputs of `layer`; no corrections in 1/n.

    Errors: quadrature to 1e-9; the first layer's true law by virtual neurons to 0.2 %.
    """
    states = [InputState(layer.kernel)]
    for index in range(1, len(laws)):
        previous, activation = states[-1].kernel, activations[index - 1]
        virtual = index == 1 and layer.neurons is not None
        nodes = _virtual(layer) if virtual else _quadrature(previous, laws[index - 1], activation)
        states.append(_step(nodes, previous, law=laws[index], activation=activation))
    return tuple(states)


def _quadrature(kernel: Tensor, law: LayerLaw, activation: Activation) -> LineNodes:
    mixture = bias_mixture(law, kernel=max(float(kernel.min()), 1e-300))
    variance = (kernel - law.bias_variance + mixture.gaussian_variance).clamp_min(0)
    edges = mesh_of(activation).edges
    grids = [gaussian_rule(variance, edges, mean=value) for value in mixture.values]
    return LineNodes(
        value=torch.cat([z for _, z, _ in grids], 1),
        u=torch.cat([u for u, _, _ in grids], 1),
        weights=torch.cat([w * p for (_, _, w), p in zip(grids, mixture.probabilities, strict=True)], 1),
        variance=variance,
    )


def _virtual(layer: FirstLayer) -> LineNodes:
    """Return the first layer's virtual neurons as nodes with exact second and fourth moments."""
    assert layer.neurons is not None
    law, features = layer.law, layer.inputs.shape[1]
    fourth = (law.weight_variance / features) ** 2 * law.weight_kurtosis * layer.inputs.pow(4).sum(1)
    fourth = (fourth + law.bias_kurtosis * law.bias_variance**2) / layer.kernel**2 + 3
    u = layer.neurons / layer.kernel.sqrt().unsqueeze(1)
    targets = torch.stack([torch.ones_like(fourth), fourth], dim=1)
    weights = calibrated_weights(torch.stack([u**2, u**4], dim=1), targets)
    return LineNodes(value=layer.neurons, u=u, weights=weights, variance=layer.kernel)


def _step(nodes: LineNodes, previous: Tensor, *, law: LayerLaw, activation: Activation) -> InputState:
    square = activation.function(nodes.value) ** 2
    kernel = law.bias_variance + law.weight_variance * (square * nodes.weights).sum(1)
    slope = (square * (nodes.u**2 - 1) * nodes.weights).sum(1) / (2 * nodes.variance)
    parallel = law.weight_variance * slope
    slopes = activation.derivative(nodes.value) ** 2
    perpendicular = law.weight_variance * (slopes * nodes.weights).sum(1)
    return InputState(
        kernel,
        elasticity=parallel * previous / kernel,
        parallel=parallel,
        perpendicular=perpendicular,
        activity_scatter=_scatter(square, nodes.weights),
        slope_scatter=_scatter(slopes, nodes.weights),
    )


def _scatter(values: Tensor, weights: Tensor) -> float:
    """Return <x^2> / <x>^2 - 1, averaged over inputs where x does not vanish altogether."""
    mean, square = (values * weights).sum(1), (values**2 * weights).sum(1)
    alive = mean > 0
    return float((square[alive] / mean[alive] ** 2 - 1).mean()) if bool(alive.any()) else 0.0

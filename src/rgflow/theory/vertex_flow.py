"""The vertex and the O(1/n) shift of the kernel of all pairs of inputs, layer by layer, with numerical errors.

With r = n_l / n_{l-1} and everything carrying the width of the layer before, as in `records.flow`,
    V <- C_W^2 Cov(s_a s_b, s_c s_d) + r M V M^T,        M = dF/dK,   F_ab = C_b + C_W <s_a s_b>,
    G1 <- r (M G1 + H[V + kurtosis]),                    H[V] = F''[V] / 2,
    kurtosis = (kappa_W / 3) C_W^2 <s_a s_b s_c s_d> one layer below;
in the first step the kernel is certain, and V = C_W^2 Cov. Errors are carried in units of s_a s_b, s_a = sqrt(K_aa).
Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, sections 4.3 and 4.4; the kurtosis by the cumulants of a sum.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.flow_setup import FlowSetup
from rgflow.theory.kernel_flow import KernelFlow, mixture_error
from rgflow.theory.pair_space import PairSpace, pair_space
from rgflow.theory.vertex_averages import (
    FeatureMoments,
    bias_nodes,
    feature_curvature,
    feature_moments,
    feature_response,
)
from rgflow.theory.vertex_errors import step_units

__all__ = ["VertexFlow", "vertex_flow"]


@dataclass(frozen=True)
class VertexFlow:
    """Vertex (L, P, P), correction (L, P), neurons' fourth cumulants (L, P, P) or None, and error bounds (L,)."""

    vertex: Tensor
    vertex_error: Tensor
    correction: Tensor
    correction_error: Tensor
    neuron_cumulant: Tensor | None


@dataclass(frozen=True)
class _Layer:
    """One layer: vertex, its shift, kurtosis term, neuron cumulant; errors of the first two in units of s_a s_b."""

    vertex: Tensor
    correction: Tensor
    kurtosis: Tensor
    cumulant: Tensor
    vertex_error: float = 0.0
    correction_error: float = 0.0


def vertex_flow(setup: FlowSetup, kernels: KernelFlow, *, seed: int = 0) -> VertexFlow:
    """Return vertex and correction of layers 1..L for the distinct inputs of `setup`.

    Errors: truncation of order 1/n; numerical as reported.
    """
    space = pair_space(len(setup.inputs))
    layers = [_first(setup, space)]
    for above in range(1, setup.network.depth):
        layers.append(_step(setup, kernels, layers[-1], above=above, seed=seed))
    units = [float(kernel.diagonal().max()) for kernel in kernels.kernel]
    return VertexFlow(
        vertex=torch.stack([layer.vertex for layer in layers]),
        vertex_error=torch.tensor([u**2 * layer.vertex_error for u, layer in zip(units, layers, strict=True)]).double(),
        correction=torch.stack([layer.correction for layer in layers]),
        correction_error=torch.tensor(
            [u * layer.correction_error for u, layer in zip(units, layers, strict=True)]
        ).double(),
        neuron_cumulant=None if setup.gaussian else torch.stack([layer.cumulant for layer in layers]),
    )


def _first(setup: FlowSetup, space: PairSpace) -> _Layer:
    network, x = setup.network, setup.inputs
    products = x[space.first] * x[space.second] * network.weight_variance[0] / x.shape[1]
    own = setup.weight_laws[0].kurtosis * products @ products.T
    empty = torch.zeros((len(space.first), len(space.first)), dtype=torch.float64)
    shared = setup.bias_laws[0].kurtosis * network.bias_variance[0] ** 2
    return _Layer(empty, empty[0], empty, own + shared)


def _step(setup: FlowSetup, kernels: KernelFlow, below: _Layer, *, above: int, seed: int) -> _Layer:
    """Return layer `above` (0-based) from the one below it."""
    network, first = setup.network, above == 1
    width, weight = network.widths[above], network.weight_variance[above]
    activation, kernel = network.activation, kernels.kernel[above - 1]
    nodes = bias_nodes(activation, kernel, bias=setup.biases[above - 1], bias_variance=network.bias_variance[above - 1])
    sampled = first and setup.neurons is not None
    moments = _sampled(setup) if sampled else feature_moments(nodes, seed=seed)
    kurtosis = setup.weight_laws[above].kurtosis * weight**2 * moments.fourth
    cumulant = kurtosis / width + setup.bias_laws[above].kurtosis * network.bias_variance[above] ** 2
    fresh, units = weight**2 * moments.covariance, step_units(kernels, above=above, kinked=bool(activation.kinks))
    error = units.relative(weight**2 * moments.error)
    if not sampled:
        error += (units.slack + 4 * mixture_error(setup, kernel, layer=above - 1)) * units.relative(fresh)
    if first:
        return _Layer(fresh, below.correction, kurtosis / 3, cumulant, vertex_error=error)
    ratio, source = width / network.widths[above - 1], below.vertex + below.kurtosis
    answer = feature_response(nodes)
    bend = feature_curvature(nodes, source, units=units.below, source_error=below.vertex_error, weight_variance=weight)
    vertex = fresh + ratio * answer.propagate(below.vertex, weight_variance=weight)
    growth, blur = units.growth(answer, weight), units.blur(answer, weight)
    passed = growth**2 * below.vertex_error + 2 * growth * blur * units.relative_below(below.vertex)
    shifted = growth * below.correction_error + blur * units.relative_below(below.correction)
    return _Layer(
        (vertex + vertex.T) / 2,
        ratio * (answer.apply(below.correction, weight_variance=weight) + bend.value),
        kurtosis / 3,
        cumulant,
        vertex_error=error + ratio * passed,
        correction_error=ratio * (shifted + units.bend(bend)),
    )


def _sampled(setup: FlowSetup) -> FeatureMoments:
    """Return the moments over the virtual neurons of the first layer."""
    assert setup.neurons is not None
    space, function = pair_space(len(setup.inputs)), setup.network.activation.function

    def products(z: Tensor) -> Tensor:
        s = function(z)
        return s[:, space.first] * s[:, space.second]

    mean = setup.neurons.average(lambda z: products(z).mean(0))
    fourth = setup.neurons.average(lambda z: products(z).T @ products(z) / len(z))
    covariance = fourth.value - torch.outer(mean.value, mean.value)
    error = fourth.error + 2 * float(mean.value.abs().max()) * mean.error
    return FeatureMoments(covariance, fourth.value, torch.full_like(covariance, error))

"""Flow of kernel, O(1/n) mean shift and fluctuation covariance of many pairs of inputs, for any activation and law.

Convention: as in `laws`; layer l = 1..L; the state of layer l describes preactivations z^(l). All covariances and
shifts are actual cumulants (the widths are inside). For one neuron with whitened output features f = (p p, p q, q q):
    V' = Cov(f, f) / n + M V M^T,      M = <f He2> (derivative of <f> with respect to the kernel),
    shift' = M shift + <f He4> : (V + kurtosis term) / 8,
with He the Hermite polynomials of the whitened preactivations: no derivative of the activation is ever taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.gaussian import mesh_of
from rgflow.numerics.pairs import pair_nodes
from rgflow.theory.laws import BiasMixture, LayerLaw
from rgflow.theory.pair_kernel import PairKernel

__all__ = ["Nodes", "OutputFeatures", "PairState", "concatenated", "mixture_nodes", "output_features", "pair_flow"]

NODES_AT_ONCE = 250_000  # quadrature nodes in one piece of work: about 60 MB of float64 temporaries


@dataclass(frozen=True)
class PairState:
    """One layer's P pairs at order 1/n.

    Shapes: `gaussian` the kernels without the discrete part of the bias (variance `discrete`), `covariance` (P, 3, 3)
    and `shift` (P, 3) in the whitened basis of `gaussian`, `fourth` (P, 3, 3) the weights' fourth cumulant, and
    `propagator` (P, 3, 3), which carries fluctuations from the layer before (None in layer 2); `slope` (P,) =
    C_W <s'_a s'_b>, the growth of gradient covariances across the step into this layer.
    """

    gaussian: PairKernel
    mixture: BiasMixture
    discrete: float
    covariance: Tensor
    shift: Tensor
    fourth: Tensor
    slope: Tensor
    propagator: Tensor | None

    @property
    def kernel(self) -> PairKernel:
        """The whole kernel, biases included."""
        return self.gaussian.shifted(self.discrete)

    def select(self, index: Tensor) -> "PairState":
        """Return the state of some of the pairs."""
        parts = {name: getattr(self, name)[index] for name in _BY_PAIR}
        propagator = None if self.propagator is None else self.propagator[index]
        kernel = PairKernel(self.gaussian.first[index], self.gaussian.second[index], self.gaussian.distance[index])
        return replace(self, gaussian=kernel, propagator=propagator, **parts)

    def split(self, size: int) -> "list[PairState]":
        """Return the pairs in groups of at most `size`."""
        return [self.select(index) for index in torch.arange(len(self.slope)).split(size)]

    def kernel_shift(self) -> Tensor:
        """Return (P, 3): the O(1/n) shift of the means of (K_aa, K_bb, D)."""
        return torch.einsum("pij,pj->pi", self.gaussian.unwhiten(), self.shift)

    def kernel_covariance(self) -> Tensor:
        """Return (P, 3, 3): covariance over seeds of (K_aa, K_bb, D)."""
        jacobian = self.gaussian.unwhiten()
        return jacobian @ self.covariance @ jacobian.mT


_BY_PAIR = ("covariance", "shift", "fourth", "slope")


def concatenated(parts: "list[PairState]") -> PairState:
    """Return the states of groups of pairs as one."""
    if len(parts) == 1:
        return parts[0]
    kernel = PairKernel(*(torch.cat([getattr(p.gaussian, n) for p in parts]) for n in ("first", "second", "distance")))
    fields = {name: torch.cat([getattr(part, name) for part in parts]) for name in _BY_PAIR}
    propagators = [part.propagator for part in parts if part.propagator is not None]
    return replace(parts[0], gaussian=kernel, propagator=torch.cat(propagators) if propagators else None, **fields)


def pair_flow(
    second_layer: "PairState",
    *,
    widths: Sequence[int],
    laws: Sequence[LayerLaw],
    activations: Sequence[Activation],
    mixtures: Sequence[BiasMixture],
    order: int = 10,
) -> tuple[PairState, ...]:
    """Return the states of layers 2..L from that of layer 2 (see `first_layer`).

    Shapes: `widths` (n_0..n_L), `laws` and `mixtures` (of their biases) of layers 1..L, `activations` after layers 1..L-1.
    Errors: truncation at order 1/n^2; quadrature about 1e-5 relative at `order` 10, 1e-8 at 16.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 4, here for arbitrary symmetric laws.
    """
    states = [second_layer]
    for layer in range(2, len(laws)):
        activation = activations[layer - 1]
        step = partial(
            _step, width=widths[layer], law=laws[layer], activation=activation, mixture=mixtures[layer], order=order
        )
        parts = states[-1].split(_affordable(states[-1], activation, order))
        states.append(concatenated([step(part) for part in parts]))
    return tuple(states)


def _affordable(state: PairState, activation: Activation, order: int) -> int:
    """Return how many pairs fit into the memory set aside; wide Gaussians on narrow features need many nodes."""
    largest = state.select(torch.maximum(state.gaussian.first, state.gaussian.second).argmax().reshape(1))
    nodes = mixture_nodes(largest.gaussian, state.mixture, activation=activation, order=order).u.shape[1]
    return max(1, NODES_AT_ONCE // nodes)


def _step(
    state: PairState, *, width: int, law: LayerLaw, activation: Activation, mixture: BiasMixture, order: int
) -> PairState:
    nodes = mixture_nodes(state.gaussian, state.mixture, activation=activation, order=order)
    features = output_features(activation, nodes, width=width, law=law, mixture=mixture)
    propagator = _first_response(features, nodes)
    source = state.covariance + state.fourth / 3  # symmetric kurtosis term, one third for each pairing
    curvature = _second_response(features, nodes, source)
    shift = torch.einsum("pij,pj->pi", propagator, state.shift) + curvature
    covariance = features.fresh + propagator @ state.covariance @ propagator.mT
    return features.state(covariance=covariance, shift=shift, propagator=propagator)


@dataclass(frozen=True)
class Nodes:
    """Neurons of P pairs (P, G): z_a, z_b, z_a - z_b, whitened (u, v) of their Gaussian part, and weights."""

    first: Tensor
    second: Tensor
    difference: Tensor
    u: Tensor
    v: Tensor
    weight: Tensor


def mixture_nodes(kernel: PairKernel, mixture: BiasMixture, *, activation: Activation, order: int) -> Nodes:
    """Return quadrature nodes of preactivations: Gaussian with `kernel` plus a bias drawn from `mixture`."""
    grids = [
        pair_nodes(
            kernel.first,
            kernel.second,
            kernel.distance,
            kinks=activation.kinks,
            mesh=mesh_of(activation),
            mean_shift=value,
            order=order,
        )
        for value in mixture.values
    ]
    weights = [grid.weight * share for grid, share in zip(grids, mixture.probabilities, strict=True)]

    def joined(parts: list[Tensor]) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    return Nodes(
        first=joined([grid.first for grid in grids]),
        second=joined([grid.second for grid in grids]),
        difference=joined([grid.difference for grid in grids]),
        u=joined([grid.u for grid in grids]),
        v=joined([grid.v for grid in grids]),
        weight=joined(weights),
    )


@dataclass(frozen=True)
class OutputFeatures:
    """Whitened features f = (p p, p q, q q) of one neuron for the next layer's kernel, and that kernel.

    Shapes: `values` (P, 3, nodes); `fresh` (P, 3, 3) = Cov(f, f) / width; `raw` the same without subtraction.
    """

    values: Tensor
    gaussian: PairKernel
    mixture: BiasMixture
    discrete: float
    fresh: Tensor
    fourth: Tensor
    slope: Tensor

    def state(self, *, covariance: Tensor, shift: Tensor, propagator: Tensor | None) -> PairState:
        """Return the next layer's state with this kernel."""
        return PairState(
            self.gaussian, self.mixture, self.discrete, covariance, shift, self.fourth, self.slope, propagator
        )


def output_features(
    activation: Activation, nodes: Nodes, *, width: int, law: LayerLaw, mixture: BiasMixture
) -> OutputFeatures:
    """Return the features that `width` neurons at `nodes` send to a layer drawn from `law`, its bias as `mixture`."""
    out, other = activation.function(nodes.first), activation.function(nodes.second)
    difference = _difference(activation, nodes, out, other)
    scale, weights = law.weight_variance, nodes.weight
    square = scale * (out**2 * weights).sum(1)
    second = scale * (other**2 * weights).sum(1)
    distance = scale * (difference**2 * weights).sum(1) / 2
    kernel = PairKernel(square, second, distance).shifted(mixture.gaussian_variance)
    p, q = kernel.whitening().coordinates(other, difference)
    values = scale * torch.stack([p * p, p * q, q * q], dim=1)
    weighted = values * weights.unsqueeze(1)
    mean, raw = weighted.sum(2), weighted @ values.mT
    return OutputFeatures(
        values=values,
        gaussian=kernel,
        mixture=mixture,
        discrete=law.bias_variance - mixture.gaussian_variance,
        fresh=(raw - mean.unsqueeze(2) * mean.unsqueeze(1)) / width,
        fourth=law.weight_kurtosis * raw / width,
        slope=scale * (activation.derivative(nodes.first) * activation.derivative(nodes.second) * weights).sum(1),
    )


def _difference(activation: Activation, nodes: Nodes, out: Tensor, other: Tensor) -> Tensor:
    """Return s(z_a) - s(z_b), to relative accuracy also where z_a and z_b agree to almost all digits."""
    close = nodes.difference.abs() < 1e-6 * nodes.first.abs().clamp_min(1.0)
    slope = activation.derivative(nodes.second + nodes.difference / 2)  # midpoint rule, error of third order
    return torch.where(close, slope * nodes.difference, out - other)


def _first_response(features: OutputFeatures, nodes: Nodes) -> Tensor:
    """Return M (P, 3, 3): derivative of <f> with respect to (E_uu, E_uv, E_vv), <f q_E> / 2 with q_E = g'Eg - tr E."""
    u, v = nodes.u, nodes.v
    hermite = torch.stack([(u * u - 1) / 2, u * v, (v * v - 1) / 2], dim=1) * nodes.weight.unsqueeze(1)
    return features.values @ hermite.mT


def _second_response(features: OutputFeatures, nodes: Nodes, source: Tensor) -> Tensor:
    """Return (P, 3): half the second derivative of <f> contracted with `source` (P, 3, 3), by fourth Hermite weights."""
    u, v = nodes.u, nodes.v
    u2, v2 = u * u, v * v
    hermite = torch.stack(
        [
            (u2 - 6) * u2 + 3,
            4 * (u2 - 3) * u * v,
            (u2 - 1) * (v2 - 1),
            4 * (v2 - 3) * u * v,
            (v2 - 6) * v2 + 3,
        ],
        dim=1,
    )
    moments = features.values @ (hermite * nodes.weight.unsqueeze(1)).mT / 8
    uu, uv, vv = 0, 1, 2
    contracted = torch.stack(
        [
            source[:, uu, uu],
            source[:, uu, uv],
            2 * source[:, uu, vv] + 4 * source[:, uv, uv],
            source[:, uv, vv],
            source[:, vv, vv],
        ],
        dim=1,
    )
    return torch.einsum("pij,pj->pi", moments, contracted)

"""Covariances across the layers of a residual network for one neuron and one input, by two-dimensional quadrature.

Convention: x = z^(m) and y = z^(l), m < l in one stage, are Gaussian with covariance c = skip^(l - m) K^(m);
phi = C_W s^2 (plus skip^2 z^2 where the step out of the layer is a projection). The echo, Cov((C_W s^2)''(y) / 2, phi(x)),
is taken by parts with the weight ((y - c x / K_x)^2 / r - 1) / (2 r), r = Var(y | x): kinks need no derivative.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics import Activation, mesh_of, moments, pair_nodes
from rgflow.theory.residual_history import HistoryAverages
from rgflow.theory.residual_kernels import ResidualKernels

__all__ = ["single_input_averages"]

_AT_ONCE = 200  # pairs of layers in one piece: about 5000 nodes each, 8 MB per tensor


def single_input_averages(kernels: ResidualKernels, *, order: int = 24) -> HistoryAverages:
    """Return the exact averages for one input; all indices of pairs have length one.

    Errors: about 1e-12 relative to <phi^2> at `order` 24 (nodes per panel), 1e-9 at 18; of the echo K / r times as much.
    """
    depth = len(kernels.start)
    noise = torch.zeros(depth, depth, dtype=torch.float64)
    echo = torch.zeros(depth, depth, 3, dtype=torch.float64)
    fourth = torch.zeros(depth, dtype=torch.float64)
    features = _Features.of(kernels)
    inside = torch.arange(depth - 1)
    noise[inside, inside], fourth[:-1] = _same_layer(features)
    pairs = [(later, m) for later in range(1, depth - 1) for m in range(kernels.start[later], later)]
    for piece in torch.tensor(pairs, dtype=torch.long).reshape(-1, 2).split(_AT_ONCE):
        if len(piece):
            later, earlier = piece.unbind(1)
            noise[later, earlier], echo[later, earlier, 1] = _two_layers(features, later, earlier, order=order)
            noise[earlier, later] = noise[later, earlier]
    return HistoryAverages(noise[:, :, None, None], echo[:, :, :, None, None], fourth[:, None, None])


@dataclass(frozen=True)
class _Features:
    """phi = scale s^2 + carried z^2 of layers 1..L-1, (L - 1,) each."""

    activation: Activation
    skip: float
    kernel: Tensor
    scale: Tensor
    carried: Tensor

    @classmethod
    def of(cls, kernels: ResidualKernels) -> "_Features":
        depth = len(kernels.start)
        scale = torch.tensor(kernels.network.weight_variance[1:], dtype=torch.float64)
        carried = [kernels.network.skip**2 if kernels.projected(layer) else 0.0 for layer in range(depth - 1)]
        kernel = kernels.kernel[: depth - 1, 0, 0]
        rule = kernels.network.activation
        return cls(rule, kernels.network.skip, kernel, scale, torch.tensor(carried, dtype=torch.float64))

    def at(self, z: Tensor, layer: Tensor) -> Tensor:
        """Values (pairs, nodes) of phi at preactivations of the layers (pairs,)."""
        scale, carried = self.scale[layer].unsqueeze(-1), self.carried[layer].unsqueeze(-1)
        return scale * self.activation.function(z) ** 2 + carried * z * z


def _same_layer(features: _Features) -> tuple[Tensor, Tensor]:
    """Var(phi) and <(C_W s^2)^2> of every layer, (L - 1,); <s^2 (z^2 - K)> = 2 K <z s s'> by parts."""
    scale, carried, kernel = features.scale, features.carried, features.kernel
    found = moments(features.activation, kernel)
    own = scale**2 * (found.fourth - found.square**2)
    mixed = 4.0 * scale * carried * kernel * found.response
    return own + mixed + 2.0 * (carried * kernel) ** 2, scale**2 * found.fourth


def _two_layers(features: _Features, later: Tensor, earlier: Tensor, *, order: int) -> tuple[Tensor, Tensor]:
    """Cov(phi(y), phi(x)) and the echo of x in y for pairs of layers."""
    first, second = features.kernel[earlier], features.kernel[later]
    across = features.skip ** (later - earlier).double() * first
    rule = features.activation
    nodes = pair_nodes(first, second, (first + second) / 2 - across, kinks=rule.kinks, mesh=mesh_of(rule), order=order)
    x, y = nodes.first, nodes.second
    source = features.at(x, earlier)
    source = source - nodes.average(source).unsqueeze(-1)
    rest = (second - across**2 / first).unsqueeze(-1)
    weight = ((y - (across / first).unsqueeze(-1) * x) ** 2 / rest - 1.0) / (2.0 * rest)
    bent = features.scale[later].unsqueeze(-1) * rule.function(y) ** 2 * weight
    return nodes.average(features.at(y, later) * source), nodes.average(bent * source)

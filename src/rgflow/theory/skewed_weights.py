"""Weights whose law is not symmetric: they shift the mean kernel already at order n^{-1/2}, one order before all else.

Given the layer below, a neuron has the third cumulant kappa_abc = gamma C_W^{3/2} <s_a s_b s_c> / sqrt(n_{l-1}), gamma the
skewness of a weight, so that by Edgeworth's expansion, with F_ab = C_b + C_W <s_a s_b>,
    E Khat = K + h + O(1/n),     h' = M h + (C_W / 6) sum kappa_cde <d_c d_d d_e (s_a s_b)>,     M = dF/dK.
h vanishes for odd activations (<s s s> = 0) and even ones (the third derivative of an even function has mean 0). The vertex
changes at relative order n^{-1/2} only. Averages with third derivatives are Hermite weights: no derivative is taken.
"""

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.gaussian import expectation, mesh_of
from rgflow.numerics.kernel_derivatives import kernel_response
from rgflow.numerics.pairs import PairNodes, pair_nodes
from rgflow.numerics.pointwise import Activation
from rgflow.records.architecture import MLP
from rgflow.theory.effective_flow import flow
from rgflow.theory.pair_space import pair_space

__all__ = ["skewness_shift"]

_ORDER = 20  # of the pair rule: 2e-11 relative for one kink (measured, `numerics.pairs`)


def skewness_shift(network: MLP, inputs: Tensor, *, skewness: float) -> Tensor:
    """Return the shift h^(l) of the mean kernel by weights of this skewness, widths included: it is of order n^{-1/2}.

    Shapes: `inputs` (N, n_0), none a multiple of another; result (L, N, N), 0 in layer 1. Units: of z^2.
    Errors: truncation at order 1/n; the first layer's own third cumulant, a sum over n_0 features, is taken to the same
    order in 1/n_0. Numerical 1e-9 relative.
    Raises: SettingError as `flow`, and for inputs that are multiples of each other.
    """
    rows = torch.as_tensor(inputs, dtype=torch.float64)
    plain = flow(network, rows, order=0)
    space = pair_space(len(rows))
    _check_independent(plain.kernel[0])
    third = skewness * (network.weight_variance[0] / rows.shape[1]) ** 1.5 * torch.einsum("aj,bj,cj->abc", *(rows,) * 3)
    shifts = [torch.zeros(len(space.first), dtype=torch.float64)]
    for layer in range(1, network.depth):
        kernel, weight, width = plain.kernel[layer - 1], network.weight_variance[layer], network.widths[layer]
        passed = kernel_response(network.activation, kernel).apply(shifts[-1], weight_variance=weight)
        found = [_pair(network.activation, kernel, third, pair=(int(a), int(b))) for a, b in space.pairs]
        shifts.append(passed + weight * torch.stack(found))
        third = skewness * weight**1.5 / width**0.5 * _third_moments(network.activation, kernel)
    return space.matrix(torch.stack(shifts))


def _check_independent(kernel: Tensor) -> None:
    size = kernel.diagonal().sqrt()
    correlation = kernel / torch.outer(size, size)
    if not bool((correlation.abs() - torch.eye(len(kernel)) < 1 - 1e-9).all()):
        raise SettingError("two inputs are multiples of each other; give inputs none of which is a multiple of another")


def _pair(activation: Activation, kernel: Tensor, third: Tensor, *, pair: tuple[int, int]) -> Tensor:
    """Return (1/6) sum kappa_cde <d_c d_d d_e (s_a s_b)> for one pair."""
    a, b = pair
    variance = kernel[a, a]
    if a == b:
        deviation = float(variance.sqrt())

        def weighed(z: Tensor) -> Tensor:
            x = z / deviation
            return activation.function(z) ** 2 * (x**3 - 3 * x)

        return third[a, a, a] / 6 * expectation(weighed, variance, kinks=activation.kinks) / variance**1.5
    nodes = _nodes(activation, kernel, a, b)
    index = torch.tensor(pair)
    whitened = _whitened(nodes, third[index][:, index][:, :, index])
    u, v = nodes.u[0], nodes.v[0]
    product = activation.function(nodes.first[0]) * activation.function(nodes.second[0]) * nodes.weight[0]
    hermite = (u**3 - 3 * u, 3 * (u * u - 1) * v, 3 * u * (v * v - 1), v**3 - 3 * v)  # 3 orders of the mixed indices
    cumulants = (whitened[0, 0, 0], whitened[0, 0, 1], whitened[0, 1, 1], whitened[1, 1, 1])
    return torch.stack([c * (product * h).sum() for c, h in zip(cumulants, hermite, strict=True)]).sum() / 6


def _nodes(activation: Activation, kernel: Tensor, a: int, b: int) -> PairNodes:
    x, w, y = kernel[a, a], kernel[b, b], kernel[a, b]
    return pair_nodes(x, w, (x + w) / 2 - y, kinks=activation.kinks, mesh=mesh_of(activation), order=_ORDER)


def _whitened(nodes: PairNodes, third: Tensor) -> Tensor:
    """Return third cumulants (2, 2, 2) of (u, v) from those of (z_a, z_b), by the root of the pair."""
    root = nodes.root
    sine, cosine = root.sine[0], root.cosine[0]
    matrix = torch.stack(
        [torch.stack([sine, cosine]) * root.deviation_a[0], torch.stack([-sine, cosine]) * root.deviation_b[0]]
    )
    inverse = torch.linalg.inv(matrix)
    return torch.einsum("ia,jb,kc,abc->ijk", inverse, inverse, inverse, third)


def _third_moments(activation: Activation, kernel: Tensor) -> Tensor:
    """Return <s_a s_b s_c> (N, N, N) where at most two of the three inputs differ; other entries are not used: 0."""
    size = len(kernel)
    result = torch.zeros(size, size, size, dtype=torch.float64)
    for a in range(size):
        result[a, a, a] = expectation(lambda z: activation.function(z) ** 3, kernel[a, a], kinks=activation.kinks)
        for b in range(size):
            if a == b:
                continue
            nodes = _nodes(activation, kernel, a, b)
            first, second = activation.function(nodes.first), activation.function(nodes.second)
            value = nodes.average(first * first * second)[0]
            result[a, a, b] = result[a, b, a] = result[b, a, a] = value
    return result

"""Fluctuations of residual networks to order 1/n, with the whole history of every neuron.

A neuron of layer l has itself contributed to every fresh covariance S^(k), k <= l, so fluctuations do not close in the
vertex. With xi^(l+1) the sampling noise that layer l's neurons give to S^(l+1), J the response of <C_W s s> to the kernel
(plus skip^2 at a projection) and w_lk = skip^(2 (l - k)) within a stage,
    dS^(l+1) = xi^(l+1) + sum_k w_lk J^(l) dS^(k),    dS = T xi,    n Cov(xi^(l+1), xi^(m+1)) = Cov(phi^(l), phi^(m)),
phi = C_W s s (plus skip^2 z z at a projection). The covariance of two different neurons' z z and the shift of <z z> are
    V^(l) = sum_kk' w w Cov(dS^(k), dS^(k')) + X + X^T,   X = sum_k w_lk Cov(dS^(k), z z of one neuron of layer l),
    G_S^(l+1) = J G^(l) + H[sum w w Cov(dS, dS)] + sum_{m < k <= l} w_lk T^(k, m+1) Cov(half d d phi^(l), phi^(m)) / n,
with G^(l) = sum_k w_lk G_S^(k). The last sum, a neuron's correlation with the part of S that it caused, and the part of
V beyond a recursion in V are what a closed recursion misses.
Convention: layers 1..L at index 0..L-1; pairs a <= b, row-major; cumulants are actual ones, 1/n inside.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics import CurvatureShift
from rgflow.theory.residual_kernels import ResidualKernels

__all__ = ["Fluctuations", "HistoryAverages", "Propagation", "fluctuations", "propagation"]


@dataclass(frozen=True)
class HistoryAverages:
    """One-neuron covariances across the layers of a stage; zero between stages.

    Shapes: `noise` (L, L, P, P) = Cov(phi^(l), phi^(m)), index [l, m]; `echo` (L, L, 3, P, P) for m < l: covariance of
    the three parts (d_a d_a / 2, d_a d_b, d_b d_b / 2) of C_W s_a s_b at layer l (of their sum, in the place of the
    second, where a = b) with phi^(m); `fourth` (L, P, P) = C_W^2 <s s s s>, not connected.
    """

    noise: Tensor
    echo: Tensor
    fourth: Tensor


@dataclass(frozen=True)
class Propagation:
    """How fluctuations travel: everything that does not depend on sampled averages.

    Shapes: `memory` (L, L) the weights w_lk; `jacobian` (L - 1, P, P); `transfer` (L, P, L, P) = T; `arrival`
    (L, P, L, P) = sum_k w_lk T^(k, .); `own` (L, L, P, P) = Cov(z z^(l), phi^(m)) for m < l; `members` (3, P) the pairs
    (aa), (ab), (bb) of every pair; `widths` (L,).
    """

    memory: Tensor
    jacobian: Tensor
    transfer: Tensor
    arrival: Tensor
    own: Tensor
    members: Tensor
    widths: Tensor


@dataclass(frozen=True)
class Fluctuations:
    """Vertex (L, P, P) and mean shift (L, P), with 1/n inside; `slack` (L,) bounds what integration does to the shift."""

    vertex: Tensor
    shift: Tensor
    slack: Tensor


def propagation(kernels: ResidualKernels, jacobians: Sequence[Tensor]) -> Propagation:
    """Return the propagation from the responses `jacobians` (P, P) of <C_W s s> to the kernel in layers 1..L-1."""
    skip, depth, inputs = kernels.network.skip, len(kernels.start), kernels.kernel.shape[1]
    a, b = torch.triu_indices(inputs, inputs)
    pairs = len(a)
    memory = torch.zeros(depth, depth, dtype=torch.float64)
    for layer in range(depth):
        for source in range(max(kernels.start[layer], 1), layer + 1):
            memory[layer, source] = skip ** (2 * (layer - source))
    projection = skip**2 * torch.eye(pairs, dtype=torch.float64)
    steps = [found + projection if kernels.projected(layer) else found for layer, found in enumerate(jacobians)]
    jacobian = torch.stack(steps) if steps else torch.zeros(0, pairs, pairs, dtype=torch.float64)
    feedback = torch.zeros(depth, pairs, depth, pairs, dtype=torch.float64)
    feedback[1:] = torch.einsum("lk,lpq->lpkq", memory[:-1], jacobian)
    size = depth * pairs
    unit = torch.eye(size, dtype=torch.float64)
    transfer = torch.linalg.solve_triangular(unit - feedback.reshape(size, size), unit, upper=False, unitriangular=True)
    transfer = transfer.reshape(depth, pairs, depth, pairs)
    arrival = torch.einsum("lk,kpmq->lpmq", memory, transfer)
    place = _positions(inputs)
    members = torch.stack([place[a, a], place[a, b], place[b, b]])
    widths = torch.tensor([kernels.width(layer) for layer in range(depth)], dtype=torch.float64)
    return Propagation(memory, jacobian, transfer, arrival, _own(kernels, jacobian), members, widths)


def _positions(inputs: int) -> Tensor:
    """Position of the pair (a, b), a <= b, in row-major order, (N, N)."""
    a, b = torch.triu_indices(inputs, inputs)
    found = torch.zeros(inputs, inputs, dtype=torch.long)
    found[a, b] = found[b, a] = torch.arange(len(a))
    return found


def _own(kernels: ResidualKernels, jacobian: Tensor) -> Tensor:
    """Cov(z_a z_b of layer l, phi_cd of layer m) by Stein: J^(m) along the direction k_ae k_bf + k_af k_be."""
    depth, inputs = len(kernels.start), kernels.kernel.shape[1]
    a, b = torch.triu_indices(inputs, inputs)
    found = torch.zeros(depth, depth, len(a), len(a), dtype=torch.float64)
    for layer in range(depth):
        for source in range(kernels.start[layer], layer):
            across = kernels.network.skip ** (layer - source) * kernels.kernel[source]
            first, second = across[a], across[b]
            direction = first[:, a] * second[:, b] + first[:, b] * second[:, a]
            found[layer, source] = direction @ jacobian[source].T
    return found


def fluctuations(
    kernels: ResidualKernels,
    road: Propagation,
    averages: HistoryAverages,
    *,
    curvature: Callable[[int, Tensor], CurvatureShift],
    weight_kurtosis: float = 0.0,
) -> Fluctuations:
    """Return vertex and mean shift of all layers.

    `curvature(layer, covariance)` is half the second derivative of <C_W s s> at layer index `layer`, contracted with a
    covariance (P, P) of kernels, (P,).
    """
    depth, pairs = len(kernels.start), road.members.shape[1]
    source = torch.zeros(depth, pairs, depth, pairs, dtype=torch.float64)
    source[1:, :, 1:] = (averages.noise[:-1, :-1] / road.widths[:-1].reshape(-1, 1, 1, 1)).permute(0, 2, 1, 3)
    size = depth * pairs
    arrival = road.arrival.reshape(size, size)
    covariance = (arrival @ source.reshape(size, size) @ arrival.T).reshape(depth, pairs, depth, pairs)
    vertices, shifts, slacks = [], [], []
    fresh_shift = torch.zeros(depth, pairs, dtype=torch.float64)
    fresh_slack = torch.zeros(depth, dtype=torch.float64)
    for layer in range(depth):
        part = covariance[layer, :, layer]
        own = torch.einsum("pmq,mrq->pr", road.arrival[layer, :, 1:], road.own[layer, :-1]) / road.widths[layer]
        vertices.append(part + own + own.T)
        shifts.append(road.memory[layer] @ fresh_shift)
        slacks.append(road.memory[layer] @ fresh_slack)
        if layer + 1 < depth:
            heavy = weight_kurtosis / 3.0 * _fourth(kernels, road, averages, layer)
            bent = curvature(layer, part + heavy)
            fresh_shift[layer + 1] = road.jacobian[layer] @ shifts[-1] + bent.value + _echo(road, averages, layer)
            growth = road.jacobian[layer].abs().sum(1).max()
            fresh_slack[layer + 1] = growth * slacks[-1] + bent.error.max()
    return Fluctuations(torch.stack(vertices), torch.stack(shifts), torch.stack(slacks))


def _echo(road: Propagation, averages: HistoryAverages, layer: int) -> Tensor:
    """Correlation of a neuron of this layer with the part of the fresh covariances that the same neuron caused."""
    reached = road.arrival[layer][road.members][:, :, 1 : layer + 1]
    return torch.einsum("cpmq,mcpq->p", reached, averages.echo[layer, :layer]) / road.widths[layer]


def _fourth(kernels: ResidualKernels, road: Propagation, averages: HistoryAverages, layer: int) -> Tensor:
    """Fourth cumulant of one neuron per unit of the weights' excess kurtosis: w_lk^2 C_W^2 <s s s s>^(k-1) / n_{k-1}."""
    shares = road.memory[layer, 1:] ** 2 / road.widths[:-1]
    return torch.einsum("k,kpq->pq", shares, averages.fourth[:-1])

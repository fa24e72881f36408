"""The vertex of chosen quadruples of inputs, each from its own inputs alone.

V_(ab)(cd) in the next layer needs the vertex between (aa), (ab), (bb) and (cc), (cd), (dd) in this one, and nothing else:
a block of three by three per quadruple, V <- C_W^2 Cov + r M_ab V M_cd^T, with M as in `vertex_flow`. The cost is that
of nine quadruples each, whatever the number of inputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.feature_covariance import quadruple_covariance
from rgflow.numerics.second_moments import second_moment
from rgflow.theory.flow_setup import FlowSetup
from rgflow.theory.kernel_flow import KernelFlow, mixture_error
from rgflow.theory.vertex_averages import BiasNode, bias_nodes, feature_response
from rgflow.theory.vertex_errors import SENSITIVITY, step_units

__all__ = ["QuadrupleVertex", "quadruple_vertex"]


@dataclass(frozen=True)
class QuadrupleVertex:
    """Vertex (L, Q) of the quadruples and bounds on its numerical error (L,)."""

    vertex: Tensor
    error: Tensor


def quadruple_vertex(setup: FlowSetup, kernels: KernelFlow, *, quadruples: Tensor) -> QuadrupleVertex:
    """Return V_(ab)(cd) of every quadruple (a, b, c, d) of distinct inputs of `setup`, in layers 1..L.

    Shapes: `quadruples` (Q, 4). Errors: as `vertex_flow`.
    """
    canonical, back = _canonical(quadruples)
    blocks = torch.zeros((len(canonical), 3, 3), dtype=torch.float64)
    found, errors, error = [blocks], [0.0], 0.0
    for above in range(1, setup.network.depth):
        blocks, error = _step(setup, kernels, blocks, error, canonical, above=above)
        found.append(blocks)
        errors.append(error * float(kernels.kernel[above].diagonal().max()) ** 2)
    return QuadrupleVertex(torch.stack(found)[:, back, 1, 1], torch.tensor(errors, dtype=torch.float64))


def _canonical(quadruples: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different quadruples up to a <-> b, c <-> d and (ab) <-> (cd), and where each given one stands."""
    pairs = torch.sort(quadruples.reshape(-1, 2, 2), dim=2)[0]
    swapped = (pairs[:, 0, 0] > pairs[:, 1, 0]) | (
        (pairs[:, 0, 0] == pairs[:, 1, 0]) & (pairs[:, 0, 1] > pairs[:, 1, 1])
    )
    pairs = torch.where(swapped.reshape(-1, 1, 1), pairs.flip(1), pairs)
    rows, back = torch.unique(pairs.reshape(-1, 4), dim=0, return_inverse=True)
    return rows, back


def _nine(rows: Tensor) -> Tensor:
    """Return the quadruples (Q, 3, 3, 4) between (aa), (ab), (bb) and (cc), (cd), (dd)."""
    a, b, c, d = rows.unbind(1)
    left = torch.stack([torch.stack([a, a], 1), torch.stack([a, b], 1), torch.stack([b, b], 1)], 1)
    right = torch.stack([torch.stack([c, c], 1), torch.stack([c, d], 1), torch.stack([d, d], 1)], 1)
    shape = (len(rows), 3, 3, 2)
    return torch.cat([left.unsqueeze(2).expand(shape), right.unsqueeze(1).expand(shape)], dim=3)


def _step(
    setup: FlowSetup, kernels: KernelFlow, blocks: Tensor, error: float, rows: Tensor, *, above: int
) -> tuple[Tensor, float]:
    """Return the blocks (Q, 3, 3) of layer `above` (0-based) and their error in units of s_a s_b s_c s_d."""
    network, first = setup.network, above == 1
    weight, kernel = network.weight_variance[above], kernels.kernel[above - 1]
    units = step_units(kernels, above=above, kinked=bool(network.activation.kinks))
    nodes = bias_nodes(
        network.activation, kernel, bias=setup.biases[above - 1], bias_variance=network.bias_variance[above - 1]
    )
    fresh, own = _fresh(setup, nodes, rows, sampled=first and setup.neurons is not None)
    fresh, own = weight**2 * fresh, weight**2 * own
    scale = _scale(kernels.kernel[above], rows)
    new = _relative(own, scale)
    if not (first and setup.neurons is not None):
        new += (units.slack + 4 * mixture_error(setup, kernel, layer=above - 1)) * _relative(fresh, scale)
    if first:
        return fresh, new
    left, right = (_pair_matrices(nodes, rows[:, part]) for part in (slice(0, 2), slice(2, 4)))
    ratio = network.widths[above] / network.widths[above - 1]
    carried = left.value @ blocks @ right.value.mT
    scale_below = _scale(kernels.kernel[above - 1], rows)
    spread = left.value.abs() @ (error * scale_below) @ right.value.abs().mT
    slack = SENSITIVITY * units.derivative_error
    size = left.value.abs() @ blocks.abs() @ right.value.abs().mT
    blurred = left.error @ blocks.abs() @ right.value.abs().mT + left.value.abs() @ blocks.abs() @ right.error.mT
    passed = weight**2 * (spread + blurred + 2 * slack * size)
    return fresh + ratio * weight**2 * carried, new + ratio * _relative(passed, scale)


def _fresh(setup: FlowSetup, nodes: list[BiasNode], rows: Tensor, *, sampled: bool) -> tuple[Tensor, Tensor]:
    """Return Cov(s_a s_b, s_c s_d) of the blocks (Q, 3, 3) and bounds on their errors."""
    needed, back = _canonical(_nine(rows).reshape(-1, 4))
    if sampled:
        value, error = _sampled(setup, needed)
    else:
        value, error = _mixed(nodes, needed)
    return value[back].reshape(-1, 3, 3), error[back].reshape(-1, 3, 3)


def _mixed(nodes: list[BiasNode], rows: Tensor) -> tuple[Tensor, Tensor]:
    a, b, c, d = rows.unbind(1)
    product, left, right, error = (torch.zeros(len(rows), dtype=torch.float64) for _ in range(4))
    for node in nodes:
        part, share = quadruple_covariance(node.activation, node.kernel, quadruples=rows), node.share
        error = error + share * part.error
        if len(nodes) == 1:
            return part.value, error
        mean = second_moment(node.activation, node.kernel)
        product = product + share * (part.value + mean[a, b] * mean[c, d])
        left, right = left + share * mean[a, b], right + share * mean[c, d]
    return product - left * right, error


def _sampled(setup: FlowSetup, rows: Tensor) -> tuple[Tensor, Tensor]:
    assert setup.neurons is not None
    function, (a, b, c, d) = setup.network.activation.function, rows.unbind(1)

    def covariance(z: Tensor) -> Tensor:
        s = function(z)
        left, right = s[:, a] * s[:, b], s[:, c] * s[:, d]
        return (left * right).mean(0) - left.mean(0) * right.mean(0)

    found = setup.neurons.average(covariance)
    return found.value, torch.full_like(found.value, found.error)


@dataclass(frozen=True)
class _Matrices:
    """M / C_W (Q, 3, 3) from (aa), (ab), (bb) to themselves, and bounds on the errors of its entries."""

    value: Tensor
    error: Tensor


def _pair_matrices(nodes: list[BiasNode], pairs: Tensor) -> _Matrices:
    different, back = torch.unique(pairs, dim=0, return_inverse=True)
    value, error = (torch.zeros((len(different), 3, 3), dtype=torch.float64) for _ in range(2))
    for place, pair in enumerate(different):
        members = torch.unique(pair)
        answer = feature_response([BiasNode(n.share, n.activation, n.kernel[members][:, members]) for n in nodes])
        first, last = answer.slope.diagonal() + answer.bend.diagonal(), answer.error.diagonal() * 2
        value[place] = torch.diag(torch.stack([first[0], first[0], first[-1]]))
        error[place] = torch.diag(torch.stack([last[0], last[0], last[-1]]))
        if len(members) == 2:  # else (ab) is (aa) too
            value[place, 1] = torch.stack([answer.bend[0, 1] / 2, answer.slope[0, 1], answer.bend[1, 0] / 2])
            error[place, 1] = torch.stack([answer.error[0, 1] / 2, answer.error[0, 1], answer.error[1, 0] / 2])
    return _Matrices(value[back], error[back])


def _scale(kernel: Tensor, rows: Tensor) -> Tensor:
    """Return s_a s_b s_c s_d for every entry of the blocks (Q, 3, 3)."""
    size = kernel.diagonal().clamp_min(0.0).sqrt()
    return size[_nine(rows)].prod(3)


def _relative(values: Tensor, scale: Tensor) -> float:
    alive = scale > 0
    return float((values[alive].abs() / scale[alive]).max()) if bool(alive.any()) else 0.0

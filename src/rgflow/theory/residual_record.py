"""From averages of a residual network to the record of its flow, with a bound on the error of every layer.

Convention: as in `rgflow.records.Flow`; inside, cumulants are actual ones, and the record multiplies by n_{l-1}.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.numerics import chi_parallel, chi_perpendicular
from rgflow.numerics.gaussian import PROMISED
from rgflow.records import Flow
from rgflow.theory.residual_history import Fluctuations
from rgflow.theory.residual_kernels import ResidualKernels

__all__ = ["Measured", "compared", "for_all_inputs", "scattered", "with_fluctuations", "without_fluctuations"]

_BOUND = 4.08  # Student's t with 15 degrees of freedom: |t| is larger once in 1000


@dataclass(frozen=True)
class Measured:
    """Vertex (L, P, P) and shift (L, P), 1/n inside, and a bound on the error of every entry of a layer, (L,) each."""

    vertex: Tensor
    shift: Tensor
    vertex_error: Tensor
    shift_error: Tensor


def compared(fine: Fluctuations, coarse: Fluctuations, *, kernel: Tensor) -> Measured:
    """Two orders of one rule for one input: the coarser is off by more than the finer; responses add their promise.

    `kernel` (L,) turns a vertex into the size of the terms that a shift is the sum of.
    """
    depth = torch.arange(1, len(kernel) + 1, dtype=torch.float64)
    vertex, shift = (
        (value - other).abs().flatten(1).amax(1)
        for value, other in ((fine.vertex, coarse.vertex), (fine.shift, coarse.shift))
    )
    size = PROMISED * depth * fine.vertex[:, 0, 0].cummax(0).values
    return Measured(fine.vertex, fine.shift, vertex + size, shift + size / kernel + fine.slack)


def scattered(samples: list[Fluctuations]) -> Measured:
    """Mean over independent nets of trajectories with the scatter of the mean."""
    vertices, shifts = torch.stack([s.vertex for s in samples]), torch.stack([s.shift for s in samples])
    errors = [_BOUND * part.std(0).flatten(1).amax(1) / len(samples) ** 0.5 for part in (vertices, shifts)]
    return Measured(vertices.mean(0), shifts.mean(0), errors[0], errors[1] + samples[0].slack)


def with_fluctuations(plain: Flow, found: Measured) -> Flow:
    """The flow with vertex and correction."""
    widths = torch.tensor(plain.network.widths[:-1], dtype=torch.float64)
    a, b = plain.pairs.unbind(1)
    shift = torch.zeros_like(plain.kernel)
    shift[:, a, b] = shift[:, b, a] = found.shift
    own = found.vertex.diagonal(dim1=1, dim2=2)[:, a == b]
    return replace(
        plain,
        order=1,
        control=(own / plain.kernel.diagonal(dim1=1, dim2=2) ** 2).amax(1),
        correction=shift * widths.reshape(-1, 1, 1),
        correction_error=found.shift_error * widths,
        vertex=found.vertex * widths.reshape(-1, 1, 1),
        vertex_error=found.vertex_error * widths,
    )


def for_all_inputs(flow: Flow, place: Tensor) -> Flow:
    """The flow of the inputs as given, from that of the different ones; `place` (N,) says where each stands."""
    a, b = torch.triu_indices(len(place), len(place))
    inputs = flow.kernel.shape[1]
    position = torch.zeros(inputs, inputs, dtype=torch.long)
    position[flow.pairs[:, 0], flow.pairs[:, 1]] = position[flow.pairs[:, 1], flow.pairs[:, 0]] = torch.arange(
        len(flow.pairs)
    )
    pairs = position[place[a], place[b]]
    return replace(
        flow,
        kernel=flow.kernel[:, place][:, :, place],
        pairs=torch.stack([a, b], dim=1),
        chi_parallel=flow.chi_parallel[:, place],
        chi_perpendicular=flow.chi_perpendicular[:, place],
        correction=None if flow.correction is None else flow.correction[:, place][:, :, place],
        vertex=None if flow.vertex is None else flow.vertex[:, pairs][:, :, pairs],
    )


def without_fluctuations(kernels: ResidualKernels, responses: Sequence[Tensor]) -> Flow:
    """The flow at infinite width; `responses` (P, P) of <C_W s s> carry the error of the kernel from layer to layer."""
    network, variance = kernels.network, kernels.kernel.diagonal(dim1=1, dim2=2)
    scales = torch.tensor([*network.weight_variance[1:], network.weight_variance[-1]], dtype=torch.float64).unsqueeze(1)
    along = chi_parallel(network.activation, variance, weight_variance=1.0)
    across = chi_perpendicular(network.activation, variance, weight_variance=1.0)
    errors, largest = [1e-15 * float(variance[0].max())], variance.amax(1).tolist()
    for response, size in zip(responses, largest[1:], strict=True):
        errors.append((network.skip**2 + float(response.abs().sum(1).max())) * errors[-1] + PROMISED * size)
    return Flow(
        network=network,
        order=0,
        kernel=kernels.kernel,
        pairs=torch.triu_indices(variance.shape[1], variance.shape[1]).T,
        chi_parallel=network.skip**2 + scales * along,
        chi_perpendicular=network.skip**2 + scales * across,
        control=torch.full((network.depth,), torch.nan, dtype=torch.float64),
        kernel_error=torch.tensor(errors, dtype=torch.float64),
    )

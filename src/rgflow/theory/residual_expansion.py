"""The flow of a residual network to order 1/n: kernel, vertex and mean shift, with the error of every layer.

Convention: as in `rgflow.records.Flow` and `residual_kernels`; vertex^(l) = n_{l-1} Cov(z_ia z_ib, z_jc z_jd) of two
different neurons and correction^(l) = n_{l-1} (E z_a z_b - K_ab): with a skip the preactivations are not Gaussian given
one kernel, so the moments of z itself are meant. See `residual_history` for the equations.
"""

from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics import chi_parallel, chi_perpendicular, kernel_curvature, kernel_response
from rgflow.numerics.gaussian import PROMISED
from rgflow.records import MLP, Flow
from rgflow.theory.residual_averages import sampled_averages
from rgflow.theory.residual_history import Fluctuations, fluctuations, propagation
from rgflow.theory.residual_kernels import ResidualKernels, checked_inputs, residual_kernels
from rgflow.theory.residual_single import single_input_averages

__all__ = ["residual_flow"]

_SCRAMBLES = 16  # independent nets of trajectories
_BOUND = 4.08  # Student's t with 15 degrees of freedom: |t| is larger once in 1000
_MEMORY = 2**31  # bytes that the covariances across layers may take


def residual_flow(
    network: MLP,
    inputs: Tensor,
    *,
    order: int = 1,
    weight_kurtosis: float = 0.0,
    trajectories: int = 2**16,
    seed: int = 0,
) -> Flow:
    """Return the flow of z' = skip * z + b + W s(z): order 0 the kernel, 1 also vertex and correction.

    `weight_kurtosis` is the excess kurtosis of the weights from layer 2 on (projections are Gaussian): it shifts the
    correction only. One input is integrated exactly; several by scrambled Sobol trajectories of single neurons.
    Shapes: `inputs` (N, n_0); memory grows as 30 (L N^2)^2 bytes.
    Units: kernel and correction of z^2, vertex of z^4.
    Errors: truncation at order 1/n^2. `kernel_error` bounds the integration; `vertex_error`, `correction_error` bound
    it for one input and for several are a bound that each entry exceeds at most once in 1000 draws of `seed`.
    Raises: SettingError for inputs that do not fit or are zero without bias, order other than 0 or 1, an activation
    that jumps, or more inputs than fit into 2 GiB (then see `residual_functional_deviation`).
    Source: own derivation, checked against ensembles; skip = 0 is Roberts, Yaida and Hanin 2022, ch. 4.

    Example:
    >>> flow = residual_flow(MLP((1, 64, 64, 64), "relu", weight_variance=0.72, skip=0.8), torch.ones(1, 1))
    >>> round(float(flow.vertex[2, 0, 0]), 4)
    1.9314
    """
    if order not in (0, 1):
        raise SettingError(
            f"order is {order}; a residual network has order 0 (kernel) or 1 (with vertex and correction)"
        )
    if trajectories < 2 * _SCRAMBLES:
        raise SettingError(f"trajectories is {trajectories}; at least {2 * _SCRAMBLES} are needed for an error")
    values, place = torch.unique(checked_inputs(network, inputs), dim=0, return_inverse=True)
    kernels = residual_kernels(network, values)
    if not bool((kernels.kernel.diagonal(dim1=1, dim2=2) > 0).all()):
        raise SettingError(
            "an input has the kernel 0 in some layer: drop inputs that are zero, or give the network a bias"
        )
    responses = [_response(kernels, layer) for layer in range(network.depth - 1)]
    plain = _order_zero(kernels, responses)
    if order == 0:
        return _spread(plain, place)
    _check_size(len(values), network.depth)
    road = propagation(kernels, responses)
    found = partial(fluctuations, kernels, road, curvature=_Curvature(kernels), weight_kurtosis=weight_kurtosis)
    if len(values) == 1:
        measured = _compared(found(single_input_averages(kernels)), found(single_input_averages(kernels, order=18)))
    else:
        count, seeds = trajectories // _SCRAMBLES, _seeds(seed)
        measured = _scattered([found(sampled_averages(kernels, count=count, seed=number)) for number in seeds])
    return _spread(_order_one(plain, measured), place)


def _seeds(seed: int) -> list[int]:
    return torch.randint(2**31, (_SCRAMBLES,), generator=torch.Generator().manual_seed(seed)).tolist()


def _check_size(inputs: int, depth: int) -> None:
    needed = 25 * (depth * inputs**2) ** 2  # about a dozen tensors (L P, L P) of float64, P = N^2 / 2
    if needed > _MEMORY:
        raise SettingError(
            f"{inputs} inputs in {depth} layers need about {needed / 2**30:.0f} GiB of covariances; at most 2 GiB are taken:"
            " use fewer inputs, or residual_functional_deviation for one number of a large batch"
        )


def _response(kernels: ResidualKernels, layer: int) -> Tensor:
    """Derivative (P, P) of C_W <s_a s_b> with respect to the kernel of `layer`."""
    inputs = kernels.kernel.shape[1]
    average = kernel_response(kernels.network.activation, kernels.kernel[layer])
    a, b = torch.triu_indices(inputs, inputs)
    pairs = torch.arange(len(a))
    diagonal = (a == b).nonzero().squeeze(1)
    found = torch.zeros(len(a), len(a), dtype=torch.float64)
    found[pairs, pairs] = average.slope[a, b]
    # Where a = b both halves fall on the same entry: <s'^2> + <s s''>.
    found[pairs, diagonal[a]] += average.bend[a, b] / 2
    found[pairs, diagonal[b]] += average.bend[b, a] / 2
    return kernels.network.weight_variance[layer + 1] * found


@dataclass(frozen=True)
class _Measured:
    """Vertex (L, P, P) and shift (L, P), 1/n inside, and a bound on the error of every entry of a layer, (L,) each."""

    vertex: Tensor
    shift: Tensor
    vertex_error: Tensor
    shift_error: Tensor


def _compared(fine: Fluctuations, coarse: Fluctuations) -> _Measured:
    """Two orders of one rule: the coarser is off by more than the finer; the response adds its own promise."""
    depth = torch.arange(1, len(fine.shift) + 1, dtype=torch.float64)
    errors = []
    for value, other in ((fine.vertex, coarse.vertex), (fine.shift, coarse.shift)):
        size = value.abs().flatten(1).amax(1).cummax(0).values
        errors.append((value - other).abs().flatten(1).amax(1) + depth * PROMISED * size)
    return _Measured(fine.vertex, fine.shift, *errors)


def _scattered(samples: list[Fluctuations]) -> _Measured:
    """Mean over independent nets of trajectories with the scatter of the mean."""
    vertices, shifts = torch.stack([s.vertex for s in samples]), torch.stack([s.shift for s in samples])
    errors = [_BOUND * part.std(0).flatten(1).amax(1) / len(samples) ** 0.5 for part in (vertices, shifts)]
    return _Measured(vertices.mean(0), shifts.mean(0), *errors)


def _order_one(plain: Flow, found: _Measured) -> Flow:
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


def _spread(flow: Flow, place: Tensor) -> Flow:
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


@dataclass(frozen=True)
class _Curvature:
    """Half the second derivative of C_W <s s> at a layer, contracted with a covariance of kernels over pairs."""

    kernels: ResidualKernels

    def __call__(self, layer: int, covariance: Tensor) -> Tensor:
        """Return (P,) from the covariance (P, P)."""
        kernel = self.kernels.kernel[layer]
        average = kernel_curvature(self.kernels.network.activation, kernel)
        a, b = torch.triu_indices(len(kernel), len(kernel))
        diagonal, own = (a == b).nonzero().squeeze(1), covariance.diagonal()
        first, second, pairs = diagonal[a], diagonal[b], torch.arange(len(a))
        bent = (
            own[first] * average.t40[a, b] / 8
            + own[second] * average.t40[b, a] / 8
            + (own / 2 + covariance[first, second] / 4) * average.t22[a, b]
            + covariance[first, pairs] * average.t31[a, b] / 2
            + covariance[pairs, second] * average.t31[b, a] / 2
        )
        bent = torch.where(a == b, own * average.diagonal[a] / 8, bent)
        return self.kernels.network.weight_variance[layer + 1] * bent


def _order_zero(kernels: ResidualKernels, responses: list[Tensor]) -> Flow:
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

"""The flow of a residual network to order 1/n: kernel, vertex and mean shift, with the error of every layer.

Convention: as in `rgflow.records.Flow` and `residual_kernels`; vertex^(l) = n_{l-1} Cov(z_ia z_ib, z_jc z_jd) of two
different neurons and correction^(l) = n_{l-1} (E z_a z_b - K_ab): with a skip the preactivations are not Gaussian given
one kernel, so the moments of z itself are meant. See `residual_history` for the equations.
"""

from functools import partial

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics import CurvatureShift, kernel_curvature, kernel_response
from rgflow.records import MLP, Flow
from rgflow.theory.residual_averages import sampled_averages
from rgflow.theory.residual_history import fluctuations, propagation
from rgflow.theory.residual_kernels import checked_inputs, residual_kernels
from rgflow.theory.residual_record import compared, for_all_inputs, scattered, with_fluctuations, without_fluctuations
from rgflow.theory.residual_single import single_input_averages

__all__ = ["residual_flow"]

_SCRAMBLES = 16  # independent nets of trajectories; `residual_record` knows their Student's t
_ORDERS = 24, 18  # nodes per panel of the rule for one input, and of the one it is compared with
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
    scales, layers = network.weight_variance[1:], range(network.depth - 1)
    responses = [kernel_response(network.activation, kernels.kernel[layer]).matrix(scales[layer]) for layer in layers]
    plain = without_fluctuations(kernels, responses)
    if order == 0:
        return for_all_inputs(plain, place)
    _check_size(len(values), network.depth)
    road = propagation(kernels, responses)
    curvatures = [kernel_curvature(network.activation, kernels.kernel[layer]) for layer in layers]

    def bent(layer: int, covariance: Tensor) -> CurvatureShift:
        return curvatures[layer].contract(covariance, weight_variance=scales[layer])

    found = partial(fluctuations, kernels, road, curvature=bent, weight_kurtosis=weight_kurtosis)
    if len(values) == 1:
        rules = [found(single_input_averages(kernels, order=nodes)) for nodes in _ORDERS]
        measured = compared(*rules, kernel=kernels.kernel[:, 0, 0])
    else:
        count, seeds = trajectories // _SCRAMBLES, _seeds(seed)
        measured = scattered([found(sampled_averages(kernels, count=count, seed=number)) for number in seeds])
    return for_all_inputs(with_fluctuations(plain, measured), place)


def _seeds(seed: int) -> list[int]:
    return torch.randint(2**31, (_SCRAMBLES,), generator=torch.Generator().manual_seed(seed)).tolist()


def _check_size(inputs: int, depth: int) -> None:
    needed = 25 * (depth * inputs**2) ** 2  # about a dozen tensors (L P, L P) of float64, P = N^2 / 2
    if needed > _MEMORY:
        raise SettingError(
            f"{inputs} inputs in {depth} layers need about {needed / 2**30:.0f} GiB of covariances; at most 2 GiB are taken:"
            " use fewer inputs, or residual_functional_deviation for one number of a large batch"
        )

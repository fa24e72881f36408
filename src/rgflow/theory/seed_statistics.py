"""What different seeds make of any scalar functional of the last kernel: value, mean shift and standard deviation.

A front to `matrix_free` (order 1/n by one backward pass) that also says whether order 1/n can be trusted: the expansion
parameter of a functional is its effective dimension over the width, not depth over width, and where that exceeds
a fifth the numbers are refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records import MLP, Estimate
from rgflow.theory.expansion import Expansion, Functional, expansion
from rgflow.theory.functional_dimension import kernel_control, participation, turning_dimension
from rgflow.theory.infinite_width import infinite_width_kernels
from rgflow.theory.matrix_free import GROUPS, OrderOne, order_one

__all__ = ["FunctionalStatistics", "functional_statistics"]

# Kernel regression on 60 and 1000 inputs: beyond a fifth the deviation is wrong by half and more (docs/theory.md).
_LARGEST_CONTROL = 0.2
# Relative variance of the kernel itself from which its own order 1/n^2 counts (extras sheet's validity table).
_LARGEST_KERNEL_CONTROL = 0.3


@dataclass(frozen=True)
class FunctionalStatistics:
    """g at infinite width, E g - g and the standard deviation of g over seeds, to order 1/n.

    The errors of `shift` and `deviation` are truncation bars with the sampling error inside; `shift_sampling` and
    `deviation_sampling` are the latter alone, one standard error. `variance_by_layer` (L - 1,) says which hidden layer the
    variance comes from. `control` = effective dimension / narrowest hidden width; `kernel_control` = largest
    Var(Khat_aa) / K_aa^2. `reason` warns in one sentence, or is "".
    """

    value: float
    shift: Estimate
    deviation: Estimate
    shift_sampling: float
    deviation_sampling: float
    variance_by_layer: Tensor
    effective_dimension: float
    control: float
    kernel_control: float
    reason: str
    seed: int


def functional_statistics(
    network: MLP,
    inputs: "Tensor | Sequence[Sequence[float]]",
    functional: Functional,
    *,
    seed: int,
    neurons: int = 4096,
    probes: int = 32,
    effective_dimension: float | None = None,
) -> FunctionalStatistics:
    """Return value, mean shift and seed-to-seed deviation of `functional`, a map of the last kernel (N, N) to one number.

    The kernel is Khat^(L)_ab = C_b + (C_W / n) sum_j s_ja s_jb of a drawn network, the covariance of an output neuron.
    `functional` takes a float64 tensor and must be differentiable by autograd; `neurons` sample each hidden layer,
    `probes` random directions the curvature. A functional with a method `effective_dimension(kernel)` states its own,
    the argument overrules it, and without either it is estimated from drawn networks (`functional_dimension`).
    Errors: relative bar effective_dimension * sum_l 1/n_l + kernel_control / 2 of the deviation, measured on regressions
    and likelihoods (docs/theory.md); sampling 2 to 5 % of the deviation at 4096 neurons. Memory O(depth N^2).
    Raises: SettingError for a skip connection, an effective dimension above a fifth of the narrowest hidden width,
    a functional without usable derivatives, or fewer than 16 neurons or one probe.
    Source: own derivation (adjoint form of Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 4).

    Example:
    >>> network = MLP((2, 64, 64, 1), "relu", weight_variance=2.0)
    >>> found = functional_statistics(network, [[1.0, 1.0]], lambda kernel: kernel[0, 0], seed=0, neurons=32768)
    >>> round(found.value, 6), round(found.deviation.value**2 * 64 / found.value**2)  # 5 a layer
    (2.0, 10)
    """
    x = torch.as_tensor(inputs, dtype=torch.float64)
    if neurons < 2 * GROUPS or probes < 1:
        raise SettingError(f"neurons is {neurons} and probes {probes}; at least {2 * GROUPS} and 1 are needed")
    kernels = infinite_width_kernels(network, x)
    expanded = expansion(functional, kernels[-1])
    dimension = 0.0
    if network.depth > 1:
        dimension = _dimension(network, x, functional, kernels, expanded, given=effective_dimension, seed=seed)
    narrowest = min(network.widths[1:-1], default=1)
    if dimension > _LARGEST_CONTROL * narrowest:
        raise SettingError(
            f"the functional's effective dimension {dimension:.3g} is more than {_LARGEST_CONTROL:g} of the narrowest"
            f" hidden width {narrowest}, where order 1/n fails; widen the network, smooth the functional (larger ridge)"
            " or draw an ensemble"
        )
    found = order_one(network, kernels, expanded=expanded, seed=seed, neurons=neurons, probes=probes)
    return _statistics(
        network, expanded, found, dimension=dimension, spread=kernel_control(network, kernels), seed=seed
    )


def _dimension(
    network: MLP,
    inputs: Tensor,
    functional: Functional,
    kernels: tuple[Tensor, ...],
    expanded: Expansion,
    *,
    given: float | None,
    seed: int,
) -> float:
    """Return the dimension given, or stated by the functional and at least its participation, or estimated."""
    if given is not None:
        if not (math.isfinite(given) and given >= 0):
            raise SettingError(f"effective_dimension is {given}; it must be finite and >= 0, or None to have it found")
        return float(given)
    stated = getattr(functional, "effective_dimension", None)
    least = participation(expanded.gradient, kernels[-1])
    if stated is not None:
        return max(float(stated(kernels[-1])), least)
    turning = turning_dimension(
        network, inputs, functional, gradient=expanded.gradient, hidden_kernel=kernels[-2], seed=seed
    )
    return max(turning, least)


def _statistics(
    network: MLP, expanded: Expansion, found: OrderOne, *, dimension: float, spread: float, seed: int
) -> FunctionalStatistics:
    deviation = math.sqrt(float(found.variance.sum()))
    sampling = found.variance_error / (2 * deviation) if deviation > 0 else 0.0
    bar = dimension * sum(1 / n for n in network.widths[1:-1]) + spread / 2
    missing = abs(found.shift) * bar + deviation * bar**2 / 2
    return FunctionalStatistics(
        value=expanded.value,
        shift=Estimate(found.shift, math.hypot(found.shift_error, missing), "truncation"),
        deviation=Estimate(deviation, math.hypot(sampling, deviation * bar), "truncation"),
        shift_sampling=found.shift_error,
        deviation_sampling=sampling,
        variance_by_layer=found.variance,
        effective_dimension=dimension,
        control=dimension / min(network.widths[1:-1], default=1),
        kernel_control=spread,
        reason=_reason(found.shift, deviation, spread),
        seed=seed,
    )


def _reason(shift: float, deviation: float, spread: float) -> str:
    if abs(shift) > deviation:
        return f"the mean shift {shift:.3g} exceeds the deviation {deviation:.3g} over seeds: order 1/n is at its limit"
    if spread > _LARGEST_KERNEL_CONTROL:
        return f"the kernel itself varies by {spread:.2g} of its square: draw an ensemble instead"
    return ""

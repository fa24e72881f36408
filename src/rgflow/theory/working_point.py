"""Where to put a network of a given activation: the critical point, or the best compromise where there is none.

Convention: K' = C_b + C_W <s^2>_K; chi_parallel = (C_W / K) <z s s'>, chi_perpendicular = C_W <s'^2>. A compromise is a
fixed point K' = K with C_b >= 0 and chi_perpendicular = 1, or else with the least ln^2 chi_parallel + ln^2
chi_perpendicular.
"""

import math
from dataclasses import dataclass

import torch

from rgflow.numerics.activations import Activation
from rgflow.numerics.criticality import Criticality, criticality
from rgflow.numerics.gaussian import moments

__all__ = ["WorkingPoint", "working_point"]

# Compromises are looked for among kernels of order one; a kernel far outside would need inputs or biases of that scale.
_DECADES = (-2.0, 2.0)
_POINTS = 401
# The kernel of a compromise is stable (chi_parallel <= 1), so iterating the layer map finds it.
_STEPS = 2000
_COMPROMISE = "compromise, no usable critical point: {}"


@dataclass(frozen=True)
class WorkingPoint:
    """Variances for every hidden layer and the kernel that the first layer should put out.

    `critical` is False for a compromise; `second_moment` = <s^2> at `kernel`; `reason` is one sentence.
    """

    weight_variance: float
    bias_variance: float
    kernel: float
    second_moment: float
    chi_parallel: float
    chi_perpendicular: float
    critical: bool
    reason: str


def working_point(activation: Activation) -> WorkingPoint | None:
    """Return the point at which to start networks of this activation, None if gradients are 0 or infinite everywhere.

    The kernel is K* where it is isolated (half-stable), 1 where every kernel is critical (scale-invariant), and at most 1
    where the flow to K* = 0 is a power of depth (vanishing). An unstable K* = 0 is no place to start: a compromise is given.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 5; the compromise is our own.
    """
    found = criticality(activation)
    if found.compromise is not None:
        return _edge(activation, found.compromise, reason=found.reason)
    if found.weight_variance is None or found.bias_variance is None or found.kind == "unstable":
        return _least_penalty(activation, reason=found.reason)
    return _point(
        activation,
        kernel=_start(found),
        weight_variance=found.weight_variance,
        bias_variance=found.bias_variance,
        critical=True,
        reason=f"critical ({found.kind})",
    )


def _start(found: Criticality) -> float:
    """Return the first layer's kernel: K*, or at most 1 and at most where the fall towards K* = 0 is of order one.

    K' = K - |a| K^(1+s) halves the kernel in a few layers beyond (2 / |a|)^(1/s), which is 1 for tanh and erf; the
    bound makes s(c z) behave as s(z) in units of 1 / c.
    """
    if found.kind == "half-stable" and found.kernel:
        return found.kernel
    if found.kind != "vanishing" or not found.coefficient or not found.exponent or math.isinf(found.exponent):
        return 1.0
    return min(1.0, (2.0 / abs(found.coefficient)) ** (1.0 / found.exponent))


def _edge(activation: Activation, variances: tuple[float, float], *, reason: str) -> WorkingPoint:
    weight_variance, bias_variance = variances
    kernel = max(bias_variance, 1.0)
    for _ in range(_STEPS):
        after = bias_variance + weight_variance * float(moments(activation, kernel).square)
        if abs(after - kernel) <= 1e-10 * kernel:
            break
        kernel = after
    return _point(
        activation,
        kernel=kernel,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        critical=False,
        reason=_COMPROMISE.format(reason),
    )


def _least_penalty(activation: Activation, *, reason: str) -> WorkingPoint | None:
    kernels = torch.logspace(*_DECADES, _POINTS, dtype=torch.float64)
    found = moments(activation, kernels)
    # At a fixed point C_W <= K / <s^2>; below that bound the penalty is least where the two chi balance around 1.
    bound = kernels / found.square
    balanced = (kernels / (found.slope_square * found.response)).clamp(min=0).sqrt()
    variance = torch.minimum(bound, balanced)
    parallel, perpendicular = variance * found.response / kernels, variance * found.slope_square
    penalty = parallel.log().square() + perpendicular.log().square()
    usable = penalty.isfinite()
    if not bool(usable.any()) or any(step != 0.0 for step in activation.steps):
        return None
    best = int(torch.where(usable, penalty, torch.inf).argmin())
    kernel, weight_variance = float(kernels[best]), float(variance[best])
    bias_variance = max(0.0, kernel - weight_variance * float(found.square[best]))
    return _point(
        activation,
        kernel=kernel,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        critical=False,
        reason=_COMPROMISE.format(reason),
    )


def _point(
    activation: Activation, *, kernel: float, weight_variance: float, bias_variance: float, critical: bool, reason: str
) -> WorkingPoint:
    found = moments(activation, kernel)
    return WorkingPoint(
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        kernel=kernel,
        second_moment=float(found.square),
        chi_parallel=weight_variance * float(found.response) / kernel,
        chi_perpendicular=weight_variance * float(found.slope_square),
        critical=critical,
        reason=reason,
    )

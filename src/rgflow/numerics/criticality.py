"""The critical point of an activation: variances at which signals and differences neither grow nor shrink with depth.

Convention: K' = F(K) = C_b + C_W <s^2>_K; critical means K* = F(K*), chi_parallel = F'(K*) = (C_W / K*) <z s s'> = 1
and chi_perpendicular = C_W <s'^2> = 1. Units: kernels and bias variances are mean squares of preactivations.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from torch import Tensor

from rgflow.numerics.activations import activation as resolved
from rgflow.numerics.fixed_points import FixedPoint, Scan, edge_of_chaos, fixed_points, scan
from rgflow.numerics.pointwise import Activation
from rgflow.numerics.small_kernel import SmallKernel, small_kernel

__all__ = ["Criticality", "Kind", "criticality"]

Kind = Literal["scale-invariant", "vanishing", "half-stable", "unstable", "none"]


@dataclass(frozen=True)
class Criticality:
    """The critical point and what decides the flow next to it.

    `kernel` is K*: None means any (scale-invariant) or none. `coefficient` a and `exponent` s: next to the critical
    point F(K) = K + a |K - K*|^(1+s), where s is infinite if every power vanishes; at K* = 0 also chi_perpendicular =
    1 + b K^s with b the `perpendicular_coefficient` (at K* > 0: 1 + b (K - K*)). `growth` is nu: the connected
    four-point function at depth l and width n tends to nu (l/n) K^2 (started at K* itself, if half-stable; A/5 after a
    long approach to it). `amplitude` is A = C_W^2 (<s^4> - <s^2>^2) / K^2.
    `compromise` is a (weight_variance, bias_variance) that at least keeps gradients, where there is no critical point.
    """

    kind: Kind
    weight_variance: float | None
    bias_variance: float | None
    kernel: float | None
    exponent: float | None
    coefficient: float | None
    growth: float | None
    amplitude: float | None
    perpendicular_coefficient: float | None
    reason: str
    compromise: tuple[float, float] | None = None


def criticality(activation: "Activation | str | Callable[..., Tensor]") -> Criticality:
    """Return the critical point of `activation` and its universality class.

    Of several candidates a stable K* = 0 is preferred, then the smallest half-stable K* > 0, then an unstable K* = 0.
    Errors: K*, C_W and C_b to 8 digits for K* in [1e-6, 1e8]; narrower features than 1e-12 are not seen.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 5.

    Example:
    >>> criticality("relu").weight_variance
    2.0
    """
    return _classified(resolved(activation))


@lru_cache(maxsize=256)
def _classified(activation: Activation) -> Criticality:
    if any(step != 0.0 for step in activation.steps):
        where = [kink for kink, step in zip(activation.kinks, activation.steps, strict=True) if step != 0.0]
        place = f"z = {where[0]:g}" if len(where) == 1 else f"{len(where)} points"
        return _none(f"the activation jumps at {place}, so chi_perpendicular is infinite: equal inputs are torn apart")
    if any(math.isinf(jump) for jump in activation.jumps):
        return _none("the slope is infinite at a point, so chi_perpendicular is infinite: equal inputs are torn apart")
    slopes = activation.scale_invariant
    if slopes is not None:
        return _scale_invariant(slopes)
    table = scan(activation)
    if table.flat:
        return _none("the derivative vanishes almost everywhere, so no weight variance gives chi_perpendicular = 1")
    origin = small_kernel(activation)
    if origin is not None and origin.stable:
        return _at_zero("vanishing", origin)
    roots = fixed_points(activation, table)
    usable = [root for root in roots if root.bias_variance >= -1e-12 * root.kernel]
    if usable:
        return _half_stable(usable[0])
    if origin is not None:
        return _at_zero("unstable", origin)
    return _none(_why_none(activation, table, roots), compromise=edge_of_chaos(table))


def _scale_invariant(slopes: tuple[float, float]) -> Criticality:
    second = 0.5 * (slopes[0] ** 2 + slopes[1] ** 2)
    fourth = 0.5 * (slopes[0] ** 4 + slopes[1] ** 4)
    amplitude = 3.0 * fourth / second**2 - 1.0
    reason = "s(c z) = c s(z) for c > 0: with C_W = 1 / <s'^2> and no bias every kernel is a fixed point"
    return Criticality("scale-invariant", 1.0 / second, 0.0, None, None, None, amplitude, amplitude, None, reason)


def _at_zero(kind: Kind, origin: SmallKernel) -> Criticality:
    flow = "shrinks towards" if kind == "vanishing" else "grows away from"
    pace = "slower than any power of depth" if math.isinf(origin.exponent) else "as a power of depth"
    reason = f"s(0) = 0 with slope: with C_W = 1 / <s'^2> at 0 and no bias the kernel {flow} K* = 0 {pace}"
    return Criticality(
        kind,
        1.0 / origin.slope_square,
        0.0,
        0.0,
        origin.exponent,
        origin.coefficient,
        origin.amplitude / 3.0,  # nu = A / 3 for every exponent of the flow into K* = 0
        origin.amplitude,
        origin.perpendicular_coefficient,
        reason,
    )


def _half_stable(root: FixedPoint) -> Criticality:
    side = "above" if root.coefficient < 0.0 else "below"
    reason = f"an isolated fixed point at K* = {root.kernel:.6g}, approached from {side} and left on the other side"
    bias = max(root.bias_variance, 0.0)
    return Criticality(
        "half-stable",
        root.weight_variance,
        bias,
        root.kernel,
        1.0,
        root.coefficient,
        root.amplitude,
        root.amplitude,
        root.perpendicular_coefficient,
        reason,
    )


def _none(reason: str, *, compromise: tuple[float, float] | None = None) -> Criticality:
    return Criticality("none", None, None, None, None, None, None, None, None, reason, compromise)


def _why_none(activation: Activation, table: Scan, roots: list[FixedPoint]) -> str:
    if roots:
        root = roots[0]
        return (
            f"chi_parallel = chi_perpendicular = 1 only at K = {root.kernel:.4g}, where the bias variance"
            f" would have to be {root.bias_variance:.4g} < 0"
        )
    ratio, kernel = table.closest
    if not math.isfinite(ratio):
        return "the averages <s^2> and <s'^2> do not exist for any kernel searched"
    if abs(ratio - 1.0) < 1e-3:
        limit = "0" if kernel < 1.0 else "infinity"
        start = f"s(0) = {activation.origin:.4g}" if abs(activation.origin) > 1e-12 else "the slope at 0 vanishes"
        return f"chi_parallel / chi_perpendicular is 1 only as K -> {limit}, where no fixed point exists ({start})"
    return f"chi_parallel / chi_perpendicular never reaches 1; the closest is {ratio:.4g}, at K = {kernel:.3g}"

"""The phase diagram of an activation: lines of equal chi_perpendicular in the plane of weight and bias variance.

Every point of the plane whose kernel flow has a stable fixed point K* is reached from that K* and the level
chi = chi_perpendicular(K*): C_W = chi / <s'^2>_K*, C_b = K* - C_W <s^2>_K*. So a line is a curve in K*, no search.
Units: weight variances are pure numbers (fan_in * Var W), bias variances and kernels mean squares of preactivations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from scipy.interpolate import CubicSpline
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.activations import Activation
from rgflow.numerics.gaussian import Moments, moments

__all__ = ["LEVELS", "FixedState", "PhaseLine", "fixed_state", "phase_lines"]

# Depth scales 1 / |ln chi| of 1.4, 3.1, 10 and 20 layers below criticality, infinite at 1, 21, 5.5 and 2.1 above it.
LEVELS = (0.5, 0.725, 0.905, 0.95, 1.0, 1.05, 1.2, 1.6)
_KERNELS = (1e-6, 1e4)
_POINTS = 401
# Layers after which a kernel that still moves is called drifting: flows at the critical point are powers of depth.
_LONGEST = 1000
_SETTLED = 1e-12  # relative change of the kernel in one layer
_FOLLOWED = (1e-14, 1e8)  # kernels that a flow is followed through
_GONE = (1e-12, 1e6)  # kernels beyond which the flow has died out or exploded, relative to where it started


@dataclass(frozen=True)
class PhaseLine:
    """One line: its level, and C_W, C_b, K* along it, each (points,); NaN where no stable fixed point has C_b >= 0."""

    level: float
    weight_variance: Tensor
    bias_variance: Tensor
    kernel: Tensor


@dataclass(frozen=True)
class FixedState:
    """Where a kernel flow ends at fixed variances: "fixed", "vanishing", "exploding" or "drifting", and what rules there.

    `kernel` and the chi are those of the last layer reached; depth scales 1 / |ln chi| are in layers, infinite at chi = 1.
    """

    kind: str
    kernel: float
    chi_parallel: float
    chi_perpendicular: float

    @property
    def depth_parallel(self) -> float:
        """Layers in which a change of the kernel grows or shrinks e-fold."""
        return _depth(self.chi_parallel)

    @property
    def depth_perpendicular(self) -> float:
        """Layers in which a small distance between two inputs grows or shrinks e-fold."""
        return _depth(self.chi_perpendicular)


def phase_lines(activation: Activation, *, levels: Sequence[float] = LEVELS) -> tuple[PhaseLine, ...]:
    """Return the lines chi_perpendicular = level through the plane of variances.

    Shapes: 401 points a line, K* from 1e-6 to 1e4. Errors: those of the averages (rounding).
    Raises: SettingError for levels that are not positive.
    """
    if any(not level > 0 for level in levels):
        raise SettingError(f"the levels of chi_perpendicular are {tuple(levels)}; each must be > 0")
    kernel = _logarithmic(*_KERNELS)
    found = moments(activation, kernel)
    return tuple(_line(level, kernel, found) for level in levels)


def _line(level: float, kernel: Tensor, found: Moments) -> PhaseLine:
    weight = level / found.slope_square
    bias = kernel - weight * found.square
    stable = weight * found.response / kernel <= 1.0 + 1e-9  # marginal ones, as on the critical line, stay
    # At criticality the bias variance is a small difference of two kernels: rounding may leave -1e-16 of them.
    there = stable & (bias >= -1e-9 * kernel) & torch.isfinite(weight)
    return PhaseLine(
        level,
        torch.where(there, weight, math.nan),
        torch.where(there, bias.clamp(min=0.0), math.nan),
        torch.where(there, kernel, math.nan),
    )


def fixed_state(
    activation: Activation, *, weight_variance: float, bias_variance: float, kernel: float = 1.0
) -> FixedState:
    """Return where the flow K' = C_b + C_W <s^2>_K ends, started at `kernel`.

    "vanishing": below 1e-12 of the start; "exploding": above 1e6 times it, or averages that no longer exist;
    "drifting": still moving after 1000 layers, as on critical lines.
    Errors: a fixed kernel to rounding; other ends to 1e-4.
    Raises: SettingError for negative variances or a start that is not positive.
    """
    if weight_variance < 0 or bias_variance < 0 or not kernel > 0:
        raise SettingError(
            f"weight_variance is {weight_variance}, bias_variance {bias_variance}, kernel {kernel}; the variances must be"
            " >= 0 and the kernel > 0"
        )
    end = _followed(_square_spline(activation), weight=weight_variance, bias=bias_variance, start=kernel)
    if end.kind == "fixed":
        end = replace(end, kernel=_polished(activation, end.kernel, weight=weight_variance, bias=bias_variance))
    last = moments(activation, end.kernel)
    return FixedState(
        end.kind,
        end.kernel,
        weight_variance * float(last.response) / end.kernel,
        weight_variance * float(last.slope_square),
    )


@dataclass(frozen=True)
class _End:
    kind: str
    kernel: float


def _followed(square: CubicSpline, *, weight: float, bias: float, start: float) -> _End:
    """Return where the flow ends by the spline of ln <s^2> against ln K, and how."""
    low, high = math.exp(square.x[0]), math.exp(square.x[-1])
    state = start
    for _ in range(_LONGEST):
        following = bias + weight * math.exp(float(square(math.log(min(max(state, low), high)))))
        ratio = following / start
        if ratio <= _GONE[0] or following <= low:
            return _End("vanishing", max(following, low))
        if ratio >= _GONE[1] or following >= high:
            return _End("exploding", min(following, high))
        change, state = abs(following / state - 1.0), following
        if change < _SETTLED:
            return _End("fixed", state)
    return _End("drifting", state)


@lru_cache(maxsize=64)
def _square_spline(activation: Activation) -> CubicSpline:
    """Return ln <s^2>_K against ln K, relative errors of 1e-6 (the polish removes them); constant averages of 0 become tiny."""
    kernel = _logarithmic(*_FOLLOWED)
    found = moments(activation, kernel).square
    there = torch.isfinite(found)
    return CubicSpline(kernel[there].log().numpy(), found[there].clamp(min=1e-300).log().numpy())


def _polished(activation: Activation, kernel: float, *, weight: float, bias: float) -> float:
    """Return the fixed point next to `kernel` by Newton's steps on the averages themselves."""
    for _ in range(3):  # from 1e-6 each step squares the error
        found = moments(activation, kernel)
        slope = weight * float(found.response) / kernel - 1.0
        if abs(slope) > 1e-9:  # marginal flows have no isolated fixed point to polish
            kernel -= (bias + weight * float(found.square) - kernel) / slope
    return kernel


def _logarithmic(low: float, high: float) -> Tensor:
    return torch.logspace(math.log10(low), math.log10(high), _POINTS, dtype=torch.float64)


def _depth(chi: float) -> float:
    return math.inf if chi == 1.0 else 0.0 if chi <= 0.0 else 1.0 / abs(math.log(chi))

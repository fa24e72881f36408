"""Where a function that nobody described is not smooth: jumps of its value, slope or curvature, found by bisection.

Searched on |z| <= 40, beyond which a Gaussian of variance 20 has no weight; at most three rounds per interval of 1/128.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Kink", "find_kinks"]

_RANGE, _SPACING = 40.0, 1.0 / 128.0
# Off the round numbers at which people put kinks, so that none falls on a grid point.
_OFFSET = _SPACING * 0.3819660112501051
_BISECTIONS = 58  # 1/128 halved 58 times ends at neighbouring floats everywhere
# A jump counts if it survives between neighbouring floats with this fraction of the function's size on |z| <= 3; the
# rounding noise of a derivative by automatic differentiation stays a hundred times below (measured on the catalogue).
_REAL = (1e-8, 1e-7, 1e-5)
_ROUNDS = 3
# A curvature this much smaller than the slope is rounding: what matters is its effect within one unit of z.
_FLAT = 1e-3


@dataclass(frozen=True)
class Kink:
    """A point with the jump of the function (`step`) and of its derivative (`jump`, infinite for a root) there."""

    position: float
    step: float
    jump: float


def find_kinks(functions: Sequence[Callable[[Tensor], Tensor]], *, declared: Sequence[float] = ()) -> tuple[Kink, ...]:
    """Return all kinks of `functions` = (s, s', s''), ascending, those in `declared` included."""
    near = torch.linspace(-3.0, 3.0, 193, dtype=torch.float64) + 1e-3
    sizes = [float(function(near).abs().nan_to_num(0.0, 0.0, 0.0).max()) for function in functions]
    positions = [float(position) for position in declared]
    for i, function in enumerate(functions):
        least = _REAL[i] * max(sizes[i], _FLAT * max(sizes))
        for found in _jumps(function, least, _REAL[i]):
            if all(abs(found - known) > 1e-9 * max(1.0, abs(known)) for known in positions):
                positions.append(found)
    return tuple(_measured(functions, position) for position in sorted(positions))


def _jumps(function: Callable[[Tensor], Tensor], least: float, relative: float) -> list[float]:
    count = int(2 * _RANGE / _SPACING)
    grid = _OFFSET - _RANGE + _SPACING * torch.arange(count + 1, dtype=torch.float64)
    lower, upper = grid[:-1], grid[1:]
    found: list[float] = []
    for _ in range(_ROUNDS):
        left, right = _bisected(function, lower, upper, least, relative)
        if not len(left):
            break
        found += [_rounded(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
        # What lies on either side of a kink within its interval is searched again, a hair away from the kink.
        aside = 1e-10 * left.abs().clamp(min=1.0)
        lower, upper = torch.cat([left - _SPACING, right + aside]), torch.cat([left - aside, right + _SPACING])
    return found


def _bisected(
    function: Callable[[Tensor], Tensor], lower: Tensor, upper: Tensor, least: float, relative: float
) -> tuple[Tensor, Tensor]:
    """Shrink every interval towards its largest change; return those whose change survives to neighbouring floats."""
    at_lower, at_upper = function(lower).nan_to_num(), function(upper).nan_to_num()
    for _ in range(_BISECTIONS):
        middle = 0.5 * (lower + upper)
        value = function(middle).nan_to_num()
        left = (value - at_lower).abs() >= (at_upper - value).abs()
        lower, at_lower = torch.where(left, lower, middle), torch.where(left, at_lower, value)
        upper, at_upper = torch.where(left, middle, upper), torch.where(left, value, at_upper)
        # The change over an interval with a jump never falls below the jump, so the others can be let go.
        size = relative * torch.maximum(at_lower.abs(), at_upper.abs())
        alive = (at_upper - at_lower).abs() > size.clamp(min=least)
        lower, upper, at_lower, at_upper = (part[alive] for part in (lower, upper, at_lower, at_upper))
    return lower, upper


def _rounded(lower: float, upper: float) -> float:
    """The roundest number between two neighbouring floats: people write kinks in decimals."""
    slack = 4e-16 * max(1.0, abs(lower))
    for digits in range(13):
        candidate = round(0.5 * (lower + upper), digits)
        if lower - slack <= candidate <= upper + slack:
            return candidate + 0.0
    return 0.5 * (lower + upper)


def _measured(functions: Sequence[Callable[[Tensor], Tensor]], position: float) -> Kink:
    scale = max(1.0, abs(position))
    aside = scale * torch.tensor([1e-9, 1e-12], dtype=torch.float64)
    found = [function(position + aside) - function(position - aside) for function in functions[:2]]
    sizes = [function(position + aside).abs() + function(position - aside).abs() for function in functions[:2]]
    # A jump is what does not shrink with the gap; what grows at least as its root has an infinite mean square.
    step, jump = (float(gap[1]) if abs(gap[1]) > 0.5 * abs(gap[0]) + 1e-300 else 0.0 for gap in found)
    if abs(step) <= 1e-8 * float(sizes[0][1]):
        step = 0.0
    if float(sizes[1][1]) > 20.0 * float(sizes[1][0]):  # 1000^0.45 = 22
        jump = math.inf
    elif abs(jump) <= 1e-8 * float(sizes[1][1]):
        jump = 0.0
    return Kink(position, step, jump)

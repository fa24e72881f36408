"""Range and ticks of a logarithmic axis that carries positive numbers of any size.

Units: those of the numbers; ticks are decades over wide ranges, 1-2-5 steps over narrow ones.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rgflow.report.digits import short

__all__ = ["LogAxis", "log_axis"]

# A range narrower than a factor of 4 would blow rounding up to a trend; 8 % of the span stays free on both sides.
_LEAST_SPAN, _MARGIN, _MOST_TICKS = math.log10(4.0), 0.08, 7

# Decades that a double holds with room for a margin of at most 2; smaller and larger numbers lie outside the axis.
_FIRST, _LAST, _MOST_MARGIN = -300.0, 300.0, 2.0


@dataclass(frozen=True)
class LogAxis:
    """The ends of an axis (values, not logarithms), its ticks and their labels."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]


def log_axis(values: Iterable[float | None]) -> LogAxis:
    """Return an axis that holds every one of `values` from 1e-300 to 1e300; from 0.1 to 10 where there is none."""
    positive = [value for value in values if value is not None and math.isfinite(value) and value > 0]
    logs = [x for x in map(math.log10, positive) if _FIRST <= x <= _LAST]
    low, high = (min(logs), max(logs)) if logs else (-1.0, 1.0)
    missing = max(0.0, _LEAST_SPAN - (high - low)) / 2
    margin = min(_MARGIN * (high - low), _MOST_MARGIN) + missing + 0.02  # 0.02 decades keep a marker off the frame
    low, high = low - margin, high + margin
    ticks = tuple(value for value in _ticks(low, high) if 10**low <= value <= 10**high)
    decades = high - low > 3
    return LogAxis(
        low=10**low,
        high=10**high,
        ticks=ticks,
        labels=tuple(_power(tick) if decades else _plain(tick) for tick in ticks),
    )


def _ticks(low: float, high: float) -> list[float]:
    exponents = range(math.floor(low), math.ceil(high) + 1)
    if high - low > 3:
        step = max(1, math.ceil((high - low) / _MOST_TICKS))
        return [10.0**e for e in exponents if e % step == 0]
    mantissas = (1, 2, 5) if high - low < 2 else (1, 3)
    if high - low < 0.7:
        mantissas = (1, 1.5, 2, 3, 4, 5, 6, 8)
    return [m * 10.0**e for e in exponents for m in mantissas]


def _power(tick: float) -> str:
    exponent = round(math.log10(tick))
    return "1" if exponent == 0 else "10" if exponent == 1 else f"10<sup>{exponent}</sup>".replace("-", "−")


def _plain(tick: float) -> str:
    text = short(tick)
    return text if "e" in text or "." not in text else text.rstrip("0").rstrip(".")

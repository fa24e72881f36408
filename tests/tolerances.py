"""The tolerance classes of the tests; a test names its class instead of writing a number.

EXACT: two integers, texts or identical computations. ROUNDING: two routes to one float64 number, relative.
SINGLE: the same through a float32 network, some 100 roundings of 2^-24. REPORTED: the routine's own error bar (no
constant here). STATISTICAL: `z_limit`, from a stated false-alarm rate.
"""

from scipy.stats import norm

__all__ = ["EXACT", "FALSE_ALARM", "ROUNDING", "SINGLE", "z_limit"]

EXACT = 0.0
ROUNDING = 1e-12
SINGLE = 1e-5
FALSE_ALARM = 1e-6


def z_limit(cells: int, *, false_alarm: float = FALSE_ALARM) -> float:
    """Return the |z| that the largest of `cells` independent normal z-scores exceeds with probability `false_alarm`.

    P(max |z| > limit) = 1 - (1 - 2 Q(limit))^cells <= 2 cells Q(limit) = false_alarm, Q the upper tail (union bound).
    """
    if cells < 1 or not 0.0 < false_alarm < 1.0:
        raise ValueError(f"cells is {cells} and false_alarm {false_alarm}; needed: cells >= 1 and 0 < false_alarm < 1")
    return float(norm.isf(false_alarm / (2.0 * cells)))

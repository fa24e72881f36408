"""Numbers as people read them: three significant digits, compact powers of ten, an en dash for what is missing.

Nothing is computed here beyond rounding; the JSON carries the full digits.
"""

import math
from decimal import Decimal

__all__ = [
    "MISSING",
    "count",
    "error_of",
    "percent",
    "probability",
    "relative",
    "seconds",
    "short",
    "with_error",
    "z_score",
]

MISSING = "–"

# Powers of ten in plain notation: from 0.001 (seven characters for three digits) to 99 900 (five).
_PLAIN_FROM, _PLAIN_BELOW = -3, 5


def short(value: float | None) -> str:
    """Return `value` in three significant digits: "0.333", "12.0", "4830", "1.23e-05"; "–" for None and NaN."""
    return _rounded(value, digits=3)


def error_of(error: float | None) -> str:
    """Return an absolute error in two significant digits: "0.011", "3.9e-14"; "–" for None and NaN."""
    return _rounded(error, digits=2)


def _rounded(value: float | None, *, digits: int) -> str:
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0.0:
        return "0"
    text = f"{value:.{digits - 1}e}"
    exponent = int(text.partition("e")[2])
    if not _PLAIN_FROM <= exponent < _PLAIN_BELOW:
        return text
    return f"{float(text):.{max(0, digits - 1 - exponent)}f}"


def percent(fraction: float | None) -> str:
    """Return a fraction in percent with two significant digits: "0.38" becomes "38 %"; "–" for None and NaN."""
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    number = 100.0 * fraction
    if number == 0.0:
        return "0 %"
    rounded = float(f"{number:.1e}")
    if not 1e-2 <= abs(rounded) < 1e4:  # two digits fit in five characters between these
        return f"{rounded:.1e} %"
    return f"{rounded:.{max(0, 1 - math.floor(math.log10(abs(rounded))))}f} %"


def relative(error: float | None, value: float | None) -> str:
    """Return an error as a share of its value: "±12%", or "–" where one is missing or the value is 0."""
    if error is None or value is None or value == 0.0 or not math.isfinite(error) or not math.isfinite(value):
        return MISSING
    return "±" + percent(abs(error / value)).replace(" ", "")


def z_score(z: float | None) -> str:
    """Return a z-score with one decimal, fewer where large; a "!" marks |z| >= 4, so that colour is not needed."""
    if z is None or not math.isfinite(z):
        return MISSING
    mark = "!" if abs(z) >= 4.0 else ""  # 4 standard errors: the tally's own threshold
    pattern = ".1f" if abs(z) < 9.95 else ".0f" if abs(z) < 999.5 else ".0e"
    return f"{z + 0.0:{pattern}}".replace("-0.0", "0.0") + mark


def seconds(value: float) -> str:
    """Return a duration: "11.2 s", "0.04 s", "132 s"."""
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def count(number: int) -> str:
    """Return a whole number in groups of three, a long one as "2^256 - 1" or "1.34e+12"."""
    if number < 10**9:  # longer ones no longer fit beside others
        return f"{number:,}"
    power = number.bit_length()
    return f"2^{power} - 1" if number == 2**power - 1 else f"{Decimal(number):.2e}"


def with_error(value: float | None, error: float | None) -> str:
    """Return "0.40061 ± 0.00042": two digits of the error, the value as far; "–" for None and NaN."""
    if value is None or error is None or math.isnan(value):
        return MISSING
    if error == 0.0 and float(value).is_integer() and abs(value) < 1e5:  # five places are legible
        return f"{value:.0f} ± 0"
    decimals = max(0, 1 - math.floor(math.log10(error))) if 0.0 < error < math.inf else 7
    if decimals > 6 or max(abs(value), error) >= 1e5:  # so are six decimals
        return f"{short(value)} ± {error_of(error)}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def probability(p: float | None) -> str:
    """Return a p-value in two digits, "<0.001" below that; "–" for None and NaN."""
    if p is None or not math.isfinite(p):
        return MISSING
    return "<0.001" if p < 1e-3 else f"{p:.2g}"  # below 1 in 1000 the digits of a p-value say nothing

"""Numbers as people read them: three significant digits, compact powers of ten, an en dash for what is missing.

Nothing is computed here beyond rounding; the JSON carries the full digits.
"""

import math

__all__ = ["MISSING", "error_of", "percent", "relative", "seconds", "short", "z_score"]

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

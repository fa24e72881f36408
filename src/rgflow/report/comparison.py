"""A paired experiment as text: both sweeps, the chosen rates, the test scores and the paired difference.

Scores are accuracies or R^2 as the record's metric says; `±` is one standard error over networks.
"""

import io
import math
import textwrap

from rgflow.records.comparison import Arm, Comparison
from rgflow.report.digits import short
from rgflow.report.terminal import Console, Table

__all__ = ["comparison_table"]

# Below 60 columns a rate, two scores and two counts no longer fit on a line.
_LEAST_WIDTH = 60
_WORDS = {
    "tuned is better": "tuned is better: the interval lies above 0",
    "no benefit": "no benefit: the interval contains 0",
    "stock is better": "stock is better, tuning hurts here: the interval lies below 0",
}


def comparison_table(comparison: Comparison, *, width: int = 120) -> str:
    """Return the comparison as plain text of at most `width` columns (never below 60)."""
    width = max(_LEAST_WIDTH, width)
    arms = (comparison.stock, comparison.tuned)
    lines = [_heading(comparison), "", *_sweep(comparison, width=width), ""]
    lines += [_test_line(arm, comparison) for arm in arms]
    lines += [_difference_line(comparison), *(f"note  {note}" for note in comparison.notes)]
    return "\n".join(_wrapped(line, width=width) for line in lines) + "\n"


def _heading(comparison: Comparison) -> str:
    count = comparison.networks
    return (
        f"PROOF  {count} stock against {count} tuned networks, {comparison.steps} steps of {comparison.optimizer}, "
        f"the same minibatches in each pair, seed {comparison.seed}; mean validation {comparison.metric} at each "
        "learning rate, * = chosen"
    )


def _sweep(comparison: Comparison, *, width: int) -> list[str]:
    """Return the lines of the sweep; the counts of diverged networks are left out where there are none."""
    arms = (comparison.stock, comparison.tuned)
    counted = any(any(arm.failed) for arm in arms)
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
    table.add_column("learning rate", justify="right")
    for arm in arms:
        table.add_column(f"{arm.name}  ", justify="right")
        if counted:
            table.add_column("diverged", justify="right")
    for index, rate in enumerate(comparison.stock.rates):
        cells = [cell for arm in arms for cell in _cells(arm, index, counted=counted)]
        table.add_row(short(rate), *cells)
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(table)
    return file.getvalue().splitlines()


def _cells(arm: Arm, index: int, *, counted: bool) -> list[str]:
    mark = " *" if arm.rates[index] == arm.chosen_rate else "  "
    return [_score(arm.validation[index]) + mark, *([str(arm.failed[index])] if counted else [])]


def _test_line(arm: Arm, comparison: Comparison) -> str:
    numbers = (arm.mean.value, arm.mean.error, min(arm.test), max(arm.test))
    mean, error, worst, best = (_score(number, _decimals(comparison)) for number in numbers)
    return (
        f"{arm.name}  test {comparison.metric} {mean} ± {error}, networks from {worst} to {best}, "
        f"at rate {short(arm.chosen_rate)}"
    )


def _difference_line(comparison: Comparison) -> str:
    decimals, (low, high) = _decimals(comparison), comparison.interval
    value, least, most = (_score(number, decimals, sign="+") for number in (comparison.difference.value, low, high))
    words = _WORDS.get(comparison.verdict, comparison.verdict)
    return f"tuned - stock, paired: {value}, 95 % interval [{least}, {most}]: {words}"


def _decimals(comparison: Comparison) -> int:
    """Return how many decimals show two digits of the difference's error: three at least, six at most."""
    error = comparison.difference.error
    return min(6, max(3, 1 - math.floor(math.log10(error)))) if error > 0 else 3


def _score(value: float, decimals: int = 3, *, sign: str = "-") -> str:
    # R^2 has no lower bound: a network that overshoots may have -10^6.
    number = f"{value:{sign}.{decimals}f}" if abs(value) < 100.0 else f"{value:{sign}.2e}"
    return number.replace("-", "+" if sign == "+" else "") if float(number) == 0.0 else number


def _wrapped(line: str, *, width: int) -> str:
    """Return a line broken at spaces, what follows the first break indented under the text."""
    if len(line) <= width:
        return line.rstrip()
    return textwrap.fill(line, width, subsequent_indent=" " * 7, break_on_hyphens=False)

"""A paired experiment as text: both sweeps, the chosen rates, the test scores and the paired difference.

Scores are accuracies or R^2 as the record's metric says; `±` is one standard error over networks.
"""

import io

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgflow.records.comparison import Arm, Comparison
from rgflow.records.estimate import Estimate
from rgflow.report.digits import short

__all__ = ["comparison_table"]

_WORDS = {
    "tuned is better": "tuning helps here: the interval lies above 0",
    "no benefit": "no benefit: the interval contains 0",
    "stock is better": "tuning hurts here: the interval lies below 0",
}


def comparison_table(comparison: Comparison, *, width: int = 120) -> str:
    """Return the comparison as plain text of at most `width` columns (never below 60)."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    table.add_column("learning rate")
    for arm in (comparison.stock, comparison.tuned):
        table.add_column(f"{arm.name}, validation", justify="right")
    for index, rate in enumerate(comparison.stock.rates):
        cells = [_chosen(arm, index) for arm in (comparison.stock, comparison.tuned)]
        table.add_row(short(rate), *cells)
    file = io.StringIO()
    console = Console(file=file, width=max(60, width), color_system=None, legacy_windows=False)
    console.print(Text(_heading(comparison)))
    console.print(table)
    for line in _lines(comparison):
        console.print(Text(line))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _heading(comparison: Comparison) -> str:
    return (
        f"EXPERIMENT  {comparison.networks} stock against {comparison.networks} tuned networks, "
        f"{comparison.steps} steps, same minibatches in each pair, seed {comparison.seed}; "
        f"mean {comparison.metric}, * = chosen"
    )


def _chosen(arm: Arm, index: int) -> str:
    mark = " *" if arm.rates[index] == arm.chosen_rate else "  "
    return f"{arm.validation[index]:.3f}{mark}"


def _lines(comparison: Comparison) -> list[str]:
    lines = []
    for arm in (comparison.stock, comparison.tuned):
        edge = arm.chosen_rate in (arm.rates[0], arm.rates[-1])
        note = " (at the edge of the grid: a better rate may lie outside)" if edge else ""
        worst, best = min(arm.test), max(arm.test)
        lines.append(
            f"{arm.name:6s} test {_pm(arm.mean)}, networks from {worst:.3f} to {best:.3f}, "
            f"at rate {short(arm.chosen_rate)}{note}"
        )
    low, high = comparison.interval
    lines.append(
        f"tuned - stock, paired: {comparison.difference.value:+.3f} [{low:+.3f}, {high:+.3f}] (95 % interval); "
        f"{_WORDS.get(comparison.verdict, comparison.verdict)}"
    )
    return lines


def _pm(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ± {estimate.error:.3f}"

"""The diff of a tuning as text: one row per layer with its variances before and after, its rate, and why.

Variances are C_W = fan * Var W and C_b = Var b; an arrow stands between before and after, a dash for "unchanged".
"""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rgflow.records.tuning import LayerChange
from rgflow.report.digits import MISSING, short

__all__ = ["changes_table"]


def changes_table(changes: Sequence[LayerChange], *, notes: Sequence[str] = (), width: int = 120) -> str:
    """Return the layer-by-layer diff as plain text of at most `width` columns (never below 60)."""
    rates = any(change.rate_multiplier != 1.0 for change in changes)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for name in ("layer", "kind", "action", "C_W", "C_b", *(["rate x"] if rates else []), "why"):
        table.add_column(name, justify="left", no_wrap=name in ("action", "C_W", "C_b"), overflow="fold")
    for change in changes:
        table.add_row(*(Text(cell) for cell in _cells(change, rates=rates)))
    file = io.StringIO()
    console = Console(file=file, width=max(60, width), color_system=None, legacy_windows=False)
    console.print(table)
    for note in notes:
        console.print(Text(f"note  {note}"))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def _cells(change: LayerChange, *, rates: bool) -> list[str]:
    weight = _arrow(change.weight_variance_before, change.weight_variance_after)
    bias = _arrow(change.bias_variance_before, change.bias_variance_after)
    rate = [short(change.rate_multiplier)] if rates else []
    return [change.layer, change.kind, change.action, weight, bias, *rate, change.reason]


def _arrow(before: float | None, after: float | None) -> str:
    if before is None:
        return MISSING
    return short(before) if after is None else f"{short(before)} -> {short(after)}"

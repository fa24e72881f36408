"""The diff of a tuning as text: one row per layer with its variances before and after, its rate, and why.

Variances are C_W = fan * Var W and C_b = Var b; an arrow stands between before and after, a dash for "no such number".
"""

import io
import textwrap
from collections.abc import Sequence

from rgflow.records.tuning import LayerChange
from rgflow.report.digits import MISSING, short
from rgflow.report.terminal import Console, Table, Text

__all__ = ["changes_table"]

# Below 60 columns the variances no longer fit beside a layer's name.
_LEAST_WIDTH = 60
_GAP = 2
_LEGEND = (
    "C_W = fan-in x variance of weights, C_b = variance of biases: as found in this draw -> the law of the new draw"
)


def changes_table(changes: Sequence[LayerChange], *, notes: Sequence[str] = (), width: int = 120) -> str:
    """Return the layer-by-layer diff as plain text of at most `width` columns (never below 60).

    Reasons that do not fit on a row are numbered and stand below, each once.
    """
    width = max(_LEAST_WIDTH, width)
    rates = any(change.rate_multiplier != 1.0 for change in changes)
    reasons = tuple(dict.fromkeys(change.reason for change in changes))
    heads = ["layer", "kind", "action", "C_W", "C_b", *(["rate x"] if rates else []), "why"]
    rows = [[*_cells(change, rates=rates), change.reason] for change in changes]
    numbered = sum(max(map(len, column)) + _GAP for column in zip(heads, *rows, strict=True)) > width + _GAP
    if numbered:
        rows = [[*row[:-1], f"[{reasons.index(row[-1]) + 1}]"] for row in rows]
    below = [f"[{number}] {reason}" for number, reason in enumerate(reasons, start=1)] if numbered else []
    lines = [*below, _LEGEND, *(f"note  {note}" for note in notes)]
    return _table(heads, rows, width=width) + "".join(f"{_wrapped(line, width=width)}\n" for line in lines)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int) -> str:
    table = Table(box=None, padding=(0, _GAP, 0, 0), header_style="")
    for name in heads:
        table.add_column(name, justify="left", no_wrap=name not in ("layer", "kind"), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    file = io.StringIO()
    Console(file=file, width=width, color_system=None, legacy_windows=False).print(table)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _cells(change: LayerChange, *, rates: bool) -> list[str]:
    weight = _arrow(change.weight_variance_before, change.weight_variance_after)
    bias = _arrow(change.bias_variance_before, change.bias_variance_after)
    rate = [short(change.rate_multiplier)] if rates else []
    return [change.layer, change.kind, change.action, weight, bias, *rate]


def _arrow(before: float | None, after: float | None) -> str:
    """Return "before -> after", or one number where the layer is kept or zero stays zero."""
    if before is None:
        return MISSING
    return short(before) if after is None or before == after == 0.0 else f"{short(before)} -> {short(after)}"


def _wrapped(line: str, *, width: int) -> str:
    return textwrap.fill(line, width, subsequent_indent=" " * 6, break_on_hyphens=False)

"""Tables of plain text whose columns give way, one level after the other, where the width is too small.

Widths are columns of a terminal.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rgflow.report.terminal import Console, Table

__all__ = ["Column", "fitting_table"]

Row = TypeVar("Row")

_UNBOUNDED = 1000  # columns of the sheet on which a table is drawn before it is measured


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A header and what it shows of a row; `level` says when it gives way (lower first, 0 never), `left` aligns it."""

    header: str
    show: Callable[[Row], str]
    level: int = 0
    left: bool = False


def fitting_table(columns: Sequence[Column[Row]], rows: Sequence[Row], *, width: int) -> list[str]:
    """Return the lines of the table with as many columns as fit into `width`; those of level 0 always stay."""
    lines = _drawn(columns, rows)
    for level in sorted({column.level for column in columns} - {0}):
        if max(map(len, lines)) <= width:
            break
        lines = _drawn([column for column in columns if not 0 < column.level <= level], rows)
    return lines


def _drawn(columns: Sequence[Column[Row]], rows: Sequence[Row]) -> list[str]:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="")
    for column in columns:
        table.add_column(column.header, justify="left" if column.left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(column.show(row) for column in columns))
    file = io.StringIO()
    console = Console(file=file, width=_UNBOUNDED, color_system=None, legacy_windows=False, markup=False, emoji=False)
    console.print(table)
    return [line.rstrip() for line in file.getvalue().splitlines()]

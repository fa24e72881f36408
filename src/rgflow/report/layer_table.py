"""The table of a check on a terminal: which columns fit, and how they are drawn.

Columns give way in a stated order (kind, standard error, C_W, control, seed-to-seed deviation); where even the rest is
too wide, the gradient, then the spread, move to tables of their own below. A number is never broken or cut.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rgflow.records.estimate import Estimate, Quantity
from rgflow.report.digits import MISSING, relative, short, z_score
from rgflow.report.layer_rows import Fold, Row
from rgflow.report.spelling import Spelling
from rgflow.report.terminal import Box, Group, Table, Text, cell_len

__all__ = ["layer_tables"]

_RULED = Box("    \n    \n ─  \n    \n    \n    \n    \n    \n")
_RULED_ASCII = Box("    \n    \n -  \n    \n    \n    \n    \n    \n", ascii=True)

# Columns give way up to this level (the highest `gives_way`); one level further, words are squeezed too.
_LAST_LEVEL = 5
_SQUEEZED = _LAST_LEVEL + 1

# Widths of the columns of words, (least when squeezed, least otherwise, most): a name keeps its end.
_NAME = (10, 18, 40)
_VERDICT = (8, 16, 32)


@dataclass(frozen=True)
class Column:
    """One column: a header of two lines, what it shows of a row, when it gives way (1 first, 0 never), and its role.

    `role` is "number" (right-aligned, never broken), "count", "name", "words" or "verdict".
    """

    header: str
    show: Callable[[Row], str]
    gives_way: int = 0
    role: str = "number"


@dataclass(frozen=True)
class _Layout:
    """The columns that are drawn and their widths in characters."""

    columns: Sequence[Column]
    widths: Sequence[int]


def layer_tables(rows: Sequence[Row | Fold], *, width: int, spell: Spelling) -> tuple[Group, ...]:
    """Return one table if `width` characters allow it, else two or three: signal, spread and gradient part ways."""
    shown = [row for row in rows if isinstance(row, Row)]
    head, signal, spread, gradient, tail = (
        _spelt(part, spell=spell, rows=shown) for part in (_HEAD, _SIGNAL, _SPREAD, _GRADIENT, _TAIL)
    )
    key = [column for column in head if column.role in {"count", "name"}]
    one = [[*head, *signal, *spread, *gradient, *tail]]
    two = [[*head, *signal, *spread, *tail], [*key, *gradient]]
    three = [[*head, *signal, *tail], [*key, *spread], [*key, *gradient]]
    for tables, last in ((one, _LAST_LEVEL), (two, _SQUEEZED), (three, _SQUEEZED)):
        layouts = [_fitting(columns, shown, width=width, last=last) for columns in tables]
        if tables is three or all(_total(layout.widths) <= width for layout in layouts):
            return tuple(_drawn(layout, rows, spell=spell) for layout in layouts)
    raise AssertionError("three tables are always drawn")


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(widths) - 1


def _spelt(columns: Sequence[Column], *, spell: Spelling, rows: Sequence[Row]) -> list[Column]:
    """Return the columns in the console's spelling, without those that may give way and say nothing."""

    def one(column: Column) -> Column:
        header = "\n".join(spell(line) for line in column.header.split("\n"))
        return replace(column, header=header, show=lambda row: spell(column.show(row)))

    speaking = [c for c in columns if c.gives_way == 0 or any(c.show(row) != MISSING for row in rows)]
    return [one(column) for column in speaking]


def _fitting(columns: Sequence[Column], rows: Sequence[Row], *, width: int, last: int) -> _Layout:
    """Return the layout in which just enough columns have given way; that of level `last` if none fits."""
    for level in range(last):
        layout = _layout(columns, rows, level=level)
        if _total(layout.widths) <= width:
            return _grown(layout, rows, room=width - _total(layout.widths))
    layout = _layout(columns, rows, level=last)
    return _grown(layout, rows, room=max(0, width - _total(layout.widths)))


def _layout(columns: Sequence[Column], rows: Sequence[Row], *, level: int) -> _Layout:
    kept = [column for column in columns if column.gives_way == 0 or column.gives_way > level]
    return _Layout(kept, [_least(column, rows, squeezed=level == _SQUEEZED) for column in kept])


def _natural(column: Column, rows: Sequence[Row]) -> int:
    texts = [*column.header.split("\n"), *(column.show(row) for row in rows)]
    return max(cell_len(text) for text in texts)


def _least(column: Column, rows: Sequence[Row], *, squeezed: bool) -> int:
    natural = _natural(column, rows)
    if column.role == "name":
        return min(natural, _NAME[0] if squeezed else _NAME[1])
    if column.role == "verdict":
        return min(natural, max(_longest_word(column, rows), _VERDICT[0] if squeezed else _VERDICT[1]))
    if column.role == "words" and squeezed:
        return _longest_word(column, rows)
    return natural


def _longest_word(column: Column, rows: Sequence[Row]) -> int:
    texts = [column.header, *(column.show(row) for row in rows)]
    return min(max(cell_len(word) for text in texts for word in text.split()), _VERDICT[2])


def _grown(layout: _Layout, rows: Sequence[Row], *, room: int) -> _Layout:
    """Share the room that is left: to verdicts, then to names, then between the groups of numbers."""
    widths = list(layout.widths)
    for role, most in (("verdict", _VERDICT[2]), ("name", _NAME[2])):
        for i, column in enumerate(layout.columns):
            more = min(room, max(0, min(_natural(column, rows), most) - widths[i])) if column.role == role else 0
            widths[i] += more
            room -= more
    opens_group = [i for i, c in enumerate(layout.columns) if c.role == "number" and not c.header.startswith("\n")]
    for _ in range(2):  # two blanks more between groups are enough
        for i in opens_group[: max(0, room)]:
            widths[i] += 1
        room -= len(opens_group)
    return replace(layout, widths=widths)


def _drawn(layout: _Layout, rows: Sequence[Row | Fold], *, spell: Spelling) -> Group:
    """Return the table in pieces of equal column widths, with a line for every fold between them."""
    columns, widths = layout.columns, layout.widths
    parts: list[Table | Text] = []
    for row in rows:
        if isinstance(row, Fold):
            line = f"… {row.count} rows like this ({row.verdict}): in --json and --html"
            parts.append(Text(spell(line), style="dim"))
            continue
        if not parts or not isinstance(parts[-1], Table):
            parts.append(_empty(columns, widths, spell=spell, header=not parts))
        table = parts[-1]
        assert isinstance(table, Table)
        table.add_row(
            *(_cell(column, row, size=size, spell=spell) for column, size in zip(columns, widths, strict=True))
        )
    return Group(*parts)


def _empty(columns: Sequence[Column], widths: Sequence[int], *, spell: Spelling, header: bool) -> Table:
    box = _RULED_ASCII if spell.ascii_only else _RULED
    table = Table(box=box, width=_total(widths), padding=0, show_edge=False, show_header=header, header_style="bold")
    for column, size in zip(columns, widths, strict=True):
        justify = "right" if column.role in {"number", "count"} else "left"
        fixed = column.role not in {"words", "verdict"}
        table.add_column(Text(column.header), justify=justify, width=size, no_wrap=fixed, overflow="fold")
    return table


def _cell(column: Column, row: Row, *, size: int, spell: Spelling) -> Text:
    text = column.show(row)
    if column.role == "name":
        return Text(_tail(text, size, ellipsis="~" if spell.ascii_only else "…"))
    if column.role == "verdict":
        return Text(text, style="green" if row.layer.verdict == "ok" else "bold red")
    if text.endswith("!"):
        return Text(text, style="bold yellow")
    return Text(text, style="dim" if text == spell(MISSING) else "")


def _tail(name: str, size: int, *, ellipsis: str) -> str:
    """Return the end of a dotted name, which tells layers apart, with an ellipsis for its beginning."""
    if cell_len(name) <= size:
        return name
    while name and cell_len(name) > size - 1:
        name = name[1:]
    return ellipsis + name


def _source(row: Row) -> str:
    return row.layer.source + (f" [{','.join(map(str, row.notes))}]" if row.notes else "")


def _value(estimate: Estimate | None) -> str:
    return short(None if estimate is None else estimate.value)


def _share(error: float | None, estimate: Estimate | None) -> str:
    return MISSING if estimate is None else relative(error, estimate.value)


def _deviation(deviation: Quantity, quantity: Quantity) -> str:
    """Return the forecast seed-to-seed deviation in percent of the forecast."""
    return MISSING if deviation.predicted is None else _share(deviation.predicted.value, quantity.predicted)


def _standard_error(quantity: Quantity) -> str:
    return MISSING if quantity.measured is None else _share(quantity.measured.error, quantity.measured)


def _group(quantity: str) -> tuple[Column, ...]:
    """Return the columns of one quantity: forecast, seed-to-seed deviation, measured, standard error, z."""

    def of(row: Row) -> Quantity:
        return getattr(row.layer, quantity)

    return (
        Column(f"{quantity}\nforecast", lambda row: _value(of(row).predicted)),
        Column("\n±sd", lambda row: _deviation(getattr(row.layer, f"{quantity}_deviation"), of(row)), gives_way=5),
        Column("\nmeasured", lambda row: _value(of(row).measured)),
        Column("\n±se", lambda row: _standard_error(of(row)), gives_way=2),
        Column("\nz", lambda row: z_score(of(row).z)),
    )


_HEAD = (
    Column("\n#", lambda row: str(row.number), role="count"),
    Column("\nlayer", lambda row: row.layer.name, role="name"),
    Column("\nkind", lambda row: row.layer.kind, gives_way=1, role="words"),
    Column("\nfrom", _source, role="words"),
    Column("\nC_W", lambda row: _value(row.layer.weight_variance), gives_way=3),
)
_SIGNAL, _SPREAD, _GRADIENT = (_group(name) for name in ("signal", "spread", "gradient"))
_TAIL = (
    Column("\ncontrol", lambda row: short(row.layer.control), gives_way=4),
    Column("\nverdict", lambda row: row.layer.verdict, role="verdict"),
)

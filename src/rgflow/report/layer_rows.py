"""Which rows of a report are shown, under which number, and which are folded.

Layers with parameters are numbered 1, 2, ... in order of execution (all rows, where none has parameters); the table,
the page and the footnotes use the same numbers.
"""

from dataclasses import dataclass

from rgflow.records.layer import LayerReport
from rgflow.report.check_report import CheckReport

__all__ = ["Fold", "Row", "folded", "numbered", "parameterless", "reasons"]

# A table of more rows than this does not fit on a screen; its ends and every change of verdict stay visible.
_FOLD_ABOVE, _KEEP_AT_ENDS, _KEEP_PER_RUN = 40, 6, 2


@dataclass(frozen=True)
class Row:
    """One shown layer: its number, its record, and the numbers of the footnotes that belong to it."""

    number: int
    layer: LayerReport
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Fold:
    """A run of `count` rows with the same verdict that is not printed."""

    count: int
    verdict: str


def numbered(report: CheckReport) -> tuple[Row, ...]:
    """Return the rows that are shown one by one, with their numbers and footnotes."""
    parametric = [layer for layer in report.layers if layer.parametric]
    known: dict[str, int] = {}
    rows = []
    for number, layer in enumerate(parametric or report.layers, start=1):
        notes = tuple(known.setdefault(reason, len(known) + 1) for reason in _own_reasons(layer))
        rows.append(Row(number=number, layer=layer, notes=notes))
    return tuple(rows)


def parameterless(report: CheckReport) -> int:
    """Return how many rows are left out of the table because they have no parameters."""
    parametric = sum(layer.parametric for layer in report.layers)
    return len(report.layers) - parametric if parametric else 0


def reasons(rows: tuple[Row, ...]) -> tuple[str, ...]:
    """Return the footnotes 1, 2, ... of `rows`: why a forecast is missing or not a better one, each once."""
    found = {note: text for row in rows for note, text in zip(row.notes, _own_reasons(row.layer), strict=True)}
    return tuple(found[note] for note in sorted(found))


def folded(rows: tuple[Row, ...]) -> tuple[Row | Fold, ...]:
    """Return `rows` with the middle of every long run of one verdict folded, if there are more than 40."""
    if len(rows) <= _FOLD_ABOVE:
        return rows
    result: list[Row | Fold] = []
    for start, stop in _runs(rows):
        first = start + max(_KEEP_PER_RUN, _KEEP_AT_ENDS - start)
        last = stop - max(_KEEP_PER_RUN, _KEEP_AT_ENDS - (len(rows) - stop))
        if last - first < 2:  # one line would stand for one line
            result.extend(rows[start:stop])
            continue
        result.extend((*rows[start:first], Fold(last - first, rows[start].layer.verdict), *rows[last:stop]))
    return tuple(result)


def _own_reasons(layer: LayerReport) -> tuple[str, ...]:
    candidates = (layer.reason, layer.signal.reason, layer.spread.reason, layer.gradient.reason)
    return tuple(dict.fromkeys(text for text in candidates if text))


def _runs(rows: tuple[Row, ...]) -> list[tuple[int, int]]:
    """Return (start, stop) of every longest run of rows with one verdict."""
    starts = [i for i, row in enumerate(rows) if i == 0 or row.layer.verdict != rows[i - 1].layer.verdict]
    return list(zip(starts, [*starts[1:], len(rows)], strict=True))

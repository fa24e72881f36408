"""The structure card of a dataset as text for a terminal: chosen model, indices beside their nulls, ladder, symmetries.

Every number is a record's own; ± is one standard error, brackets hold 95 of 100 null draws. Widths from 60 columns up.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence

from rgflow.records.ladder import Ladder
from rgflow.records.structure_card import Index, NullValue, StructureCard, SymmetryTest
from rgflow.report.data_report import DataReport, sentence
from rgflow.report.data_tables import ladder_table, range_table, scale_table, symmetry_table, thinned_counts
from rgflow.report.digits import error_of, probability, seconds, short, with_error

__all__ = ["data_text", "held_out_in_words", "in_words"]

_LEAST_WIDTH = 60
_INDENT, _DEEP = "  ", "    "
_ROOMY, _LONGEST_TITLE = 100, 40  # columns from which titles of so many characters leave room for verdict and value
_LABEL = 10  # columns of the words in front of the head's lines
_LEGEND = "± one standard error; [95 of 100 draws of a null]; p of the strongest null"


def data_text(report: DataReport, width: int = 120) -> str:
    """Return `report` as plain text of at most `width` columns (never below 60)."""
    width = max(_LEAST_WIDTH, width)
    lines = [line for part in _parts(report, width=width) for line in part]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _parts(report: DataReport, *, width: int) -> Iterator[list[str]]:
    card = report.card
    yield _head(report, width=width)
    yield _headed("indices beside their nulls", _legend(width), *_indices(card, width=width))
    if card.implications:
        said = [f"- {found.suggestion.rstrip('. ')}: {found.evidence}" for found in card.implications]
        yield _headed(
            "suggestions for a network, with evidence", *(x for text in said for x in _filled(text, width=width))
        )
    yield _ladder(report, width=width)
    if card.symmetries:
        yield _headed("symmetries", *symmetry_table(card, width=width), *_symmetry_words(card.symmetries, width=width))
    if card.coupling_range is not None:
        words = _filled(sentence(card.coupling_range.sentence), width=width)
        table = range_table(card.coupling_range, width=width)
        yield _headed("couplings against distance, * above the noise", *table, *words)
    yield _headed("geometry", *_filled(_geometry(card), width=width))
    if card.hierarchy:
        yield _headed("scale by scale", *scale_table(card, width=width))
    yield _rest(card, width=width)


def in_words(kind: str) -> str:
    """Return what the variables of a kind are called."""
    return {"spin": "spins", "categorical": "categories", "continuous": "real numbers"}.get(kind, kind)


def held_out_in_words(ladder: Ladder) -> str:
    """Return on which samples the models were scored."""
    if ladder.held_out >= ladder.samples:
        return f"each of {ladder.samples:,} samples held out once"
    return f"on {ladder.held_out:,} of {ladder.samples:,} samples that were held out"


def _head(report: DataReport, *, width: int) -> list[str]:
    card = report.card
    grid = ""
    if card.grid:
        closed = "periodic" if card.periodic else "open"
        grid = f" on {'an' if closed == 'open' else 'a'} {closed} {' x '.join(map(str, card.grid))} lattice"
    size = f"{card.samples:,} samples x {card.variables:,} variables, {in_words(card.kind)}{grid}"
    lines = [*_labelled("data", f"{_plain(card.name)}   {size}   seed {card.seed}", width=width)]
    if card.provenance and card.provenance != card.name:
        lines += _labelled("source", card.provenance, width=width)
    for number, step in enumerate(card.preparation):
        lines += _labelled("" if number else "prepared", f"{step.finding}: {step.treatment}", width=width)
    return [*lines, *_labelled("simplest", report.headline, width=width)]


def _legend(width: int) -> str:
    return "\n".join(textwrap.wrap(_LEGEND, width))


def _indices(card: StructureCard, *, width: int) -> Iterator[str]:
    title = max(len(_plain(index.title)) for index in card.indices)
    title = min(title, _LONGEST_TITLE) if width >= _ROOMY else 0
    for index in card.indices:
        yield from _index(index, title=title, width=width)


def _index(index: Index, *, title: int, width: int) -> Iterator[str]:
    """Yield title, verdict, value, nulls and sentence; the first three in columns where `title` gives their width."""
    value = "" if index.estimate is None else with_error(index.estimate.value, index.estimate.error)
    value = f"{value} {index.unit}".strip() if value else ""
    p = "" if index.p_value is None else f"p {probability(index.p_value)}"
    nulls = "   ".join([*map(_null, index.nulls), *([p] if p else [])])
    name = _plain(index.title)
    line = f"{name[:title]:<{title}}  {index.verdict:<14}  {value}" if title else f"{name}: {index.verdict}   {value}"
    line = line.rstrip()
    if nulls and len(line) + 3 + len(nulls) <= width:
        line, nulls = f"{line}   {nulls}", ""
    yield from textwrap.wrap(line, width, subsequent_indent=_DEEP)
    for text in (nulls, _plain(index.sentence)):
        yield from textwrap.wrap(text, width, initial_indent=_DEEP, subsequent_indent=_DEEP, break_on_hyphens=False)


def _null(null: NullValue) -> str:
    return f"{null.name} {error_of(null.mean)} [{error_of(null.low)}, {error_of(null.high)}]"


def _ladder(report: DataReport, *, width: int) -> list[str]:
    ladder = report.card.ladder
    if not ladder.rungs:
        return ["", "ladder: no model was fitted"]
    title = f"ladder, simplest first; score in {ladder.unit}, {held_out_in_words(ladder)}"
    words = (
        [] if ladder.chosen is None else _filled(f"> chosen: {ladder.reason}", width=width)
    )  # else it is in the head
    notes = [line for note in ladder.notes for line in _filled(f"note: {note}", width=width)]
    return ["", *textwrap.wrap(title, width), *ladder_table(ladder, width=width), *words, *notes]


def _symmetry_words(tests: Sequence[SymmetryTest], *, width: int) -> list[str]:
    """Return the sentence of the first test that leaves the question open: those of the others are much alike."""
    still_open = [test for test in tests if test.verdict == "undetermined"]
    if not still_open:
        return []
    more = f" ({len(still_open) - 1} more likewise)" if len(still_open) > 1 else ""
    return _filled(f"{still_open[0].name}: {still_open[0].sentence}{more}", width=width)


def _geometry(card: StructureCard) -> str:
    found = card.geometry
    parts = [f"{len(found.edges):,} coupling{'' if len(found.edges) == 1 else 's'} stand out"]
    if found.dimension is not None:
        parts.append(f"dimension {with_error(found.dimension.value, found.dimension.error)}")
    if found.agreement is not None:
        parts.append(
            f"neighbours of the lattice told from other pairs with area {short(found.agreement)} (0.5 is chance)"
        )
    return f"{found.verdict}: {'; '.join(parts)}. {sentence(found.sentence)}"


def _rest(card: StructureCard, *, width: int) -> list[str]:
    lines = [""]
    if card.intrinsic_dimension:
        found = [f"{e.estimator} {with_error(e.value.value, e.value.error)}" for e in card.intrinsic_dimension]
        lines += _filled(f"intrinsic dimension: {card.dimension_sentence or ', '.join(found)}", width=width)
    if card.parameter_counts:
        counts = "; ".join(f"{name}: {number}" for name, number in thinned_counts(card))
        lines += _filled(f"parameters  {counts}", width=width)
    if card.basis.sentence:
        best = "" if card.basis.best is None else f" (best basis found: {short(card.basis.best)})"
        lines += _filled(f"basis: {card.basis.sentence}{best}", width=width)
    lines += [line for note in card.notes for line in _filled(f"note: {note}", width=width)]
    total = sum(card.timing.values())
    return lines + (
        [f"time: {seconds(total)} in all parts together, two at a time"] if card.timing and math.isfinite(total) else []
    )


def _headed(title: str, *lines: str) -> list[str]:
    return ["", title, *(part for line in lines for part in line.split("\n"))]


def _labelled(label: str, text: str, *, width: int) -> list[str]:
    first, rest = f"{label:<{_LABEL}}", " " * _LABEL
    return textwrap.wrap(_plain(text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _filled(text: str, *, width: int) -> list[str]:
    return textwrap.wrap(_plain(text), width, subsequent_indent=_INDENT, break_on_hyphens=False)


def _plain(text: str) -> str:
    """Return `text` on one line, with control characters, which must not reach a terminal, as escapes."""
    return "".join(c if c.isprintable() else " " if c in "\t\r\n" else ascii(c)[1:-1] for c in text)

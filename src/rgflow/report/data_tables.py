"""The tables of the structure card as text: ladder, symmetries, couplings against distance, scales.

Columns give way where the width is too small (`plain_table`); ± is one standard error.
"""

import math

from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder, Rung
from rgflow.records.structure_card import CouplingRange, ScaleRow, StructureCard, SymmetryTest
from rgflow.report.digits import MISSING, count, error_of, probability, short, with_error
from rgflow.report.plain_table import Column, fitting_table

__all__ = ["ladder_table", "order_word", "range_table", "reach_word", "scale_table", "symmetry_table", "thinned_counts"]

_LONGEST_NAME = 56  # characters of a rung's name beside its score and deficit in 120 columns
_RUNGS_SHOWN = 16  # of a longer ladder both ends and the neighbourhood of the chosen rung are shown
_SHELLS_SHOWN = 8  # distances; the page and the JSON have all of them


def ladder_table(ladder: Ladder, *, width: int) -> list[str]:
    """Return the rungs, simplest first; ">" marks the one that was chosen."""
    name = min(_LONGEST_NAME, width - 36)  # 36: parameters and deficit, which never give way
    reason = 32 if width >= 100 else 0  # beside a score, or in --json and --html alone
    columns = (
        Column[Rung]("", lambda rung: ">" if rung.name == ladder.chosen else " ", left=True),
        Column[Rung]("rung", lambda rung: _cut(rung.name, name), left=True),
        Column[Rung]("order", order_word, level=2),
        Column[Rung]("reach", reach_word, level=1),
        Column[Rung]("parameters", lambda rung: count(rung.parameters)),
        Column[Rung]("score", lambda rung: _estimate(rung.score), level=3),
        Column[Rung]("deficit to the best", lambda rung: _deficit(rung, reason)),
    )
    shown = _shown(ladder)
    lines = fitting_table(columns, shown, width=width)
    more = len(ladder.rungs) - len(shown)
    return [*lines, f"... {more} more rungs: in --json and --html"] if more else lines


def _shown(ladder: Ladder) -> list[Rung]:
    """Return all rungs of a short ladder; of a long one both ends and those around the chosen one."""
    names = [rung.name for rung in ladder.rungs]
    middle = names.index(ladder.chosen) if ladder.chosen in names else 0
    far = len(names) - 3
    kept = [len(names) <= _RUNGS_SHOWN or k < 3 or k >= far or abs(k - middle) <= 4 for k in range(len(names))]
    return [rung for rung, show in zip(ladder.rungs, kept, strict=True) if show]


def order_word(rung: Rung) -> str:
    """Return how many variables a rung lets interact."""
    return str(rung.order)


def reach_word(rung: Rung) -> str:
    """Return how far apart they may be."""
    return "any" if rung.reach is None or math.isinf(rung.reach) else f"{rung.reach:.3g}"


def _deficit(rung: Rung, length: int) -> str:
    """Return the deficit, or why the rung was not fitted in at most `length` characters."""
    if rung.deficit is not None or not rung.reason:
        return _estimate(rung.deficit)
    return _cut(rung.reason, length) if length else "not fitted"


def symmetry_table(card: StructureCard, *, width: int) -> list[str]:
    """Return one row for each symmetry that was tried."""
    columns = (
        Column[SymmetryTest]("symmetry", lambda test: _cut(test.name, min(36, width - 38)), left=True),
        Column[SymmetryTest]("verdict", lambda test: test.verdict, left=True),
        Column[SymmetryTest]("p", lambda test: probability(test.p_value)),
        Column[SymmetryTest]("violation", lambda test: short(test.statistic), level=1),
        Column[SymmetryTest]("would be seen from", lambda test: short(test.detectable), level=1),
        Column[SymmetryTest]("orbits", lambda test: f"{test.orbits:,} of {test.variables:,}"),
    )
    return fitting_table(columns, card.symmetries, width=width)


def range_table(found: CouplingRange, *, width: int) -> list[str]:
    """Return the first distances with their couplings; "*" marks those above the noise."""
    rows = list(range(min(_SHELLS_SHOWN, len(found.distances))))
    columns = (
        Column[int]("distance", lambda k: short(found.distances[k])),
        Column[int]("rms coupling", lambda k: _estimate(found.strengths[k])),
        Column[int]("", lambda k: "*" if found.strengths[k].value > found.noise[k] else " "),
        Column[int]("noise (95 %)", lambda k: error_of(found.noise[k])),
        Column[int]("pairs", lambda k: f"{found.pairs[k]:,}"),
    )
    more = len(found.distances) - len(rows)
    lines = fitting_table(columns, rows, width=width)
    return [*lines, f"... {more} larger distances: in --json and --html"] if more else lines


def scale_table(card: StructureCard, *, width: int) -> list[str]:
    """Return one row for each step of coarse-graining."""
    columns = (
        Column[ScaleRow]("block side" if card.grid else "variables merged", lambda row: str(row.scale)),
        Column[ScaleRow]("blocks", lambda row: f"{row.variables:,}"),
        Column[ScaleRow]("coupling of neighbours", lambda row: _estimate(row.neighbour_coupling)),
        Column[ScaleRow]("variance", lambda row: _estimate(row.variance), level=1),
        Column[ScaleRow]("non-Gaussian", lambda row: _estimate(row.non_gaussian)),
    )
    return fitting_table(columns, card.hierarchy, width=width)


def thinned_counts(card: StructureCard) -> list[tuple[str, str]]:
    """Return the numbers of parameters, one for each power of ten, the most general model first."""
    kept: list[tuple[str, str]] = []
    lengths: set[int] = set()
    for name, text in card.parameter_counts:
        digits = text.replace(",", "")
        length = len(digits) if digits.isdigit() else 0  # a text such as "2^256 - 1" stands for itself
        if not length or length not in lengths:
            kept.append((name, count(int(digits)) if length else text))
        lengths.add(length)
    return kept


def _estimate(estimate: Estimate | None) -> str:
    return MISSING if estimate is None else with_error(estimate.value, estimate.error)


def _cut(text: str, length: int) -> str:
    flat = "".join(c if c.isprintable() else " " for c in text)
    return flat if len(flat) <= length else flat[: length - 1] + "…"

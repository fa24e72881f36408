"""How often the ladder is right: planted problems climbed, and their answers counted.

A verdict "undetermined" counts as right only below the samples that the problem is stated to need.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from rgflow.records.estimate import Estimate
from rgflow.structure.climbing import ladder
from rgflow.structure.planted_problem import PlantedProblem

__all__ = ["Calibration", "CalibrationRow", "calibrate"]

Outcome = Literal["correct", "undetermined", "too simple", "too general", "other"]


@dataclass(frozen=True)
class CalibrationRow:
    """One problem: its law, how many samples were drawn, how many it needs, and what the ladder said.

    `outcome` of a wrong answer says whether the chosen rung has fewer or more parameters than the true one.
    """

    law: str
    kind: str
    samples: int
    enough: int
    answer: str
    chosen: str | None
    outcome: Outcome
    needed_samples: int | None
    reason: str

    @property
    def correct(self) -> bool:
        """Whether the answer is right: the true rung, or "undetermined" below the samples that the law needs."""
        return self.outcome == "correct" or (self.outcome == "undetermined" and self.samples < self.enough)


@dataclass(frozen=True)
class Calibration:
    """All problems of one run."""

    rows: tuple[CalibrationRow, ...]
    seed: int

    @property
    def correct(self) -> Estimate:
        """The fraction of right answers with its binomial standard error."""
        return _fraction([row.correct for row in self.rows])

    def share(self, outcome: Outcome) -> Estimate:
        """Return the fraction of problems with this outcome, with its binomial standard error."""
        return _fraction([row.outcome == outcome for row in self.rows])

    def table(self) -> str:
        """Return one line for each law: problems, right answers, undetermined, too simple, too general."""
        lines = [
            "| law | rung | problems | correct | undetermined | too simple | too general | other |",
            "|" + "---|" * 8,
        ]
        for law in dict.fromkeys(row.law for row in self.rows):
            rows = [row for row in self.rows if row.law == law]
            counts = [
                sum(row.outcome == kind for row in rows)
                for kind in ("correct", "undetermined", "too simple", "too general", "other")
            ]
            lines.append(" | ".join(["| " + law, rows[0].answer, str(len(rows)), *map(str, counts)]) + " |")
        return "\n".join(lines)


def calibrate(
    problems: Sequence[PlantedProblem], *, seed: int, progress: Callable[[CalibrationRow], None] | None = None
) -> Calibration:
    """Return what the ladder says about each problem, and how often it is right; `progress` is called with each row.

    `seed` is that of the folds; the samples come from the seeds of the problems.
    """
    rows = []
    for problem in problems:
        rows.append(_climbed(problem, seed=seed))
        if progress is not None:
            progress(rows[-1])
    return Calibration(tuple(rows), seed)


def _climbed(problem: PlantedProblem, *, seed: int) -> CalibrationRow:
    law = problem.law
    found = ladder(
        problem.drawn(), lattice=law.lattice, max_order=law.max_order, kind=law.kind, seed=seed + problem.seed
    )
    if found.chosen is None:
        outcome = "undetermined"
    elif found.chosen == law.answer:
        outcome = "correct"
    else:
        further = found.rung(found.chosen).parameters - found.rung(law.answer).parameters
        outcome = "other" if further == 0 else ("too simple" if further < 0 else "too general")
    return CalibrationRow(
        law.name,
        law.kind,
        problem.samples,
        law.enough,
        law.answer,
        found.chosen,
        outcome,
        found.needed_samples,
        found.reason,
    )


def _fraction(hits: list[bool]) -> Estimate:
    share = sum(hits) / len(hits)
    return Estimate(share, math.sqrt(max(share * (1.0 - share), 0.25 / len(hits)) / len(hits)), "statistical")

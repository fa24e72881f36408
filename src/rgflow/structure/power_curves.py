"""How many samples the ladder needs: the fraction of right answers against samples and strength of the couplings.

Strength multiplies every coupling of a planted law; at strength 0 all laws of one kind are the same noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rgflow.errors import SettingError
from rgflow.records.estimate import Estimate
from rgflow.structure.ladder_calibration import Outcome, calibrate
from rgflow.structure.planted_problem import PlantedLaw, PlantedProblem

__all__ = ["PowerCurve", "PowerPoint", "ladder_power"]


@dataclass(frozen=True)
class PowerPoint:
    """What the ladder said of `draws` samples of one size and strength, as fractions with binomial errors."""

    samples: int
    strength: float
    draws: int
    correct: Estimate
    undetermined: Estimate
    too_simple: Estimate
    wrong: Estimate


@dataclass(frozen=True)
class PowerCurve:
    """The points of one law."""

    law: str
    answer: str
    points: tuple[PowerPoint, ...]

    def needed(self, *, strength: float, share: float = 0.9) -> int | None:
        """Return the fewest samples among the points from which on at least `share` of the answers are right, or None."""
        points = sorted(
            (point for point in self.points if point.strength == strength), key=lambda point: -point.samples
        )
        found = None
        for point in points:
            if point.correct.value < share:
                break
            found = point.samples
        return found


def ladder_power(
    law: PlantedLaw, *, samples: Sequence[int], strengths: Sequence[float] = (1.0,), draws: int = 20, seed: int
) -> PowerCurve:
    """Return the fraction of right answers for each number of samples and each strength, over `draws` drawn data sets.

    Too simple a rung counts as wrong here: "undetermined" is the right answer where the samples do not decide.
    Raises: SettingError for no draws or a negative strength.
    """
    if draws < 1 or not strengths or min(strengths) < 0.0:
        raise SettingError(f"draws is {draws} and strengths {tuple(strengths)}; needed are >= 1 and some >= 0")
    points = [
        _point(law, samples=count, strength=strength, draws=draws, seed=seed)
        for strength in strengths
        for count in samples
    ]
    return PowerCurve(law.name, law.answer, tuple(points))


def _point(law: PlantedLaw, *, samples: int, strength: float, draws: int, seed: int) -> PowerPoint:
    problems = [PlantedProblem(law, samples, seed=1000 * seed + draw, strength=strength) for draw in range(draws)]
    outcomes = [row.outcome for row in calibrate(problems, seed=seed).rows]

    def share(*kinds: Outcome) -> Estimate:
        value = sum(outcome in kinds for outcome in outcomes) / draws
        return Estimate(value, math.sqrt(max(value * (1.0 - value), 0.25 / draws) / draws), "statistical")

    return PowerPoint(
        samples,
        strength,
        draws,
        correct=share("correct"),
        undetermined=share("undetermined"),
        too_simple=share("too simple"),
        wrong=share("too general", "other"),
    )

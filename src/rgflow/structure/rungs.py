"""A rung of the ladder before it is fitted: what it assumes, what it contains, how to build its terms.

One rung contains another if it has all its terms and shares parameters among fewer of them. Orders and reaches rise, and
symmetries fall, on the way up; distances are in lattice spacings.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from rgflow.structure.ladder_models import RungModel

__all__ = [
    "ALIKE",
    "COLOURS",
    "FLIP",
    "PERMUTATION",
    "ROTATION",
    "TRANSLATION",
    "PlannedRung",
    "contains",
    "in_order",
    "reach_text",
]

FLIP = "spin flip"
TRANSLATION = "translation"
ROTATION = "rotation"
PERMUTATION = "permutation"
COLOURS = "permutation of categories"
ALIKE = frozenset({TRANSLATION, ROTATION, PERMUTATION})  # who permutes all sites also moves and turns the lattice


@dataclass(frozen=True)
class PlannedRung:
    """One model of the ladder, not yet fitted.

    `order` is the largest number of variables that interact, `reach` the largest distance between two of them (0 where
    none interact, infinite where distance does not matter), `degree` the largest degree of a monomial (the order, but for
    continuous variables). `symmetries` are those it assumes, `incidences` the number of pairs (term, variable in it).
    `build` makes the model that is fitted; `reason` says why a rung is only listed, or is empty. `spread` turns a score into
    the variance of one variable given the others, in units of its own variance without any structure; `seconds` forecasts
    the time of one fit to so many samples, 0 where nothing but counting is done.
    """

    name: str
    meaning: str
    parameters: int
    order: int
    reach: float
    symmetries: frozenset[str]
    build: Callable[[], RungModel] = field(repr=False, compare=False)
    incidences: int = 0
    degree: int = 0
    reason: str = ""
    spread: Callable[[float], float] = field(default=lambda score: 1.0, repr=False, compare=False)
    seconds: Callable[[int], float] = field(default=lambda samples: 0.0, repr=False, compare=False)


def contains(larger: PlannedRung, smaller: PlannedRung) -> bool:
    """Return whether every law that `smaller` can express is one that `larger` can express, another rung or itself."""
    return (
        smaller.order <= larger.order
        and smaller.reach <= larger.reach
        and smaller.degree <= larger.degree
        and larger.symmetries <= smaller.symmetries
    )


def in_order(rungs: list[PlannedRung]) -> tuple[PlannedRung, ...]:
    """Return the rungs from the simplest: by parameters, then order, then degree, then reach, then most symmetries."""
    return tuple(
        sorted(rungs, key=lambda rung: (rung.parameters, rung.order, rung.degree, rung.reach, -len(rung.symmetries)))
    )


def reach_text(reach: float) -> str:
    """Return a distance as it stands in names: 1, 1.41, 2."""
    return "any" if math.isinf(reach) else f"{reach:.3g}"

"""The planted problems that ship with the ladder: laws with a known rung, at and above the samples they need."""

from collections.abc import Sequence
from typing import Literal

from rgflow.errors import SettingError
from rgflow.structure.planted_categories import category_laws
from rgflow.structure.planted_problem import PlantedLaw, PlantedProblem
from rgflow.structure.planted_reals import real_laws
from rgflow.structure.planted_spins import spin_laws

__all__ = ["planted_laws", "planted_problems"]

PlantedKind = Literal["spin", "categorical", "continuous"]
MULTIPLES = (1, 1, 2)  # samples in units of what the law needs


def planted_laws(kinds: Sequence[str] = ("spin", "categorical", "continuous")) -> tuple[PlantedLaw, ...]:
    """Return the planted laws of these kinds of variables."""
    return tuple(law for law in (*spin_laws(), *category_laws(), *real_laws()) if law.kind in kinds)


def planted_problems(
    count: int = 100, *, seed: int, kinds: Sequence[str] = ("spin", "categorical", "continuous")
) -> tuple[PlantedProblem, ...]:
    """Return `count` problems, the laws in turn, two times with the samples that each needs, then with twice as many.

    Raises: SettingError for a count below 1 or kinds without a law.

    Example:
    >>> [problem.law.name for problem in planted_problems(2, seed=0, kinds=("spin",))]
    ['fair coins', 'equal coins']
    """
    laws = planted_laws(kinds)
    if count < 1 or not laws:
        raise SettingError(f"{count} problems of the kinds {tuple(kinds)} asked for; give at least 1 and a known kind")
    found = []
    for number in range(count):
        law, turn = laws[number % len(laws)], number // len(laws)
        found.append(PlantedProblem(law, law.enough * MULTIPLES[turn % len(MULTIPLES)], seed=1000 * seed + number))
    return tuple(found)

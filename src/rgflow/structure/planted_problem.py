"""One planted problem: a law whose rung is known, ready to be drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.ladder_variables import LadderKind

__all__ = ["PlantedLaw", "PlantedProblem"]

Draw = Callable[[int, np.random.Generator, float], np.ndarray]


@dataclass(frozen=True)
class PlantedLaw:
    """A family of laws with one rung as the answer.

    `draw(samples, generator, strength)` returns independent samples, with every coupling times `strength`; couplings that are
    random come from the generator. `enough` is the number of samples at strength 1 from which the answer is expected; below it
    "undetermined" is a right answer too. `max_order` is passed on to the ladder.
    """

    name: str
    kind: LadderKind
    answer: str
    enough: int
    draw: Draw = field(repr=False)
    lattice: Lattice | None = None
    max_order: int = 4


@dataclass(frozen=True)
class PlantedProblem:
    """A law, how many samples of it, and the seed they are drawn with."""

    law: PlantedLaw
    samples: int
    seed: int
    strength: float = 1.0

    def drawn(self) -> np.ndarray:
        """Return the samples (samples, sites)."""
        return self.law.draw(self.samples, np.random.default_rng([self.seed, 7]), self.strength)

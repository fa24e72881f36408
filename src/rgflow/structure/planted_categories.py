"""Planted laws of categories: dice and Potts models of three colours, drawn exactly by enumeration of 3^7 states.

Couplings are in nats; random ones are normal with the given standard deviation, drawn afresh for every problem.
"""

import itertools
from functools import partial

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.planted_problem import PlantedLaw
from rgflow.structure.planted_sampling import drawn_states

__all__ = ["category_laws"]

LEVELS = 3
RING = Lattice((7,))
TABLE = np.array([[0.5, 0.4, -0.6], [-0.5, 0.2, 0.5], [0.1, -0.6, 0.3]])  # no symmetry of any kind: invented
ALL = np.array(list(itertools.combinations(range(RING.sites), 2)))


def category_laws() -> tuple[PlantedLaw, ...]:
    """Return the planted laws of categories, simplest first."""
    ring, potts = RING.bonds, 0.7
    weak = potts / RING.sites * 2.0  # a mean field of the strength of two neighbours
    return (
        _law("fair dice", "independent", 500, potts=(ALL, 0.0)),
        _law("dice of their own", "independent, fields", 1000, fields=0.3),
        _law("Potts ring", "translation+reflection, reach 1, Potts, no fields", 500, potts=(ring, potts)),
        _law("Potts ring with field", "translation+reflection, reach 1, Potts", 1000, potts=(ring, potts), first=0.3),
        _law("Potts mean field", "permutation, Potts, no fields", 1000, potts=(ALL, weak)),
        _law("tables on a ring", "translation, reach 1, free tables", 2000, tables=1.0),
        _law("disordered Potts ring", "local, reach 1, Potts, no fields", 2000, potts=(ring, (0.3, 0.6))),
        _law("Potts glass", "2-local, Potts, no fields", 2000, potts=(ALL, (0.0, 0.4))),
    )


def _law(
    name: str,
    answer: str,
    enough: int,
    *,
    potts: tuple[np.ndarray, float | tuple[float, float]] | None = None,
    tables: float = 0.0,
    fields: float = 0.0,
    first: float = 0.0,
) -> PlantedLaw:
    """Make a law of J delta(s_i, s_j) over pairs, one table for all bonds, random fields, and a field on colour 0."""
    draw = partial(_drawn, potts, tables, fields, first)
    return PlantedLaw(name, "categorical", answer, enough, draw, RING)


def _drawn(
    potts: tuple[np.ndarray, float | tuple[float, float]] | None,
    tables: float,
    fields: float,
    first: float,
    samples: int,
    generator: np.random.Generator,
    strength: float,
) -> np.ndarray:
    states = np.array(list(itertools.product(range(LEVELS), repeat=RING.sites)))
    weights = first * (states == 0).sum(1)
    if potts is not None:
        pairs, size = potts
        couplings = generator.normal(*size, size=len(pairs)) if isinstance(size, tuple) else np.full(len(pairs), size)
        weights = weights + (states[:, pairs[:, 0]] == states[:, pairs[:, 1]]) @ couplings
    if tables:
        weights = weights + tables * TABLE[states[:, RING.bonds[:, 0]], states[:, RING.bonds[:, 1]]].sum(1)
    if fields:
        own = generator.normal(0.0, fields, size=(RING.sites, LEVELS))
        weights = weights + own[np.arange(RING.sites), states].sum(1)
    return states[drawn_states(strength * weights, samples, generator=generator)]

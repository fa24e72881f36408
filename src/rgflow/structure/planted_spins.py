"""Planted laws of spins: one for every rung that the ladder knows, drawn exactly by enumeration.

Couplings are in nats; random ones are normal with the given standard deviation, drawn afresh for every problem.
"""

import itertools
from functools import partial

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.planted_problem import PlantedLaw
from rgflow.structure.planted_sampling import all_spins, drawn_spins, drawn_states
from rgflow.structure.terms import untied

__all__ = ["spin_laws"]

TORUS, RING = Lattice((3, 4)), Lattice((10,))
TRIPLE, QUADRUPLE = 3, 4


def spin_laws() -> tuple[PlantedLaw, ...]:
    """Return the planted laws of spins, simplest first."""
    bonds, along, across = TORUS.bonds, TORUS.bonds_along(1), TORUS.bonds_along(0)
    ring, second = RING.bonds, np.stack([np.arange(10), (np.arange(10) + 2) % 10], 1)  # 10 sites of the ring
    triples = (np.arange(10)[:, None] + np.arange(TRIPLE)) % 10  # the same 10
    torus, chain = partial(_law, lattice=TORUS), partial(_law, lattice=RING)
    return (
        torus("fair coins", "independent", 500, []),
        torus("equal coins", "independent, one field", 500, [(None, 0.2)]),
        torus("coins of their own", "independent, fields", 1000, [(None, (0.0, 0.3))]),
        torus("one coupling", "order 2, reach 1, translation+rotation+flip", 500, [(bonds, 0.3)]),
        torus("coupling and field", "order 2, reach 1, translation+rotation", 1000, [(bonds, 0.25), (None, 0.1)]),
        torus("two directions", "order 2, reach 1, translation+flip", 500, [(along, 0.4), (across, 0.15)]),
        torus(
            "two directions and field",
            "order 2, reach 1, translation",
            2000,
            [(along, 0.4), (across, 0.15), (None, 0.1)],
        ),
        torus("disordered bonds", "order 2, reach 1, local+flip", 1000, [(bonds, (0.0, 0.35))]),
        torus(
            "disordered bonds and fields", "order 2, reach 1, local", 2000, [(bonds, (0.0, 0.3)), (None, (0.0, 0.25))]
        ),
        torus("plaquettes", "order 4, reach 1.41, translation+rotation+flip", 500, [(_plaquettes(), 0.4)]),
        torus("all pairs", "2-local, spin flip", 2000, [(_pairs(12), (0.0, 0.2))]),  # 12 sites of the torus
        torus("all pairs and fields", "2-local", 2000, [(_pairs(12), (0.0, 0.15)), (None, (0.0, 0.2))]),  # the same
        chain("ring", "order 2, reach 1, translation+reflection+flip", 500, [(ring, 0.4)]),
        chain("ring with field", "order 2, reach 1, translation+reflection", 1000, [(ring, 0.4), (None, 0.1)]),
        chain("second neighbours", "order 2, reach 2, translation+reflection+flip", 500, [(ring, 0.3), (second, 0.2)]),
        chain("triples on a ring", "order 3, reach 2, translation+reflection", 500, [(triples, 0.5)]),
        chain("Curie-Weiss", "permutation, order 2", 2000, [(_pairs(10), 0.08), (None, 0.05)]),  # J = 0.8 / N, N = 10
        _law(
            "Curie-Weiss, no lattice", "permutation, order 2, spin flip", 1000, [(_pairs(10), 0.08)], lattice=None
        ),  # the same
        _law(
            "triples anywhere", "3-local", 4000, [(_sets(8, TRIPLE), (0.0, 0.2)), (None, (0.0, 0.2))], lattice=None
        ),  # 8 spins
        PlantedLaw("random energies", "spin", "look-up table", 4000, _random_energies),
    )


def _law(
    name: str,
    answer: str,
    enough: int,
    parts: list[tuple[np.ndarray | None, float | tuple[float, float]]],
    *,
    lattice: Lattice | None,
) -> PlantedLaw:
    sites = lattice.sites if lattice else 1 + max(int(sets.max()) for sets, _ in parts if sets is not None)
    return PlantedLaw(name, "spin", answer, enough, partial(_drawn, sites, parts), lattice)


def _drawn(
    sites: int,
    parts: list[tuple[np.ndarray | None, float | tuple[float, float]]],
    samples: int,
    generator: np.random.Generator,
    strength: float,
) -> np.ndarray:
    groups: dict[int, np.ndarray] = {}
    values: dict[int, list[np.ndarray]] = {}
    for sets, size in parts:
        rows = np.arange(sites)[:, None] if sets is None else np.sort(sets, axis=1)
        order = rows.shape[1]
        drawn = generator.normal(*size, size=len(rows)) if isinstance(size, tuple) else np.full(len(rows), size)
        groups[order] = np.concatenate([groups[order], rows]) if order in groups else rows
        values.setdefault(order, []).append(drawn)
    orders = sorted(groups)
    if not orders:
        return generator.choice(np.array([-1, 1], dtype=np.int8), size=(samples, sites))
    theta = strength * np.concatenate([part for order in orders for part in values[order]])
    return drawn_spins(untied([groups[order] for order in orders], sites=sites), theta, samples, generator=generator)


def _random_energies(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    states = all_spins(6)  # 64 states: 7 of its 63 couplings are of order 5 and 6, which no other rung has
    return states[drawn_states(strength * generator.normal(size=len(states)), samples, generator=generator)]


def _pairs(sites: int) -> np.ndarray:
    return _sets(sites, 2)


def _sets(sites: int, order: int) -> np.ndarray:
    return np.array(list(itertools.combinations(range(sites), order)))


def _plaquettes() -> np.ndarray:
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    places = (TORUS.positions[:, None] + corners) % np.array(TORUS.shape)
    return np.sort(np.ravel_multi_index((places[..., 0], places[..., 1]), TORUS.shape), axis=1)

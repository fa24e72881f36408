"""The same samples at coarser and coarser scales: blocks of a lattice, or pairs of strongly correlated variables.

Convention: one step joins 2 sites along every axis into their sum (majority with drawn ties for spins); without a lattice it
joins pairs of variables, the strongest correlation first. Sums keep the unit of the samples.
"""

import math
from dataclasses import dataclass

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.pair_couplings import PairKind

__all__ = ["Level", "levels"]

_LEAST_VARIABLES = 9  # of a 3 x 3 lattice
_LEAST_SIDE = 3  # on a ring of two sites a pair is bonded twice, and its coupling counts double
_LEAST_GROUPS = 4


@dataclass(frozen=True, eq=False)
class Level:
    """Block variables (samples, blocks), the sums they stand for, pairs of neighbours, members a block and the side.

    `signs` (pairs,) is that of the correlation by which a pair was matched, 1 on a lattice.
    """

    values: np.ndarray
    sums: np.ndarray
    pairs: np.ndarray
    signs: np.ndarray
    size: int
    side: int
    lattice: Lattice | None


def levels(values: np.ndarray, *, kind: PairKind, lattice: Lattice | None, seed: int) -> tuple[Level, ...]:
    """Return the samples at every scale, the given one first, while 3 sites a side or 4 pairs are left."""
    generator = np.random.default_rng(seed)
    found = [_level(values, values, size=1, side=1, lattice=lattice)]
    while (groups := _groups(found[-1])) is not None:
        last = found[-1]
        sums = last.sums[:, groups].sum(2)
        coarse = last.values[:, groups].sum(2)
        if kind == "spin":
            coarse = np.sign(np.where(coarse == 0, generator.choice([-1.0, 1.0], size=coarse.shape), coarse))
        here = None if last.lattice is None else _halved(last.lattice)
        size, side = last.size * groups.shape[1], last.side * 2
        found.append(_level(coarse, sums, size=size, side=side, lattice=here))
    return tuple(found)


def _level(values: np.ndarray, sums: np.ndarray, *, size: int, side: int, lattice: Lattice | None) -> Level:
    if lattice is not None:
        return Level(values, sums, lattice.bonds, np.ones(len(lattice.bonds)), size, side, lattice)
    pairs = _matching(values[::2])
    first, second = pairs.T
    products = ((values[::2] - values[::2].mean(0))[:, first] * (values[::2] - values[::2].mean(0))[:, second]).mean(0)
    return Level(values, sums, pairs, np.where(products < 0, -1.0, 1.0), size, side, None)


def _matching(values: np.ndarray) -> np.ndarray:
    """Return disjoint pairs (pairs, 2), the strongest correlation first."""
    active = np.flatnonzero(values.std(0) > 0)
    if len(active) < 2:
        return np.zeros((0, 2), dtype=np.int64)
    correlation = np.abs(np.corrcoef(values[:, active], rowvar=False))
    i, j = np.triu_indices(len(active), 1)
    free, found = np.ones(len(active), dtype=bool), []
    for place in np.argsort(-correlation[i, j], kind="stable"):
        if free[i[place]] and free[j[place]]:
            found.append((active[i[place]], active[j[place]]))
            free[i[place]] = free[j[place]] = False
    return np.array(found, dtype=np.int64).reshape(-1, 2)


def _groups(level: Level) -> np.ndarray | None:
    """Return the members (blocks, sites of a block) of the next scale, or None at the coarsest."""
    if level.lattice is None:
        return level.pairs if len(level.pairs) >= _LEAST_GROUPS else None
    sides = tuple(side // 2 for side in level.lattice.shape)
    if min(sides) < _LEAST_SIDE or math.prod(sides) < _LEAST_VARIABLES:
        return None
    numbers = np.arange(level.lattice.sites).reshape(level.lattice.shape)[tuple(slice(0, 2 * side) for side in sides)]
    shape = [part for side in sides for part in (side, 2)]
    axes = [*range(0, 2 * len(sides), 2), *range(1, 2 * len(sides), 2)]
    return numbers.reshape(shape).transpose(axes).reshape(math.prod(sides), -1)


def _halved(lattice: Lattice) -> Lattice:
    whole = all(side % 2 == 0 for side in lattice.shape)
    return Lattice(tuple(side // 2 for side in lattice.shape), periodic=lattice.periodic and whole)

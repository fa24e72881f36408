"""Regular lattices: sites, bonds, distances and the permutations of sites that are their symmetries.

Sites are numbered row by row (the last axis runs fastest), as `reshape` does. Distances are Euclidean, in lattice
spacings, the shorter way around where the lattice is periodic.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rgflow.errors import SettingError

__all__ = ["Lattice"]


@dataclass(frozen=True)
class Lattice:
    """A hypercubic lattice of `shape`, periodic in every direction or in none.

    Raises: SettingError for sides below 1, or below 3 on a periodic lattice (where a bond must join two sites once).

    Example:
    >>> Lattice((3, 4)).bonds.shape
    (24, 2)
    """

    shape: tuple[int, ...]
    periodic: bool = True

    def __post_init__(self) -> None:
        sides = tuple(int(side) for side in np.atleast_1d(np.asarray(self.shape)))
        least = 3 if self.periodic else 1
        if not sides or min(sides) < least:
            raise SettingError(f"shape of the lattice is {sides}; every side must be >= {least}")
        object.__setattr__(self, "shape", sides)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return math.prod(self.shape)

    @property
    def dimension(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @cached_property
    def positions(self) -> np.ndarray:
        """Coordinates (sites, dimension) of every site, int64."""
        return np.stack(np.unravel_index(np.arange(self.sites), self.shape), axis=1)

    @cached_property
    def bonds(self) -> np.ndarray:
        """Nearest neighbours (bonds, 2), each pair once, axis by axis, int64."""
        return np.concatenate([self.bonds_along(axis) for axis in range(self.dimension)])

    def bonds_along(self, axis: int) -> np.ndarray:
        """Return the nearest neighbours along one axis, (bonds, 2)."""
        numbers = np.arange(self.sites).reshape(self.shape)
        ahead = np.roll(numbers, -1, axis=axis)
        if not self.periodic:
            inside = [slice(None)] * self.dimension
            inside[axis] = slice(0, -1)
            numbers, ahead = numbers[tuple(inside)], ahead[tuple(inside)]
        return np.stack([numbers.ravel(), ahead.ravel()], axis=1)

    def separation(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the displacement (..., dimension) from sites `first` to sites `second`, the shortest on a torus."""
        difference = self.positions[second] - self.positions[first]
        if self.periodic:
            sides = np.array(self.shape)
            difference = (difference + (sides - 1) // 2) % sides - (sides - 1) // 2
        return difference

    def distance(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the Euclidean distances between sites `first` and `second`, elementwise."""
        return np.sqrt((self.separation(first, second).astype(np.float64) ** 2).sum(-1))

    def pairs_within(self, reach: float) -> np.ndarray:
        """Return all pairs i < j of sites at most `reach` apart, (pairs, 2), int64."""
        steps = [range(-math.floor(reach), math.floor(reach) + 1)] * self.dimension
        found = []
        for step in itertools.product(*steps):
            if any(step) and math.hypot(*step) <= reach + 1e-9:  # spacings are integers: 1e-9 only absorbs rounding
                found.append(self._pairs_apart(step))
        pairs = np.concatenate(found) if found else np.zeros((0, 2), dtype=np.int64)
        pairs = np.sort(pairs, axis=1)
        return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)

    def _pairs_apart(self, step: tuple[int, ...]) -> np.ndarray:
        target = self.positions + np.array(step)
        kept = np.ones(self.sites, dtype=bool)
        if self.periodic:
            target = target % np.array(self.shape)
        else:
            kept = ((target >= 0) & (target < np.array(self.shape))).all(1)
        other = np.ravel_multi_index(tuple(target[kept].T), self.shape)
        return np.stack([np.flatnonzero(kept), other], axis=1)

    @cached_property
    def translations(self) -> np.ndarray:
        """Permutations (dimension, sites) that generate the translations; none on an open lattice.

        A permutation g sends site i to site g[i].
        """
        if not self.periodic:
            return np.zeros((0, self.sites), dtype=np.int64)
        return np.stack([self._moved(self.positions + step) for step in np.eye(self.dimension, dtype=np.int64)])

    @cached_property
    def reflections(self) -> np.ndarray:
        """Permutations (dimension, sites), one mirror for each axis."""
        found = []
        for axis in range(self.dimension):
            mirrored = self.positions.copy()
            mirrored[:, axis] = self.shape[axis] - 1 - mirrored[:, axis]
            found.append(self._moved(mirrored))
        return np.stack(found)

    @cached_property
    def quarter_turns(self) -> np.ndarray:
        """Permutations (planes, sites), one for each plane of two axes of equal sides."""
        found = []
        for a, b in itertools.combinations(range(self.dimension), 2):
            if self.shape[a] == self.shape[b]:
                turned = self.positions.copy()
                turned[:, a], turned[:, b] = self.positions[:, b], self.shape[a] - 1 - self.positions[:, a]
                found.append(self._moved(turned))
        return np.stack(found) if found else np.zeros((0, self.sites), dtype=np.int64)

    def _moved(self, positions: np.ndarray) -> np.ndarray:
        return np.asarray(np.ravel_multi_index(tuple((positions % np.array(self.shape)).T), self.shape))

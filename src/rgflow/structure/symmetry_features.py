"""Moments of states that a symmetry test compares: single variables, near and far pairs, triples; block by block.

Convention: values (variables, samples), of mean 0 and variance 1 over all of them or column by column. Powers are Hermite
polynomials (x, x^2 - 1, x^3 - 3x), uncorrelated for Gaussian variables: an error of the mean or the variance of x does not
leak into the higher ones. Features are pure numbers.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.symmetry_candidates import CandidatePair

__all__ = ["DifferenceBlocks", "Family", "block_differences", "feature_families"]

_NEAR = 2.0  # reach of near pairs in lattice spacings: the bonds, the diagonals and the straight second neighbours
_RANDOM_PAIRS = 6  # random pairs for each variable where no lattice is known (all pairs if they are fewer)
_CHUNK = 2**22  # numbers held at once for one family of features: 16 MiB of float32


@dataclass(frozen=True, eq=False)
class Family:
    """Features of one kind: the product over k of He_exponents[k](x[sites[:, k]]), one for each row of `sites`."""

    sites: np.ndarray
    exponents: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class DifferenceBlocks:
    """Means over blocks of samples of the differences of one family's features between first and second.

    `blocks` (blocks, features); `spread` (features,) is the standard deviation of a feature over single samples, pooled.
    """

    blocks: np.ndarray
    spread: np.ndarray


def feature_families(sites: int, *, shape: tuple[int, ...], two_valued: bool, seed: int) -> list[Family]:
    """Return the families for `sites` variables; `shape` is the (open or periodic) lattice, () where none is known.

    Channels stand one after the other: sites = channels * product of shape. Two-valued variables have no higher powers.
    """
    single = np.arange(sites)[:, None]
    families = [Family(single, (power,)) for power in ((1,) if two_valued else (1, 2, 3))]
    spaced = list(_lattice_tuples(shape, sites=sites)) if math.prod(shape) > 1 else []
    tuples = spaced if spaced else list(_random_tuples(sites, seed=seed))
    for row in tuples:
        families.append(Family(row, (1,) * row.shape[1]))
    if not two_valued:
        families += [Family(row, (2, 1)) for row in tuples[: max(1, len(shape))] if row.shape[1] == 2]
    return families


def block_differences(pair: CandidatePair, *, families: list[Family], blocks: int) -> Iterator[DifferenceBlocks]:
    """Return the block means of phi(first) - phi(second), family by family.

    Samples that do not fill the last block are left out (fewer than one block's worth).
    """
    size = pair.first.shape[1] // blocks
    first, second = (np.ascontiguousarray(part[:, : size * blocks]) for part in (pair.first, pair.second))
    powers = {1: (first, second)}
    for family in families:
        for power in set(family.exponents) - powers.keys():
            powers[power] = (_hermite(first, power), _hermite(second, power))
        step = max(1, _CHUNK // (size * blocks))
        parts = [
            _differences(family, chosen, powers=powers, blocks=blocks)
            for chosen in np.split(family.sites, range(step, len(family.sites), step))
        ]
        yield DifferenceBlocks(np.concatenate([p.blocks for p in parts], 1), np.concatenate([p.spread for p in parts]))


def _differences(family: Family, sites: np.ndarray, *, powers: dict, blocks: int) -> DifferenceBlocks:
    means, variance = [], np.zeros(len(sites))
    for side in (0, 1):
        value = powers[family.exponents[0]][side][sites[:, 0]]
        for column, power in enumerate(family.exponents[1:], 1):
            value = value * powers[power][side][sites[:, column]]
        means.append(value.reshape(len(sites), blocks, -1).mean(axis=2, dtype=np.float64))
        square = np.einsum("fm,fm->f", value, value).astype(np.float64) / value.shape[1]
        variance += np.maximum(square - means[side].mean(1) ** 2, 0.0) / 2
    # Squares are summed in float32: a variance below 1e-5 of the mean square is rounding.
    return DifferenceBlocks((means[0] - means[1]).T, np.sqrt(np.where(variance > 1e-5 * square, variance, 0.0)))


def _hermite(values: np.ndarray, power: int) -> np.ndarray:
    square = values * values
    return square - 1 if power == 2 else (square - 3) * values


def _lattice_tuples(shape: tuple[int, ...], *, sites: int) -> Iterator[np.ndarray]:
    """Return pairs by displacement (bonds first, then near, then far ones) and corner triples, all inside the lattice.

    Open lattices and periodic ones use the same tuples: those across the border are left out, so that windows of a torus
    can be compared too.
    """
    lattice = Lattice(shape, periodic=False)
    axes = np.eye(len(shape), dtype=np.int64)
    steps = [tuple(axis) for axis in axes]
    reach = range(-int(_NEAR), int(_NEAR) + 1)
    for step in itertools.product(reach, repeat=len(shape)):
        if step > (0,) * len(shape) and step not in steps and math.hypot(*step) <= _NEAR:
            steps.append(step)
    steps += [tuple(int(s) for s in axis * (side // 2)) for axis, side in zip(axes, shape, strict=True) if side > 5]
    channels = sites // lattice.sites
    for step in steps:
        yield from _inside(lattice, [step], channels=channels)
    for a, b in itertools.combinations(range(len(shape)), 2):
        yield from _inside(lattice, [tuple(axes[a]), tuple(axes[b])], channels=channels)
    yield from _inside(lattice, [tuple(axes[0]), tuple(2 * axes[0])], channels=channels)
    for channel, axis in itertools.product(range(1, channels), [0 * axes[0], *axes]):
        # A channel beside the one before, at the same site and one step on along each axis.
        for row in _inside(lattice, [tuple(axis)], channels=1):
            yield row + np.array([0, lattice.sites]) + lattice.sites * (channel - 1)


def _inside(lattice: Lattice, steps: list[tuple[int, ...]], *, channels: int) -> Iterator[np.ndarray]:
    targets = [lattice.positions, *(lattice.positions + np.array(step) for step in steps)]
    kept = np.all([((t >= 0) & (t < np.array(lattice.shape))).all(1) for t in targets], axis=0)
    if kept.any():
        row = np.stack([np.ravel_multi_index(tuple(t[kept].T), lattice.shape) for t in targets], axis=1)
        yield np.concatenate([row + channel * lattice.sites for channel in range(channels)])


def _random_tuples(sites: int, *, seed: int) -> Iterator[np.ndarray]:
    if sites < 2:
        return
    generator = np.random.default_rng(seed)
    if sites * (sites - 1) // 2 <= _RANDOM_PAIRS * sites:
        yield np.stack(np.triu_indices(sites, 1), axis=1)
    else:
        yield _distinct(generator, sites=sites, order=2, count=_RANDOM_PAIRS * sites)
    if sites > 2:
        yield _distinct(generator, sites=sites, order=3, count=2 * sites)


def _distinct(generator: np.random.Generator, *, sites: int, order: int, count: int) -> np.ndarray:
    rows = np.sort(generator.integers(0, sites, size=(2 * count, order)), axis=1)
    rows = np.unique(rows[(np.diff(rows, axis=1) > 0).all(1)], axis=0)
    return generator.permutation(rows)[:count]

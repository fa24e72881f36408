"""A randomisation test on paired differences: signs of whole blocks are flipped, five statistics share one p-value.

Convention: under the hypothesis the sign of every block's difference is a fair coin, so the observed statistics are one
draw among `randomisations` equally likely others. Exact for independent blocks; effects are in standard deviations of the
moment that differs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from rgflow.structure.symmetry_features import DifferenceBlocks

__all__ = ["MergedBlocks", "Randomisation", "merged_blocks", "randomisation_test"]

_POWER = 0.8  # the share of cases in which a violation of the size `detectable` is seen
_STATISTICS = 5  # largest single feature, largest total of a family, and sums of squares of orders 1, 2 and 3
_CORRELATED = 0.05  # correlation of neighbouring blocks from which on they are joined (errors are then 5 % too small)
_USABLE = 0.25  # of what joining cannot remove; beyond it blocks further apart are correlated too
_FEWEST = 16  # blocks; 2^16 patterns of signs still resolve a p-value of 0.0001
_FIRST_DRAWS = 1000
_PROMISING = 0.02  # p-values above it need no finer resolution: every level in use is far below
_ROUNDING = 1e-10  # share of the variance of a family below which a total is rounding of float32 products only


@dataclass(frozen=True)
class Randomisation:
    """Outcome: p-value, the largest difference seen and the smallest that would have been, in standard deviations.

    `blocks` is the number of independent blocks. `varied` is False where nothing differed at all (the transformation leaves
    every feature alone).
    """

    p_value: float
    effect: float
    detectable: float
    blocks: int
    varied: bool


@dataclass(frozen=True, eq=False)
class MergedBlocks:
    """Differences of all families in the same blocks, and the correlation of neighbouring blocks that is left."""

    families: list[DifferenceBlocks]
    correlation: float

    @property
    def usable(self) -> bool:
        """Whether the correlation that is left can be corrected for: neighbours only are correlated then."""
        return self.correlation <= _USABLE


def randomisation_test(merged: MergedBlocks, *, orders: Sequence[int], level: float, seed: int) -> Randomisation:
    """Return the p-value (draws at least as extreme, the observed one included) / draws, and what could be seen.

    The five statistics of every draw are turned into ranks among all draws, the smallest rank is the draw's verdict, and
    the observed verdict is ranked among those of all draws: exact, without any correction for five looks. First 999 draws;
    only where their p-value is below 0.02 it is replaced by that of as many fresh draws as `level`, the level of this one
    test, asks for. (P(p <= a) <= a stays true: below 0.02 by the fresh draws, above it by the first ones.)
    Where neighbouring blocks keep a correlation r, the draws' scores are enlarged by sqrt(1 + 2 r), the error that flips of
    independent signs miss. Errors: `detectable` rests on normal tails beyond the draws.
    Source: Pesarin 2001, Multivariate permutation tests, ch. 6 (nonparametric combination, Tippett's function).
    """
    families, missed = merged.families, math.sqrt(1 + 2 * merged.correlation)
    count = len(families[0].blocks)
    generator = np.random.default_rng(seed)
    first = _statistics(
        families, orders=orders, signs=_signs(generator, draws=_FIRST_DRAWS, blocks=count), scale=missed
    )
    if not first.any():
        return Randomisation(1.0, 0.0, math.inf, count, False)
    p_value = _combined(first)
    if p_value <= _PROMISING:
        # Each of the five statistics has one largest draw, so p is a multiple of up to 5 / draws.
        draws = max(_FIRST_DRAWS, math.ceil((_STATISTICS + 1) / level))
        signs = _signs(generator, draws=draws, blocks=count)
        p_value = _combined(_statistics(families, orders=orders, signs=signs, scale=missed))
    needed = _needed_score(first[1:, 0], level=level / _STATISTICS) + float(ndtri(_POWER))
    sizes = [_sizes(family) for family in families]
    effect = max(float(size.effects.max(initial=0.0)) for size in sizes)
    # Nine of ten moments are seen better than `detectable` says.
    errors = np.concatenate([size.errors for size in sizes])
    detectable = needed * float(np.quantile(errors, 0.9)) if len(errors) else 0.0  # 0: constants, seen at once
    return Randomisation(p_value, effect, detectable, count, True)


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Effects and their standard errors in standard deviations of the features, for features that vary."""

    effects: np.ndarray
    errors: np.ndarray


def _sizes(family: DifferenceBlocks) -> _Sizes:
    scale = np.sqrt((family.blocks**2).sum(0))
    kept = (scale > 0) & (family.spread > 0)
    spread = family.spread[kept]
    return _Sizes(np.abs(family.blocks.mean(0))[kept] / spread, scale[kept] / len(family.blocks) / spread)


def _signs(generator: np.random.Generator, *, draws: int, blocks: int) -> np.ndarray:
    signs = generator.choice(np.array([-1.0, 1.0], dtype=np.float32), size=(draws, blocks))
    signs[0] = 1.0
    return signs


def _statistics(
    families: Sequence[DifferenceBlocks], *, orders: Sequence[int], signs: np.ndarray, scale: float
) -> np.ndarray:
    """Return the five statistics of every draw, (draws, 5); the observed ones stand in the first row, unscaled."""
    table = np.zeros((len(signs), _STATISTICS))
    for family, order in zip(families, orders, strict=True):
        lengths = np.sqrt((family.blocks**2).sum(0))
        alive = lengths > 0
        if not alive.any():
            continue
        scores = signs @ (family.blocks[:, alive] / lengths[alive]).astype(np.float32)
        np.maximum(table[:, 0], np.abs(scores).max(1), out=table[:, 0])
        table[:, 1 + min(order, 3)] += np.einsum("bf,bf->b", scores, scores)
        total = family.blocks.sum(1)
        size = math.sqrt(float((total**2).sum()))
        if size > 0 and size**2 > _ROUNDING * float((lengths**2).sum()):
            np.maximum(table[:, 1], np.abs(signs @ (total / size).astype(np.float32)), out=table[:, 1])
    table[1:, :2] *= scale
    table[1:, 2:] *= scale**2
    return table


def merged_blocks(make: Callable[[int], Iterator[DifferenceBlocks]], *, blocks: int) -> MergedBlocks:
    """Return the differences in so many blocks that neighbouring ones are uncorrelated: pairs are joined until they are.

    Joining two blocks of correlation r leaves at least r / (2 (1 + r)) between the joined ones, where only neighbours are
    correlated: the larger of that and of what is measured (less two standard errors) decides.
    Errors: sees correlation between consecutive samples only; interleaved chains must be put one after the other before.
    """
    families = list(make(blocks))
    correlation = _correlation(families)
    while correlation > _CORRELATED and len(families[0].blocks) >= 2 * _FEWEST:
        families = [_joined(family) for family in families]
        correlation = max(_correlation(families), correlation / (2 * (1 + correlation)))
    return MergedBlocks(families, correlation)


def _joined(family: DifferenceBlocks) -> DifferenceBlocks:
    even = len(family.blocks) // 2 * 2
    return DifferenceBlocks(family.blocks[:even].reshape(even // 2, 2, -1).mean(1), family.spread)


def _correlation(families: Sequence[DifferenceBlocks]) -> float:
    """Return the largest correlation of neighbouring blocks over families, pooled over features, less two errors."""
    found = [0.0]
    for family in families:
        centred = family.blocks - family.blocks.mean(0)
        variance = float((centred**2).sum())
        if variance > 0:
            # Independent blocks: the pooled correlation has variance sum of C^2 / (trace C)^2 / blocks, C the covariance.
            narrow = centred if centred.shape[0] > centred.shape[1] else centred.T
            error = math.sqrt(float(((narrow.T @ narrow) ** 2).sum()) / len(centred)) / variance
            found.append(float((centred[1:] * centred[:-1]).sum()) / variance - 2 * error)
    return max(found)


def _combined(table: np.ndarray) -> float:
    """Return the p-value of the smallest of the statistics' own ranks."""
    draws = len(table)
    smallest = np.full(draws, draws)
    for column in table.T:
        if column.max() > column.min():
            order = np.sort(column)
            # Draws at least as large, itself included; equal up to rounding counts as equal.
            larger = draws - np.searchsorted(order, column - 1e-6 * np.abs(column))  # float32 sums
            smallest = np.minimum(smallest, larger)
    return float((smallest <= smallest[0]).sum() / draws)


def _needed_score(largest: np.ndarray, *, level: float) -> float:
    """Return the |z| that the largest of all features exceeds with probability `level`.

    The number of independent features is read off the median of the largest score: P(max < z) = (1 - 2 Q(z))^features.
    """
    median = float(np.median(largest))
    inside = 1.0 - 2.0 * float(ndtr(-median))
    features = math.log(1 / 2) / math.log(inside) if 0.0 < inside < 1.0 else 1.0
    single = -math.expm1(math.log1p(-level) / max(features, 1.0))
    return -float(ndtri(single / 2))

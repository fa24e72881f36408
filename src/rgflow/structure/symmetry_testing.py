"""Symmetries of the law of a data set, each with a p-value, the violation that would have been seen, and a verdict.

Hypothesis: x and g x have one law. Moments of both are compared (see `symmetry_features`) by a randomisation test that
is exact for independent samples and works on blocks where neighbouring samples are correlated. Units: violations are in
standard deviations of the moment that differs most.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import rankdata

from rgflow.errors import DataError, SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.structure_card import IndexVerdict, SymmetryTest
from rgflow.structure.symmetry_candidates import (
    Candidate,
    CandidatePair,
    Moved,
    basic_candidates,
    given_candidates,
    lattice_candidates,
    random_set,
)
from rgflow.structure.symmetry_chains import interleaved_chains
from rgflow.structure.symmetry_classes import permutation_classes
from rgflow.structure.symmetry_features import block_differences, feature_families
from rgflow.structure.symmetry_randomisation import Randomisation, merged_blocks, randomisation_test

__all__ = ["symmetry_tests"]

Kind = Literal["spin", "categorical", "continuous"]

_BLOCKS = 500  # with 500 signs the normal tail of a score is good to 5 standard errors, and time is that of 500 samples
_FEWEST_SAMPLES = 16  # 2^16 patterns of signs: a p-value of 0.0005 needs 2^11
_COARSE = 0.3  # standard deviations: between the small (0.2) and medium (0.5) effects of Cohen 1988, ch. 2
_CENTRED_BLOCK = 5  # samples: what is left of a skewness is (1 - 2/5) / sqrt(1 - 1/5) = 0.67 of it
_CLIP = 5.0  # standard deviations; 6e-7 of Gaussian values lie beyond, and one outlier no longer rules a moment
_LARGEST_CLASSED = 600  # variables; comparing all profiles costs their cube (some 3 s at 600)


def symmetry_tests(
    samples: object,
    *,
    lattice: Lattice | None = None,
    kind: Kind = "continuous",
    transformations: Sequence[object] = (),
    level: float = 0.01,
    chains: int | None = None,
    seed: int,
) -> tuple[SymmetryTest, ...]:
    """Return one test for every candidate symmetry: of the lattice, of signs, of permutations, and those given.

    Shapes: `samples` (samples, variables), channels one after the other where there are more variables than sites.
    With a periodic `lattice`: translations, reflections, quarter turns. With an open one translation means that two windows
    of the lattice have one law. `transformations` holds permutations, signs or maps of samples, or pairs (name, ...).
    `chains`: rows k, k + chains, ... are one Markov chain each, in order; None reads the number off the autocorrelation.
    Correlated neighbours of a chain are then found and joined; where too few blocks are left the verdict is "undetermined".
    Signs of continuous variables flip about an unknown centre: every block of samples, spread over the data, is taken about
    its own mean. Without a lattice variables are permuted after each is replaced by its ranks (units and shapes of single
    laws are no violation).
    Errors: p-values are exact for independent samples; `level` is shared by all tests (Bonferroni).
    Raises: DataError for fewer than 16 samples or values that are not finite; SettingError for a lattice that does not fit.
    Example:
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((2000, 6))
    >>> [test.verdict for test in symmetry_tests(noise, seed=0)]
    ['yes', 'yes', 'yes', 'yes']
    """
    values = _chain_by_chain(_checked(samples, kind=kind, level=level), chains=chains, seed=seed)
    sites = len(values)
    shape = () if lattice is None else lattice.shape
    if lattice is not None and sites % lattice.sites:
        raise SettingError(f"lattice {lattice.shape} has {lattice.sites} sites, which {sites} variables do not fill")
    candidates = basic_candidates(sites, kind=kind, shape=shape, seed=seed)
    if lattice is not None:
        candidates += lattice_candidates(lattice, channels=sites // lattice.sites)
    candidates += given_candidates(transformations, sites=sites, shape=shape)
    classed = 2 < sites <= _LARGEST_CLASSED
    share = level / (len(candidates) + classed)
    tests = [
        _tested(candidate, values, kind=kind, level=share, seed=seed + 1 + k) for k, candidate in enumerate(candidates)
    ]
    if classed:
        tests.append(_class_test(values, kind=kind, shape=shape, level=share, seed=seed))
    return tuple(tests)


def _tested(candidate: Candidate, values: np.ndarray, *, kind: Kind, level: float, seed: int) -> SymmetryTest:
    pair, size = _prepared_pair(candidate, values, kind=kind, seed=seed)
    families = feature_families(len(pair.first), shape=pair.shape, two_valued=kind == "spin", seed=seed)
    blocks = pair.first.shape[1] // size
    merged = merged_blocks(lambda count: block_differences(pair, families=families, blocks=count), blocks=blocks)
    orders = [sum(family.exponents) for family in families]
    outcome = randomisation_test(merged, orders=orders, level=level, seed=seed)
    verdict = _verdict(outcome, usable=merged.usable, level=level)
    return SymmetryTest(
        name=candidate.name,
        meaning=candidate.meaning,
        p_value=outcome.p_value,
        statistic=outcome.effect,
        detectable=outcome.detectable,
        orbits=candidate.orbits,
        variables=len(values),
        verdict=verdict,
        sentence=_sentence(outcome, verdict=verdict, usable=merged.usable, meaning=candidate.meaning),
    )


def _prepared_pair(candidate: Candidate, values: np.ndarray, *, kind: Kind, seed: int) -> tuple[CandidatePair, int]:
    """Return the pair in standard units, float32, and the number of consecutive samples in a block.

    Centre and scale are those of first and second together, which no exchange of the two can change; so is the clipping.
    """
    way, generator = candidate.way, np.random.default_rng(seed)
    size = -(-values.shape[1] // _BLOCKS)
    if candidate.treatment == "ranks":
        values = _normal_scores(values)
    if candidate.treatment == "centred":
        size = max(size, _CENTRED_BLOCK)
        # A block takes samples from all over the data: neighbours may share more than their mean.
        blocks = values.shape[1] // size
        runs = values[:, : blocks * size].reshape(len(values), size, blocks).swapaxes(1, 2)
        values = (runs - runs.mean(2, keepdims=True)).reshape(len(values), -1)
        assert isinstance(way, Moved)
        way = replace(way, run=size)
    pair = way.pair(values, generator)
    if kind == "spin" or candidate.treatment == "ranks":  # both are in standard units already
        return CandidatePair(pair.first.astype(np.float32), pair.second.astype(np.float32), pair.shape), size
    axis = None if pair.shape and candidate.treatment == "as given" else 1
    centre = (pair.first.mean(axis, keepdims=True) + pair.second.mean(axis, keepdims=True)) / 2
    variance = ((pair.first - centre) ** 2 + (pair.second - centre) ** 2).mean(axis, keepdims=True) / 2
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    first, second = (
        np.clip((part - centre) / scale, -_CLIP, _CLIP).astype(np.float32) for part in (pair.first, pair.second)
    )
    return CandidatePair(first, second, pair.shape), size


def _class_test(values: np.ndarray, *, kind: Kind, shape: tuple[int, ...], level: float, seed: int) -> SymmetryTest:
    """Find classes on one half of the samples and test them on the other."""
    half = values.shape[1] // 2
    ranks = kind == "continuous" and not shape
    common = values if kind == "spin" else (values - values.mean()) / (values.std() or 1.0)
    labels = permutation_classes((_normal_scores(values) if ranks else common)[:, :half])
    classes = int(labels.max()) + 1
    sizes = np.sort(np.bincount(labels))[::-1]
    listed = ", ".join(str(size) for size in sizes[:6]) + (", ..." if classes > 6 else "")  # 6 fit on a line
    meaning = f"permutation within {classes} classes of variables (sizes {listed}), found on half of the samples"
    if classes == len(labels):
        sentence = f"No two of the {classes} variables can change places; there is no class to test."
        return SymmetryTest(
            "permutation classes", meaning, 1.0, 0.0, 0.0, classes, len(values), "not applicable", sentence
        )
    elements = random_set(labels, generator=np.random.default_rng(seed))
    treatment = "ranks" if ranks else "as given"
    candidate = Candidate("permutation classes", meaning, Moved(elements, None, shape), classes, treatment)
    return _tested(candidate, values[:, half:], kind=kind, level=level, seed=seed)


def _verdict(outcome: Randomisation, *, usable: bool, level: float) -> IndexVerdict:
    if not outcome.varied:
        return "not applicable"
    if not usable:
        return "undetermined"
    if outcome.p_value < level:
        return "no"
    return "yes" if outcome.detectable <= _COARSE else "undetermined"


def _sentence(outcome: Randomisation, *, verdict: IndexVerdict, usable: bool, meaning: str) -> str:
    seen = f"a difference of {outcome.detectable:.2g} standard deviations in any one moment would be seen in 80 of 100 cases"
    if verdict == "not applicable":
        return f"Nothing changes under this transformation ({meaning}); there is nothing to test."
    if not usable:
        return (
            f"Neighbouring samples are so correlated that {outcome.blocks} blocks of them still are: p = {outcome.p_value:.2g}"
            f" for {meaning} is too small by an unknown factor; give samples further apart."
        )
    if verdict == "no":
        return (
            f"The law changes under {meaning}: p = {outcome.p_value:.2g}, and one moment differs by {outcome.effect:.2g}"
            " standard deviations."
        )
    if verdict == "yes":
        return f"No change under {meaning} (p = {outcome.p_value:.2g}); {seen}."
    return (
        f"{outcome.blocks} independent blocks of samples are too few to tell {meaning} (p = {outcome.p_value:.2g}); {seen},"
        f" and {_COARSE} is asked for."
    )


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Return the normal quantiles of the ranks of every row; equal values share their mean rank."""
    return ndtri((rankdata(values, axis=1) - 1 / 2) / values.shape[1])


def _checked(samples: object, *, kind: str, level: float) -> np.ndarray:
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    values = values.reshape(len(values), -1).numpy() if values.ndim > 1 else values[:, None].numpy()
    if kind not in ("spin", "categorical", "continuous"):
        raise SettingError(f"kind is {kind!r}; it must be 'spin', 'categorical' or 'continuous'")
    if not 0.0 < level < 1.0:
        raise SettingError(f"level is {level}; it must lie between 0 and 1")
    if len(values) < _FEWEST_SAMPLES:
        raise DataError(f"{len(values)} samples given; a symmetry test needs at least {_FEWEST_SAMPLES}")
    if not np.isfinite(values).all():
        raise DataError("samples contain NaN or infinite values; remove or impute them first")
    if kind == "spin" and len(np.unique(values)) > 2:
        raise DataError("kind is 'spin' but the samples have more than two values; give 'categorical' or 'continuous'")
    if kind == "spin":
        low, high = values.min(), values.max()
        values = np.where(values > low, 1.0, -1.0) if low < high else np.ones_like(values)
    return np.ascontiguousarray(values.T)


def _chain_by_chain(values: np.ndarray, *, chains: int | None, seed: int) -> np.ndarray:
    samples = values.shape[1]
    if chains is None:
        chains = interleaved_chains(values, seed=seed)
    if not 1 <= chains <= samples:
        raise SettingError(f"chains is {chains}; it must lie between 1 and the number of samples, {samples}")
    return values if chains == 1 else values[:, np.argsort(np.arange(samples) % chains, kind="stable")]

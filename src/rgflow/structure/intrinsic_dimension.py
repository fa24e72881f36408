"""Intrinsic dimension of a data set by several published estimators, their errors, and how far they disagree.

Estimators: two nearest neighbours and maximum likelihood over 20 neighbours (scikit-dimension, an optional library), the
participation ratio of the principal components, and parallel analysis. Variables are used as given where they share a unit
(`standardise=False`, a lattice), else standardised. Units: dimensions are pure numbers.
"""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from rgflow.errors import DataError
from rgflow.records.estimate import Estimate
from rgflow.records.structure_card import DimensionEstimate

__all__ = ["IntrinsicDimension", "dimension_estimates"]

_READ = 2000  # samples; distances cost their square, and the estimators change by a few per cent beyond
_GROUPS = 10  # of the jackknife: the error of an error is then 1 / sqrt(18), 24 %
_NEIGHBOURS = 20  # of the maximum likelihood: the upper end of the range of Levina and Bickel 2004, section 4
_LISTED = 2 * _NEIGHBOURS  # neighbours known: enough to lose a tenth of the samples and still have 20
_LEAST = 60  # samples; every jackknife complement must hold more than the 40 listed neighbours
_SHUFFLES = 10  # of parallel analysis: the largest shuffled eigenvalue is then known to a few per cent
_DEEP = 12.0  # a Gaussian cloud of 2000 points in 12 dimensions reads 10 % less by either estimator
_APART = 1.5  # ratio of the largest to the smallest estimate from which on the sentence speaks of disagreement
_REPEATED = 0.1  # share of repeated samples that neighbour estimators bear (TwoNN leaves out as much in any case)
_DISCRETE = 4  # values of a variable; with so few, distances are nearly all equal
_THINNER = 1.25  # three standard errors of two nearest neighbours at 2000 samples (8 %, by the jackknife)


@dataclass(frozen=True)
class IntrinsicDimension:
    """The estimates and what to make of them, in words."""

    estimates: tuple[DimensionEstimate, ...]
    sentence: str


@dataclass(frozen=True, eq=False)
class _Neighbours:
    """Distances (samples, listed) to the nearest other samples, rising, and their places."""

    distances: np.ndarray
    places: np.ndarray


def dimension_estimates(samples: object, *, standardise: bool = True, seed: int) -> IntrinsicDimension:
    """Return the estimates; those by neighbours are left out for discrete data or without scikit-dimension, and why.

    Shapes: `samples` (samples, variables). At most 2000 samples are read, spread evenly.
    Errors: one standard error by a delete-a-group jackknife, which does not see the bias: estimators by neighbours fall short
    above about 12 dimensions, where far more samples would be needed. The same estimators on a Gaussian cloud with the same
    covariance stand in the sentence: only a difference from them speaks of a curved or thinner set.
    Raises: DataError for fewer than 60 samples or without a variable that varies.
    """
    values = _checked(samples, standardise=standardise)
    generator = np.random.default_rng(seed)
    groups = generator.permutation(len(values)) % _GROUPS
    whole = _shuffled_spectrum(values, generator=generator)
    part = _shuffled_spectrum(values[groups > 0], generator=generator)  # of as many samples as a jackknife complement
    linear = (
        _estimate(
            "participation ratio",
            lambda kept: _participation(values[kept]),
            groups=groups,
            source="Abbott, Rajan and Sompolinsky 2011, arXiv:0912.3832",
        ),
        _estimate(
            "parallel analysis",
            lambda kept: float(np.cumprod(_spectrum(values[kept]) > (whole if kept.all() else part)).sum()),
            groups=groups,
            source="Horn 1965, Psychometrika 30, 179",
        ),
    )
    obstacle = _obstacle(values)
    if obstacle:
        return IntrinsicDimension(linear, f"Dimension {_spelled('principal components', linear)}. {obstacle}")
    neighbours = _neighbours(values)
    if (found := float(np.mean(neighbours.distances[:, 0] == 0))) > _REPEATED:
        obstacle = f"{100 * found:.0f} % of the samples occur more than once: estimators by neighbours are left out."
        return IntrinsicDimension(linear, f"Dimension {_spelled('principal components', linear)}. {obstacle}")
    near = _by_neighbours(neighbours, groups=groups)
    lengths, axes = np.linalg.eigh(np.cov(values.T).reshape(values.shape[1], -1))
    noise = generator.standard_normal(values.shape)
    cloud = _neighbours(noise * np.sqrt(np.maximum(lengths, 0.0)) @ axes.T)
    everyone = np.ones(len(values), dtype=bool)
    sentence = _sentence(near, linear, beside=(_two_nearest(cloud, everyone), _likelihood(cloud, everyone)))
    return IntrinsicDimension((*near, *linear), sentence)


def _by_neighbours(neighbours: _Neighbours, *, groups: np.ndarray) -> tuple[DimensionEstimate, ...]:
    return (
        _estimate(
            "two nearest neighbours",
            lambda kept: _two_nearest(neighbours, kept),
            groups=groups,
            source="Facco et al. 2017, arXiv:1803.06992",
        ),
        _estimate(
            "maximum likelihood",
            lambda kept: _likelihood(neighbours, kept),
            groups=groups,
            source="Levina and Bickel 2004, NIPS 17, 777, averaged as MacKay and Ghahramani 2005",
        ),
    )


def _estimate(
    name: str, function: Callable[[np.ndarray], float], *, groups: np.ndarray, source: str
) -> DimensionEstimate:
    left = np.array([function(groups != k) for k in range(_GROUPS)])
    error = math.sqrt((_GROUPS - 1) / _GROUPS * float(((left - left.mean()) ** 2).sum()))
    value = function(np.ones(len(groups), dtype=bool))
    return DimensionEstimate(name, Estimate(value, error, "statistical"), source)


def _two_nearest(neighbours: _Neighbours, kept: np.ndarray) -> float:
    from skdim.id import TwoNN

    distances = _remaining(neighbours, kept, count=2)
    # Identical samples have no ratio of distances; they are left out here as in the library, but without its warning.
    return float(TwoNN(dist=True).fit(distances[distances[:, 0] > 0]).dimension_)


def _likelihood(neighbours: _Neighbours, kept: np.ndarray) -> float:
    from skdim.id import MLE

    distances = _remaining(neighbours, kept, count=_NEIGHBOURS)
    distances = distances[distances[:, 0] > 0]
    places = np.zeros(distances.shape, dtype=np.int64)  # only smoothing would read them
    return float(MLE().fit(distances, precomputed_knn_arrays=(distances, places), comb="mle").dimension_)


def _remaining(neighbours: _Neighbours, kept: np.ndarray, *, count: int) -> np.ndarray:
    """Return the distances of the kept samples to their first `count` kept neighbours."""
    distances, alive = neighbours.distances[kept], kept[neighbours.places[kept]]
    order = np.argsort(~alive, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(distances, order, axis=1)


def _neighbours(values: np.ndarray) -> _Neighbours:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=_LISTED).fit(values)
    distances, places = found.kneighbors()
    return _Neighbours(np.asarray(distances), np.asarray(places))


def _obstacle(values: np.ndarray) -> str:
    """Return why neighbours say nothing here, or nothing."""
    if np.median([len(np.unique(column)) for column in values.T]) <= _DISCRETE:
        return (
            f"The values are discrete (at most {_DISCRETE} in most variables): estimators by neighbours are left out."
        )
    if importlib.util.find_spec("skdim") is None:
        return "Estimators by neighbours need the library scikit-dimension; install it with `pip install scikit-dimension`."
    return ""


def _spectrum(values: np.ndarray) -> np.ndarray:
    """Return the variances of the principal components, falling."""
    return np.linalg.eigvalsh(np.cov(values.T).reshape(values.shape[1], -1))[::-1]


def _participation(values: np.ndarray) -> float:
    """Return (sum of variances)^2 / sum of their squares."""
    spectrum = _spectrum(values)
    return float(spectrum.sum() ** 2 / (spectrum**2).sum())


def _shuffled_spectrum(values: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
    """Return the largest of every eigenvalue over shuffled columns."""
    return np.max([_spectrum(generator.permuted(values, axis=0)) for _ in range(_SHUFFLES)], axis=0)


def _sentence(
    near: tuple[DimensionEstimate, ...], linear: tuple[DimensionEstimate, ...], *, beside: tuple[float, float]
) -> str:
    compared = [estimate.value.value for estimate in (*near, linear[0])]  # parallel analysis counts factors above noise
    factor = max(compared) / max(min(compared), 1e-9)  # no estimate is 0 where a variable varies
    agreement = (
        f"They differ by a factor {factor:.1f}: no single number is the dimension."
        if factor > _APART
        else f"They agree within a factor {factor:.1f}."
    )
    cloud = f"A Gaussian cloud with the same covariance reads {beside[0]:.1f} and {beside[1]:.1f} by neighbours"
    ratio = min(b / estimate.value.value for b, estimate in zip(beside, near, strict=True))
    verdict = (
        "the data are curved or thinner than that" if ratio > _THINNER else "the data are hardly thinner than that"
    )
    text = (
        f"{_spelled('neighbours', near)}; {_spelled('principal components', linear)}. {agreement} {cloud}: {verdict}."
    )
    if max(estimate.value.value for estimate in near) > _DEEP:
        text += f" Estimates by neighbours above {_DEEP:.0f} fall short; read them as lower bounds."
    return text


def _spelled(way: str, estimates: tuple[DimensionEstimate, ...]) -> str:
    listed = ", ".join(f"{e.value.value:.1f} +- {e.value.error:.1f} ({e.estimator})" for e in estimates)
    return f"by {way} {listed}" if way == "principal components" else f"By {way} {listed}"


def _checked(samples: object, *, standardise: bool) -> np.ndarray:
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    values = values.reshape(len(values), -1).numpy()
    if not np.isfinite(values).all():
        raise DataError("samples contain NaN or infinite values; remove or impute them first")
    count = min(len(values), _READ)
    values = values[np.arange(count) * len(values) // max(count, 1)]
    scale = values.std(0) if count else np.zeros(values.shape[1])
    kept = scale > 1e-9 * np.abs(values).max(0, initial=0.0)  # rounding of a constant column
    if count < _LEAST or not kept.any():
        raise DataError(
            f"{len(values)} samples of {int(kept.sum())} variables that vary given; a dimension needs at least {_LEAST}"
            " samples and one variable"
        )
    values = values[:, kept] - values[:, kept].mean(0)
    return values / scale[kept] if standardise else values

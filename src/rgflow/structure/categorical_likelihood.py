"""The pseudo-likelihood of categories: each site a multinomial logistic regression on all others.

Convention: l = mean over samples of sum_i ln p(s_i | others), p(s_i = a | others) ~ exp(h_i(a) + sum_j J_ij(a, s_j)).
Arrays inside are (contrasts, samples). Units: nats.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from rgflow.structure.categorical_terms import CategoricalTerms, contrasts

__all__ = [
    "CategoricalSample",
    "SiteRegression",
    "curvature",
    "negative_likelihood",
    "residuals",
    "score_matrix",
    "site_regressions",
]

_DENSE = 1_500  # contrasts: a dense matrix of couplings then fills 18 MB
_BLOCK = 2_000_000  # numbers in a work array: 16 MB


@dataclass(frozen=True, eq=False)
class CategoricalSample:
    """Samples `states` (samples, sites) of whole numbers below `levels`, with `weights` (samples,) of sum 1."""

    states: np.ndarray
    levels: tuple[int, ...]
    weights: np.ndarray

    @cached_property
    def contrasts(self) -> np.ndarray:
        """The contrasts of every sample (contrasts, samples)."""
        return np.concatenate([contrasts(q)[self.states[:, i]].T for i, q in enumerate(self.levels)])

    @cached_property
    def sites_of(self) -> dict[int, np.ndarray]:
        """The sites of each number of levels."""
        levels = np.array(self.levels)
        return {int(q): np.flatnonzero(levels == q) for q in np.unique(levels)}

    def part(self, rows: np.ndarray) -> "CategoricalSample":
        """Return some of the samples, equally weighted."""
        return CategoricalSample(self.states[rows], self.levels, np.full(len(rows), 1.0 / max(1, len(rows))))


@dataclass(frozen=True, eq=False)
class SiteRegression:
    """One site's own regression: its `parameters`, minus the second derivatives of its mean log-likelihood by them.

    `scores` (parameters, samples) are its first derivatives sample by sample, empty where not asked for.
    """

    parameters: np.ndarray
    curvature: np.ndarray
    scores: np.ndarray


def negative_likelihood(
    theta: np.ndarray, terms: CategoricalTerms, sample: CategoricalSample, *, ridge: float
) -> tuple[float, np.ndarray]:
    """Return -l + ridge / 2 |theta|^2 and its gradient (parameters,)."""
    weights = terms.spread @ theta
    slopes = _slopes(terms, weights, sample)
    value, error = 0.0, np.empty_like(sample.contrasts)
    for q, sites in sample.sites_of.items():
        logits = _logits(terms, slopes, q, sites)
        value -= float(_observed(logits, sample.states[:, sites]).sum(axis=0) @ sample.weights)
        columns = _columns(terms, q, sites)
        error[columns] = sample.contrasts[columns] - _expected(logits, q)
    gradient = terms.spread.T @ _weight_gradient(terms, error * sample.weights, sample.contrasts)
    return value + 0.5 * ridge * float(theta @ theta), ridge * theta - gradient


def residuals(terms: CategoricalTerms, theta: np.ndarray, sample: CategoricalSample) -> np.ndarray:
    """Return contrasts minus their conditional means (contrasts, samples)."""
    slopes = _slopes(terms, terms.spread @ theta, sample)
    error = np.empty_like(sample.contrasts)
    for q, sites in sample.sites_of.items():
        columns = _columns(terms, q, sites)
        error[columns] = sample.contrasts[columns] - _expected(_logits(terms, slopes, q, sites), q)
    return error


def score_matrix(terms: CategoricalTerms, theta: np.ndarray, sample: CategoricalSample) -> np.ndarray:
    """Return d ln p / d theta of every sample (parameters, samples), summed over sites."""
    error, given = residuals(terms, theta, sample), sample.contrasts
    fields = len(given)
    found = terms.spread[:fields].T @ error
    step = max(1, _BLOCK // max(1, given.shape[1]))
    for start in range(0, len(terms.entries), step):
        i, j = terms.entries[start : start + step].T
        block = given[i] * error[j]
        block += given[j] * error[i]
        found += terms.spread[fields + start : fields + start + len(i)].T @ block
    return found


def curvature(terms: CategoricalTerms, theta: np.ndarray, sample: CategoricalSample) -> np.ndarray:
    """Return minus the second derivatives of l by theta (parameters, parameters)."""
    found = np.zeros((terms.parameters, terms.parameters))
    for site in site_regressions(terms, theta, sample):
        found[np.ix_(site.parameters, site.parameters)] += site.curvature
    return found


def site_regressions(
    terms: CategoricalTerms, theta: np.ndarray, sample: CategoricalSample, *, with_scores: bool = False
) -> Iterator[SiteRegression]:
    """Return the regression of each site on all others, as it stands at `theta`."""
    slopes = _slopes(terms, terms.spread @ theta, sample)
    touching = _touching(terms)
    for q, sites in sample.sites_of.items():
        table = contrasts(q)
        logits = _logits(terms, slopes, q, sites)
        chances = np.exp(logits - _log_sum(logits))
        for place, site in enumerate(sites):
            parameters, designs = _site_designs(terms, touching[site], sample.contrasts)
            second = _site_curvature(designs, chances[place], table, weights=sample.weights, count=len(parameters))
            scores = np.zeros((len(parameters), len(sample.states) if with_scores else 0))
            if with_scores:
                columns = slice(terms.offsets[site], terms.offsets[site + 1])
                error = sample.contrasts[columns] - table.T @ chances[place]
                for own, (rows, design) in zip(error, designs, strict=True):
                    scores[rows] += own * design
            yield SiteRegression(parameters, second, scores)


def _site_curvature(
    designs: list[tuple[np.ndarray, np.ndarray]],
    chances: np.ndarray,
    table: np.ndarray,
    *,
    weights: np.ndarray,
    count: int,
) -> np.ndarray:
    mean = table.T @ chances
    found = np.zeros((count, count))
    for k, (rows, design) in enumerate(designs):
        for m, (columns, other) in enumerate(designs[: k + 1]):
            covariance = (table[:, k] * table[:, m]) @ chances - mean[k] * mean[m]
            block = (design * (covariance * weights)) @ other.T
            found[np.ix_(rows, columns)] += block
            if m < k:
                found[np.ix_(columns, rows)] += block.T
    return found


def _slopes(terms: CategoricalTerms, weights: np.ndarray, sample: CategoricalSample) -> np.ndarray:
    """Fields on the contrasts (contrasts, samples)."""
    given = sample.contrasts
    fields, (i, j) = len(given), terms.entries.T
    if fields <= _DENSE and len(i) > fields:
        matrix = np.zeros((fields, fields))
        matrix[i, j] = weights[fields:]
        return (matrix + matrix.T) @ given + weights[:fields, None]
    sparse = csr_array((weights[fields:], (i, j)), shape=(fields, fields))
    return sparse @ given + sparse.T @ given + weights[:fields, None]


def _weight_gradient(terms: CategoricalTerms, error: np.ndarray, given: np.ndarray) -> np.ndarray:
    i, j = terms.entries.T
    fields = error.sum(axis=1)
    if 4 * len(i) > len(given) ** 2 // 2:  # a quarter of all products is wanted: all of them by one matrix product
        products = given @ error.T
        return np.concatenate([fields, products[i, j] + products[j, i]])
    pairs = np.empty(len(i))
    step = max(1, _BLOCK // given.shape[1])
    for start in range(0, len(i), step):
        a, b = i[start : start + step], j[start : start + step]
        pairs[start : start + step] = np.einsum("em,em->e", given[a], error[b]) + np.einsum(
            "em,em->e", given[b], error[a]
        )
    return np.concatenate([fields, pairs])


def _columns(terms: CategoricalTerms, q: int, sites: np.ndarray) -> np.ndarray:
    return (terms.offsets[sites][:, None] + np.arange(q - 1)).ravel()


def _logits(terms: CategoricalTerms, slopes: np.ndarray, q: int, sites: np.ndarray) -> np.ndarray:
    """Minus the energy of each level given the others, up to a constant (sites, levels, samples)."""
    parts = slopes[_columns(terms, q, sites)].reshape(len(sites), q - 1, slopes.shape[1])
    return np.matmul(contrasts(q), parts)


def _log_sum(logits: np.ndarray) -> np.ndarray:
    top = logits.max(axis=1, keepdims=True)
    return top + np.log(np.exp(logits - top).sum(axis=1, keepdims=True))


def _observed(logits: np.ndarray, states: np.ndarray) -> np.ndarray:
    return (np.take_along_axis(logits, states.T[:, None, :], axis=1) - _log_sum(logits))[:, 0]


def _expected(logits: np.ndarray, q: int) -> np.ndarray:
    chances = np.exp(logits - _log_sum(logits))
    return np.matmul(contrasts(q).T, chances).reshape(-1, logits.shape[2])


def _touching(terms: CategoricalTerms) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each site: weights that enter its conditional, which of its contrasts they act on, which contrast multiplies them
    (-1: a field)."""
    width = int(terms.offsets[-1])
    own = np.concatenate([np.arange(width), terms.entries[:, 0], terms.entries[:, 1]])
    other = np.concatenate([np.full(width, -1), terms.entries[:, 1], terms.entries[:, 0]])
    weight = np.concatenate([np.arange(width), *[width + np.arange(len(terms.entries))] * 2])
    site = np.searchsorted(terms.offsets, own, side="right") - 1
    ranks = np.argsort(site, kind="stable")
    ends = np.searchsorted(site[ranks], np.arange(len(terms.levels) + 1))
    found = []
    for k in range(len(terms.levels)):
        here = ranks[ends[k] : ends[k + 1]]
        found.append((weight[here], own[here] - terms.offsets[k], other[here]))
    return found


def _site_designs(
    terms: CategoricalTerms, touching: tuple[np.ndarray, np.ndarray, np.ndarray], given: np.ndarray
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Parameters of one site; for each of its contrasts which of them act on it, and with what (those, samples)."""
    weight, own, other = touching
    rows = terms.spread[weight].tocoo()
    parameters, column = np.unique(rows.col, return_inverse=True)
    padded = np.concatenate([given, np.ones((1, given.shape[1]))])  # the last row stands for fields: -1
    designs = []
    for k in range(int(own.max()) + 1):
        mine = own[rows.row] == k
        acting, place = np.unique(column[mine], return_inverse=True)
        entries = (rows.data[mine], (place, other[rows.row[mine]] % len(padded)))
        designs.append((acting, np.asarray(csr_array(entries, shape=(len(acting), len(padded))) @ padded)))
    return parameters, designs

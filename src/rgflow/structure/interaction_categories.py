"""A score test for couplings of three categorical variables at once.

The model without them is the multinomial regression of every site on all others; a coupling of three sites shows as a
covariance of a residual with the product of two centred indicators. Units: z-scores.
"""

import itertools
import math

import numpy as np
from scipy.stats import norm

from rgflow.records.estimate import Estimate
from rgflow.structure.interaction_candidates import connected_sets
from rgflow.structure.interaction_gains import Gain
from rgflow.structure.pair_logistic import ConditionalFit, fit_conditionals

__all__ = ["category_score"]

_SETS_AT_MOST = 3_000  # 2 ms each on 5,000 samples of 4 levels
_LEVEL = 0.01  # family-wise


def category_score(values: np.ndarray, *, edges: np.ndarray) -> Gain:
    """Return the largest covariance of three sites as a `Gain`: above four errors where it is significant at 1 %.

    Shapes: `values` (samples, sites) of whole numbers; `edges` (edges, 2). Triples are all, or those that hang together.
    Errors: a score test on the samples that the pairs were fitted to, which makes it conservative; Bonferroni over all
    levels of all triples.
    """
    codes = [np.unique(column, return_inverse=True)[1] for column in values.T]
    levels = np.array([int(column.max()) + 1 for column in codes])
    indicators = np.concatenate([column[:, None] == np.arange(1, column.max() + 1) for column in codes], axis=1)
    fit = fit_conditionals(indicators.astype(np.float64), levels=levels, penalty=0.1)
    sets = _sets(len(levels), edges)
    centred = indicators - indicators.mean(0)
    scores = np.concatenate([_scores(centred, fit, members=members) for members in sets] or [np.zeros(1)])
    largest = float(np.abs(scores).max())
    threshold = float(norm.isf(_LEVEL / 2.0 / len(scores)))
    gain = Estimate(largest / threshold * 4.0, 1.0, "statistical")
    detectable = threshold / math.sqrt(len(values)) / 3.0  # each of three residuals counts
    text = (
        f"score test: largest |z| {largest:.1f} of {len(scores)} against {threshold:.1f}; in units of a quarter of that"
    )
    return Gain(gain, len(sets), detectable, np.zeros((0, 3), dtype=np.int64), text)


def _sets(sites: int, edges: np.ndarray) -> np.ndarray:
    if math.comb(sites, 3) <= _SETS_AT_MOST:
        return np.array(list(itertools.combinations(range(sites), 3)), dtype=np.int64).reshape(-1, 3)
    return connected_sets(edges, sites=sites, order=3)[:_SETS_AT_MOST]


def _scores(centred: np.ndarray, fit: ConditionalFit, *, members: np.ndarray) -> np.ndarray:
    """Return the z-score of residual x indicator x indicator for every level of three sites, the residual of each in turn."""
    parts = [slice(fit.starts[site], fit.starts[site + 1]) for site in members]
    first = np.einsum("ma,mb,mc->mabc", fit.residuals[:, parts[0]], centred[:, parts[1]], centred[:, parts[2]])
    second = np.einsum("ma,mb,mc->mabc", centred[:, parts[0]], fit.residuals[:, parts[1]], centred[:, parts[2]])
    third = np.einsum("ma,mb,mc->mabc", centred[:, parts[0]], centred[:, parts[1]], fit.residuals[:, parts[2]])
    rows = (first + second + third).reshape(len(centred), -1)
    return rows.mean(0) / np.maximum(rows.std(0), 1e-12) * math.sqrt(len(rows))

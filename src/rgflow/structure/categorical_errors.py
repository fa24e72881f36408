"""Standard errors of fields and couplings of categories, for few parameters jointly and for many site by site.

Jointly: the sandwich with the curvature of all parameters. Site by site: the sandwich of every site's own regression; a
coupling weighs its two sites' results by precision and takes them as fully correlated (measured on a ring of 7 sites of 3
levels with all pairs: 0.83 to 1.13 of the joint errors, 0.99 on average).
Units: nats.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from rgflow.structure.categorical_likelihood import CategoricalSample, curvature, score_matrix, site_regressions
from rgflow.structure.categorical_terms import CategoricalTerms
from rgflow.structure.score_sandwich import FOLLOWED, Sandwich, evenly, inflations, sandwich

__all__ = ["FLOOR", "JOINT_PARAMETERS", "joint_errors", "level_errors", "site_errors"]

JOINT_PARAMETERS = 2_000  # the curvature and its inverse are then 64 MB
FLOOR = 1e-14  # nats: a direction without any data has no curvature at all
_PER_PARAMETER = 4  # samples for each parameter of a site: its curvature is then known to a few percent


def joint_errors(
    terms: CategoricalTerms,
    theta: np.ndarray,
    sample: CategoricalSample,
    *,
    condensed: CategoricalSample,
    ridge: float,
    chains: int,
) -> Sandwich:
    """Return the errors from the `sample` in the order drawn; `condensed` holds the same samples, equal ones together."""
    hessian = curvature(terms, theta, condensed)
    hessian[np.diag_indices_from(hessian)] += ridge + FLOOR
    return sandwich(
        cho_solve(cho_factor(hessian), np.eye(len(theta))),
        lambda here: score_matrix(terms, theta, sample.part(np.arange(here.start, here.stop))),
        samples=len(sample.states),
        kinds=terms.is_pair.astype(np.int64),
        chains=chains,
    )


def site_errors(
    terms: CategoricalTerms, theta: np.ndarray, sample: CategoricalSample, *, ridge: float, chains: int
) -> Sandwich:
    """Return approximate errors, one site at a time; no covariance."""
    samples = len(sample.states)
    largest = max(np.bincount(terms.entries.ravel(), minlength=1)) * max(terms.levels)
    kept = evenly(samples, at_most=max(1_000, _PER_PARAMETER * int(largest)))
    part = sample if len(kept) == samples else sample.part(kept)
    precision, weighted, times = (np.zeros(terms.parameters) for _ in range(3))
    for site in site_regressions(terms, theta, part, with_scores=True):
        own = site.curvature
        own[np.diag_indices_from(own)] += ridge / 2.0 + FLOOR  # half of the penalty: a pair belongs to two sites
        inverse = cho_solve(cho_factor(own), np.eye(len(own)))
        influence = inverse @ site.scores
        influence -= influence.mean(axis=1, keepdims=True)
        followed = evenly(len(own), at_most=FOLLOWED)
        kinds = terms.is_pair[site.parameters[followed]].astype(np.int64)
        time = np.full(len(own), 1.0)
        if part is sample:
            time[:] = inflations(influence[followed], kinds=kinds, chains=chains).mean()
        weight = 1.0 / np.diag(inverse)
        precision[site.parameters] += weight
        weighted[site.parameters] += weight * np.sqrt((influence**2).mean(axis=1) * time / samples)
        times[site.parameters] += weight * time
    return Sandwich(weighted / precision, None, times / precision)


def level_errors(terms: CategoricalTerms, spread: Sandwich) -> np.ndarray:
    """Return the standard errors of h_i(a) of all i, a, then of J_ij(a, b) of all pairs.

    Errors: without a covariance the contrasts count as uncorrelated.
    """
    table = csr_array(terms.in_levels @ terms.spread)
    if spread.covariance is None:
        return np.sqrt(np.asarray(table.multiply(table) @ spread.errors**2))
    return np.sqrt(np.maximum(table.multiply(np.asarray(table @ spread.covariance)).sum(axis=1), 0.0))

"""Models of real variables that the ladder climbs: polynomials by score matching, all pairs as an inverse covariance.

Variables have mean 0 and variance 1 (each, or all together); a score is minus the score-matching objective a variable, whose
mean is greatest at the truth. No ridge, but what keeps rounding out: inverse covariances of correlated variables are large, and
a prior on them would favour whatever model needs smaller numbers.
Source: Hyvarinen 2005, J. Machine Learning Research 6, 695.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from rgflow.structure.continuous_monomials import ContinuousTerms
from rgflow.structure.score_features import (
    energy_slopes,
    laplacian_means,
    power_table,
    site_designs,
    squared_score_rows,
)

__all__ = ["AllPairs", "Polynomial"]

FLOOR = 1e-10  # relative, on the diagonal: samples that leave a direction open to rounding do not stop the fit
NUMBERS = 20_000_000  # in the table of powers of one part of the samples: 160 MB


@dataclass(frozen=True)
class Polynomial:
    """H = sum of theta times monomials with ties, by the normal equations of score matching."""

    terms: ContinuousTerms

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return theta, one entry for each parameter."""
        gram = np.zeros((self.terms.parameters, self.terms.parameters))
        target = np.zeros(self.terms.parameters)
        for part in self._parts(samples):
            table = power_table(part, self.terms.order)
            for touched, design in site_designs(self.terms, table):
                gram[np.ix_(touched, touched)] += design @ design.T / len(samples)
            target += laplacian_means(self.terms, table) * (len(part) / len(samples))
        scale = np.sqrt(np.diag(gram)) + np.finfo(float).tiny
        gram[np.diag_indices_from(gram)] += FLOOR * scale**2
        return cho_solve(cho_factor(gram / np.outer(scale, scale)), target / scale) / scale

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return minus the objective of every sample, a variable."""
        rows = []
        for part in self._parts(samples):
            rows.append(squared_score_rows(*energy_slopes(self.terms, parameters, power_table(part, self.terms.order))))
        return np.concatenate(rows)

    def _parts(self, samples: np.ndarray) -> list[np.ndarray]:
        step = max(1, NUMBERS // ((self.terms.order + 1) * samples.shape[1]))
        return [samples[start : start + step] for start in range(0, len(samples), step)]


@dataclass(frozen=True)
class AllPairs:
    """A Gaussian of any covariance, with means of its own or with the mean 0."""

    centred: bool

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return the precision (sites, sites), and the mean as a last row."""
        mean = np.zeros(samples.shape[1]) if self.centred else samples.mean(0)
        covariance = (samples - mean).T @ (samples - mean) / len(samples)
        precision = np.linalg.inv(covariance + FLOOR * np.diag(np.diag(covariance)))
        return np.concatenate([precision, mean[None]])

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return minus the objective of every sample, a variable."""
        precision, mean = parameters[:-1], parameters[-1]
        slopes = (samples - mean) @ precision
        return (np.trace(precision) - 0.5 * (slopes**2).sum(1)) / len(mean)

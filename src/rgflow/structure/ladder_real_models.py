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

__all__ = ["AllPairs", "Polynomial", "Spectrum", "wave_classes"]

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


@dataclass(frozen=True)
class Spectrum:
    """A Gaussian on a torus with any couplings that are the same everywhere: one number for each pair k, -k of waves."""

    shape: tuple[int, ...]

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return one over the mean power of each class of waves."""
        classes = wave_classes(self.shape).ravel()
        power = self._power(samples).mean(0)
        count = np.bincount(classes)
        return count[count > 0] / np.maximum(np.bincount(classes, weights=power)[count > 0], FLOOR)

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return minus the objective of every sample, a variable."""
        classes = np.unique(wave_classes(self.shape).ravel(), return_inverse=True)[1]
        stiffness = parameters[classes]
        return (stiffness.sum() - 0.5 * self._power(samples) @ stiffness**2) / samples.shape[1]

    def _power(self, samples: np.ndarray) -> np.ndarray:
        """Return |Fourier amplitude|^2 of every wave, sites in all, whose sum is that of the squares of the sample."""
        field = samples.reshape(len(samples), *self.shape)
        waves = np.fft.fftn(field, axes=range(1, field.ndim))
        return (np.abs(waves) ** 2).reshape(len(samples), -1) / samples.shape[1]


def wave_classes(shape: tuple[int, ...]) -> np.ndarray:
    """Return for each wave number k the smaller of the places of k and -k, which have equal power, in the given shape."""
    places = np.arange(int(np.prod(shape))).reshape(shape)
    turned = places
    for axis in range(len(shape)):
        turned = np.roll(np.flip(turned, axis=axis), 1, axis=axis)
    return np.minimum(places, turned)

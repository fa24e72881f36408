"""Models of spins that the ladder climbs: nothing at all, polynomials of the magnetisation, terms, a look-up table.

Spins are -1 or 1 and stand as int8; parameters are in nats. All but the table are fitted by maximum pseudo-likelihood with
the small penalty 10 / (2 samples) |theta|^2, without which a model of many parameters diverges on few samples.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from rgflow.structure.pseudo_likelihood import fit_terms, log_pseudo_likelihood
from rgflow.structure.terms import Terms

__all__ = ["Coins", "LookUpTable", "Magnetisation", "SpinTerms"]

PENALTY = (
    10.0  # a prior of standard deviation 10^-1/2 on every parameter, far wider than what samples of use leave open
)
STEPS = 50  # Newton steps of a convex fit of at most 4 parameters; 5 to 8 suffice
SETTLED = 1e-10  # largest last step, in nats


@dataclass(frozen=True)
class Coins:
    """Every spin is a fair coin, a category a fair die of `levels`: no parameter."""

    levels: int = 2

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return no parameters."""
        del samples
        return np.zeros(0)

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return -ln(levels) for every sample."""
        del parameters
        return np.full(len(samples), -math.log(self.levels))


@dataclass(frozen=True)
class Magnetisation:
    """All sites alike: -H = sum over k of theta_k times the sum of all products of k spins, for the `orders` k.

    The field on a spin is a polynomial of the sum of the others, so that counts of (spin, sum) hold all that the samples say.
    """

    orders: tuple[int, ...]

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return theta, one entry for each order."""
        sites = samples.shape[1]
        counts = np.bincount(_plus(samples), minlength=sites + 1).astype(np.float64)
        features = self._features(sites)
        weights = np.stack([counts * np.arange(sites, -1, -1), counts * np.arange(sites + 1)])  # spins down, spins up
        return _logistic(features.reshape(-1, len(self.orders)), weights.ravel())

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the mean log-probability of a spin given the others."""
        sites = samples.shape[1]
        down, up = -np.logaddexp(0.0, -2.0 * (self._features(sites) @ parameters))
        plus = np.arange(sites + 1)
        return ((down * (sites - plus) + up * plus) / sites)[_plus(samples)]

    def _features(self, sites: int) -> np.ndarray:
        """Return s times the sum of products of k - 1 other spins, (2 values of s, number of spins up, orders)."""
        table = np.zeros((2, sites + 1, len(self.orders)))
        for row, spin in enumerate((-1, 1)):
            for plus in range(sites + 1):
                up = min(max(plus - (spin == 1), 0), sites - 1)
                products = _symmetric_sums(up, sites - 1 - up, most=max(self.orders) - 1)
                table[row, plus] = [spin * products[order - 1] for order in self.orders]
        return table


@dataclass(frozen=True)
class SpinTerms:
    """-H = sum of terms with tied parameters."""

    terms: Terms

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return the parameters of largest penalised pseudo-likelihood."""
        return fit_terms(samples, self.terms, regularisation=PENALTY / len(samples)).parameters.numpy()

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the mean log-probability of a spin given the others."""
        return log_pseudo_likelihood(samples, self.terms, parameters).numpy().mean(1)


@dataclass(frozen=True)
class LookUpTable:
    """The probability of a spin given the others from the counts of both states, 1/2 added to each: 2^N - 1 numbers."""

    sites: int

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return how often every state occurs, (2^sites,)."""
        return np.bincount(self._codes(samples), minlength=2**self.sites).astype(np.float64)

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the mean log-probability of a spin given the others."""
        codes = self._codes(samples)
        seen = parameters[codes] + 0.5  # Krichevsky and Trofimov 1981: 1/2 is the minimax choice for two values
        flipped = np.stack([parameters[codes ^ (1 << site)] + 0.5 for site in range(self.sites)])  # the same 1/2
        return np.log(seen / (seen + flipped)).mean(0)

    def _codes(self, samples: np.ndarray) -> np.ndarray:
        return ((samples > 0) * (1 << np.arange(self.sites))).sum(1)


def _plus(samples: np.ndarray) -> np.ndarray:
    return (samples > 0).sum(1)


def _symmetric_sums(up: int, down: int, *, most: int) -> list[float]:
    """Return the sums of all products of 0, 1, ..., `most` of `up` spins 1 and `down` spins -1."""
    return [
        float(sum((-1) ** j * math.comb(down, j) * math.comb(up, order - j) for j in range(order + 1)))
        for order in range(most + 1)
    ]


def _logistic(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the theta that minimises sum of weights ln(1 + exp(-2 features theta)) + 5 |scaled theta|^2, by Newton."""
    scale = np.sqrt((weights[:, None] * features**2).sum(0) / weights.sum()) + np.finfo(float).tiny
    scaled = features / scale
    theta = np.zeros(features.shape[1])
    for _ in range(STEPS):
        share = expit(-2.0 * (scaled @ theta))
        slope = -2.0 * scaled.T @ (weights * share) + PENALTY * theta
        curvature = 4.0 * (scaled.T * (weights * share * (1.0 - share))) @ scaled + PENALTY * np.eye(len(theta))
        step = np.linalg.solve(curvature, slope)
        theta -= step
        if np.abs(step).max(initial=0.0) < SETTLED:
            break
    return theta / scale

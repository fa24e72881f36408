"""Models of categories that the ladder climbs: fields and pair couplings with ties, by maximum pseudo-likelihood.

Parameters are in nats, in the zero-sum gauge; every fit has the penalty 10/(2 samples) |theta|^2, as those of spins have.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from rgflow.structure.categorical_likelihood import CategoricalSample, negative_likelihood
from rgflow.structure.categorical_terms import CategoricalTerms

__all__ = ["CategoryTerms"]

PENALTY = 10.0  # as for spins
SEARCH = {"maxiter": 500, "maxcor": 20, "gtol": 1e-7, "ftol": 1e-13}


@dataclass(frozen=True)
class CategoryTerms:
    """-H = fields and couplings of pairs, with parameters shared as `terms` says."""

    terms: CategoricalTerms

    def fit(self, samples: np.ndarray) -> np.ndarray:
        """Return the parameters of largest penalised pseudo-likelihood."""
        distinct, counts = np.unique(samples, axis=0, return_counts=True)
        sample = CategoricalSample(distinct, self.terms.levels, counts / len(samples))

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
            return negative_likelihood(theta, self.terms, sample, ridge=PENALTY / len(samples))

        return minimize(objective, np.zeros(self.terms.parameters), jac=True, method="L-BFGS-B", options=SEARCH).x

    def score(self, samples: np.ndarray, parameters: np.ndarray) -> np.ndarray:
        """Return the mean log-probability of a category given the others."""
        values = self.terms.in_levels @ (self.terms.spread @ parameters)
        levels = np.array(self.terms.levels)
        starts = np.concatenate([[0], np.cumsum(levels)])
        chosen = np.zeros((len(samples), starts[-1]))
        np.put_along_axis(chosen, samples + starts[:-1], 1.0, axis=1)
        logits = chosen @ self._couplings(values[starts[-1] :], starts) + values[: starts[-1]]
        found = np.zeros(len(samples))
        for site in range(len(levels)):
            own = logits[:, starts[site] : starts[site + 1]]
            found += np.take_along_axis(own, samples[:, [site]], axis=1)[:, 0] - np.asarray(logsumexp(own, axis=1))
        return found / len(levels)

    def _couplings(self, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Return the symmetric matrix of couplings between indicators."""
        matrix, first = np.zeros((starts[-1], starts[-1])), 0
        for i, j in self.terms.pairs.tolist():
            shape = self.terms.levels[i], self.terms.levels[j]
            block = values[first : first + shape[0] * shape[1]].reshape(shape)
            matrix[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] = block
            first += block.size
        return matrix + matrix.T

"""Laws of real variables, p(z) ~ exp(-H(z)): exact where H is quadratic, by Hamiltonian Monte Carlo where it is not.

Coordinates inside are y, z = mean + root y, with the mean and covariance of the samples fitted; the simple law of the
annealing is the normal law of y. Units: nats.
Source: Neal 2011, Handbook of Markov Chain Monte Carlo, ch. 5.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from rgflow.errors import SettingError
from rgflow.records.estimate import Estimate
from rgflow.structure.continuous_monomials import ContinuousTerms
from rgflow.structure.density_annealing import Annealing

__all__ = ["ContinuousLaw", "LeapfrogMoves", "continuous_law"]

_LEAPS = 4  # leapfrog steps of one move
_FIRST_STEP = 0.5  # of a standard deviation; corrected on the way
_ACCEPTED = (
    0.8  # share of accepted moves that is aimed at (Beskos et al. 2013: 0.65 is best for many variables, and 0.8 safe)
)


@dataclass(frozen=True, eq=False)
class ContinuousLaw:
    """H(z) = sum_p alone[p] . z^p + z couplings z / 2 from `mean`, `covariance` of the samples behind it.

    Shapes: `alone` (powers + 1, variables), `couplings` (variables, variables) symmetric with an empty diagonal.
    """

    alone: np.ndarray
    couplings: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def gaussian(self) -> bool:
        """Whether H is quadratic."""
        return not self.alone[3:].any()

    def energy(self, z: np.ndarray) -> np.ndarray:
        """Return H of rows of z (samples,)."""
        found = 0.5 * np.einsum("mi,mi->m", z @ self.couplings, z) + z @ self.alone[1] + z**2 @ self.alone[2]
        for power in range(3, len(self.alone)):
            found += z**power @ self.alone[power]
        return found

    def gradient(self, z: np.ndarray) -> np.ndarray:
        """Return grad H of rows of z (samples, variables)."""
        slope = np.zeros_like(z)
        for power in range(len(self.alone) - 1, 0, -1):
            slope = slope * z + power * self.alone[power]
        return slope + z @ self.couplings

    @property
    def precision(self) -> np.ndarray:
        """The matrix Q of the quadratic part z Q z / 2."""
        return self.couplings + np.diag(2.0 * self.alone[2])

    def gaussian_log_partition(self) -> Estimate:
        """Return ln Z = N/2 ln(2 pi) - ln det(Q)/2 + l Q^-1 l / 2 of a quadratic H, up to rounding."""
        factor = cholesky(self.precision, lower=True)
        half = solve_triangular(factor, self.alone[1], lower=True)
        value = 0.5 * len(half) * np.log(2.0 * np.pi) - np.log(np.diag(factor)).sum() + 0.5 * half @ half
        return Estimate(float(value), float(1e-15 * len(half) * max(1.0, abs(value))), "rounding")

    def gaussian_draws(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Return independent draws (count, variables) of a quadratic H."""
        factor = cholesky(self.precision, lower=True)
        centre = -cho_solve((factor, True), self.alone[1])
        noise = generator.standard_normal((len(centre), count))
        return centre + solve_triangular(factor.T, noise, lower=False).T

    def annealing(self, generator: np.random.Generator) -> Annealing:
        """Return the annealing from the normal law of the samples' mean and covariance; states are y."""
        moves = LeapfrogMoves(self, generator)
        return Annealing(
            lambda chains: generator.standard_normal((chains, len(self.mean))),
            lambda y: -self.energy(self.placed(y)) + 0.5 * (y**2).sum(axis=1) + self._log_base,
            moves.move,
        )

    def placed(self, y: np.ndarray) -> np.ndarray:
        """Return z of y."""
        return self.mean + y @ self.root.T

    @cached_property
    def root(self) -> np.ndarray:
        """The lower triangular root of the covariance."""
        floor = 1e-8 * np.trace(self.covariance) / len(self.covariance)  # collinear variables have no root without it
        return cholesky(self.covariance + floor * np.eye(len(self.covariance)), lower=True)

    @cached_property
    def _log_base(self) -> float:
        """Minus the logarithm of the normal density of z at y = 0."""
        return float(0.5 * len(self.mean) * np.log(2.0 * np.pi) + np.log(np.diag(self.root)).sum())


class LeapfrogMoves:
    """Moves of all chains by Hamiltonian dynamics; the step follows the share of moves accepted before.

    The step depends on all chains together, by which each move leaves its law as it is up to O(1 / chains).
    """

    def __init__(self, law: ContinuousLaw, generator: np.random.Generator) -> None:
        self._law = law
        self._generator = generator
        self.step = _FIRST_STEP

    def move(self, y: np.ndarray, share: float) -> np.ndarray:
        """Return y after one move under share H + (1 - share) |y|^2 / 2."""
        momentum = self._generator.standard_normal(y.shape)
        before = self._energy(y, share) + 0.5 * (momentum**2).sum(axis=1)
        step = self.step * self._generator.uniform(0.8, 1.2)  # keeps off the periods of single modes
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a step too long for a quartic wall overflows and is refused
            there, momentum = self._leapt(y, momentum, step=step, share=share)
            after = self._energy(there, share) + 0.5 * (momentum**2).sum(axis=1)
            chance = np.exp(np.minimum(0.0, before - np.where(np.isfinite(after), after, np.inf)))
        accepted = self._generator.uniform(size=len(y)) < chance
        self.step *= float(np.exp(0.2 * (chance.mean() - _ACCEPTED)))
        return np.where(accepted[:, None], there, y)

    def _leapt(
        self, y: np.ndarray, momentum: np.ndarray, *, step: float, share: float
    ) -> tuple[np.ndarray, np.ndarray]:
        momentum = momentum - 0.5 * step * self._gradient(y, share)
        for leap in range(_LEAPS):
            y = y + step * momentum
            momentum = momentum - (step if leap < _LEAPS - 1 else 0.5 * step) * self._gradient(y, share)
        return y, momentum

    def _energy(self, y: np.ndarray, share: float) -> np.ndarray:
        return share * self._law.energy(self._law.placed(y)) + (1.0 - share) * 0.5 * (y**2).sum(axis=1)

    def _gradient(self, y: np.ndarray, share: float) -> np.ndarray:
        law = self._law
        return share * (law.gradient(law.placed(y)) @ law.root) + (1.0 - share) * y


def continuous_law(terms: ContinuousTerms, theta: np.ndarray, *, z: np.ndarray) -> ContinuousLaw:
    """Return the law of terms of one variable and products of two; `z` (samples, variables) are the samples behind it.

    Raises: SettingError for any other term.
    """
    weights, n = theta[terms.tie], terms.variables
    alone, couplings = np.zeros((max(2, terms.order) + 1, n)), np.zeros((n, n))
    single, pair = terms.bodies == 1, (terms.bodies == 2) & (terms.powers.sum(1) == 2)
    if not (single | pair).all():
        raise SettingError(
            "a density of real variables takes terms of one variable and products of two; see coupled_order"
        )
    alone[terms.powers[single].max(axis=1), terms.members[single, terms.powers[single].argmax(axis=1)]] = weights[
        single
    ]
    if pair.any():
        i, j = terms.members[pair, 0], terms.members[pair, 1]
        couplings[i, j] = couplings[j, i] = weights[pair]
    return ContinuousLaw(alone, couplings, z.mean(axis=0), np.atleast_2d(np.cov(z.T, bias=True)))

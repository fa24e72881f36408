"""A fitted law with its partition function: log-densities and draws, whatever the kind of variables.

Convention: log-probabilities of states for finite kinds, log-densities in the units of the samples for real variables.
Units: nats.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from scipy.special import logsumexp

from rgflow.errors import DataError
from rgflow.records.estimate import Estimate
from rgflow.records.hamiltonian import Hamiltonian
from rgflow.structure.continuous_standard import Standardisation
from rgflow.structure.density_annealing import Annealing, annealed_log_partition
from rgflow.structure.density_continuous import ContinuousLaw
from rgflow.structure.density_finite import STATES_AT_MOST, FiniteLaw, all_states, sweep
from rgflow.structure.density_sampling import Draws, annealed_draws

__all__ = ["FiniteDensity", "FittedDensity", "RealDensity"]


class FittedDensity(Protocol):
    """What a density of any kind can do."""

    def log_partition(self, seed: int) -> Estimate:
        """Return ln Z of the Hamiltonian."""
        ...

    def log_density(self, x: np.ndarray, log_partition: float) -> np.ndarray:
        """Return the logarithm of the density of rows of x."""
        ...

    def draws(self, count: int, *, seed: int) -> Draws:
        """Return draws in the values of the samples."""
        ...


@dataclass(frozen=True, eq=False)
class FiniteDensity:
    """States as rows of codes; `values` (sites of 2) translates codes to what the samples hold, None: they are codes.

    `shares` holds for each site the log-frequency of its levels in the samples: where annealing starts.
    """

    law: FiniteLaw
    hamiltonian: Hamiltonian
    values: tuple[float, float] | None
    shares: list[np.ndarray]

    def codes(self, x: np.ndarray) -> np.ndarray:
        """Return rows of codes. Raises: DataError for values that the samples fitted do not have."""
        if self.values is not None:
            wrong = x[(x != self.values[0]) & (x != self.values[1])]
            found = (x == self.values[1]).astype(np.int64)
        else:
            wrong = x[(x != np.round(x)) | (x < 0) | (x >= np.array(self.law.levels))]
            found = np.where(np.isfinite(x), x, 0).astype(np.int64)
        if wrong.size:
            allowed = self.values or f"whole numbers below {self.law.levels}"
            raise DataError(
                f"the samples hold the value {float(wrong.flat[0]):g}; the law is one of the values {allowed}"
            )
        return found

    @property
    def enumerable(self) -> bool:
        """Whether all states are few enough to be visited."""
        return bool(self.law.log_states <= np.log(STATES_AT_MOST) + 1e-9)  # rounding of a sum of logarithms

    def log_partition(self, seed: int) -> Estimate:
        """Return ln Z, exact up to 2^20 states and by annealing beyond."""
        if not self.enumerable:
            return annealed_log_partition(self._annealing(np.random.default_rng(seed)))
        parts = [logsumexp(-self.law.energy(block)) for block in all_states(self.law.levels)]
        value = float(np.logaddexp.reduce(np.array(parts, dtype=np.float64)))
        return Estimate(value, 1e-15 * len(self.law.levels) * max(1.0, abs(value)), "rounding")

    def log_density(self, x: np.ndarray, log_partition: float) -> np.ndarray:
        """Return ln p of rows of x."""
        return -self.law.energy(self.codes(x)) - log_partition

    def draws(self, count: int, *, seed: int) -> Draws:
        """Return exact draws up to 2^20 states, and heat-bath chains beyond."""
        generator = np.random.default_rng(seed)
        if self.enumerable:
            energies = np.concatenate([self.law.energy(block) for block in all_states(self.law.levels)])
            chances = np.exp(energies.min() - energies)
            numbers = generator.choice(len(chances), size=count, p=chances / chances.sum())
            codes = np.stack(np.unravel_index(numbers, self.law.levels), axis=1)
            return Draws(self._translated(codes), float(count), 1.0)
        found = annealed_draws(
            self._annealing(generator),
            count=count,
            statistics=lambda codes: np.stack([self.law.energy(codes), codes.sum(axis=1)]),
            generator=generator,
        )
        return Draws(self._translated(found.values), found.effective, found.disagreement)

    def _translated(self, codes: np.ndarray) -> np.ndarray:
        if self.values is None:
            return codes.astype(np.float64)
        return np.where(codes > 0, self.values[1], self.values[0])

    def _annealing(self, generator: np.random.Generator) -> Annealing:
        def start(chains: int) -> np.ndarray:
            columns = [generator.choice(len(p), size=chains, p=np.exp(p)) for p in self.shares]
            return np.stack(columns, axis=1)

        def gain(codes: np.ndarray) -> np.ndarray:
            independent = sum(share[codes[:, site]] for site, share in enumerate(self.shares))
            return -self.law.energy(codes) - independent

        def move(codes: np.ndarray, share: float) -> np.ndarray:
            return sweep(self.law, codes, base=self.shares, share=share, generator=generator)

        return Annealing(start, gain, move)


@dataclass(frozen=True, eq=False)
class RealDensity:
    """A law of z with the scale that leads from the samples to z."""

    law: ContinuousLaw
    scale: Standardisation

    def log_partition(self, seed: int) -> Estimate:
        """Return ln Z over z, exact for order 2 and by annealing beyond."""
        if self.law.gaussian:
            return self.law.gaussian_log_partition()
        return annealed_log_partition(self.law.annealing(np.random.default_rng(seed)))

    def log_density(self, x: np.ndarray, log_partition: float) -> np.ndarray:
        """Return ln p of rows of x, in the units of x."""
        return -self.law.energy(self.scale.place(torch.from_numpy(x))) - log_partition - self.scale.log_units

    def draws(self, count: int, *, seed: int) -> Draws:
        """Return exact draws of order 2, and chains of Hamiltonian Monte Carlo beyond."""
        generator = np.random.default_rng(seed)
        if self.law.gaussian:
            return Draws(self.scale.undo(self.law.gaussian_draws(count, generator)), float(count), 1.0)
        found = annealed_draws(
            self.law.annealing(generator),
            count=count,
            statistics=lambda y: np.concatenate([self.law.energy(self.law.placed(y))[None], y.T]),
            generator=generator,
        )
        return Draws(self.scale.undo(self.law.placed(found.values)), found.effective, found.disagreement)

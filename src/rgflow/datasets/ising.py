"""Samples of the two-dimensional Ising model on a periodic square lattice, by Swendsen-Wang cluster updates.

Convention: p(s) = exp(sum over bonds of s_i s_j / T) / Z, spins +-1, coupling 1, no field; T in units of the coupling.
The infinite lattice orders below T_c = 2 / log(1 + sqrt 2) = 2.269 (Onsager 1944).
"""

from dataclasses import dataclass

import numpy as np

from rgflow.errors import DataError

__all__ = ["IsingSettings", "energy_per_site", "sample_ising"]

# Cluster updates forget their start within about 10 sweeps at T_c on lattices up to 128 x 128 (their autocorrelation
# time grows like log L; Baillie and Coddington 1991 measure below 10): 100 sweeps leave e^-10 of it, records 5 sweeps
# apart share at most e^-0.5, and 50 chains are independent.
_CHAINS = 50
_DISCARDED_SWEEPS = 100
_SWEEPS_BETWEEN = 5
_LARGEST_SITES = 128 * 128


@dataclass(frozen=True)
class IsingSettings:
    """Lattice, temperature (in units of the coupling), number of samples and seed of one generated data set."""

    height: int
    width: int
    temperature: float
    samples: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 3:
            raise DataError(
                f"lattice is {self.height}x{self.width}; both sides must be >= 3 (a bond must join two sites once)"
            )
        if self.height * self.width > _LARGEST_SITES:
            raise DataError(
                f"lattice {self.height}x{self.width} is too large; at most {_LARGEST_SITES} sites are sampled here"
            )
        if not (np.isfinite(self.temperature) and self.temperature > 0.0):
            raise DataError(f"temperature is {self.temperature}; it must be finite and > 0")
        if self.samples < 2 or self.seed < 0:
            raise DataError(f"samples is {self.samples} and seed {self.seed}; needed: samples >= 2, seed >= 0")


def sample_ising(settings: IsingSettings) -> np.ndarray:
    """Return spins of shape (samples, height, width), int8, values +-1; consecutive blocks of 50 are one time.

    Errors: the stationary law is exact; samples of one chain (row i, i + 50, i + 100, ...) are weakly correlated.
    Source: Swendsen and Wang 1987, Phys. Rev. Lett. 58, 86.
    """
    generator = np.random.default_rng(settings.seed)
    chains = min(_CHAINS, settings.samples)
    spins = generator.choice(np.array([-1, 1], dtype=np.int8), size=(chains, settings.height, settings.width))
    for _ in range(_DISCARDED_SWEEPS):
        spins = _cluster_update(spins, temperature=settings.temperature, generator=generator)
    records = [spins]
    for _ in range(-(-settings.samples // chains) - 1):
        for _ in range(_SWEEPS_BETWEEN):
            spins = _cluster_update(spins, temperature=settings.temperature, generator=generator)
        records.append(spins)
    return np.concatenate(records)[: settings.samples]


def energy_per_site(spins: np.ndarray) -> np.ndarray:
    """Return E / sites = -(sum over bonds of s_i s_j) / sites of every configuration (samples, height, width)."""
    signs = spins.astype(np.float64)
    bonds = signs * np.roll(signs, -1, axis=1) + signs * np.roll(signs, -1, axis=2)
    return -bonds.mean(axis=(1, 2))


def _cluster_update(spins: np.ndarray, *, temperature: float, generator: np.random.Generator) -> np.ndarray:
    """Return the spins after one update: equal neighbours bond with 1 - exp(-2/T), every cluster gets a fresh sign."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    bond_probability = -np.expm1(-2.0 / temperature)
    sites = np.arange(spins.size).reshape(spins.shape)
    starts, ends = [], []
    for axis in (1, 2):
        equal = spins == np.roll(spins, -1, axis=axis)
        bonded = equal & (generator.random(spins.shape, dtype=np.float32) < bond_probability)
        starts.append(sites[bonded])
        ends.append(np.roll(sites, -1, axis=axis)[bonded])
    first, second = np.concatenate(starts), np.concatenate(ends)
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(spins.size, spins.size))
    clusters, labels = connected_components(graph, directed=False)
    signs = generator.integers(0, 2, size=clusters, dtype=np.int8) * np.int8(2) - np.int8(1)
    return signs[labels].reshape(spins.shape)

"""Data with planted couplings: Ising lattices, Gaussian graphs, noisy products of three spins, and what is known of them."""

import numpy as np

from rgflow.lattice import Ising, Lattice, sample

__all__ = ["gaussian_rows", "ising_rows", "scrambled", "square", "triple_rows"]


def ising_rows(side: int, *, temperature: float, samples: int, seed: int) -> np.ndarray:
    """Return spins (samples, side^2), one of every fifth sweep of 20 chains."""
    found = sample(
        Ising(temperature=temperature), shape=(side, side), chains=20, sweeps=5 * samples // 20, every=5, seed=seed
    )
    return np.asarray(found.values, dtype=np.float64).swapaxes(0, 1).reshape(-1, side * side)[:samples]


def gaussian_rows(edges: np.ndarray, *, nodes: int, samples: int, seed: int, weights: object = 1.0) -> np.ndarray:
    """Return Gaussian samples whose precision has -weight on the edges and 1.1 times the largest degree on the diagonal."""
    precision = np.zeros((nodes, nodes))
    precision[edges[:, 0], edges[:, 1]] = -np.asarray(weights, dtype=np.float64)
    precision += precision.T
    precision += np.eye(nodes) * np.abs(precision).sum(1).max() * 1.1
    root = np.linalg.cholesky(np.linalg.inv(precision))
    return np.random.default_rng(seed).standard_normal((samples, nodes)) @ root.T


def triple_rows(triples: int, *, samples: int, seed: int, flipped: float = 0.2) -> np.ndarray:
    """Return 3 * triples spins: two fair ones and their product, flipped now and then; J = atanh(1 - 2 flipped)."""
    generator = np.random.default_rng(seed)
    free = generator.choice([-1.0, 1.0], size=(samples, triples, 2))
    noise = np.where(generator.random((samples, triples)) < flipped, -1.0, 1.0)
    product = free.prod(2) * noise
    return np.concatenate([free, product[..., None]], axis=2).reshape(samples, -1)


def scrambled(rows: np.ndarray, *, seed: int) -> np.ndarray:
    """Return the columns in random order."""
    return rows[:, np.random.default_rng(seed).permutation(rows.shape[1])]


def square(side: int, *, periodic: bool = True) -> Lattice:
    """Return a square lattice."""
    return Lattice((side, side), periodic=periodic)

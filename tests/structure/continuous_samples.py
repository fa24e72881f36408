"""Exact and nearly exact samples of laws of real variables, for the tests of score matching and densities."""

import numpy as np

__all__ = ["gaussian_field", "grid_samples", "phi4_samples", "ring_precision"]


def gaussian_field(side: int, *, mass: float, stiffness: float, samples: int, seed: int) -> np.ndarray:
    """Independent samples (samples, side^2) of H = mass/2 x^2 + stiffness/2 (grad x)^2 on a periodic square."""
    k = 2.0 * np.pi * np.fft.fftfreq(side)
    modes = mass + stiffness * (4.0 - 2.0 * np.cos(k)[:, None] - 2.0 * np.cos(k)[None])
    noise = np.random.default_rng(seed).normal(size=(samples, side, side))
    return np.fft.ifft2(np.fft.fft2(noise) / np.sqrt(modes)).real.reshape(samples, -1)


def phi4_samples(side: int, *, chains: int, draws: int, seed: int) -> np.ndarray:
    """`draws` configurations of each of `chains` chains, chain after chain (chains draws, side^2).

    H = sum m2/2 x^2 + lambda/4 x^4 + kappa/2 (grad x)^2 with m2 = -1, lambda = 1, kappa = 1/2; checkerboard Metropolis, 60
    sweeps to begin with and 8 between draws.
    """
    generator = np.random.default_rng(seed)
    x = generator.normal(scale=0.7, size=(chains, side, side))
    kept = []
    for sweep in range(60 + 8 * draws):
        x = _swept(x, generator)
        if sweep >= 60 and (sweep - 60) % 8 == 7:
            kept.append(x)
    return np.stack(kept, axis=1).reshape(chains * draws, -1)


def grid_samples(energy, *, samples: int, seed: int, half_width: float = 3.5, step: float = 0.02) -> np.ndarray:
    """Independent samples (samples, 2) of p ~ exp(-energy(x, y)), drawn on a fine grid and smeared over its cells."""
    generator = np.random.default_rng(seed)
    axis = np.arange(-half_width, half_width, step)
    chances = np.exp(-energy(axis[:, None], axis[None, :])).ravel()
    cells = generator.choice(len(chances), size=samples, p=chances / chances.sum())
    corners = np.stack([axis[cells // len(axis)], axis[cells % len(axis)]], axis=1)
    return corners + generator.uniform(-step / 2.0, step / 2.0, size=corners.shape)


def ring_precision(sites: int, *, own: float, bond: float) -> np.ndarray:
    """The precision matrix of a ring: `own` on the diagonal, `bond` between neighbours."""
    near = np.roll(np.eye(sites), 1, axis=1)
    return own * np.eye(sites) + bond * (near + near.T)


def _swept(x: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    side = x.shape[1]
    colour = np.add.outer(np.arange(side), np.arange(side)) % 2
    for parity in (0, 1):
        around = sum(np.roll(x, shift, axis) for shift in (1, -1) for axis in (1, 2))
        there = x + generator.uniform(-1.5, 1.5, size=x.shape)
        taken = (np.log(generator.random(x.shape)) < _site(x, around) - _site(there, around)) & (colour == parity)
        x = np.where(taken, there, x)
    return x


def _site(x: np.ndarray, around: np.ndarray) -> np.ndarray:
    return -0.5 * x**2 + 0.25 * x**4 + 0.5 * (2.0 * x**2 - x * around)

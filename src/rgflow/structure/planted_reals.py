"""Planted laws of real variables: independent ones, Gaussian fields, phi^4, and Gaussians of other symmetries.

All but phi^4 are drawn exactly; phi^4 by one Metropolis chain for each sample, from random signs. Energies are in nats.
"""

import math
from functools import partial

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.planted_problem import PlantedLaw

__all__ = ["real_laws"]

TORUS = Lattice((4, 4))
SWEEPS = 60  # of phi^4: bonds and squares relax within 10, overall signs are random from the start
STEP = 1.2  # of a Metropolis proposal, half of them accepted
NEIGHBOURS = 4


def real_laws() -> tuple[PlantedLaw, ...]:
    """Return the planted laws of real variables, simplest first."""
    law = partial(PlantedLaw, kind="continuous", lattice=TORUS)
    return (
        law(name="Gaussian noise", answer="independent, Gaussian, alike, sign flip", enough=500, draw=_noise),
        law(name="double wells", answer="independent, on-site order 4, alike, sign flip", enough=500, draw=_wells),
        law(name="units of their own", answer="independent, Gaussian", enough=1000, draw=_units),
        law(
            name="Gaussian field",
            answer="Gaussian, reach 1, translation+rotation+flip",
            enough=500,
            draw=partial(_field, (1.0, 1.0), 0.0),
        ),
        law(
            name="Gaussian field, two directions",
            answer="Gaussian, reach 1, translation+flip",
            enough=1000,
            draw=partial(_field, (1.0, 0.4), 0.0),
        ),
        law(
            name="Gaussian field, diagonals",
            answer="Gaussian, reach 1.41, translation+rotation+flip",
            enough=1000,
            draw=partial(_field, (0.6, 0.6), 0.4),
        ),
        law(
            name="phi^4", answer="on-site order 4, reach 1, translation+rotation+flip", enough=1000, draw=_quartic_field
        ),
        law(name="disordered Gaussian field", answer="Gaussian, reach 1, local+flip", enough=2000, draw=_disordered),
        law(name="one common factor", answer="permutation, Gaussian", enough=1000, draw=_common),
        law(name="Gaussian of all pairs", answer="2-local, Gaussian, sign flip", enough=1000, draw=_all_pairs),
    )


def _noise(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    del strength
    return generator.normal(size=(samples, TORUS.sites))


def _wells(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    grid = np.linspace(-3.0, 3.0, 6001)  # density below 1e-12 at the ends, 0.001 apart
    weights = np.exp(-strength * (grid**2 - 1.0) ** 2 - (1.0 - strength) * grid**2 / 2.0)
    below = np.cumsum(weights) / weights.sum()
    return np.interp(generator.random((samples, TORUS.sites)), below, grid)


def _units(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    scale = np.exp(0.2 * strength * generator.normal(size=TORUS.sites))  # units 20 % apart
    return scale * (generator.normal(size=(samples, TORUS.sites)) + 0.1 * strength * generator.normal(size=TORUS.sites))


def _field(
    along: tuple[float, float], diagonal: float, samples: int, generator: np.random.Generator, strength: float
) -> np.ndarray:
    """H = sum of x^2/2 + couplings (x_i - x_j)^2/2, in Fourier space."""
    first, second = np.meshgrid(*[2.0 * math.pi * np.fft.fftfreq(side) for side in TORUS.shape], indexing="ij")
    stiffness = 1.0 + strength * (
        along[0] * 2.0 * (1.0 - np.cos(first))
        + along[1] * 2.0 * (1.0 - np.cos(second))
        + diagonal * 2.0 * (2.0 - np.cos(first + second) - np.cos(first - second))
    )
    noise = np.fft.fft2(generator.normal(size=(samples, *TORUS.shape)))
    return np.fft.ifft2(noise / np.sqrt(stiffness)).real.reshape(samples, -1)


def _quartic_field(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    """H = sum of -x^2/2 + x^4/4 + strength/4 (x_i - x_j)^2 over bonds (m^2 = -1, lambda = 1, kappa = 1/2)."""
    shape = (samples, *TORUS.shape)
    field = generator.choice([-1.0, 1.0], size=(samples, 1, 1)) * np.abs(generator.normal(size=shape))
    parity = TORUS.positions.sum(1).reshape(TORUS.shape) % 2
    coupling = 0.5 * strength  # kappa of phi^4
    for sweep in range(2 * SWEEPS):
        around = np.stack([np.roll(field, shift, axis=axis) for shift in (-1, 1) for axis in (1, 2)]).sum(0)
        proposed = field + STEP * generator.uniform(-1.0, 1.0, size=shape)
        gain = _site_energy(field, around, coupling) - _site_energy(proposed, around, coupling)
        accepted = generator.random(shape) < np.exp(np.minimum(gain, 0.0))
        field = np.where(accepted & (parity == sweep % 2), proposed, field)
    return field.reshape(samples, -1)


def _site_energy(value: np.ndarray, around: np.ndarray, coupling: float) -> np.ndarray:
    return -(value**2) / 2 + value**4 / 4 + coupling * (NEIGHBOURS * value**2 / 2 - value * around)


def _disordered(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    precision = np.eye(TORUS.sites)
    couplings = strength * generator.uniform(
        -0.3, 0.3, size=len(TORUS.bonds)
    )  # 4 at a site: below 1.2, mostly below 0.7
    precision[TORUS.bonds[:, 0], TORUS.bonds[:, 1]] = precision[TORUS.bonds[:, 1], TORUS.bonds[:, 0]] = couplings
    return _gaussian(precision, samples, generator)


def _common(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    own = generator.normal(size=(samples, TORUS.sites))
    return own + 0.5 * strength * generator.normal(size=(samples, 1))  # correlation 0.2


def _all_pairs(samples: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    sites = TORUS.sites
    mixed = generator.normal(size=(sites, sites)) * 0.25 * strength / math.sqrt(sites)  # correlations of some 0.1
    precision = np.eye(sites) + mixed + mixed.T
    scale = np.sqrt(np.diag(np.linalg.inv(precision)))
    return _gaussian(precision, samples, generator) / scale  # equal variances: the couplings alone tell the sites apart


def _gaussian(precision: np.ndarray, samples: int, generator: np.random.Generator) -> np.ndarray:
    least = np.linalg.eigvalsh(precision)[0]
    if least < 0.2:  # far from singular: more diagonal keeps the couplings and makes a density of it
        precision = precision + (0.2 - least) * np.eye(len(precision))  # the same 0.2
    factor = np.linalg.cholesky(np.linalg.inv(precision))
    return generator.normal(size=(samples, len(precision))) @ factor.T

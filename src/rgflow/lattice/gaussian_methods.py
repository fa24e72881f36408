"""Independent samples of the Gaussian field: by Fourier transform on a torus, by Cholesky factors on any graph.

Convention: x = Q^(-1/2) w or x = L^-T w with Q = L L^T the precision matrix and w white noise; energies H / sites in nats.
Every record is an independent draw from the exact law: sweeps and discarded ones mean nothing here.
"""

import math

import numpy as np
import torch

from rgflow.lattice.exact_gaussian import graph_precision, torus_spectrum
from rgflow.lattice.field_models import GaussianField, bond_system
from rgflow.lattice.geometry import Lattice
from rgflow.lattice.methods import Draw, Method, Observable, SamplingPlan

__all__ = ["GAUSSIAN_METHODS"]

_MOST_SITES = 8192  # the dense factor then fills 512 MiB


def _fourier(plan: SamplingPlan) -> Draw:
    model: GaussianField = plan.model
    spectrum = torus_spectrum(Lattice(plan.shape), mass_squared=model.mass_squared, coupling=model.coupling)
    axes = tuple(range(1, 1 + len(plan.shape)))
    filter_of_waves = 1.0 / np.sqrt(spectrum.numpy())
    chains = []
    for noise in _noise(plan):
        waves = np.fft.fftn(noise.reshape(-1, *plan.shape), axes=axes)
        chains.append(np.fft.ifftn(waves * filter_of_waves, axes=axes).real)
    return _draw(plan, np.stack(chains))


def _cholesky(plan: SamplingPlan) -> Draw:
    model: GaussianField = plan.model
    system = bond_system(model, shape=plan.shape)
    precision = graph_precision(
        system.edges, sites=system.sites, mass_squared=model.mass_squared, coupling=model.coupling
    )
    factor = torch.linalg.cholesky(precision)
    solved = [torch.linalg.solve_triangular(factor.T, torch.from_numpy(noise.T), upper=True) for noise in _noise(plan)]
    return _draw(plan, torch.stack(solved).transpose(1, 2).numpy())


def _noise(plan: SamplingPlan) -> list[np.ndarray]:
    """Return standard normal numbers (records, sites) for every chain."""
    sites = math.prod(plan.shape)
    seeds = np.random.SeedSequence(plan.seed).spawn(plan.chains)
    return [np.random.default_rng(seed).normal(size=(plan.records, sites)) for seed in seeds]


def _draw(plan: SamplingPlan, fields: np.ndarray) -> Draw:
    model: GaussianField = plan.model
    rows = fields.reshape(plan.chains, plan.records, -1)
    system = bond_system(model, shape=plan.shape)
    steps = [((chain[:, system.edges[:, 0]] - chain[:, system.edges[:, 1]]) ** 2).sum(-1) for chain in rows]
    squares = (rows**2).mean(-1)
    energy = model.mass_squared / 2.0 * squares + model.coupling / 2.0 * np.stack(steps) / rows.shape[-1]
    return Draw(
        states=rows.reshape(plan.chains, plan.records, *plan.shape),
        observables=(
            Observable("energy", energy),
            Observable("magnetisation", rows.mean(-1)),
            Observable("mean square", squares),
        ),
    )


def _fourier_refusal(model: GaussianField, _shape: tuple[int, ...]) -> str:
    return "" if model.edges is None else "plane waves are its modes on a periodic lattice alone; use cholesky"


def _cholesky_refusal(_model: GaussianField, shape: tuple[int, ...]) -> str:
    sites = math.prod(shape)
    return "" if sites <= _MOST_SITES else f"its {sites} sites are more than the {_MOST_SITES} of a dense factor"


GAUSSIAN_METHODS = (
    Method("fourier", _fourier, _fourier_refusal),
    Method("cholesky", _cholesky, _cholesky_refusal),
)

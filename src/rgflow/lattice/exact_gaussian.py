"""The Gaussian field on a lattice: its precision matrix, and its covariance on a torus by Fourier transform.

Convention: H = sum_i mass_squared x_i^2 / 2 + coupling sum over bonds of (x_i - x_j)^2 / 2 = x . Q x / 2, in nats;
the covariance is the inverse of the precision matrix Q.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice

__all__ = ["gaussian_precision", "graph_precision", "torus_covariance", "torus_spectrum"]


def gaussian_precision(lattice: Lattice, *, mass_squared: float, coupling: float) -> Tensor:
    """Return Q, shape (sites, sites): mass_squared + coupling times the graph Laplacian.

    Raises: SettingError if mass_squared <= 0 or coupling < 0.

    Example:
    >>> gaussian_precision(Lattice((2,), periodic=False), mass_squared=0.5, coupling=1.0).tolist()
    [[1.5, -1.0], [-1.0, 1.5]]
    """
    return graph_precision(lattice.bonds, sites=lattice.sites, mass_squared=mass_squared, coupling=coupling)


def graph_precision(edges: np.ndarray, *, sites: int, mass_squared: float, coupling: float) -> Tensor:
    """Return Q, shape (sites, sites), on any graph of `edges` (edges, 2).

    Raises: SettingError if mass_squared <= 0 or coupling < 0.
    """
    _check(mass_squared, coupling=coupling)
    matrix = np.diag(np.full(sites, float(mass_squared)))
    first, second = np.asarray(edges, dtype=np.int64).T
    np.add.at(matrix, (first, first), coupling)
    np.add.at(matrix, (second, second), coupling)
    np.add.at(matrix, (first, second), -coupling)
    np.add.at(matrix, (second, first), -coupling)
    return torch.from_numpy(matrix)


def torus_spectrum(lattice: Lattice, *, mass_squared: float, coupling: float) -> Tensor:
    """Return the eigenvalues of Q on a periodic lattice, shape `lattice.shape`: one for each wave vector of `torch.fft`.

    Q_k = mass_squared + 4 coupling sum_axes sin^2(pi k / side).
    Raises: SettingError for an open lattice, mass_squared <= 0 or coupling < 0.
    """
    _check(mass_squared, coupling=coupling)
    if not lattice.periodic:
        raise SettingError("the lattice is open; waves are its modes only where it is periodic: invert the precision")
    total = torch.zeros(lattice.shape, dtype=torch.float64)
    for axis, side in enumerate(lattice.shape):
        waves = torch.sin(math.pi * torch.arange(side, dtype=torch.float64) / side).square()
        total = total + waves.reshape([side if other == axis else 1 for other in range(lattice.dimension)])
    return mass_squared + 4.0 * coupling * total


def torus_covariance(lattice: Lattice, *, mass_squared: float, coupling: float) -> Tensor:
    """Return the covariance (sites, sites) of the field on a periodic lattice, C = Q^-1.

    Errors: rounding.
    Raises: SettingError for an open lattice, mass_squared <= 0 or coupling < 0.
    """
    spectrum = torus_spectrum(lattice, mass_squared=mass_squared, coupling=coupling)
    profile = torch.fft.ifftn(1.0 / spectrum).real.flatten()
    steps = (lattice.positions[None, :, :] - lattice.positions[:, None, :]) % np.array(lattice.shape)
    places = np.ravel_multi_index(tuple(np.moveaxis(steps, -1, 0)), lattice.shape)
    return profile[torch.from_numpy(np.asarray(places))]


def _check(mass_squared: float, *, coupling: float) -> None:
    if not (math.isfinite(mass_squared) and mass_squared > 0.0 and math.isfinite(coupling) and coupling >= 0.0):
        raise SettingError(
            f"mass_squared is {mass_squared} and coupling {coupling}; needed: mass_squared > 0 and coupling >= 0"
        )

"""Data without the structure that an index looks for: shuffled columns, random phases, random rotations, noise.

Convention: samples (samples, variables); every null keeps the shape and the unit of what it replaces, and is seeded.
Two-valued data leave their alphabet under random phases and rotations: `matched_to` brings the values of each column
back by rank (which weakens the correlations a little, by (2/pi) arcsin for two values), or the index treats the result
as continuous; each index says which.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import t
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.records.structure_card import NullValue

__all__ = [
    "haar_rotation",
    "matched_to",
    "null_value",
    "phase_randomised",
    "rotated_basis",
    "shuffled_columns",
    "shuffled_labels",
    "white_noise",
]

_COVERED = 0.95  # the share of draws between low and high of a NullValue


def shuffled_columns(samples: object, *, seed: int) -> Tensor:
    """Return the samples with every column permuted by itself: marginals are kept, every dependence is gone."""
    values = _matrix(samples)
    return torch.from_numpy(np.random.default_rng(seed).permuted(values, axis=0))


def phase_randomised(samples: object, *, grid: Sequence[int], seed: int, ensemble: bool = False) -> Tensor:
    """Return real samples with the Fourier amplitudes of the given ones on the grid and independent uniform phases.

    With `ensemble` the amplitudes are Gaussian with the spectrum averaged over all samples: a stationary Gaussian field.
    The mean of every sample over the grid (wave number 0) is kept as it is. Channels get phases of their own.
    Errors: the grid is taken as periodic; on an open grid the jump at the border leaks into the spectrum.
    Raises: SettingError if the grid does not fit the variables.
    Source: Theiler et al. 1992, Physica D 58, 77.
    """
    values = _matrix(samples)
    sides = tuple(int(side) for side in grid)
    if not sides or values.shape[1] % math.prod(sides):
        raise SettingError(f"grid is {sides}, which {values.shape[1]} variables do not fill; give the lattice's shape")
    generator = np.random.default_rng(seed)
    fields = values.reshape(len(values), -1, *sides)
    axes = tuple(range(2, fields.ndim))
    noise = np.fft.rfftn(generator.standard_normal(fields.shape), axes=axes)
    spectrum = np.fft.rfftn(fields, axes=axes)
    if ensemble:
        # The transform of white noise has the mean square `sites` at every wave number.
        fresh = noise * np.sqrt((np.abs(spectrum) ** 2).mean(0) / math.prod(sides))
    else:
        fresh = np.abs(spectrum) * noise / np.maximum(np.abs(noise), np.finfo(float).tiny)
    zero = (..., *(0 for _ in sides))
    fresh[zero] = spectrum[zero]
    surrogate = np.fft.irfftn(fresh, s=sides, axes=axes)
    return torch.from_numpy(surrogate.reshape(values.shape))


def matched_to(samples: object, reference: object) -> Tensor:
    """Return the samples with each column's values replaced by those of the reference's column, in the same order.

    Shapes: both (samples, variables). The marginals are then those of the reference exactly (spins stay spins).
    Source: Theiler et al. 1992, Physica D 58, 77 (amplitude adjustment).
    """
    values, wanted = _matrix(samples), _matrix(reference)
    if values.shape != wanted.shape:
        raise SettingError(f"samples have shape {values.shape}, the reference {wanted.shape}; they must agree")
    ranks = np.argsort(np.argsort(values, axis=0), axis=0)
    return torch.from_numpy(np.take_along_axis(np.sort(wanted, axis=0), ranks, axis=0))


def rotated_basis(samples: object, *, seed: int, whiten: bool = False) -> Tensor:
    """Return standardised variables in a Haar-random rotation of the basis; with `whiten`, whitened ones.

    Standardised variables keep their correlations, so rotating them shows what a basis does to sparse couplings. Whitened
    ones have none left: rotating them shows what a basis does to non-Gaussian marginals alone. Constant columns stay 0.
    """
    values = _matrix(samples)
    centred = values - values.mean(0)
    if whiten:
        left, singular, right = np.linalg.svd(centred, full_matrices=False)
        kept = singular > singular.max(initial=0.0) * np.finfo(float).eps * max(values.shape)
        centred = math.sqrt(len(values)) * left[:, kept] @ right[kept]
    else:
        scale = centred.std(0)
        centred = centred / np.where(scale > 0, scale, 1.0)
    return torch.from_numpy(centred @ haar_rotation(values.shape[1], seed=seed).numpy())


def haar_rotation(size: int, *, seed: int | np.random.Generator) -> Tensor:
    """Return a Haar-random orthogonal matrix (size, size).

    Source: Mezzadri 2007, arXiv:math-ph/0609050 (QR of a Gaussian matrix, signs of R's diagonal moved into Q).
    """
    gaussian = np.random.default_rng(seed).standard_normal((size, size))
    orthogonal, triangular = np.linalg.qr(gaussian)
    return torch.from_numpy(orthogonal * np.where(np.diag(triangular) < 0, -1.0, 1.0))


def shuffled_labels(targets: object, *, seed: int) -> Tensor:
    """Return the targets (samples, ...) in random order: what is left is chance."""
    labels = torch.as_tensor(targets)
    return labels[torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))]


def white_noise(samples: object, *, seed: int) -> Tensor:
    """Return independent noise: Gaussian with each column's mean and variance, a fair coin where it has two values."""
    values = _matrix(samples)
    generator = np.random.default_rng(seed)
    noise = values.mean(0) + values.std(0) * generator.standard_normal(values.shape)
    low, high = values.min(0), values.max(0)
    two_valued = ((values == low) | (values == high)).all(0) & (low < high)
    coins = np.where(generator.random(values.shape) < 1 / 2, low, high)
    return torch.from_numpy(np.where(two_valued, coins, noise))


def null_value(name: str, values: Sequence[float]) -> NullValue:
    """Return mean and 95 % band of an index over its null draws.

    Errors: the band is the Student prediction interval mean +- t s sqrt(1 + 1/n) of one further draw (exact for Gaussian
    draws), because quantiles of the few draws that are affordable would be too narrow.
    Raises: SettingError for fewer than 3 draws.
    """
    draws = np.asarray(values, dtype=np.float64)
    if len(draws) < 3:  # two draws leave one degree of freedom: a band of +-16 standard deviations
        raise SettingError(f"{len(draws)} draws of the null {name} given; at least 3 are needed for a band")
    mean, spread = float(draws.mean()), float(draws.std(ddof=1))
    half = float(t.ppf((1 + _COVERED) / 2, len(draws) - 1)) * spread * math.sqrt(1 + 1 / len(draws))
    return NullValue(name, mean, mean - half, mean + half, len(draws))


def _matrix(samples: object) -> np.ndarray:
    values = torch.as_tensor(samples, dtype=torch.float64).detach().cpu()
    values = values.reshape(len(values), -1).numpy() if values.ndim > 1 else values[:, None].numpy()
    if not np.isfinite(values).all():
        raise DataError("samples contain NaN or infinite values; remove or impute them first")
    return values

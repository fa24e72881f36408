"""Real variables in whitened coordinates, where what is not pairwise shows best, and whether pairs are all there is.

A linear map keeps the degree of a polynomial, so an order found here is the order of the data. Whitened coordinates are the
symmetric ones (x - mean) C^(-1/2), which change each variable as little as possible. Units: standard deviations.
"""

import math

import numpy as np

from rgflow.records.estimate import Estimate

__all__ = ["gaussian_excess", "whitened"]

_FLOOR = 1e-6  # of the largest variance: directions below it are duplicates
_SURROGATES = 5
_BLOCKS = 20


def whitened(values: np.ndarray) -> np.ndarray:
    """Return (x - mean) C^(-1/2), directions of no variance left out of the inverse."""
    centred = values - values.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = variances > _FLOOR * variances[-1]
    return centred @ (axes[:, kept] / np.sqrt(variances[kept])) @ axes[:, kept].T


def gaussian_excess(values: np.ndarray, *, seed: int) -> Estimate:
    """Return E log cosh over whitened coordinates less the same of Gaussian samples of the same covariance and number.

    0 for data of order 2; below 0 for heavy tails. Errors: over blocks of samples and over 5 Gaussian data sets.
    """
    rows = _log_cosh(whitened(values))
    blocks = np.array([part.mean() for part in np.array_split(rows, _BLOCKS)])
    generator = np.random.default_rng(seed)
    surrogates = [_log_cosh(whitened(generator.standard_normal(values.shape))).mean() for _ in range(_SURROGATES)]
    error = math.hypot(
        blocks.std(ddof=1) / math.sqrt(_BLOCKS), np.std(surrogates, ddof=1) * math.sqrt(1 + 1 / _SURROGATES)
    )
    return Estimate(float(rows.mean() - np.mean(surrogates)), error, "statistical")


def _log_cosh(values: np.ndarray) -> np.ndarray:
    size = np.abs(values)
    return (size + np.log1p(np.exp(-2.0 * size)) - math.log(2.0)).mean(1)

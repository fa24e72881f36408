"""Samples of spins as the fits hold them: one row a site, equal configurations counted once where that saves work.

Convention: spins are -1 or 1, int8; `spins[i, m]` is site i of configuration m; weights are fractions that sum to 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rgflow.errors import DataError

__all__ = ["SpinSample", "checked_spins", "spin_sample"]

_LARGEST_CODE = 62  # bits of a configuration's number in int64, sign left out
_SAVING = 2  # equal configurations are merged where at most half of them are distinct


@dataclass(frozen=True, eq=False)
class SpinSample:
    """Distinct configurations with their weights, and where each of the given samples went.

    Shapes: `spins` (sites, rows) int8, `weights` (rows,) float64 with sum 1; `inverse` (samples,) is the row of each sample
    in the order given, or None where row m is sample m.
    """

    spins: np.ndarray
    weights: np.ndarray
    inverse: np.ndarray | None
    samples: int

    @property
    def sites(self) -> int:
        """Number of sites."""
        return len(self.spins)


def checked_spins(samples: Any, *, sites: int | None = None) -> np.ndarray:
    """Return the samples as an int8 array (samples, sites).

    Raises: DataError for another shape, no samples, or values other than -1 and 1.
    """
    given = samples.detach().cpu() if isinstance(samples, torch.Tensor) else samples
    values = np.asarray(given)
    needed = f"(samples, {sites})" if sites is not None else "(samples, sites)"
    if values.ndim != 2 or 0 in values.shape or (sites is not None and values.shape[1] != sites):
        raise DataError(f"the samples have shape {values.shape}; {needed} is needed, one row a configuration")
    if values.dtype.kind not in "fiu":
        raise DataError(f"the samples hold {values.dtype} values; a spin must be the number -1 or 1")
    with np.errstate(invalid="ignore"):  # NaN becomes some integer, and is refused below
        spins = values.astype(np.int8)
    wrong = (spins != values) if values.dtype.kind == "f" or values.itemsize > 1 else None
    bad = (spins != 1) & (spins != -1) if wrong is None else (wrong | ((spins != 1) & (spins != -1)))
    if bad.any():
        found = values[tuple(np.argwhere(bad)[0])]
        raise DataError(f"a spin has the value {found:g}; it must be -1 or 1 (for bits b give 2 b - 1)")
    return spins


def spin_sample(samples: Any, *, sites: int) -> SpinSample:
    """Return the checked samples, equal configurations merged where that at least halves them. Raises: DataError."""
    spins = checked_spins(samples, sites=sites)
    count = len(spins)
    if sites <= _LARGEST_CODE and count > 2**8:  # below 256 samples there is nothing to save
        codes = (spins > 0).astype(np.int64) @ (1 << np.arange(sites, dtype=np.int64))
        _, fresh, inverse, repeats = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
        if _SAVING * len(fresh) <= count:
            rows = np.ascontiguousarray(spins[fresh].T)
            return SpinSample(rows, repeats / count, inverse, count)
    return SpinSample(np.ascontiguousarray(spins.T), np.full(count, 1.0 / count), None, count)

"""The scale on which real variables are compared: centre, unit, and a smoothing where the data have no smooth density.

z = ((x - centre) / unit + smoothing * noise) / sqrt(1 + smoothing^2): unit variance before and after, noise standard
normal. Score matching needs a density with a slope everywhere; clipped, counted or edged data get one by the noise, which
hides everything finer than `smoothing` standard deviations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rgflow.errors import DataError, SettingError

__all__ = ["SMOOTHING", "Standardisation", "as_given", "continuous_samples", "standardisation"]

SMOOTHING = (
    0.3  # of a standard deviation: an order-4 density resolves little that is finer, and adds 9 % to the variance
)
_ATOM = 0.05  # share of samples on one value, above which the value is an atom and not a rounding
_EDGE = 0.01  # share of samples next to the extreme one, above which the density ends abruptly; smooth tails hold a few
_NEXT = 0.1  # of a standard deviation: what "next to" means; a normal tail holds about 1.5 samples there
_FEW = 10  # samples next to the edge, below which a share says nothing


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Centre and unit (variables,) of each variable, the smoothing (variables,) in units, and what was found.

    `smoothing` is 0 where none is needed. `notes` has one sentence for every change made to the data.
    """

    centre: np.ndarray
    unit: np.ndarray
    smoothing: np.ndarray
    notes: tuple[str, ...] = ()

    def apply(self, samples: Any, *, seed: int = 0) -> np.ndarray:
        """Return z (samples, variables); `seed` draws the smoothing noise. Raises: DataError for another shape."""
        z = self.place(samples)
        if self.smoothing.any():
            noise = np.random.default_rng(seed).standard_normal(z.shape)
            z = z + self.smoothing / np.sqrt(1.0 + self.smoothing**2) * noise
        return z

    def place(self, samples: Any) -> np.ndarray:
        """Return where the samples stand on the scale of z, without noise: (x - centre) / unit / sqrt(1 + smoothing^2)."""
        given = continuous_samples(samples, least=1)
        if given.shape[1] != len(self.centre):
            raise DataError(f"the samples have {given.shape[1]} variables; the scale was learned on {len(self.centre)}")
        return (given - self.centre) / (self.unit * np.sqrt(1.0 + self.smoothing**2))

    def undo(self, z: np.ndarray) -> np.ndarray:
        """Return the values on the given scale; the smoothing stays in them."""
        return self.centre + self.unit * np.sqrt(1.0 + self.smoothing**2) * z

    @property
    def log_units(self) -> float:
        """Logarithm of dx/dz, summed over variables: ln p(x) = ln p(z) - log_units."""
        return float(np.log(self.unit * np.sqrt(1.0 + self.smoothing**2)).sum())


def standardisation(
    samples: Any, *, pooled: bool = False, centred: bool = True, smoothing: float | None = None
) -> Standardisation:
    """Return the scale of `samples` (samples, variables).

    `pooled`: one centre and unit for all variables, as a symmetry that exchanges them needs. `centred=False`: centre 0, as
    the symmetry x -> -x needs; the unit is then the root mean square. `smoothing` in standard deviations: None takes 0.3 for
    every variable with atoms, few values or abrupt edges and 0 for the rest; a number is used for all.
    Constant variables are atoms: in a pooled unit they become noise alone, otherwise they have no unit.
    Raises: DataError for constant variables (unless pooled with others) or samples that are not finite, SettingError for a
    smoothing below 0.

    Example:
    >>> standardisation([[0.0], [2.0], [4.0]]).apply([[2.0]]).tolist()
    [[0.0]]
    """
    x = continuous_samples(samples, least=2)
    if smoothing is not None and not 0.0 <= smoothing < np.inf:
        raise SettingError(f"smoothing is {smoothing}; it must be a number of standard deviations >= 0, or None")
    _refuse_constants(x, all_alone=pooled)
    axes = None if pooled else 0
    centre = np.broadcast_to(x.mean(axis=axes), x.shape[1]) if centred else np.zeros(x.shape[1])
    unit = np.sqrt(np.broadcast_to(((x - centre) ** 2).mean(axis=axes), x.shape[1]))
    rough = _rough(x)
    amount = np.where(rough, SMOOTHING, 0.0) if smoothing is None else np.full(x.shape[1], float(smoothing))
    if pooled and smoothing is None:
        amount[:] = amount.max()
    notes = ()
    if amount.any():
        reason = (
            f"{int(rough.sum())} of {x.shape[1]} variables have repeated values or abrupt edges"
            if rough.any()
            else "asked"
        )
        notes = (
            f"{int((amount > 0).sum())} variables smoothed by Gaussian noise of {amount.max():g} standard deviations"
            f" ({reason}); structure finer than that is not seen",
        )
    return Standardisation(centre.copy(), unit.copy(), amount, notes)


def as_given(variables: int) -> Standardisation:
    """Return the scale that leaves the values as they are."""
    return Standardisation(np.zeros(variables), np.ones(variables), np.zeros(variables))


def continuous_samples(samples: Any, *, least: int) -> np.ndarray:
    """Return `samples` as a finite float64 array (samples, variables).

    Raises: DataError for another shape, fewer than `least` samples, or values that are not finite.
    """
    given = torch.as_tensor(samples).detach().cpu().to(torch.float64).numpy()
    if given.ndim != 2 or given.shape[0] < least or not given.shape[1]:
        raise DataError(
            f"the samples have shape {tuple(given.shape)}; (samples, variables) with at least {least} samples is needed"
        )
    if not np.isfinite(given).all():
        raise DataError("the samples contain NaN or infinite values; remove or impute them first")
    return given


def _refuse_constants(x: np.ndarray, *, all_alone: bool) -> None:
    """Refuse any constant variable, or only data that are constant throughout: a pooled unit and its noise serve the rest."""
    spread = x.std(axis=0)
    if all_alone and len(x) and float(x.std()) > 1e-10 * (1.0 + abs(float(x.mean()))):  # the same rounding
        return
    flat = np.flatnonzero(spread <= 1e-10 * (1.0 + np.abs(x.mean(axis=0))))  # rounding of the mean leaves 1e-16
    if len(flat):
        raise DataError(
            f"variable {flat[0]} is constant over the samples ({len(flat)} such variables of {x.shape[1]}); a constant has no"
            " density, leave it out"
        )


def _rough(x: np.ndarray) -> np.ndarray:
    """Which variables have atoms (5 % of the samples on one value) or edges (1 % next to the smallest or largest)."""
    count = len(x)
    ordered = np.sort(x, axis=0)
    width = max(2, int(np.ceil(_ATOM * count)))  # an atom of that many samples makes two equal values this far apart
    atoms = (ordered[width:] == ordered[:-width]).any(axis=0) if width < count else np.zeros(x.shape[1], dtype=bool)
    near = _NEXT * x.std(axis=0)
    beside = np.maximum((x <= ordered[0] + near).sum(axis=0), (x >= ordered[-1] - near).sum(axis=0))
    return atoms | ((beside > _EDGE * count) & (beside > _FEW))

"""Exact averages on rings by the transfer matrix: Ising, Potts, XY and phi^4 models in one dimension.

Convention: p(x) = exp(sum over bonds of b(x_i, x_(i+1)) + sum over sites of v(x_i)) / Z in nats; log Z of the whole ring.
Continuous variables stand on an even grid, on which sums of smooth functions that are periodic, or that vanish at both
ends, converge faster than any power of the spacing.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rgflow.errors import SettingError

__all__ = ["TransferRing", "ising_ring", "phi4_ring", "potts_ring", "xy_ring"]

_ANGLES = (
    256  # resolves exp(K cos a) to rounding up to K of about 500: the width 1/sqrt K of its peak spans 1.8 spacings
)
_FIELD_POINTS = 500
_FIELD_REACH = 50.0  # beyond it exp(-V) is below exp(-50) = 2e-22 of its peak, under the rounding of a sum


@dataclass(frozen=True, eq=False)
class TransferRing:
    """A ring of `sites` variables that take the values `points`, with the logarithm of the transfer matrix between two.

    Shapes: `points` (values,), `log_matrix` (values, values), symmetric; the potential of a site is half on either side.
    `spacing` is the weight of one point of the grid in an integral, 1 for discrete variables.
    """

    sites: int
    points: np.ndarray
    log_matrix: np.ndarray
    spacing: float = 1.0

    def __post_init__(self) -> None:
        if self.sites < 3:
            raise SettingError(f"a ring of {self.sites} sites given; at least 3 are needed, so that bonds are distinct")

    @property
    def log_partition(self) -> float:
        """Log Z = log trace T^sites."""
        ratios = self._spectrum.values / self._spectrum.values[0]
        top = self._largest + math.log(self.spacing * self._spectrum.values[0])
        return self.sites * top + math.log(float((ratios**self.sites).sum()))

    def mean(self, function: Any) -> float:
        """Return <f(x_i)> from the values of f at `points`."""
        return self.correlation(function, np.ones(len(self.points)), distance=0)

    def correlation(self, first: Any, second: Any, *, distance: int) -> float:
        """Return <f(x_i) g(x_(i + distance))>, not connected, from the values of f and g at `points`."""
        steps = int(distance) % self.sites
        vectors, ratios = self._spectrum.vectors, self._spectrum.values / self._spectrum.values[0]
        left = vectors.T @ (np.asarray(first, dtype=np.float64)[:, None] * vectors)
        right = vectors.T @ (np.asarray(second, dtype=np.float64)[:, None] * vectors)
        weights = np.outer(ratios ** (self.sites - steps), ratios**steps)
        return float((weights * left * right.T).sum() / (ratios**self.sites).sum())

    def bond_mean(self, function: Any) -> float:
        """Return <f(x_i, x_(i+1))> from the values of f at pairs of points, shape (values, values)."""
        return float((self.pair_law * np.asarray(function, dtype=np.float64)).sum())

    @cached_property
    def pair_law(self) -> np.ndarray:
        """Probabilities (values, values) of the values of two neighbours; points of a grid carry their spacing."""
        vectors, ratios = self._spectrum.vectors, self._spectrum.values / self._spectrum.values[0]
        rest = (vectors * ratios ** (self.sites - 1)) @ vectors.T
        joint = np.exp(self.log_matrix - self._largest) * rest
        return joint / joint.sum()

    @property
    def _largest(self) -> float:
        return float(self.log_matrix.max())

    @cached_property
    def _spectrum(self) -> "_Spectrum":
        values, vectors = np.linalg.eigh(np.exp(self.log_matrix - self._largest))
        return _Spectrum(values[::-1], vectors[:, ::-1])


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """Eigenvalues, largest first, and the eigenvectors in columns."""

    values: np.ndarray
    vectors: np.ndarray


def ising_ring(sites: int, *, coupling: float, field: float = 0.0) -> TransferRing:
    """Return the ring of spins -1, 1 with -H = coupling sum s_i s_(i+1) + field sum s_i.

    Raises: SettingError for fewer than 3 sites.

    Example:
    >>> ring = ising_ring(10, coupling=0.5)
    >>> round(ring.correlation([-1, 1], [-1, 1], distance=1), 6)
    0.462873
    """
    spins = np.array([-1.0, 1.0])
    return _ring(sites, points=spins, bond=coupling * np.outer(spins, spins), potential=field * spins)


def potts_ring(sites: int, *, states: int, coupling: float, fields: Any = None) -> TransferRing:
    """Return the ring of Potts variables 0 .. states - 1, -H = coupling sum [x_i = x_(i+1)] + sum fields[x_i].

    Raises: SettingError for fewer than 3 sites or 2 states, or fields that do not fit.
    """
    levels = np.zeros(states) if fields is None else np.asarray(fields, dtype=np.float64)
    if states < 2 or levels.shape != (states,):
        raise SettingError(
            f"states is {states} and fields has shape {levels.shape}; needed: states >= 2, one field each"
        )
    return _ring(sites, points=np.arange(states, dtype=np.float64), bond=coupling * np.eye(states), potential=levels)


def xy_ring(sites: int, *, coupling: float) -> TransferRing:
    """Return the ring of angles with -H = coupling sum cos(a_i - a_(i+1)), angles in radians from 0.

    Errors: rounding for |coupling| up to 500.
    Raises: SettingError for fewer than 3 sites or a larger coupling.
    """
    if not abs(coupling) <= 500.0:  # see _ANGLES
        raise SettingError(f"coupling is {coupling}; the grid of angles resolves couplings up to 500")
    angles = 2.0 * math.pi * np.arange(_ANGLES) / _ANGLES
    bond = coupling * np.cos(angles[:, None] - angles[None, :])
    return _ring(sites, points=angles, bond=bond, potential=np.zeros(_ANGLES), spacing=2.0 * math.pi / _ANGLES)


def phi4_ring(sites: int, *, mass_squared: float, quartic: float, coupling: float) -> TransferRing:
    """Return the ring with H = sum_i (mass_squared x_i^2 / 2 + quartic x_i^4 / 4) + coupling sum_i (x_i - x_(i+1))^2 / 2.

    Errors: rounding where neither the potential nor the bond is narrower than the grid: coupling <= 100 or so.
    Raises: SettingError for fewer than 3 sites, or an energy without lower bound.
    """
    if coupling < 0.0 or quartic < 0.0 or (quartic == 0.0 and mass_squared <= 0.0):
        raise SettingError(
            f"quartic is {quartic}, mass_squared {mass_squared}, coupling {coupling}; needed: coupling >= 0 and quartic > 0,"
            " or quartic = 0 and mass_squared > 0"
        )
    points = np.linspace(-1.0, 1.0, _FIELD_POINTS) * _reach(mass_squared, quartic=quartic)
    potential = -(mass_squared * points**2 / 2.0 + quartic * points**4 / 4.0)
    bond = -coupling * (points[:, None] - points[None, :]) ** 2 / 2.0
    return _ring(sites, points=points, bond=bond, potential=potential, spacing=float(points[1] - points[0]))


def _reach(mass_squared: float, *, quartic: float) -> float:
    """Return x > 0 where the potential lies `_FIELD_REACH` above its minimum."""
    if quartic == 0.0:
        return math.sqrt(2.0 * _FIELD_REACH / mass_squared)
    # in y = x^2: quartic y^2 / 4 + mass_squared y / 2 = lowest + reach
    lowest = -(mass_squared**2) / (4.0 * quartic) if mass_squared < 0.0 else 0.0
    root = math.sqrt(mass_squared**2 / 4.0 + quartic * (lowest + _FIELD_REACH))
    return math.sqrt((root - mass_squared / 2.0) * 2.0 / quartic)


def _ring(
    sites: int, *, points: np.ndarray, bond: np.ndarray, potential: np.ndarray, spacing: float = 1.0
) -> TransferRing:
    return TransferRing(sites, points, bond + (potential[:, None] + potential[None, :]) / 2.0, spacing)

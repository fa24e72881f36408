"""Exact energies, partition functions and magnetisations of the square-lattice Ising model without field.

Convention: p(s) = exp(K sum over bonds of s_i s_j) / Z with K = 1 / T; energies are -(sum over bonds of s_i s_j) per site,
so in units of the coupling; log Z is in nats, of the whole lattice.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ellipkm1

from rgflow.errors import SettingError

__all__ = [
    "CRITICAL_COUPLING",
    "CRITICAL_TEMPERATURE",
    "onsager_energy",
    "spontaneous_magnetisation",
    "torus_energy",
    "torus_log_partition",
]

CRITICAL_COUPLING = math.log1p(math.sqrt(2.0)) / 2.0  # self-dual point sinh 2K = 1 (Kramers and Wannier 1941)
CRITICAL_TEMPERATURE = 1.0 / CRITICAL_COUPLING
_COLDEST = 0.01  # sinh^2(2 / T) overflows below 0.006; at 0.01 excitations have the weight exp(-800) already


def onsager_energy(temperature: float) -> float:
    """Return the energy per site of the infinite lattice, -coth(2K) [1 + (2/pi) (2 tanh^2 2K - 1) F(k)].

    F is the complete elliptic integral of the first kind, k = 2 sinh 2K / cosh^2 2K; at the critical point -sqrt 2.
    Errors: rounding, times at most log |T - T_c| near the critical point.
    Raises: SettingError unless `temperature` is finite and >= 0.01.
    Source: Onsager 1944, Phys. Rev. 65, 117.

    Example:
    >>> round(onsager_energy(2.5), 7)
    -1.1060792
    """
    doubled = 2.0 / _checked(temperature)
    sine, tangent = math.sinh(doubled), math.tanh(doubled)
    weight = 2.0 * tangent**2 - 1.0
    complement = ((1.0 - sine**2) / math.cosh(doubled) ** 2) ** 2  # 1 - k^2, written so that nothing cancels at T_c
    integral = float(ellipkm1(complement)) if complement > 0.0 else 0.0  # at T_c the weight 0 wins over log infinity
    return -(1.0 + 2.0 / math.pi * weight * integral) / tangent


def spontaneous_magnetisation(temperature: float) -> float:
    """Return the magnetisation per site of the infinite lattice, (1 - sinh^-4 2K)^(1/8) below T_c and 0 above.

    Raises: SettingError unless `temperature` is finite and >= 0.01.
    Source: Yang 1952, Phys. Rev. 85, 808.
    """
    if _checked(temperature) >= CRITICAL_TEMPERATURE:
        return 0.0
    return (1.0 - math.sinh(2.0 / temperature) ** -4) ** 0.125  # 1/8 is the exponent beta of the two-dimensional model


def torus_log_partition(shape: tuple[int, int], *, temperature: float) -> float:
    """Return log Z of a periodic lattice of `shape` = (rows, columns), both sides >= 3.

    Errors: rounding only; the four terms of the sum are added with their signs on a logarithmic scale.
    Raises: SettingError for sides below 3, or a temperature that is not finite or below 0.01.
    Source: Kaufman 1949, Phys. Rev. 76, 1232.

    Example:
    >>> round(torus_log_partition((4, 4), temperature=2.5), 9)
    14.561093024
    """
    return _torus(shape, temperature=temperature).log_partition


def torus_energy(shape: tuple[int, int], *, temperature: float) -> float:
    """Return the energy per site of a periodic lattice of `shape` = (rows, columns), -(d log Z / dK) / sites.

    Errors: rounding only; the derivative is taken analytically.
    Raises: SettingError for sides below 3, or a temperature that is not finite or below 0.01.
    Source: Kaufman 1949, Phys. Rev. 76, 1232; at T_c see Ferdinand and Fisher 1969, Phys. Rev. 185, 832.

    Example:
    >>> round(torus_energy((32, 32), temperature=2.5), 7)
    -1.1072917
    """
    return -_torus(shape, temperature=temperature).slope / (shape[0] * shape[1])


@dataclass(frozen=True)
class _Torus:
    """log Z and d log Z / dK of one lattice."""

    log_partition: float
    slope: float


@dataclass(frozen=True)
class _Product:
    """One of Kaufman's four products: the log of its modulus, its sign, and the derivative of the product by K
    divided by the exponential of `logarithm`."""

    logarithm: float
    sign: float
    slope: float


def _torus(shape: tuple[int, int], *, temperature: float) -> _Torus:
    rows, columns = (int(side) for side in shape)
    if min(rows, columns) < 3:
        raise SettingError(f"shape is {rows}x{columns}; both sides must be >= 3, so that a bond joins two sites once")
    coupling = 1.0 / _checked(temperature)
    odd = _modes(np.arange(1, 2 * columns, 2), coupling=coupling, columns=columns)
    even = _modes(np.arange(0, 2 * columns, 2), coupling=coupling, columns=columns)
    products = [_cosines(odd, rows=rows), _sines(odd, rows=rows), _cosines(even, rows=rows), _sines(even, rows=rows)]
    largest = max(product.logarithm for product in products)
    weights = [math.exp(product.logarithm - largest) for product in products]
    total = sum(weight * product.sign for weight, product in zip(weights, products, strict=True))
    slope = sum(weight * product.slope for weight, product in zip(weights, products, strict=True)) / total
    sites = rows * columns
    # log(2 sinh 2K) = 2K + log(1 - exp(-4K)) stays finite for the strongest couplings
    front = sites / 2.0 * (2.0 * coupling + math.log(-math.expm1(-4.0 * coupling))) - math.log(2.0)
    return _Torus(front + largest + math.log(total), sites / math.tanh(2.0 * coupling) + slope)


@dataclass(frozen=True)
class _Modes:
    """Kaufman's gamma_r and their derivatives by K."""

    value: np.ndarray
    slope: np.ndarray


def _modes(numbers: np.ndarray, *, coupling: float, columns: int) -> _Modes:
    """Return gamma_r >= 0 of cosh gamma_r = cosh^2(2K) / sinh(2K) - cos(pi r / columns); gamma_0 keeps its sign."""
    sine, cosine = math.sinh(2.0 * coupling), math.cosh(2.0 * coupling)
    # cosh gamma - 1 = (1 - sinh 2K)^2 / sinh 2K + 2 sin^2(pi r / 2 columns), without cancellation near T_c
    excess = (1.0 - sine) ** 2 / sine + 2.0 * np.sin(math.pi * numbers / (2.0 * columns)) ** 2
    value = 2.0 * np.arcsinh(np.sqrt(excess / 2.0))
    change = 2.0 * cosine * (1.0 - 1.0 / sine**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = change / np.sinh(value)
    if numbers[0] == 0:
        value[0] = 2.0 * coupling + math.log(math.tanh(coupling))
        slope[0] = 2.0 + 2.0 / sine
    return _Modes(value, slope)


def _cosines(modes: _Modes, *, rows: int) -> _Product:
    """Return prod_r 2 cosh(rows gamma_r / 2)."""
    half = rows * modes.value / 2.0
    logarithm = float(np.logaddexp(half, -half).sum())
    return _Product(logarithm, 1.0, float((rows / 2.0 * modes.slope * np.tanh(half)).sum()))


def _sines(modes: _Modes, *, rows: int) -> _Product:
    """Return prod_r 2 sinh(rows gamma_r / 2), whose first factor may vanish or be negative."""
    half = rows * modes.value / 2.0
    size = np.abs(half)
    # every factor but the first is > 0; the first is carried as cosh times tanh, so that tanh = 0 does no harm
    others = (size[1:] + np.log(-np.expm1(-2.0 * size[1:]))).sum()
    logarithm = float(others + np.logaddexp(half[0], -half[0]))
    ratio = math.tanh(half[0])
    rest = float((rows / 2.0 * modes.slope[1:] / np.tanh(half[1:])).sum())
    slope = rows / 2.0 * float(modes.slope[0]) + ratio * rest
    return _Product(logarithm, ratio, slope)


def _checked(temperature: float) -> float:
    if not (math.isfinite(temperature) and temperature >= _COLDEST):
        raise SettingError(f"temperature is {temperature}; it must be finite and >= {_COLDEST}")
    return float(temperature)

"""The kernel map next to K = 0: F(K) = K + a K^(1+s) for an activation that vanishes at 0 with a slope.

Method: <s^2>/K and <s'^2> are computed at Chebyshev points in e = sqrt(K) and fitted by a polynomial in e; the first
power that does not vanish gives the exponent (e^1: s = 1/2, a kink of s'' at 0; e^2: s = 1, smooth; ...).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from rgflow.numerics.gaussian import Moments, mesh_of, moments
from rgflow.numerics.pointwise import Activation

__all__ = ["SmallKernel", "small_kernel"]

# Largest standard deviation of the fit, in units of the finest feature: kinks then lie 20 standard deviations away.
_FRACTION = 0.05
_DEGREE, _POINTS = 10, 24
_HIGHEST = 4  # highest power of e that a fit in float64 can tell from its own rounding (measured on exact series)


@dataclass(frozen=True)
class SmallKernel:
    """A2 = <s'^2> at 0, and with C_W = 1/A2: F(K)/K - 1 = a K^s, chi_perpendicular - 1 = b K^s; A = lim S/K^2."""

    slope_square: float
    exponent: float
    coefficient: float
    perpendicular_coefficient: float
    amplitude: float
    stable: bool


def small_kernel(activation: Activation) -> SmallKernel | None:
    """Return the expansion at K -> 0, or None if s(0) is not 0 or both one-sided slopes vanish."""
    length = _finest(activation)
    size = float(activation.function(torch.tensor([length, -length], dtype=torch.float64)).abs().max())
    upper, lower = activation.slopes
    exact = 0.5 * (upper**2 + lower**2)
    if not abs(activation.origin) <= 1e-13 * size or exact <= 1e-16 * (size / length) ** 2:
        return None
    width = _FRACTION * length
    angles = math.pi * (np.arange(_POINTS) + 0.5) / _POINTS
    deviation = 0.5 * width * (1.0 + np.cos(angles))
    found = moments(activation, torch.from_numpy(deviation**2))
    ratio, misfit = _series(deviation, found.square.numpy() / deviation**2, width)
    slope, _ = _series(deviation, found.slope_square.numpy(), width)
    fitted = slope[0]
    if not (math.isfinite(fitted) and fitted > 1e-10 * (size / length) ** 2):
        return None
    # The slope read at 0 is exact for well-written functions; one that cancels near 0 is overruled by the fit.
    second = exact if abs(exact / fitted - 1.0) < 1e-9 else fitted
    power = _leading_power(ratio / second, misfit / second, kinked=0.0 in activation.kinks)
    return _expanded(activation, ratio / second, slope / second, power=power, length=length, second=second)


def _finest(activation: Activation) -> float:
    """Length within which s is smooth on each side of 0 and s(z)/z changes by less than a factor of two."""
    length = min([mesh_of(activation).length, *(abs(kink) for kink in activation.kinks if kink != 0.0)])
    for _ in range(64):
        points = length * torch.tensor([1.0, -1.0], dtype=torch.float64)
        ratio = activation.function(points) / points
        near = activation.function(1e-3 * points) / (1e-3 * points)
        if bool(((ratio - near).abs() <= 0.5 * near.abs().amax()).all()):
            break
        length *= 0.5
    return length


def _series(deviation: np.ndarray, values: np.ndarray, width: float) -> tuple[np.ndarray, float]:
    """Coefficients of the powers of e / width, up to the highest that is meaningful, and the largest misfit."""
    if not np.isfinite(values).all():
        return np.full(_HIGHEST + 1, math.nan), math.nan
    fit = np.polynomial.Chebyshev.fit(deviation, values, _DEGREE, domain=[0.0, width])
    series = fit.convert(domain=[0.0, width], window=[0.0, 1.0], kind=np.polynomial.Polynomial)
    return series.coef[: _HIGHEST + 1], float(np.abs(fit(deviation) - values).max())


def _leading_power(ratio: np.ndarray, misfit: float, *, kinked: bool) -> int | None:
    """The first power of e whose coefficient stands out from rounding; None if there is none up to e^4."""
    # Standard error of the coefficient of each power of e / width for unit noise of the values (measured on random
    # values at these points), times 100 so that noise is not taken for a power.
    growth = np.array([0.53, 53.0, 1.4e3, 1.7e4, 1.0e5]) * 100.0
    threshold = growth * max(misfit, 1e-15)
    # <s^2> has a term e^1 only if s'' jumps at 0.
    first = 1 if kinked else 2
    return next((k for k in range(first, _HIGHEST + 1) if abs(ratio[k]) > threshold[k]), None)


def _expanded(
    activation: Activation,
    ratio: np.ndarray,
    slope: np.ndarray,
    *,
    power: int | None,
    length: float,
    second: float,
) -> SmallKernel:
    width = _FRACTION * length
    amplitude = _amplitude(activation, moments(activation, (1e-3 * width) ** 2), 1e-3 * width)
    if power is None:
        far = moments(activation, torch.tensor([0.05, 0.2], dtype=torch.float64) * length**2)
        drift = far.square / (torch.tensor([0.05, 0.2], dtype=torch.float64) * length**2 * second) - 1.0
        return SmallKernel(second, math.inf, 0.0, 0.0, amplitude, bool((drift <= 1e-12).all()))
    scale = width**-power
    coefficient, perpendicular = float(ratio[power]) * scale, float(slope[power]) * scale
    return SmallKernel(second, power / 2.0, coefficient, perpendicular, amplitude, coefficient < 0.0)


def _amplitude(activation: Activation, near: Moments, width: float) -> float:
    upper, lower = activation.slopes
    second = 0.5 * (upper**2 + lower**2)
    exact = 1.5 * (upper**4 + lower**4) / second**2 - 1.0 if second > 0 else math.nan
    measured = float(near.fourth / near.square**2) - 1.0
    # Slopes that disagree with the averages (a function that cancels near 0) are not trusted.
    return exact if abs(exact - measured) < 10.0 * max(width, 1e-3) * max(1.0, abs(exact)) else measured

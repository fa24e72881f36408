"""Polynomials for arcsine and arctangent that a processor can evaluate for many numbers at once, exact to the dtype.

    asin(u) = u p(4 u^2 - 1) for u^2 <= 1/2,        atan(z) = z p(2 z^2 / z_max^2 - 1) for |z| <= z_max.
Coefficients of powers, lowest first; interpolated at Chebyshev points and cut where they pass below the rounding.
"""

from collections.abc import Callable

import numpy as np

from rgflow.theory.angle_variable import to_coefficients

__all__ = ["arcsine_powers", "arctangent_powers"]

_POINTS = 48  # twice the terms that float64 needs: the nearest singularity lies at v = 3, where terms fall as 5.8^-k


def arcsine_powers(rounding: float) -> np.ndarray:
    """Return p of asin(u) = u p(4 u^2 - 1) on u^2 <= 1/2, to `rounding`."""
    return _powers(lambda v: _ratio(np.arcsin, np.sqrt((v + 1.0) / 4.0)), rounding)


def arctangent_powers(largest: float, rounding: float) -> np.ndarray:
    """Return p of atan(z) = z p(2 z^2 / largest^2 - 1) on |z| <= largest <= 1, to `rounding`."""
    return _powers(lambda v: _ratio(np.arctan, largest * np.sqrt((v + 1.0) / 2.0)), rounding)


def _ratio(function: Callable[[np.ndarray], np.ndarray], z: np.ndarray) -> np.ndarray:
    return function(z) / z


def _powers(function: Callable[[np.ndarray], np.ndarray], rounding: float) -> np.ndarray:
    phase = (np.arange(_POINTS) + 0.5) * np.pi / _POINTS
    values = function(np.cos(phase))
    coefficients = to_coefficients(_POINTS).numpy() @ values
    # Sixteen units of float64: 16 terms, two passes of the loops, for 1e-14 of the whole; less is noise of the transform.
    noise = 16.0 * np.finfo(float).eps
    kept = np.flatnonzero(np.abs(coefficients) > max(0.5 * rounding, noise)).max() + 1
    return np.polynomial.chebyshev.cheb2poly(coefficients[:kept])

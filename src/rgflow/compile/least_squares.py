"""Products from a least-squares fit of the square, with weights of order one: for float32, and for training afterwards.

q(z) = sum_j c_j [s(b + w_j z) + s(b - w_j z)] + const approximates z^2 on |z| <= 2, w_j = 1.5 sin(pi j / (2k+1)), and
u v = [q(u+v) - q(u-v)] / 4. The error falls about twentyfold with each further scale; max |c_j| grows 3, 11, 21, ...
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from rgflow.compile.smooth import Smooth, smooth
from rgflow.compile.unit import REACH, Unit, costed

__all__ = ["LEAST_SQUARES_SCALES", "SquareFit", "least_squares_unit", "square_fit"]

LEAST_SQUARES_SCALES = (1, 2, 3, 4, 5, 6)
_SAMPLES = 400  # Chebyshev points of the fit
_CHECKED = 20_001  # points at which the error is bounded


@dataclass(frozen=True)
class SquareFit:
    """The fit: `scales` w_j, `weights` c_j, the constant, and a bound of |q(z) - z^2| on |z| <= 2 REACH."""

    scales: np.ndarray
    weights: np.ndarray
    constant: float
    error: float


@cache
def square_fit(name: str, *, scales: int, bias: float, dtype: torch.dtype) -> SquareFit:
    """Return the least-squares fit of z^2 by `scales` pairs of neurons of the activation called `name`."""
    act, reach = smooth(name), 2.0 * REACH
    z = reach * np.cos(np.pi * (np.arange(_SAMPLES) + 0.5) / _SAMPLES)
    steps = 1.5 * np.sin(np.pi * np.arange(1, scales + 1) / (2 * scales + 1))
    steps = torch.tensor(steps).to(dtype).double().numpy()
    columns = [_even(act, 0, step * z, bias) for step in steps]
    solution = np.linalg.lstsq(np.stack([*columns, np.ones_like(z)], 1), z * z, rcond=1e-14)[0]
    weights = torch.tensor(solution[:-1]).to(dtype).double().numpy()
    return SquareFit(steps, weights, float(solution[-1]), _error(act, steps, weights, float(solution[-1]), bias))


def least_squares_unit(act: Smooth, powers: tuple[int, ...], *, scales: int, bias: float, dtype: torch.dtype) -> Unit:
    """Return the unit for u v, powers (1, 1), or u^2, powers (2,)."""
    fit = square_fit(act.name, scales=scales, bias=bias, dtype=dtype)
    if powers == (2,):  # u^2 = q(2u) / 4
        forms, shares, error, offset = np.array([[2.0], [-2.0]]), np.full(2, 0.25), fit.error / 4.0, fit.constant / 4.0
    else:
        forms = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
        shares, error, offset = np.array([0.25, 0.25, -0.25, -0.25]), fit.error / 2.0, 0.0
    rows = np.concatenate([step * forms for step in fit.scales])
    weights = np.concatenate([weight * shares for weight in fit.weights])
    total, reach = float(np.abs(weights).sum()), 2.0 * float(fit.scales.max())
    return costed(
        act,
        rows,
        weights,
        kind="product",
        total=total,
        reach=reach,
        dtype=dtype,
        bias=bias,
        offset=offset,
        truncation=error,
    )


def _even(act: Smooth, order: int, z: np.ndarray, bias: float) -> np.ndarray:
    """Return the derivative of s(b + z) + s(b - z)."""
    return act.derivative(order, bias + z) + (-1.0) ** order * act.derivative(order, bias - z)


def _error(act: Smooth, steps: np.ndarray, weights: np.ndarray, constant: float, bias: float) -> float:
    """Return a bound of |q - z^2| on |z| <= 2 REACH: the largest sample, and what its derivatives allow in between."""
    z = np.linspace(0.0, 2.0 * REACH, _CHECKED)  # even in z
    gap = z[1] - z[0]

    def misfit(order: int) -> np.ndarray:
        square = (z * z + 0.0, 2.0 * z, np.full_like(z, 2.0), np.zeros_like(z))[order]
        fits = sum(c * w**order * _even(act, order, w * z, bias) for c, w in zip(weights, steps, strict=True))
        return fits + (constant if order == 0 else 0.0) - square

    bend = np.abs(misfit(2)).max() + gap * np.abs(misfit(3)).max()  # as in Smooth.supremum
    return float(np.abs(misfit(0)).max() + gap**2 / 8.0 * bend)

"""The units that one activation offers in one precision, each at the scale and bias with the smallest error bound.

Small scales lose to rounding, large ones to the Taylor remainder; the bound of their sum is minimised over powers of two,
which keeps weights exact. Biases: 0, and where the derivative that makes the product is largest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from scipy.optimize import root_scalar

from rgflow.compile.least_squares import least_squares_unit
from rgflow.compile.smooth import Smooth, smooth
from rgflow.compile.unit import Unit, corner, costed, passage, product_error, product_unit
from rgflow.errors import SettingError

__all__ = ["Kit", "exact_kit", "least_squares_kit", "scale_and_bias", "taylor_kit"]

SCALES = 2.0 ** np.arange(1, -31, -1)
SHIFTS = (6.0, 7.0, 8.0, 10.0, 14.0, 18.0, 24.0, 32.0, 40.0, 48.0)
_SEARCHED = np.linspace(-3.0, 3.0, 121)  # all named activations have the extrema of their derivatives there
_NEURONS_AT_MOST = 2**20


@dataclass(frozen=True)
class Kit:
    """How one activation multiplies: `product(powers)`, and two-factor products from three neurons if it has them.

    `degree_at_most` is the largest degree of one product.
    """

    name: str
    gates: str
    dtype: torch.dtype
    product: Callable[[tuple[int, ...]], Unit]
    passing: Unit
    corner: Unit | None = None
    degree_at_most: int = 20  # 2^20 neurons


@dataclass(frozen=True)
class Working:
    """A scale and a bias, and the error bound of the product there."""

    scale: float
    bias: float
    error: float


@cache
def scale_and_bias(name: str, degree: int, dtype: torch.dtype) -> Working:
    """Return the scale and bias at which a product of `degree` factors of size <= 1 has the smallest error bound."""
    act = smooth(name)
    found = [
        Working(float(scale), bias, product_error(act, degree, scale=float(scale), bias=bias, dtype=dtype))
        for bias in _biases(act, degree, dtype)
        for scale in SCALES
    ]
    return min(found, key=lambda working: working.error)


@cache
def taylor_kit(name: str, dtype: torch.dtype) -> Kit:
    """Return the kit whose products are central differences of the activation at a small scale."""
    act = smooth(name)

    @cache
    def product(powers: tuple[int, ...]) -> Unit:
        if np.prod([float(r + 1) for r in powers]) > _NEURONS_AT_MOST:
            raise SettingError(
                f"a product of {sum(powers)} factors in one layer needs too many neurons; allow more layers"
            )
        best = scale_and_bias(name, sum(powers), dtype)
        return product_unit(act, powers, scale=best.scale, bias=best.bias, dtype=dtype)

    return Kit(name, "taylor", dtype, product, _passing(act, dtype), _corner(act, dtype))


@cache
def least_squares_kit(name: str, dtype: torch.dtype, scales: int) -> Kit:
    """Return the kit whose squares are fitted by `scales` pairs of neurons with weights of order one."""
    act = smooth(name)
    bias = scale_and_bias(name, 2, dtype).bias

    @cache
    def product(powers: tuple[int, ...]) -> Unit:
        if sum(powers) == 1:
            return _passing(act, dtype)
        return least_squares_unit(act, powers, scales=scales, bias=bias, dtype=dtype)

    return Kit(name, f"least-squares, {scales} scales", dtype, product, _passing(act, dtype), degree_at_most=2)


@cache
def exact_kit(dtype: torch.dtype) -> Kit:
    """Return the kit of squared ReLU, whose only errors are roundings: z^2 = s(z) + s(-z)."""
    act = smooth("squared_relu")

    @cache
    def product(powers: tuple[int, ...]) -> Unit:
        if powers == (1,):
            return passing
        if powers == (2,):
            rows, weights, reach = np.array([[1.0], [-1.0]]), np.ones(2), 1.0
        else:
            rows = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
            weights, reach = np.array([0.25, 0.25, -0.25, -0.25]), 2.0
        return costed(act, rows, weights, kind="product", total=np.abs(weights).sum(), reach=reach, dtype=dtype)

    # v = ((v + 2)^2 - (2 - v)^2) / 8, both arguments positive
    passing = costed(
        act,
        np.array([[1.0], [-1.0]]),
        np.array([0.125, -0.125]),
        kind="pass",
        total=0.25,
        reach=1.0,
        dtype=dtype,
        bias=2.0,
    )
    # u v = ((u + v + 4)^2 - (u + 4)^2 - (v + 4)^2 + 16) / 2, all arguments positive
    three = costed(
        act, np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), np.array([0.5, -0.5, -0.5]),
        kind="product", total=1.5, reach=2.0, dtype=dtype, bias=4.0, offset=8.0,
    )  # fmt: skip
    return Kit("squared_relu", "exact", dtype, product, passing, three, degree_at_most=2)


def _biases(act: Smooth, degree: int, dtype: torch.dtype) -> list[float]:
    """Return 0 and the place in [-3, 3] where |s^(degree)| is largest, as numbers of `dtype`."""
    sizes = np.abs(act.derivative(degree, _SEARCHED))
    peak = int(sizes.argmax())
    if peak in (0, len(sizes) - 1):
        return [0.0]
    low, high = _SEARCHED[peak - 1], _SEARCHED[peak + 1]
    if act.at(degree + 1, low) * act.at(degree + 1, high) >= 0.0:
        return [0.0]
    found = root_scalar(lambda z: act.at(degree + 1, z), bracket=(low, high), xtol=1e-15, rtol=1e-15)
    place = float(torch.tensor(found.root, dtype=dtype))
    return [0.0] if abs(place) < 1e-12 else [0.0, place]


def _corner(act: Smooth, dtype: torch.dtype) -> Unit | None:
    """Return the product of three neurons, for activations whose second derivative has an extremum."""
    u = torch.finfo(dtype).eps / 2
    found = [
        corner(act, scale=float(scale), bias=bias, dtype=dtype)
        for bias in _biases(act, 2, dtype)
        if act.at(2, bias) != 0.0 and abs(act.at(3, bias)) < 1e-6 * abs(act.at(2, bias))
        for scale in SCALES
    ]
    return min(found, key=lambda unit: unit.error(added=2, roundoff=u), default=None)


def _passing(act: Smooth, dtype: torch.dtype) -> Unit:
    u = torch.finfo(dtype).eps / 2
    if act.passage == "shift":
        found = [passage(act, shift=shift, dtype=dtype) for shift in SHIFTS]
    else:
        biases = [0.0] if act.passage == "odd" else [b for b in _biases(act, 1, dtype) if act.at(1, b) != 0.0]
        found = [product_unit(act, (1,), scale=float(s), bias=b, dtype=dtype) for b in biases for s in SCALES]
    return min(found, key=lambda unit: unit.error(added=1, roundoff=u))

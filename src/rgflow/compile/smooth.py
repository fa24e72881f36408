"""Activations that can carry products: all their derivatives in closed form, and the PyTorch module that computes them.

Only activations whose derivatives are known exactly are here, because the error bounds need suprema of high derivatives.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.polynomial import polynomial as P
from scipy.special import erf, expit, ndtr
from torch import Tensor, nn

from rgflow.errors import SettingError
from rgflow.numerics.activations import activation

__all__ = [
    "NAMES",
    "Cosine",
    "ErrorFunction",
    "Exponential",
    "Sine",
    "Smooth",
    "SquaredReLU",
    "activation_module",
    "activation_name",
    "smooth",
]

Derivative = Callable[[int, np.ndarray], np.ndarray]
_GRID = 257  # samples of a derivative on an interval; the gaps between them are bridged by the next derivative


class Exponential(nn.Module):
    """exp(z), for which PyTorch has no module."""

    def forward(self, z: Tensor) -> Tensor:
        """Return exp(z)."""
        return torch.exp(z)


class SquaredReLU(nn.Module):
    """max(z, 0)^2, for which PyTorch has no module."""

    def forward(self, z: Tensor) -> Tensor:
        """Return max(z, 0)^2."""
        return torch.relu(z).square()


class Sine(nn.Module):
    """sin(z), for which PyTorch has no module."""

    def forward(self, z: Tensor) -> Tensor:
        """Return sin(z)."""
        return torch.sin(z)


class Cosine(nn.Module):
    """cos(z), for which PyTorch has no module."""

    def forward(self, z: Tensor) -> Tensor:
        """Return cos(z)."""
        return torch.cos(z)


class ErrorFunction(nn.Module):
    """erf(z), for which PyTorch has no module."""

    def forward(self, z: Tensor) -> Tensor:
        """Return erf(z)."""
        return torch.erf(z)


@dataclass(frozen=True)
class Smooth:
    """A smooth activation: `derivative(k, z)` for every order k, and how a value passes a layer of it.

    `passage` is "shift" where s(z) - z vanishes at large z (`tail` bounds |s(z) - z| there), "odd" where s(z) - s(0) is
    odd, "pair" otherwise. `rounding` bounds the relative error of PyTorch's own evaluation, in unit roundoffs.
    """

    name: str
    module: Callable[[], nn.Module]
    derivative: Derivative
    passage: str = "pair"
    tail: Callable[[float], float] = lambda z: 0.0
    rounding: float = 4.0  # one rounding an operation, one for a library function: measured in the tests

    def at(self, order: int, z: float) -> float:
        """Return the derivative of one order at one point."""
        return float(self.derivative(order, np.array([z]))[0])

    def supremum(self, order: int, centre: float, radius: float) -> float:
        """Return a bound of |s^(order)| on [centre - radius, centre + radius].

        The largest sample, plus half a spacing times the largest sampled slope, doubled for what lies between samples.
        """
        points = np.linspace(centre - radius, centre + radius, _GRID)
        spacing = 2.0 * radius / (_GRID - 1)
        slope = np.abs(self.derivative(order + 1, points)).max()
        return float(np.abs(self.derivative(order, points)).max() + spacing * slope)


def smooth(name: str) -> Smooth:
    """Return the activation of that name, one of NAMES other than relu."""
    return _TABLE[name]


@cache
def _logistic_polynomial(order: int) -> np.ndarray:
    """Return the coefficients in p = sigmoid(z) of the derivative of that order: d/dz = p (1 - p) d/dp."""
    if order == 0:
        return np.array([0.0, 1.0])
    return P.polymul(P.polyder(_logistic_polynomial(order - 1)), [0.0, 1.0, -1.0])


@cache
def _tanh_polynomial(order: int) -> np.ndarray:
    """Return the coefficients in t = tanh(z) of the derivative of that order: d/dz = (1 - t^2) d/dt."""
    if order == 0:
        return np.array([0.0, 1.0])
    return P.polymul(P.polyder(_tanh_polynomial(order - 1)), [1.0, 0.0, -1.0])


def _sigmoid(order: int, z: np.ndarray) -> np.ndarray:
    return P.polyval(expit(z), _logistic_polynomial(order))


def _tanh(order: int, z: np.ndarray) -> np.ndarray:
    return P.polyval(np.tanh(z), _tanh_polynomial(order))


def _softplus(order: int, z: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, z) if order == 0 else _sigmoid(order - 1, z)


def _normal(order: int, z: np.ndarray) -> np.ndarray:
    """Derivatives of the normal distribution function: Phi, then (-1)^j He_j(z) phi(z), j = order - 1."""
    if order == 0:
        return ndtr(z)
    unit = np.zeros(order)
    unit[-1] = 1.0
    hermite = np.polynomial.hermite_e.hermeval(z, unit)
    return (-1.0) ** (order - 1) * hermite * np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)


def _times_z(inner: Derivative) -> Derivative:
    """Derivatives of z g(z): z g^(k) + k g^(k-1)."""

    def derivative(order: int, z: np.ndarray) -> np.ndarray:
        return z * inner(order, z) + (order * inner(order - 1, z) if order else 0.0)

    return derivative


def _error_function(order: int, z: np.ndarray) -> np.ndarray:
    root = math.sqrt(2.0)
    return erf(z) if order == 0 else 2.0 * root**order * _normal(order, root * z)


def _exponential(order: int, z: np.ndarray) -> np.ndarray:
    return np.exp(z)


def _sine(order: int, z: np.ndarray) -> np.ndarray:
    return (np.sin(z), np.cos(z), -np.sin(z), -np.cos(z))[order % 4]


def _squared_relu(order: int, z: np.ndarray) -> np.ndarray:
    positive = np.maximum(z, 0.0)
    return (positive * positive, 2.0 * positive, 2.0 * (z > 0.0))[order] if order < 3 else np.zeros_like(z)


def _mirrored(order: int, z: np.ndarray) -> np.ndarray:
    """Derivatives of -softplus(-z)."""
    return (-1.0) ** (order + 1) * _softplus(order, -z)


_TABLE = {
    entry.name: entry
    for entry in (
        # |z - gelu(z)| = z Q(z) <= exp(-z^2/2) for z > 0, Mills' ratio
        Smooth("gelu", nn.GELU, _times_z(_normal), "shift", lambda z: math.exp(-0.5 * z * z), 6.0),
        Smooth("silu", nn.SiLU, _times_z(_sigmoid), "shift", lambda z: z * math.exp(-z), 6.0),
        Smooth("softplus", nn.Softplus, _softplus, "shift", lambda z: math.exp(-z), 6.0),
        Smooth("logsigmoid", nn.LogSigmoid, _mirrored, "pair", rounding=6.0),
        Smooth("sigmoid", nn.Sigmoid, _sigmoid, "odd", rounding=6.0),
        Smooth("tanh", nn.Tanh, _tanh, "odd"),
        Smooth("erf", ErrorFunction, _error_function, "odd"),
        Smooth("exp", Exponential, _exponential, "pair"),
        Smooth("sin", Sine, _sine, "odd"),
        Smooth("cos", Cosine, lambda order, z: _sine(order + 1, z), "pair"),
        Smooth("squared_relu", SquaredReLU, _squared_relu, "quadratic", rounding=1.0),
    )
}
NAMES = (*_TABLE, "relu")


def activation_module(name: str) -> nn.Module:
    """Return a fresh module of the activation of that name."""
    return nn.ReLU() if name == "relu" else _TABLE[name].module()


def activation_name(given: str) -> str:
    """Return the canonical name of an activation that can be compiled to.

    Raises: SettingError for an unknown one, or one that cannot multiply, with the reason and an alternative.
    """
    name = activation(given).name  # unknown names are refused there, with the list
    if name in NAMES:
        return name
    if name in ("identity", "cube"):
        reason = "is linear: s'' = 0" if name == "identity" else "is odd about its only inflection"
        raise SettingError(f"{name} {reason}, so no product can be formed; use 'gelu' or 'squared_relu'")
    raise SettingError(f"{name} has no error bound here; the activations are {', '.join(NAMES)}")

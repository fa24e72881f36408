"""Critical kernels K* > 0: roots of chi_parallel / chi_perpendicular = 1 with a bias variance that is not negative.

With C_W = 1/<s'^2> and C_b = K - <s^2>/<s'^2> the three conditions of criticality reduce to one equation in K,
h(K) = <z s s'> / (K <s'^2>) - 1 = 0.
"""

import math
from dataclasses import dataclass

import torch
from scipy.optimize import brentq
from torch import Tensor

from rgflow.numerics.gaussian import Moments, moments
from rgflow.numerics.pointwise import Activation

__all__ = ["FixedPoint", "Scan", "edge_of_chaos", "fixed_points", "scan"]

_DECADES = (-10.0, 8.0)
_PER_DECADE = 10
# Below this kernel the ratio is governed by K -> 0, which `small_kernel` treats by its expansion.
_SMALLEST = 1e-6
# Values of h below this are rounding: averages carry 1e-14, divided by each other twice.
_ROUNDING = 1e-11


@dataclass(frozen=True)
class Scan:
    """h(K) and C_b(K) / K on a logarithmic grid of kernels; NaN where averages do not exist."""

    kernels: Tensor
    excess: Tensor
    bias_ratio: Tensor
    slope_square: Tensor
    flat: bool

    @property
    def closest(self) -> tuple[float, float]:
        """The value of chi_parallel / chi_perpendicular closest to 1, and its kernel."""
        distance = self.excess.abs().nan_to_num(math.inf, math.inf, math.inf)
        best = int(distance.argmin())
        return 1.0 + float(self.excess[best]), float(self.kernels[best])


@dataclass(frozen=True)
class FixedPoint:
    """One critical kernel K*, its variances, F''/2, A = S/K*^2 and d chi_perpendicular / dK."""

    kernel: float
    weight_variance: float
    bias_variance: float
    coefficient: float
    amplitude: float
    perpendicular_coefficient: float


def scan(activation: Activation) -> Scan:
    """Return h and C_b / K from K = 1e-10 to 1e8, ten points per decade."""
    count = int((_DECADES[1] - _DECADES[0]) * _PER_DECADE) + 1
    kernels = torch.logspace(*_DECADES, count, dtype=torch.float64)
    found = moments(activation, kernels)
    usable = found.slope_square > 0
    excess = torch.where(usable, found.response / (kernels * found.slope_square) - 1.0, math.nan)
    bias = torch.where(usable, 1.0 - found.square / (kernels * found.slope_square), math.nan)
    return Scan(kernels, excess, bias, found.slope_square, flat=not bool(usable.any()))


def fixed_points(activation: Activation, table: Scan) -> list[FixedPoint]:
    """Return every critical kernel in [1e-6, 1e8], ascending, also those whose bias variance would be negative."""
    kernels, excess = table.kernels.tolist(), table.excess.tolist()
    found = []
    for i in range(len(kernels) - 1):
        crosses = excess[i] * excess[i + 1] < 0.0
        if kernels[i] >= _SMALLEST and crosses and max(abs(excess[i]), abs(excess[i + 1])) > _ROUNDING:
            found.append(_polished(activation, kernels[i], kernels[i + 1]))
    return found


def _polished(activation: Activation, lower: float, upper: float) -> FixedPoint:
    def excess(log_kernel: float) -> float:
        kernel = math.exp(log_kernel)
        near = moments(activation, kernel)
        return float(near.response / (kernel * near.slope_square)) - 1.0

    root = brentq(excess, math.log(lower), math.log(upper), xtol=1e-14)
    kernel = math.exp(float(root))  # type: ignore[arg-type]
    return _fixed_point(kernel, moments(activation, kernel), slope_rise=_slope_rise(activation, kernel))


def _slope_rise(activation: Activation, kernel: float) -> float:
    """Return d<s'^2>/dK by a fourth-order central difference; its step of 2 % leaves 1e-8 relative."""
    step = 0.02 * kernel
    points = kernel + step * torch.tensor([-2.0, -1.0, 1.0, 2.0], dtype=torch.float64)
    values = moments(activation, points).slope_square
    return float((values[0] - 8.0 * values[1] + 8.0 * values[2] - values[3]) / (12.0 * step))


def _fixed_point(kernel: float, near: Moments, *, slope_rise: float) -> FixedPoint:
    weight = 1.0 / float(near.slope_square)
    spread = float(near.fourth) - float(near.square) ** 2
    return FixedPoint(
        kernel,
        weight,
        kernel - weight * float(near.square),
        weight * float(near.bend) / (8.0 * kernel**2),  # F''/2, F'' = C_W <s^2 He4> / (4 K^2)
        weight**2 * spread / kernel**2,
        weight * slope_rise,
    )


def edge_of_chaos(table: Scan) -> tuple[float, float] | None:
    """Return (C_W, C_b >= 0) with chi_perpendicular = 1 at a stable kernel; None if there is no such pair.

    Among stable kernels (|chi_parallel| <= 1) the smallest whose chi_parallel is within 5 % of the one closest to 1.
    """
    stable = (table.excess <= _ROUNDING) & (table.excess >= -2.0)
    usable = stable & (table.bias_ratio >= 0.0) & (table.kernels >= _SMALLEST)
    if not bool(usable.any()):
        return None
    excess = torch.where(usable, table.excess, -math.inf)
    best = int((excess >= excess.max() - 0.05).nonzero()[0])
    return 1.0 / float(table.slope_square[best]), float(table.bias_ratio[best] * table.kernels[best])

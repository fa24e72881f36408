"""The variable in which a depth function is a short polynomial: the cosine itself, or a stretched angle.

Kinked activations make kernels that are analytic in the angle t, not in its cosine; L layers contract small angles as
t -> t / (1 + t L / (3 pi)) (ReLU), so v = -1 + g t / (t + stretch), g = 2 (pi + stretch) / pi, is close to what the
network itself computes and its polynomials stay short at any depth. The stretch is chosen by trial.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "VARIABLES",
    "AngleVariable",
    "chebyshev_phases",
    "plain_angle_points",
    "refit",
    "to_coefficients",
    "to_powers",
]


@dataclass(frozen=True)
class AngleVariable:
    """v in [-1, 1] as a function of the angle in [0, pi]; `stretch` is None for v = cos(angle)."""

    stretch: float | None

    @property
    def gain(self) -> float:
        """G of the formula above; 0 for the cosine."""
        return 0.0 if self.stretch is None else 2.0 * (math.pi + self.stretch) / math.pi

    def of_angle(self, angle: Tensor) -> Tensor:
        """Return v."""
        if self.stretch is None:
            return torch.cos(angle)
        return self.gain * angle / (angle + self.stretch) - 1.0

    def to_angle(self, v: Tensor) -> Tensor:
        """Return the angle."""
        if self.stretch is None:
            return torch.acos(v.clamp(-1.0, 1.0))
        share = (v + 1.0) / self.gain
        return (self.stretch * share / (1.0 - share)).clamp(0.0, math.pi)


# Tried in this order; 1e6 is the plain angle to rounding. ReLU with L layers wants about 3 pi / L times 10 / pi or less.
_STRETCHES = (None, 1e6, 10.0, 5.0, 3.0, 2.0, 1.5, 1.0, 0.7, 0.5, 0.35, 0.25, 0.17, 0.12)
VARIABLES = tuple(AngleVariable(stretch) for stretch in _STRETCHES)


def chebyshev_phases(count: int) -> Tensor:
    """Return the phases (k + 1/2) pi / count of the Chebyshev points cos(phase)."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) * (math.pi / count)


def plain_angle_points(count: int, *, low: float = 0.0, high: float = math.pi) -> Tensor:
    """Return the angles at the Chebyshev points of [low, high]."""
    # (1 + cos) / 2 as a square keeps the digits of the smallest angles.
    return low + (high - low) * torch.cos(0.5 * chebyshev_phases(count)) ** 2


@cache
def to_coefficients(count: int) -> Tensor:
    """Return the matrix (count, count) from values at the Chebyshev points to Chebyshev coefficients."""
    # The argument is reduced as an integer: cos of large arguments would cost three digits.
    order = torch.arange(count).unsqueeze(1) * (2 * torch.arange(count) + 1) % (4 * count)
    matrix = torch.cos(order.double() * (math.pi / (2 * count))) * (2.0 / count)
    matrix[0] *= 0.5
    return matrix


@cache
def to_powers(count: int) -> Tensor:
    """Return the matrix (count, count) from Chebyshev coefficients to coefficients of powers."""
    columns = [np.polynomial.chebyshev.cheb2poly([0.0] * k + [1.0]) for k in range(count)]
    return torch.from_numpy(np.stack([np.pad(column, (0, count - len(column))) for column in columns], 1))


@cache
def refit(count: int, variable: AngleVariable) -> Tensor:
    """Return the matrix from values at `plain_angle_points(count)` to Chebyshev coefficients in `variable`."""
    angle = variable.to_angle(torch.cos(chebyshev_phases(count)))
    place = torch.acos((2.0 * angle / math.pi - 1.0).clamp(-1.0, 1.0))
    basis = torch.cos(place.unsqueeze(1) * torch.arange(count, dtype=torch.float64))
    return to_coefficients(count) @ basis @ to_coefficients(count)

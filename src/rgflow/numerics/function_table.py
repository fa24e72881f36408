"""A function of one number as a table of quintic pieces, for loops that evaluate it hundreds of millions of times.

Method: between kinks, quintic Hermite interpolation of s, s', s'' on a uniform grid; its error is at most
step^6 |s^(6)| / 46080 (de Boor, Hermite interpolation at both ends to second order) and is measured at mid-intervals.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from rgflow.numerics.gaussian import mesh_of
from rgflow.numerics.pointwise import Activation

__all__ = ["FunctionTable", "Pieces", "function_table", "lookup"]

# Intervals per finest feature of the function: tanh is then interpolated to 4e-13 (measured).
_PER_FEATURE = 50
_FEWEST, _MOST = 32, 200_000


class Pieces(NamedTuple):
    """What compiled loops read: kinks (k,), and for each piece its start, 1/step, first row, rows; coefficients (rows, 6).

    A named tuple, because compiled code takes no dataclass.
    """

    kinks: np.ndarray
    starts: np.ndarray
    inverse: np.ndarray
    first: np.ndarray
    rows: np.ndarray
    coefficients: np.ndarray


@dataclass(frozen=True)
class FunctionTable:
    """The pieces, and a bound on their interpolation error relative to the size of s nearby, as measured."""

    pieces: Pieces
    error: float


def function_table(activation: Activation, *, reach: float) -> FunctionTable:
    """Return the table of s on [-reach, reach]; beyond it the outermost polynomials go on."""
    inside = [kink for kink in activation.kinks if abs(kink) < reach]
    edges = [-reach, *inside, reach]
    feature = min(mesh_of(activation).length, 1.0)
    parts, starts, inverse, first, count, errors = [], [], [], [], [], []
    for lower, upper in pairwise(edges):
        # An even number puts 0 on the grid of a symmetric piece.
        intervals = 2 * int(min(max(_FEWEST, 0.5 * (upper - lower) * _PER_FEATURE / feature), _MOST))
        step = (upper - lower) / intervals
        coefficients, error = _quintic(activation, torch.linspace(lower, upper, intervals + 1, dtype=torch.float64))
        starts.append(lower)
        inverse.append(1.0 / step)
        first.append(sum(count))
        count.append(intervals)
        parts.append(coefficients)
        errors.append(error)
    pieces = Pieces(
        np.array(inside, dtype=np.float64),
        np.array(starts),
        np.array(inverse),
        np.array(first, dtype=np.int64),
        np.array(count, dtype=np.int64),
        np.concatenate(parts),
    )
    return FunctionTable(pieces, max(errors))


def _quintic(activation: Activation, points: Tensor) -> tuple[np.ndarray, float]:
    """Coefficients (intervals, 6) in t = (z - left end) / step, and the error at mid-intervals."""
    step = float(points[-1] - points[0]) / (len(points) - 1)
    # One-sided limits: the ends of a piece may be kinks, so that they are read a rounding inside.
    inside = points.clone()
    inside[0] = torch.nextafter(points[0], points[1]) if points[0] != 0.0 else 1e-30
    inside[-1] = torch.nextafter(points[-1], points[0]) if points[-1] != 0.0 else -1e-30
    value, slope, bend = (
        torch.nan_to_num(f(inside)) for f in (activation.function, activation.derivative, activation.second_derivative)
    )
    slope, bend = slope * step, bend * step * step
    f0, f1, d0, d1, s0, s1 = value[:-1], value[1:], slope[:-1], slope[1:], bend[:-1], bend[1:]
    rise = f1 - f0
    rows = torch.stack(
        [
            f0,
            d0,
            0.5 * s0,
            10.0 * rise - 6.0 * d0 - 4.0 * d1 - 1.5 * s0 + 0.5 * s1,  # quintic Hermite basis, solved for t^3..t^5
            -15.0 * rise + 8.0 * d0 + 7.0 * d1 + 1.5 * s0 - s1,
            6.0 * rise - 3.0 * (d0 + d1) - 0.5 * (s0 - s1),
        ],
        dim=1,
    )
    return rows.numpy(), _misfit(activation, points, rows, size=value.abs())


def _misfit(activation: Activation, points: Tensor, rows: Tensor, *, size: Tensor) -> float:
    halves = 0.5 ** torch.arange(6, dtype=torch.float64)
    exact = torch.nan_to_num(activation.function(0.5 * (points[1:] + points[:-1])))
    floor = size.max() * 1e-3 + 1e-300
    return float(((rows @ halves - exact).abs() / torch.maximum(torch.maximum(size[1:], size[:-1]), floor)).max())


@njit(cache=True, inline="always")
def lookup(z, table):
    """Return s(z) from the `Pieces` of a table."""
    piece = 0
    while piece < len(table.kinks) and z > table.kinks[piece]:
        piece += 1
    t = (z - table.starts[piece]) * table.inverse[piece]
    i = min(max(int(t), 0), table.rows[piece] - 1)
    t -= i
    c = table.coefficients[i + table.first[piece]]
    return c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))))

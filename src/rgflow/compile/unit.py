"""The small groups of neurons that networks are built of: products, squares, and values that pass a layer.

Every unit acts on factors of size <= 1 (`REACH` with the errors they carry). Its error has two parts: `truncation`, from the
activation's Taylor series, and rounding, which depends on how many numbers are added for a factor.

Source of the product: Lin, Tegmark and Rolnick 2017, arXiv:1608.08225, eq. 11. The bounds are derived where they are used.
"""

import math
from dataclasses import dataclass
from itertools import product as every

import numpy as np
import torch

from rgflow.compile.smooth import Smooth

__all__ = [
    "REACH",
    "Unit",
    "corner",
    "costed",
    "gamma",
    "passage",
    "product_error",
    "product_truncation",
    "product_unit",
    "rounding_unit",
]

REACH = 1.0 + 2.0**-10  # normalised factors may exceed 1 by their own error; a larger error refuses the network


@dataclass(frozen=True)
class Unit:
    """Neurons s(rows @ factors + bias), read out as weights @ neurons + offset, and what that costs in accuracy.

    Shapes: rows (neurons, factors), weights (neurons,). `gain` times the relative error of a preactivation, and
    `evaluation`, the errors of the activation and of the read-out, are in units of the result.
    """

    kind: str
    rows: np.ndarray
    bias: float
    weights: np.ndarray
    offset: float
    truncation: float
    gain: float
    evaluation: float
    scale: float

    @property
    def neurons(self) -> int:
        """How many neurons the unit has."""
        return len(self.weights)

    def error(self, *, added: int, roundoff: float) -> float:
        """Return the bound of the unit's own error where `added` numbers are added for a preactivation."""
        return self.truncation + self.evaluation + self.gain * gamma(added + 2, roundoff)


def gamma(count: int, roundoff: float) -> float:
    """Return n u / (1 - n u), the relative error of a sum of n products (Higham 2002, Lemma 3.1)."""
    return count * roundoff / (1.0 - count * roundoff) if count * roundoff < 1.0 else math.inf


def rounding_unit(dtype: torch.dtype) -> float:
    """Return the unit roundoff: half the distance from 1 to the next number."""
    return torch.finfo(dtype).eps / 2.0


def product_unit(act: Smooth, powers: tuple[int, ...], *, scale: float, bias: float, dtype: torch.dtype) -> Unit:
    """Return the unit for prod_i v_i^powers[i]: signed sums e_i l v_i, e_i = -r_i, -r_i + 2, .., r_i.

    The signed sum is the central difference of order n = sum r_i, so it equals l^n prod v_i^r_i times the mean of s^(n)
    over b + xi, xi a sum of n independent uniform numbers of half-width l |v_i|; by symmetry of xi the relative error is
    at most sup|s^(n+2)| Var(xi) / (2 |s_n|) = l^2 sum v_i^2 sup|s^(n+2)| / (6 |s_n|).
    """
    degree = sum(powers)
    height = act.at(degree, bias)
    signs = np.array(list(every(*(range(-r, r + 1, 2) for r in powers))), dtype=np.float64)
    signs = signs.reshape(-1, len(powers))
    counts = np.array([[_ways(r, e) for r, e in zip(powers, row, strict=True)] for row in signs]).prod(1)
    weights = counts / (2.0**degree * scale**degree * height)
    still = ~signs.any(1)  # s(b) itself: a constant, part of the offset
    offset = float(weights[still].sum()) * act.at(0, bias)
    rows, weights = scale * signs[~still], weights[~still]
    if degree == 1 and act.passage == "odd" and bias == 0.0:  # s(-z) repeats s(z): one neuron is enough
        rows, weights, offset = rows[1:], 2.0 * weights[1:], -2.0 * float(weights[1]) * act.at(0, 0.0)
    truncation = product_truncation(act, degree, scale=scale, bias=bias)
    total = 1.0 / (scale**degree * abs(height))
    kind = "pass" if degree == 1 else "product"
    return costed(
        act, rows, weights, kind=kind, total=total, reach=scale * degree, dtype=dtype,
        bias=bias, offset=offset, truncation=truncation,
    )  # fmt: skip


def product_truncation(act: Smooth, degree: int, *, scale: float, bias: float) -> float:
    """Return the truncation error of the product of `degree` factors of size REACH."""
    height, top = act.at(degree, bias), act.supremum(degree + 2, bias, scale * degree * REACH)
    return degree * scale**2 * top / (6.0 * abs(height)) * REACH ** (degree + 2)


def product_error(act: Smooth, degree: int, *, scale: float, bias: float, dtype: torch.dtype) -> float:
    """Return the error of a product of `degree` different factors, without making its 2^degree neurons."""
    height = abs(act.at(degree, bias))
    if height == 0.0 or scale**degree * height < torch.finfo(dtype).tiny * 2.0**degree:
        return math.inf
    u, reach, total = rounding_unit(dtype), scale * degree * REACH, 1.0 / (scale**degree * height)
    value, slope = act.supremum(0, bias, reach), act.supremum(1, bias, reach)
    rounding = slope * gamma(degree + 2, u) * (reach + abs(bias)) + value * (act.rounding * u + gamma(2**degree + 2, u))
    return product_truncation(act, degree, scale=scale, bias=bias) + 1.01 * total * rounding


def corner(act: Smooth, *, scale: float, bias: float, dtype: torch.dtype) -> Unit:
    """Return u v from three neurons: [s(b+l(u+v)) - s(b+lu) - s(b+lv) + s(b)] / (l^2 s2), where s3(b) = 0.

    It is l^2 u v times the mean of s'' over b + l (u t + v t'), t and t' uniform on [0, 1]; with s3 = 0 the relative error
    is at most sup|s4| l^2 (u^2/3 + v^2/3 + |u v|/2) / (2 |s2|), plus |s3| l / |s2| from the rounding of b.
    """
    height = act.at(2, bias)
    total = 1.0 / (scale**2 * height)
    top = act.supremum(4, bias, 2.0 * scale * REACH)
    relative = 7.0 / 12.0 * scale**2 * REACH**2 * top / abs(height) + abs(act.at(3, bias)) * scale * REACH / abs(height)
    rows = scale * np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    weights = total * np.array([1.0, -1.0, -1.0])
    offset = total * act.at(0, bias)
    return costed(
        act, rows, weights, kind="product", total=3.0 * abs(total), reach=2.0 * scale, dtype=dtype,
        bias=bias, offset=offset, truncation=relative * REACH**2,
    )  # fmt: skip


def passage(act: Smooth, *, shift: float, dtype: torch.dtype) -> Unit:
    """Return one neuron through which a value passes: s(v + shift) - shift, where s(z) = z up to its tail."""
    one = np.ones(1)
    tail = act.tail(shift - REACH)
    return costed(
        act, one[:, None], one, kind="pass", total=1.0, reach=1.0, dtype=dtype,
        bias=shift, offset=-shift, truncation=tail,
    )  # fmt: skip


def costed(
    act: Smooth,
    rows: np.ndarray,
    weights: np.ndarray,
    *,
    kind: str,
    total: float,
    reach: float,
    dtype: torch.dtype,
    bias: float = 0.0,
    offset: float = 0.0,
    truncation: float = 0.0,
) -> Unit:
    """Return the unit with its rounding costs.

    `total` bounds sum |weights|, `reach` times REACH bounds |rows @ factors|.
    """
    u, radius = rounding_unit(dtype), reach * REACH
    value, slope = act.supremum(0, bias, radius), act.supremum(1, bias, radius)
    gain = 1.01 * total * slope * (radius + abs(bias))  # 1.01: products of errors
    evaluation = 1.01 * total * value * act.rounding * u
    evaluation += gamma(len(weights) + 2, u) * (total * value + abs(offset))
    scale = float(np.abs(rows).max())
    return Unit(kind, rows, bias, weights, offset, truncation, gain, evaluation, scale)


def _ways(power: int, sign: float) -> float:
    """Return the signed number of ways in which `power` signs add up to `sign`."""
    minus = round((power - sign) / 2)
    return (-1.0) ** minus * math.comb(power, minus)

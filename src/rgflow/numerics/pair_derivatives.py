"""Averages of products of derivatives, T_pq = <s^(p)_a s^(q)_b>, for many pairs of different inputs at once.

Convention: state of a pair x = K_aa, y = K_ab, w = K_bb. Derivatives are distributions: a jump J of s' at t adds
J delta(z - t) to s''. Three kinds of terms: both second derivatives smooth (two-dimensional rule), one delta function
(one-dimensional average of the other variable given z = t), two delta functions (`contact`, the density at (t, t'),
which grows like 1 / sqrt(x w - y^2)). By parts, with v = z_a / sqrt(x):
    x T31 = <z_a s''_a s'_b> - y T22,    x T40 = <(v^2 - 1) s''_a s_b> - 2 y T31 - (y^2 / x) T22.
Steps of s itself are handled by `stepped_derivatives`, with Hermite polynomials of the whitened pair and s alone.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rgflow.numerics.gaussian import gaussian_rule, mesh_of
from rgflow.numerics.pairs import PairNodes, pair_nodes
from rgflow.numerics.pointwise import Activation

__all__ = ["PairDerivatives", "pair_derivatives", "stepped_derivatives"]

# The rules' accuracy relative to the average of absolute values (`pair_nodes` at order 24; measured in the tests).
_RELATIVE = 1e-12
_ORDER = 24
_PROPORTIONAL = 4e-16  # 1 - rho^2 of proportional inputs in float64
_PAIRS = 64  # pairs at once: 64 pairs of 5000 nodes in a dozen tensors of float64 are 30 MB


@dataclass(frozen=True)
class PairDerivatives:
    """T_pq without the contact terms, `contact` itself, and bounds `*_error`, each (B,).

    With contact c: T22 = t22 + c, T31 = t31 - (y/x) c, T13 = t13 - (y/w) c, T40 = t40 + (y/x)^2 c, T04 likewise.
    """

    t11: Tensor
    t20: Tensor
    t02: Tensor
    t22: Tensor
    t31: Tensor
    t13: Tensor
    t40: Tensor
    t04: Tensor
    contact: Tensor
    first_error: Tensor
    t22_error: Tensor
    t31_error: Tensor
    t13_error: Tensor
    t40_error: Tensor
    t04_error: Tensor


def pair_derivatives(activation: Activation, x: Tensor, y: Tensor, *, w: Tensor) -> PairDerivatives:
    """Return the averages for every pair (B,) of different inputs.

    Errors: those reported. Where x = 0, z_a is constantly 0: s''_a and s'_a are then their values at 0, and T31 and T40
    are 0 (they multiply fluctuations of x, which vanish with it).
    """
    route = stepped_derivatives if any(step != 0.0 for step in activation.steps) else _smooth_and_lines
    split = zip(x.split(_PAIRS), y.split(_PAIRS), w.split(_PAIRS), strict=True)
    parts = [route(activation, first, cross, w=second) for first, cross, second in split]
    return PairDerivatives(*(torch.cat([getattr(p, f.name) for p in parts]) for f in fields(PairDerivatives)))


@dataclass(frozen=True)
class _Sum:
    """A value and the average of absolute values behind it."""

    value: Tensor
    size: Tensor

    def __add__(self, other: "_Sum") -> "_Sum":
        return _Sum(self.value + other.value, self.size + other.size)

    @property
    def error(self) -> Tensor:
        return _RELATIVE * self.size


def _smooth_and_lines(activation: Activation, x: Tensor, y: Tensor, *, w: Tensor) -> PairDerivatives:
    distance = (0.5 * (x + w) - y).clamp(min=0.0)
    nodes = pair_nodes(x, w, distance, kinks=activation.kinks, mesh=mesh_of(activation), order=_ORDER)
    a, b = _Side(activation, nodes.first, x), _Side(activation, nodes.second, w)
    t11 = _averaged(nodes, a.slope * b.slope)
    t22 = (
        _averaged(nodes, a.bend * b.bend)
        + _line(activation, x, y, w, activation.second_derivative, power=0)
        + _line(activation, w, y, x, activation.second_derivative, power=0)
    )
    left = _one_sided(activation, nodes, a, b, t22=t22, state=(x, y, w))
    right = _one_sided(activation, nodes, b, a, t22=t22, state=(w, y, x))
    first_error = torch.maximum(t11.error, torch.maximum(left.second.error, right.second.error))
    return PairDerivatives(
        t11=t11.value,
        t20=left.second.value,
        t02=right.second.value,
        t22=t22.value,
        t31=left.third,
        t13=right.third,
        t40=left.fourth,
        t04=right.fourth,
        contact=_contact(activation, x, y, w),
        first_error=first_error,
        t22_error=t22.error,
        t31_error=left.third_error,
        t13_error=right.third_error,
        t40_error=left.fourth_error,
        t04_error=right.fourth_error,
    )


@dataclass(frozen=True)
class _Powers:
    """T20, T31 and T40 of one variable of the pairs, with bounds on the errors of the latter two."""

    second: _Sum
    third: Tensor
    third_error: Tensor
    fourth: Tensor
    fourth_error: Tensor


class _Side:
    """One variable of a pair at the nodes: z, s, s', the smooth part of s'', and z^2 / x - 1."""

    def __init__(self, activation: Activation, z: Tensor, variance: Tensor) -> None:
        self.z = z
        self.value = activation.function(z)
        self.slope = activation.derivative(z)
        self.bend = activation.second_derivative(z)
        self.square = z * z / torch.where(variance > 0, variance, 1.0).unsqueeze(-1) - 1.0


def _averaged(nodes: PairNodes, values: Tensor) -> _Sum:
    return _Sum(nodes.average(values), nodes.average(values.abs()))


def _one_sided(
    activation: Activation, nodes: PairNodes, a: _Side, b: _Side, *, t22: _Sum, state: tuple[Tensor, ...]
) -> _Powers:
    """T20, T31 and T40 with their errors, of the variable whose state comes first."""
    x, y, w = state
    moving = x > 0
    inverse = torch.where(moving, 1.0 / torch.where(moving, x, 1.0), 0.0)
    t20 = _averaged(nodes, a.bend * b.value) + _line(activation, x, y, w, activation.function, power=0)
    third = _averaged(nodes, a.z * a.bend * b.slope) + _line(activation, x, y, w, activation.derivative, power=1)
    fourth = _averaged(nodes, a.square * a.bend * b.value) + _line(activation, x, y, w, activation.function, power=2)
    t31 = inverse * (third.value - y * t22.value)
    t31_error = inverse * (third.error + y.abs() * t22.error)
    t40 = inverse * (fourth.value - 2.0 * y * t31 - y * y * inverse * t22.value)
    t40_error = inverse * (fourth.error + 2.0 * y.abs() * t31_error + y * y * inverse * t22.error)
    return _Powers(t20, t31, t31_error, t40, t40_error)


def _line(
    activation: Activation, x: Tensor, y: Tensor, w: Tensor, function: Callable[[Tensor], Tensor], *, power: int
) -> _Sum:
    """Sum over jumps J at t of J p(z_a = t) g(t) <f(z_b) | z_a = t>, g = 1, t, t^2/x - 1 for power 0, 1, 2."""
    total, size = torch.zeros_like(x), torch.zeros_like(x)
    moving = x > 0
    safe = torch.where(moving, x, 1.0)
    variance = (w - y * y / safe).clamp(min=0.0)
    for t, jump in zip(activation.kinks, activation.jumps, strict=True):
        if jump == 0.0:
            continue
        mean = (t * y / safe).unsqueeze(-1)
        _, z, weight = gaussian_rule(variance, mesh_of(activation).edges, mean=mean)
        values = function(z) * weight
        factor = (torch.ones_like(x), torch.full_like(x, t), t * t / safe - 1.0)[power]
        density = torch.where(moving, torch.exp(-0.5 * t * t / safe) / (2.0 * math.pi * safe).sqrt(), 0.0)
        total = total + jump * density * factor * values.sum(-1)
        size = size + (jump * density * factor).abs() * values.abs().sum(-1)
    return _Sum(total, size)


def _contact(activation: Activation, x: Tensor, y: Tensor, w: Tensor) -> Tensor:
    """Sum over jumps of J_j J_k p(z_a = t_j, z_b = t_k), for proportional inputs at the distance that rounding leaves."""
    total = torch.zeros_like(x)
    product = x * w
    safe = torch.where(product > 0, torch.maximum(product - y * y, _PROPORTIONAL * product), 1.0)
    for t, jump in zip(activation.kinks, activation.jumps, strict=True):
        for u, other in zip(activation.kinks, activation.jumps, strict=True):
            exponent = ((w * t * t - 2.0 * y * t * u + x * u * u) / safe).clamp(min=0.0)
            total = total + jump * other * torch.exp(-0.5 * exponent) / (2.0 * math.pi * safe.sqrt())
    return torch.where(product > 0, total, 0.0)


def stepped_derivatives(activation: Activation, x: Tensor, y: Tensor, *, w: Tensor) -> PairDerivatives:
    """Return the averages by Hermite polynomials of the whitened pair, <d_i d_j f> = <f He_ij> pulled back.

    No derivative of s is taken, so that steps of s are no special case and contacts are contained in T_pq.
    Errors: those reported; they grow like 1/angle^4 between the inputs.
    """
    distance = (0.5 * (x + w) - y).clamp(min=0.0)
    nodes = pair_nodes(x, w, distance, kinks=activation.kinks, mesh=mesh_of(activation), order=_ORDER)
    product = activation.function(nodes.first) * activation.function(nodes.second)
    root = nodes.root
    along = [0.5 / (scale * root.cosine) for scale in (root.deviation_a, root.deviation_b)]
    across = [0.5 / (scale * root.sine) for scale in (root.deviation_a, root.deviation_b)]
    across[1] = -across[1]
    hermite = (_hermite(nodes.v), _hermite(nodes.u))

    def derivative(p: int, q: int) -> _Sum:
        value, size = torch.zeros_like(x), torch.zeros_like(x)
        for i in range(p + 1):
            for j in range(q + 1):
                count = math.comb(p, i) * math.comb(q, j)
                k = i + j
                weight = count * along[0] ** i * across[0] ** (p - i) * along[1] ** j * across[1] ** (q - j)
                moment = _averaged(nodes, product * hermite[0][k] * hermite[1][p + q - k])
                # The rule stops at 8.5 deviations, where fourth Hermite polynomials still count.
                value, size = value + weight * moment.value, size + 10.0 * weight.abs() * moment.size
        usable = torch.isfinite(size)
        return _Sum(torch.where(usable, value, 0.0), torch.where(usable, size, math.inf))

    orders = ((1, 1), (2, 0), (0, 2), (2, 2), (3, 1), (1, 3), (4, 0), (0, 4))
    t11, t20, t02, t22, t31, t13, t40, t04 = (derivative(p, q) for p, q in orders)
    first_error = torch.maximum(t11.error, torch.maximum(t20.error, t02.error))
    return PairDerivatives(
        t11.value, t20.value, t02.value, t22.value, t31.value, t13.value, t40.value, t04.value, torch.zeros_like(x),
        first_error, t22.error, t31.error, t13.error, t40.error, t04.error,
    )  # fmt: skip


def _hermite(g: Tensor) -> tuple[Tensor, ...]:
    square = g * g
    return torch.ones_like(g), g, square - 1.0, (square - 3.0) * g, (square - 6.0) * square + 3.0

"""Averages over chosen pairs of Gaussians whose small differences are kept to relative accuracy.

A pair has variances x, w out of a list and an excess e = sqrt(x w) - K_ab >= 0. Routes: closed forms; else Mehler's
series where its own bound is below 1e-13, and the two-dimensional rule of `pair_nodes` for the strongly correlated rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.activations import Activation
from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.gaussian import gaussian_rule, mesh_of, moments
from rgflow.numerics.pairs import PairNodes, pair_nodes

__all__ = ["PairAverages", "pair_averages"]

_TRUNCATION = 1e-13  # relative truncation that Mehler's series may leave: rounding of its own sum
_TERMS = 64  # oscillations of the 64th Hermite polynomial are still resolved by the nodes of `gaussian_rule`
_NODES = 1_500_000  # quadrature nodes at once: about 150 MB of float64 temporaries
# Below this angle sin t - t cos t is summed from its Taylor series: seven terms leave (0.5)^17 / 17! < 1e-19.
_SMALL = 0.5


@dataclass(frozen=True)
class PairAverages:
    """<s^2> and <s'^2> (m,) of each variance; sqrt(<s_a^2><s_b^2>) - <s_a s_b> and <s'_a s'_b> (P,) of each pair."""

    square: Tensor
    slope_square: Tensor
    excess: Tensor
    slope: Tensor


def pair_averages(
    activation: Activation,
    variance: Tensor,
    excess: Tensor,
    *,
    first: Tensor,
    second: Tensor,
    angle: Tensor | None = None,
) -> PairAverages:
    """Return the averages of pairs (variance[first], variance[second]) with K_ab = sqrt(x w) - excess.

    `angle`, where it is known, spares scale-invariant functions what rounding of `excess` does to angles near pi.
    Shapes: variance (m,), excess, first, second (P,). Errors: rounding (closed forms); 1e-12 relative otherwise.
    Raises: SettingError where s grows too fast for its average to exist.
    """
    if activation.family == "scale-invariant":
        known = _angle(variance, excess, first, second) if angle is None else angle
        return _scale_invariant(_slopes(activation), variance, excess, known, first=first, second=second)
    x, w = variance[first], variance[second]
    # Inputs by themselves and pairs in one call: plans of Gram matrices consist of calls.
    mixed = torch.cat([variance, (x * w).sqrt() - excess])
    closed = closed_pair_moments(activation, torch.cat([variance, x]), mixed, w=torch.cat([variance, w]))
    if closed is not None:
        count = len(variance)
        own, slope = closed.value[:count], closed.slope[:count]
        outer = (own[first] * own[second]).sqrt()
        return PairAverages(own, slope, outer - closed.value[count:], closed.slope[count:])
    return _numerical(activation, variance, excess, first, second)


@lru_cache(maxsize=64)
def _slopes(activation: Activation) -> tuple[float, float]:
    return activation.scale_invariant or (1.0, 1.0)


def _angle(variance: Tensor, excess: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The angle, from the nearer end, so that small ones keep their digits."""
    product = (variance[first] * variance[second]).sqrt()
    positive = product > 0
    half = torch.where(positive, 0.5 * excess / torch.where(positive, product, 1.0), 0.5).clamp(0.0, 1.0)
    near = 2.0 * torch.asin(torch.minimum(half, 1.0 - half).sqrt())
    return torch.where(half > 0.5, math.pi - near, near)


def _scale_invariant(
    slopes: tuple[float, float], variance: Tensor, excess: Tensor, angle: Tensor, *, first: Tensor, second: Tensor
) -> PairAverages:
    """Cho and Saul 2009 in terms of the angle t: <s_a s_b> = sqrt(x w) (A cos t + 2 g^2 / pi (sin t - t cos t))."""
    even, odd = 0.5 * (slopes[0] + slopes[1]), 0.5 * (slopes[0] - slopes[1])
    size, factor = even**2 + odd**2, 2.0 * odd**2 / math.pi
    product = (variance[first] * variance[second]).sqrt()
    positive = product > 0
    # Beyond a right angle in terms of pi - t, so that |z| of nearly opposite inputs keeps its digits.
    rest = math.pi - angle
    opposite = 2.0 * product * (even**2 * torch.cos(0.5 * rest) ** 2 + odd**2 * torch.sin(0.5 * rest) ** 2)
    gap = torch.where(angle > 0.5 * math.pi, opposite, size * excess) - factor * product * _sine_excess(
        torch.minimum(angle, rest)
    )
    # A variable that is constantly 0 has the slope PyTorch gives it at 0, that of the negative side.
    single = torch.where(variance > 0, torch.full_like(variance, even), slopes[1])
    slope = torch.where(positive, even**2 + factor * (0.5 * math.pi - angle), single[first] * single[second])
    own = torch.where(variance > 0, torch.full_like(variance, size), slopes[1] ** 2)
    return PairAverages(size * variance, own, gap.clamp(min=0.0), slope)


def _sine_excess(angle: Tensor) -> Tensor:
    """Sin t - t cos t = sum_k (-1)^(k+1) 2k / (2k+1)! t^(2k+1), to relative accuracy."""
    square = angle**2
    series = torch.zeros_like(angle)
    for k in range(7, 0, -1):
        series = (series * square) + (-1) ** (k + 1) * 2 * k / math.factorial(2 * k + 1)
    return torch.where(angle < _SMALL, series * square * angle, torch.sin(angle) - angle * torch.cos(angle))


def _numerical(activation: Activation, variance: Tensor, excess: Tensor, first: Tensor, second: Tensor) -> PairAverages:
    single = moments(activation, variance)
    origin = torch.zeros_like(variance)
    square = torch.where(variance > 0, single.square, activation.function(origin) ** 2)
    slope_square = torch.where(variance > 0, single.slope_square, activation.derivative(origin) ** 2)
    if not bool(torch.isfinite(square).all() & torch.isfinite(slope_square).all()):
        raise SettingError(
            f"{activation.name} grows too fast for its average at variance {float(variance.max()):.4g} to exist; "
            "lower weight_variance or scale the inputs down"
        )
    product = (variance[first] * variance[second]).sqrt()
    positive = product > 0
    correlation = torch.where(positive, 1.0 - excess / torch.where(positive, product, 1.0), 0.0).clamp(-1.0, 1.0)
    value, loose = _series(activation.function, activation, variance, square, correlation, first, second)
    slope, rough = _series(activation.derivative, activation, variance, slope_square, correlation, first, second)
    outer = (square[first] * square[second]).sqrt()
    gap = outer - value
    strong = (loose | rough).nonzero().flatten()
    for index in strong.split(_affordable(activation, variance)):
        if not len(index):  # split() of an empty tensor is one empty part
            break
        a, b = first[index], second[index]
        distance = excess[index] + 0.5 * (variance[a].sqrt() - variance[b].sqrt()) ** 2
        nodes = _nodes(activation, variance[a], variance[b], distance)
        gap[index] = _gap(activation, nodes) - 0.5 * (square[a].sqrt() - square[b].sqrt()) ** 2
        slope[index] = nodes.average(activation.derivative(nodes.first) * activation.derivative(nodes.second))
    return PairAverages(square, slope_square, gap.clamp(min=0.0), slope)


def _nodes(activation: Activation, x: Tensor, w: Tensor, distance: Tensor) -> PairNodes:
    return pair_nodes(x, w, distance, kinks=activation.kinks, mesh=mesh_of(activation), order=24)


def _affordable(activation: Activation, variance: Tensor) -> int:
    """How many pairs of the widest variance fit into the memory set aside."""
    widest = variance.max().reshape(1)
    return max(1, _NODES // _nodes(activation, widest, widest, 0.5 * widest).weight.shape[1])


def _gap(activation: Activation, nodes: PairNodes) -> Tensor:
    """<(s_a - s_b)^2> / 2, to relative accuracy also where z_a and z_b agree to almost all digits."""
    out, other = activation.function(nodes.first), activation.function(nodes.second)
    close = nodes.difference.abs() < 1e-6 * nodes.first.abs().clamp_min(1.0)
    middle = activation.derivative(nodes.second + nodes.difference / 2)  # midpoint rule, error of third order
    return 0.5 * nodes.average(torch.where(close, middle * nodes.difference, out - other) ** 2)


def _series(
    function: Callable[[Tensor], Tensor],
    activation: Activation,
    variance: Tensor,
    square: Tensor,
    correlation: Tensor,
    first: Tensor,
    second: Tensor,
) -> tuple[Tensor, Tensor]:
    """Mehler's sum for each pair, and where its bound |rho|^n sqrt(T_a T_b) is too large."""
    coefficients = _coefficients(function, variance, mesh_of(activation).edges)
    rest = (square - (coefficients**2).sum(-1)).clamp(min=0.0)
    value = torch.zeros_like(correlation)
    for column in reversed(coefficients.unbind(-1)):
        value = value * correlation + column[first] * column[second]
    bound = correlation.abs() ** _TERMS * (rest[first] * rest[second]).sqrt()
    return value, bound > _TRUNCATION * (square[first] * square[second]).sqrt()


def _coefficients(function: Callable[[Tensor], Tensor], variance: Tensor, edges: tuple[float, ...]) -> Tensor:
    """<f(sqrt(K) x) he_k(x)> for k < 64 and every variance, (m, 64)."""
    x, z, weight = gaussian_rule(variance, edges)
    weighted = weight * function(z)
    previous, current, columns = torch.zeros_like(x), torch.ones_like(x), []
    for k in range(_TERMS):
        columns.append((weighted * current).sum(-1))
        previous, current = current, (x * current - k**0.5 * previous) / (k + 1) ** 0.5
    return torch.stack(columns, -1)

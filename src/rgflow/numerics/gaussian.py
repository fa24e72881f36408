"""Averages of functions of one Gaussian variable, for any number of variances at once.

Method: Gauss-Legendre panels whose edges are the function's own mesh (kinks, features) and multiples of the standard
deviation, so that narrow and wide Gaussians alike are integrated to rounding. Gauss-Hermite rules are not used: they
converge algebraically at kinks and fail where the Gaussian is wide on the scale of the function.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.panels import Mesh, adapted_mesh, panel_nodes
from rgflow.numerics.pointwise import Activation

__all__ = [
    "PROMISED",
    "Integral",
    "Moments",
    "chi_parallel",
    "chi_perpendicular",
    "expectation",
    "gaussian_rule",
    "integral",
    "mesh_of",
    "moments",
]

# Tails beyond 13 standard deviations weigh exp(-84); growth up to exp(7 z / sd) still decays before this edge.
SPAN = 13.0
_SCALED = (-SPAN, -8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0, SPAN)
_ORDER = 24
# Fraction of <|f|> that the rule may be wrong by; functions with declared kinks stay a hundred times below (measured).
PROMISED = 1e-10
# Weight beyond 13 standard deviations: what an f of size one may do there unseen.
_UNSEEN = 1e-37
# Variances are handled a few at a time: neighbours in size share the panels that they leave empty.
_ROWS = 8
# Largest |z| that an activation's mesh describes: 13 standard deviations at a kernel of 1e8.
_REACH = 1.3e5
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class Moments:
    """Averages over z ~ N(0, K), one entry per K; NaN where the integral does not exist or cannot be resolved.

    square <s^2>, fourth <s^4>, slope_square <s'^2>, response <z s s'> = <s^2 (z^2 - K)> / (2K) (by parts, so that
    steps of s count), bend <s^2 He4(z / sqrt K)>.
    """

    square: Tensor
    fourth: Tensor
    slope_square: Tensor
    response: Tensor
    bend: Tensor


@dataclass(frozen=True)
class Integral:
    """A Gaussian average and a bound on its error, elementwise; the error is infinite where the tails do not decay."""

    value: Tensor
    error: Tensor


@lru_cache(maxsize=256)
def mesh_of(activation: Activation) -> Mesh:
    """Return the panels on which s and s' are polynomials to rounding."""
    return adapted_mesh(
        (activation.function, activation.derivative), reach=_REACH, kinks=activation.kinks, narrowest=1e-5
    )


def gaussian_rule(
    variance: Tensor, edges: Sequence[float], *, mean: float | Tensor = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Return nodes x in standard deviations, z = mean + sqrt(K) x, and weights with the density, each (B, nodes).

    `mean` is a number or (B, 1).
    """
    deviation = variance.sqrt().unsqueeze(-1)
    inverse = torch.where(deviation > 0, 1.0 / deviation, torch.zeros_like(deviation))
    own = ((torch.tensor(edges, dtype=torch.float64) - mean) * inverse).clamp(-SPAN, SPAN)
    scaled = torch.tensor(_SCALED, dtype=torch.float64).expand(len(variance), -1)
    breaks = torch.sort(torch.cat([own, scaled], -1), -1)[0]
    # Columns of empty panels (edges beyond the span for every variance) are dropped.
    used = (breaks.diff(dim=-1) > 0).any(0)
    keep = torch.cat([used, torch.ones(1, dtype=torch.bool)])
    # A dropped panel is empty in every row, so its two edges coincide and losing the first loses nothing.
    x, weight = panel_nodes(breaks[:, keep], _ORDER)
    return x, mean + deviation * x, weight * _DENSITY * torch.exp(-0.5 * x * x)


def expectation(
    function: Callable[[Tensor], Tensor], variance: float | Tensor, *, kinks: Sequence[float] = (), mean: float = 0.0
) -> Tensor:
    """Return <f(z)> over z ~ N(mean, variance), for every variance given; `integral` without its error.

    Shapes: variance (...) to (...).

    Example:
    >>> round(float(expectation(torch.cos, 2.0)), 12)  # exp(-1)
    0.367879441171
    """
    return integral(function, variance, kinks=kinks, mean=mean).value


def integral(
    function: Callable[[Tensor], Tensor], variance: float | Tensor, *, kinks: Sequence[float] = (), mean: float = 0.0
) -> Integral:
    """Return <f(z)> over z ~ N(mean, variance) with a bound on its error, for every variance given.

    Shapes: variance (...) to (...). Errors: rounding, 1e-10 relative to <|f|> or better, if `kinks` names every point
    where f or its derivatives jump and f grows slower than exp(7 |z| / sd); undeclared kinks are bisected to 1e-13.
    Raises: SettingError for negative variances or for an f that oscillates too fast for its panels.
    """
    values = torch.as_tensor(variance, dtype=torch.float64)
    flat = values.reshape(-1)
    if not bool((flat >= 0).all()):
        raise SettingError(f"variance is {values.tolist()}; every variance must be >= 0")
    reach = abs(mean) + SPAN * float(flat.max().sqrt()) + 1.0
    narrowest = float(flat[flat > 0].min().sqrt()) if bool((flat > 0).any()) else 1.0
    mesh = adapted_mesh((function,), reach=reach, kinks=kinks, narrowest=narrowest)
    if mesh.reach < abs(mean) + 8.0 * float(flat.max().sqrt()):
        widest = f"variance {float(flat.max()):g}"
        raise SettingError(f"the function oscillates too fast for {widest}: resolved only to |z| = {mesh.reach:.3g}")
    x, z, weight = gaussian_rule(flat, mesh.edges, mean=mean)
    integrand = function(z) * weight
    return Integral(integrand.sum(-1).reshape(values.shape), _error(function, x, z, integrand).reshape(values.shape))


def _error(function: Callable[[Tensor], Tensor], x: Tensor, z: Tensor, integrand: Tensor) -> Tensor:
    """What the mesh's resolution, rounding of the sum and the cut tails may amount to."""
    size = integrand.abs().sum(-1)
    ends = torch.stack([x.argmin(-1), x.argmax(-1)], -1)
    edge = (function(z.gather(-1, ends)) * torch.exp(-0.5 * x.gather(-1, ends) ** 2)).abs().amax(-1)
    # An integrand alive at 13 standard deviations has its weight beyond them: nothing is known of the rest.
    cut = torch.where(edge <= 1e-16 * size, edge, math.inf)
    return PROMISED * size + cut + _UNSEEN


def moments(activation: Activation, kernel: float | Tensor) -> Moments:
    """Return <s^2>, <s^4>, <s'^2>, <z s s'> and <s^2 He4> over z ~ N(0, K) for every K > 0 given.

    Shapes: kernel (...) to (...) each.
    Errors: rounding; NaN where s grows too fast for the average to exist or be captured.
    """
    values = torch.as_tensor(kernel, dtype=torch.float64)
    parts = [_moments(activation, part) for part in values.reshape(-1).split(_ROWS)]
    return Moments(*(torch.cat(column).reshape(values.shape) for column in zip(*parts, strict=True)))


def _moments(activation: Activation, kernel: Tensor) -> tuple[Tensor, ...]:
    mesh = mesh_of(activation)
    x, z, weight = gaussian_rule(kernel, mesh.edges)
    value, slope = activation.function(z), activation.derivative(z)
    square = value * value
    weighted = weight * square
    density = torch.exp(-0.5 * x * x)
    captured = _captured(density * square, kernel, mesh)
    captured_fourth = captured & _captured(density * square * square, kernel, mesh)
    if any(step != 0.0 for step in activation.steps):
        response = (weighted * (x * x - 1.0)).sum(-1) / 2.0
    else:
        response = (weight * z * value * slope).sum(-1)
    results = (
        (weighted.sum(-1), captured),
        ((weighted * square).sum(-1), captured_fourth),
        ((weight * slope * slope).sum(-1), captured),
        (response, captured),
        ((weighted * (x**4 - 6.0 * x * x + 3.0)).sum(-1), captured),
    )
    return tuple(torch.where(valid, result, math.nan) for result, valid in results)


def _captured(integrand: Tensor, variance: Tensor, mesh: Mesh) -> Tensor:
    """Whether the integrand has died out at both edges and the mesh reaches eight standard deviations."""
    edge = torch.maximum(integrand[:, 0], integrand[:, -1])
    decayed = edge <= 1e-16 * integrand.amax(-1)
    return decayed & torch.isfinite(integrand).all(-1) & (8.0 * variance.sqrt() <= mesh.reach)


def chi_parallel(activation: Activation, kernel: float | Tensor, *, weight_variance: float) -> Tensor:
    """Return chi_parallel = (C_W / K) <z s s'>, the growth of a change of K in one layer."""
    return weight_variance * moments(activation, kernel).response / torch.as_tensor(kernel, dtype=torch.float64)


def chi_perpendicular(activation: Activation, kernel: float | Tensor, *, weight_variance: float) -> Tensor:
    """Return chi_perpendicular = C_W <s'^2>, the growth of a small distance between two inputs in one layer."""
    return weight_variance * moments(activation, kernel).slope_square

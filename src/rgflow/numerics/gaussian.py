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

__all__ = ["Moments", "chi_parallel", "chi_perpendicular", "expectation", "mesh_of", "moments"]

# Tails beyond 13 standard deviations weigh exp(-84); growth up to exp(7 z / sd) still decays before this edge.
SPAN = 13.0
_SCALED = (-SPAN, -8.0, -5.0, -3.0, -1.5, 0.0, 1.5, 3.0, 5.0, 8.0, SPAN)
_ORDER = 24
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


@lru_cache(maxsize=256)
def mesh_of(activation: Activation) -> Mesh:
    """Return the panels on which s and s' are polynomials to rounding."""
    return adapted_mesh((activation.function, activation.derivative), reach=_REACH, kinks=activation.kinks)


def _gaussian_nodes(variance: Tensor, edges: Tensor, mean: float) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes x in units of the standard deviation, z = mean + sqrt(K) x, and weights with the density, (B, nodes)."""
    deviation = variance.sqrt().unsqueeze(-1)
    inverse = torch.where(deviation > 0, 1.0 / deviation, torch.zeros_like(deviation))
    own = ((edges - mean) * inverse).clamp(-SPAN, SPAN)
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
    """Return <f(z)> over z ~ N(mean, variance), for every variance given.

    Shapes: variance (...) to (...). Errors: rounding, 1e-10 relative to <|f|> or better, if `kinks` names every point
    where f or its derivatives jump and f grows slower than exp(7 |z| / sd); undeclared kinks are bisected to 1e-13.
    Raises: SettingError for negative variances or for an f that oscillates too fast for its panels.

    Example:
    >>> round(float(expectation(torch.cos, 2.0)), 12)  # exp(-1)
    0.367879441171
    """
    values = torch.as_tensor(variance, dtype=torch.float64)
    flat = values.reshape(-1)
    if not bool((flat >= 0).all()):
        raise SettingError(f"variance is {values.tolist()}; every variance must be >= 0")
    reach = abs(mean) + SPAN * float(flat.max().sqrt()) + 1.0
    mesh = adapted_mesh((function,), reach=reach, kinks=kinks)
    if mesh.reach < abs(mean) + 8.0 * float(flat.max().sqrt()):
        raise SettingError(
            f"the function oscillates too fast for a variance of {float(flat.max()):g}; resolved only to |z| = {mesh.reach:.3g}"
        )
    _, z, weight = _gaussian_nodes(flat, torch.tensor(mesh.edges, dtype=torch.float64), mean)
    return (function(z) * weight).sum(-1).reshape(values.shape)


def moments(activation: Activation, kernel: float | Tensor) -> Moments:
    """Return <s^2>, <s^4>, <s'^2>, <z s s'> and <s^2 He4> over z ~ N(0, K) for every K > 0 given.

    Shapes: kernel (...) to (...) each. Errors: rounding; NaN where s grows too fast for the average to exist or be captured.
    """
    values = torch.as_tensor(kernel, dtype=torch.float64)
    flat = values.reshape(-1)
    mesh = mesh_of(activation)
    x, z, weight = _gaussian_nodes(flat, torch.tensor(mesh.edges, dtype=torch.float64), 0.0)
    value, slope = activation.function(z), activation.derivative(z)
    square = value * value
    weighted = weight * square
    density = torch.exp(-0.5 * x * x)
    captured = _captured(density * square, flat, mesh)
    captured_fourth = captured & _captured(density * square * square, flat, mesh)
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
    return Moments(*(torch.where(valid, result, math.nan).reshape(values.shape) for result, valid in results))


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

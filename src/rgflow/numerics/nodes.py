"""Quadrature nodes of one and of two correlated Gaussian variables, broken at the kinks of a function.

Piecewise Gauss-Legendre with the normal density in the weights: panels a fixed number of standard deviations wide,
plus a break at every kink. Two variables z_a, z_b are integrated as d = z_a - z_b outside and z_a inside: then the kinks of both
lie on breaks of the inner integral, and nothing becomes singular when the two variables nearly coincide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["LineNodes", "PairNodes", "line_nodes", "pair_nodes"]

EDGES = (-8.0, -4.5, -2.0, 0.0, 2.0, 4.5, 8.0)  # standard deviations; beyond 8 the normal density holds 1e-15
PARALLEL = 1e-7  # sqrt of rounding: below it two variables are parallel


@dataclass(frozen=True)
class LineNodes:
    """Nodes of one Gaussian each: `value` = mean + sqrt(variance) u, `weights` sum to one; (B, G), `variance` (B,)."""

    value: Tensor
    u: Tensor
    weights: Tensor
    variance: Tensor


@dataclass(frozen=True)
class PairNodes:
    """Nodes of P pairs (P, G): z_a = `first`, z_a - z_b = `difference` (exact when small), standard normal `u`, `v`.

    difference = r_dd u and first = mean + r_ad u + r_aa v with the root of the covariance of (z_a - z_b, z_a).
    """

    first: Tensor
    difference: Tensor
    u: Tensor
    v: Tensor
    weights: Tensor


def line_nodes(variance: Tensor, *, kinks: Sequence[float] = (), mean_shift: float = 0.0, order: int = 12) -> LineNodes:
    """Return nodes for N(mean_shift, variance), `order` nodes on each panel.

    Shapes: `variance` (B,).
    Errors: kinks cost nothing; for functions analytic within one standard deviation of the axis below 1e-10.
    """
    deviation = variance.clamp_min(0).sqrt().unsqueeze(1)
    breaks = [variance.new_tensor(EDGES).expand(len(variance), -1)]
    breaks += [_inside((kink - mean_shift) / deviation) for kink in kinks]
    u, weights = _panels(torch.cat(breaks, dim=1), order=order)
    return LineNodes(mean_shift + deviation * u, u, weights, variance)


def pair_nodes(
    first: Tensor,
    second: Tensor,
    distance: Tensor,
    *,
    kinks: Sequence[float] = (),
    mean_shift: float = 0.0,
    order: int = 8,
) -> PairNodes:
    """Return nodes for pairs with variances `first`, `second` and distance (first + second) / 2 - covariance, all (P,).

    Errors: `order` 6, 8, 12 give about 1e-6, 1e-8, 1e-11 relative for activations of natural scale one, kinked or
    smooth; differences of a function at z_a and z_b keep that relative accuracy at any distance.
    """
    r_dd = (2 * distance).sqrt()
    r_ad = ((first - second) / 2 + distance) / r_dd
    r_aa = torch.maximum((first - r_ad**2).clamp_min(0).sqrt(), PARALLEL * first.sqrt())
    edges = first.new_tensor(EDGES)
    gaps = sorted({a - b for a in kinks for b in kinks} - {0.0})  # where a kink of z_a meets another kink of z_b
    outer = [edges.expand(len(first), -1)] + [_inside(gap / r_dd.unsqueeze(1)) for gap in gaps]
    u, outer_weights = _panels(torch.cat(outer, dim=1), order=order)
    mean = (r_ad / r_aa).unsqueeze(1) * u
    inner = [edges.expand(*u.shape, -1)]
    for kink in kinks:
        own = ((kink - mean_shift) / r_aa).unsqueeze(1) - mean
        inner += [_inside(own.unsqueeze(2)), _inside((own + (r_dd / r_aa).unsqueeze(1) * u).unsqueeze(2))]
    v, inner_weights = _panels(torch.cat(inner, dim=2), order=order)
    u = u.unsqueeze(2).expand_as(v)
    scale = (slice(None), None, None)
    value = mean_shift + r_ad[scale] * u + r_aa[scale] * v
    weights = outer_weights.unsqueeze(2) * inner_weights
    return PairNodes(*(t.flatten(1) for t in (value, r_dd[scale] * u, u, v, weights)))


def _inside(breaks: Tensor) -> Tensor:
    """Return breaks clipped to the range of integration; a clipped break makes an empty panel, which adds nothing."""
    return torch.nan_to_num(breaks, nan=0.0).clamp(EDGES[0], EDGES[-1])


def _panels(breaks: Tensor, *, order: int) -> tuple[Tensor, Tensor]:
    """Return Gauss-Legendre nodes (..., panels * order) between the sorted breaks and weights with the normal density."""
    x, w = (breaks.new_tensor(t) for t in np.polynomial.legendre.leggauss(order))
    breaks = breaks.sort(dim=-1).values
    left, right = breaks[..., :-1, None], breaks[..., 1:, None]
    half = (right - left) / 2
    nodes = (left + right) / 2 + half * x
    weights = half * w * torch.exp(-nodes.square() / 2) / math.sqrt(2 * math.pi)
    return nodes.flatten(-2), weights.flatten(-2)

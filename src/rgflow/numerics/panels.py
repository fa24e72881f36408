"""Gauss-Legendre rules on panels, and the mesh of panels on which a given function is a polynomial to rounding.

Convention: a mesh lists panel edges in ascending order; zero-length panels are allowed and weigh nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["Mesh", "adapted_mesh", "legendre", "panel_nodes"]

# A panel is resolved when its degree-15 interpolant meets the function to this fraction of its size on the panel.
# Integration uses more nodes than this test, so that squares of the function are integrated to rounding.
_RESOLVED = 1e-11
# Tails below this fraction of the function's size on [-1, 1] are resolved to the same absolute accuracy only.
_NEGLIGIBLE = 1e-3
_TEST_ORDER = 16
_PROBES = 23
_AHEAD = 6
# Panels kept at most; beyond it the panels furthest from 0 are given up and the mesh reaches less far.
_MOST_PANELS = 300
_DEPTH = 44  # 2^-44 of a panel of length 1 is 6e-14, where rounding of z hides everything


@dataclass(frozen=True)
class Mesh:
    """Panels on which a function is smooth to rounding, trusted to |z| = `reach`; `length` is its finest feature."""

    edges: tuple[float, ...]
    reach: float
    length: float


@cache
def legendre(order: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the Gauss-Legendre rule with `order` points on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


def panel_nodes(edges: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Return nodes and weights of the composite rule with panels between neighbouring `edges` (sorted).

    Shapes: edges (..., m + 1) to two tensors (..., m * order).
    """
    nodes, weights = legendre(order)
    half = 0.5 * edges.diff(dim=-1).unsqueeze(-1)
    middle = 0.5 * (edges[..., 1:] + edges[..., :-1]).unsqueeze(-1)
    return (middle + half * nodes).flatten(-2), (half * weights).flatten(-2)


@cache
def _interpolation() -> tuple[Tensor, Tensor]:
    """Probe points inside [-1, 1] and the matrix that carries values at the Legendre nodes to them."""
    nodes, _ = legendre(_TEST_ORDER)
    # Golden-ratio spacing: no symmetry that an odd or periodic function could hide behind.
    probes = torch.sort(2.0 * (torch.arange(1, _PROBES + 1, dtype=torch.float64) * 0.6180339887498949 % 1.0) - 1.0)[0]
    to_coefficients = np.linalg.inv(np.polynomial.legendre.legvander(nodes.numpy(), _TEST_ORDER - 1))
    matrix = np.polynomial.legendre.legvander(probes.numpy(), _TEST_ORDER - 1) @ to_coefficients
    return probes, torch.from_numpy(matrix)


def _resolved(
    functions: Sequence[Callable[[Tensor], Tensor]], lower: Tensor, upper: Tensor, floor: Tensor, *, least: float = 0.0
) -> Tensor:
    nodes, _ = legendre(_TEST_ORDER)
    probes, matrix = _interpolation()
    half, middle = 0.5 * (upper - lower).unsqueeze(-1), 0.5 * (upper + lower).unsqueeze(-1)
    good = torch.ones(len(lower), dtype=torch.bool)
    for function, negligible in zip(functions, floor.tolist(), strict=True):
        values = function(middle + half * nodes)
        deviation = (values @ matrix.T - function(middle + half * probes)).abs().amax(-1)
        # Rounding of z alone moves the function by eps |z| times its slope, of which its size near 0 is a measure.
        rounding = 5e-14 * torch.maximum(lower.abs(), upper.abs()) * negligible / _NEGLIGIBLE
        size = values.abs().amax(-1).clamp(min=negligible)
        # Panels where the function has overflowed are left alone: they lie outside every usable Gaussian.
        good &= (deviation <= _RESOLVED * size + rounding) | ~torch.isfinite(deviation)
        # Short panels that look smooth to 1e-9 show the rounding noise of the function, which no bisection removes.
        good |= (deviation <= 1e-9 * size) & (upper - lower <= 1e-3)
        # An undeclared kink is bisected until the integral over its panel is right, not until the panel is smooth.
        good |= deviation * (upper - lower) <= least * negligible / _NEGLIGIBLE
    return good


def adapted_mesh(
    functions: Sequence[Callable[[Tensor], Tensor]],
    *,
    reach: float,
    kinks: Sequence[float] = (),
    narrowest: float = 1.0,
) -> Mesh:
    """Return the mesh on [-reach, reach] whose panels resolve all `functions`, found by bisection and then merged.

    `narrowest` is the smallest standard deviation that will be used: it sets how well undeclared kinks must be found.

    Where the panels needed exceed the budget (a function oscillating to infinity) `reach` of the result is smaller.
    """
    octaves = [2.0**k for k in range(-3, 64) if 2.0**k < reach] + [reach]
    edges = sorted({0.0, *octaves, *(-octave for octave in octaves), *(k for k in kinks if abs(k) < reach)})
    points = torch.tensor(edges, dtype=torch.float64)
    near = torch.linspace(-1.0, 1.0, 65, dtype=torch.float64)
    floor = torch.stack([function(near).abs().nan_to_num(0.0, 0.0, 0.0).amax() * _NEGLIGIBLE for function in functions])
    done, reached = _bisected(functions, points, floor, reach, least=1e-15 * min(narrowest, 1.0))
    merged = _merged(functions, done, floor, kinks)
    hard = [abs(edge) for edge in merged if edge != 0.0]
    return Mesh(tuple(merged), reached, min(hard, default=reached))


def _bisected(
    functions: Sequence[Callable[[Tensor], Tensor]], points: Tensor, floor: Tensor, reach: float, *, least: float
) -> tuple[list[float], float]:
    lower, upper = points[:-1], points[1:]
    finished: list[Tensor] = []
    for _ in range(_DEPTH):
        good = _resolved(functions, lower, upper, floor, least=least)
        good |= upper - lower <= 1e-13 * torch.maximum(upper.abs(), lower.abs()).clamp(min=1e-2)
        finished.append(torch.stack([lower[good], upper[good]], 1))
        lower, upper = lower[~good], upper[~good]
        if not len(lower):
            break
        middle = 0.5 * (lower + upper)
        lower, upper = torch.cat([lower, middle]), torch.cat([middle, upper])
        nearest = torch.minimum(lower.abs(), upper.abs())
        room = _MOST_PANELS - sum(len(part) for part in finished)
        keep = torch.argsort(nearest)[: max(room, 2)]
        if len(keep) < len(lower):
            dropped = torch.ones(len(lower), dtype=torch.bool)
            dropped[keep] = False
            reach = min(reach, float(nearest[dropped].min()))
        lower, upper = lower[keep], upper[keep]
    finished.append(torch.stack([lower, upper], 1))
    edges = torch.unique(torch.cat(finished).flatten())
    return [edge for edge in edges.tolist() if abs(edge) <= reach], reach


def _merged(
    functions: Sequence[Callable[[Tensor], Tensor]], edges: list[float], floor: Tensor, kinks: Sequence[float]
) -> list[float]:
    """Drop every edge, but for kinks, without which the panels stay resolved; from 0 outwards, panels growing."""
    fixed = {0.0, edges[0], edges[-1], *kinks}
    right = _grown([edge for edge in edges if edge >= 0.0], functions, floor, fixed)
    left = _grown([edge for edge in reversed(edges) if edge <= 0.0], functions, floor, fixed)
    return sorted({*left, *right})


def _grown(
    edges: list[float], functions: Sequence[Callable[[Tensor], Tensor]], floor: Tensor, fixed: set[float]
) -> list[float]:
    kept, start, good_to = edges[:1], 0, 0
    while start < len(edges) - 1:
        # Panels that would end at the next few edges, tried together; a kink ends a panel in any case.
        stop = good_to + 1
        while stop < min(len(edges) - 1, good_to + _AHEAD) and edges[stop] not in fixed:
            stop += 1
        ends = torch.tensor(edges[good_to + 1 : stop + 1], dtype=torch.float64)
        begin = torch.full_like(ends, edges[start])
        good = _resolved(functions, torch.minimum(begin, ends), torch.maximum(begin, ends), floor)
        failed = (~good).nonzero()
        good_to += int(failed[0]) if len(failed) else len(ends)
        # The first panel after `start` was resolved before; rounding in this test must not stop the walk.
        good_to = max(good_to, start + 1)
        if len(failed) or good_to == len(edges) - 1 or edges[good_to] in fixed:
            start = good_to
            kept.append(edges[start])
    return kept

"""The dimension of a graph from the growth of its balls, against the growth laws of finite lattices.

Convention: S(r) is the mean number of nodes at graph distance r, B(r) = S(0) + ... + S(r). A lattice of `nodes` sites in d
dimensions has sides L = nodes^(1/d), and its S(r) are the coefficients of g_L(x)^d, g_L those of a ring or a line of L
sites (bonds along the axes); with bonds to all 3^d - 1 neighbours B(r) is the d-th power of that of the line. Both are
defined for every real d > 0. Distances are numbers of steps.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

__all__ = [
    "GrowthFit",
    "ball_growth",
    "dimension_of_growth",
    "filling_radius",
    "giant_component",
    "lattice_growth",
    "refitted",
]

_DIMENSIONS = (0.9, 1.7, 2.7, 4.2)  # starts of the fit
_LEAST_SIDE = 3.0  # sites along an axis: with 2 an axis is one bond, and a cube of 4^d sites would be one of 2^(2 d)
_LOG_STEP_SPREAD = 0.1  # prior: a step of the graph is 1 lattice step, give or take missing and extra edges
_RELATIVE_ERROR = 0.02  # of ln B: what a few missing or extra edges do to the mean ball


@dataclass(frozen=True)
class GrowthFit:
    """The fitted dimension, the lattice steps that one edge covers, the law, and the misfit of ln B (root mean square)."""

    dimension: float
    step: float
    periodic: bool
    diagonals: bool
    misfit: float
    radius: int


def giant_component(edges: np.ndarray, *, nodes: int) -> np.ndarray:
    """Return the nodes of the largest connected part, ascending."""
    graph = _adjacency(edges, nodes=nodes)
    labels = connected_components(graph, directed=False)[1]
    return np.flatnonzero(labels == np.bincount(labels).argmax())


def ball_growth(edges: np.ndarray, *, members: np.ndarray, nodes: int) -> np.ndarray:
    """Return the number of members within r steps of each member, (members, radii), radii 0 .. diameter."""
    graph = _adjacency(edges, nodes=nodes)[members][:, members]
    steps = shortest_path(graph, unweighted=True, directed=False)
    diameter = int(steps[np.isfinite(steps)].max())
    return np.stack([(steps <= radius).sum(1) for radius in range(diameter + 1)], axis=1).astype(np.float64)


def lattice_growth(dimension: float, *, nodes: int, radii: int, periodic: bool, diagonals: bool = False) -> np.ndarray:
    """Return B(0) .. B(radii - 1) of the lattice of `nodes` sites in `dimension` dimensions, a real number > 0."""
    side = nodes ** (1.0 / dimension)
    line = _ring(side, radii) if periodic else _line(side, radii)
    if diagonals:
        return np.minimum(np.cumsum(line[:radii]) ** dimension, nodes)
    spheres = np.zeros(radii)
    spheres[0] = 1.0
    for r in range(1, radii):  # coefficients of a power: n a_0 b_n = sum_k (k d - (n - k)) a_k b_(n-k)  (Euler 1748)
        k = np.arange(1, r + 1)
        spheres[r] = ((k * dimension - (r - k)) * line[k] * spheres[r - k]).sum() / r
    return np.minimum(np.cumsum(np.maximum(spheres, 0.0)), nodes)


def filling_radius(growth: np.ndarray, *, nodes: int) -> int:
    """Return the smallest radius >= 1 at which the mean ball holds 90 % of the nodes."""
    inside = np.flatnonzero(growth[1:] >= 0.9 * nodes)
    return max(int(inside[0]) + 1 if len(inside) else len(growth) - 1, 1)


def dimension_of_growth(growth: np.ndarray, *, nodes: int, radius: int) -> GrowthFit:
    """Return the lattice law whose ln B is nearest that of `growth` (radii,), from radius 1 to `radius`."""
    laws = itertools.product((True, False), (False, True))
    best = [_fitted(growth, nodes=nodes, radius=radius, periodic=ring, diagonals=full) for ring, full in laws]
    return min(best, key=lambda fit: fit.misfit + abs(math.log(fit.step)) * _RELATIVE_ERROR / _LOG_STEP_SPREAD)


def refitted(growth: np.ndarray, *, nodes: int, radius: int, like: GrowthFit) -> GrowthFit:
    """Return the same law fitted up to another radius."""
    starts = (like.dimension,)
    return _fitted(
        growth, nodes=nodes, radius=radius, periodic=like.periodic, diagonals=like.diagonals, dimensions=starts
    )


def _fitted(
    growth: np.ndarray,
    *,
    nodes: int,
    radius: int,
    periodic: bool,
    diagonals: bool,
    dimensions: tuple[float, ...] = _DIMENSIONS,
) -> GrowthFit:
    radii = np.arange(1, radius + 1)
    target = np.log(growth[radii])

    def residual(parameters: np.ndarray) -> np.ndarray:
        dimension, step = parameters[0], np.exp(parameters[1])
        reach = int(np.ceil(radius * step)) + 2
        law = np.log(lattice_growth(dimension, nodes=nodes, radii=reach, periodic=periodic, diagonals=diagonals))
        found = np.interp(np.log(radii * step + 0.5), np.log(np.arange(reach) + 0.5), law)  # B ~ (r + 1/2)^d on Z^d
        return np.append((found - target) / _RELATIVE_ERROR / np.sqrt(radius), parameters[1] / _LOG_STEP_SPREAD)

    highest = max(math.log(nodes) / math.log(_LEAST_SIDE), 0.5)
    starts = [start for start in dimensions if start < highest] or [highest / 2.0]
    bounds = ([0.3, -1.5], [highest, 1.5])
    fits = [least_squares(residual, [start, 0.0], bounds=bounds, diff_step=1e-4) for start in starts]
    found = min(fits, key=lambda fit: fit.cost)
    misfit = float(np.sqrt((residual(found.x)[:-1] ** 2).sum()) * _RELATIVE_ERROR)
    return GrowthFit(float(found.x[0]), float(np.exp(found.x[1])), periodic, diagonals, misfit, radius)


def _ring(side: float, radii: int) -> np.ndarray:
    """Return the spheres of a ring of `side` sites: 1, 2, 2, ..., and what is left over at the far end."""
    found = np.zeros(radii + 1)
    found[0] = 1.0
    for r in range(1, radii + 1):
        found[r] = min(2.0, max(side - found[:r].sum(), 0.0))
    return found


def _line(side: float, radii: int) -> np.ndarray:
    """Return the mean spheres of an open line of `side` sites: 2 (1 - r / side)."""
    steps = np.arange(radii + 1)
    found = 2.0 * np.maximum(1.0 - steps / side, 0.0)
    found[0] = 1.0
    return found


def _adjacency(edges: np.ndarray, *, nodes: int) -> csr_array:
    both = np.concatenate([edges, edges[:, ::-1]]) if len(edges) else np.zeros((0, 2), dtype=np.int64)
    return csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(nodes, nodes))

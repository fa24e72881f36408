"""Fitting the depth function of a network on the norms of given inputs, with an error checked on pairs between the nodes.

Tolerances are relative to sqrt(F_aa F_bb). The angle is cut into segments only where no single variable resolves it.
"""

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.theory.angle_variable import AngleVariable, plain_angle_points, refit, to_coefficients
from rgflow.theory.depth_function import DepthLaw, DepthValues, depth_values
from rgflow.theory.separable_form import NormBasis, best_variable, fitted_core, spread_basis

__all__ = ["Core", "DepthFit", "Precision", "depth_fit", "diagonal_values"]


@dataclass(frozen=True)
class Precision:
    """What the working dtype needs: `tolerance` of truncations, allowed `growth` of coefficients, unit `rounding`."""

    tolerance: float
    growth: float
    rounding: float


@dataclass(frozen=True)
class Core:
    """Polynomials of one kernel, (segments, p, J, D), and how many powers each term j needs."""

    core: Tensor
    terms: tuple[int, ...]


@dataclass(frozen=True)
class DepthFit:
    """One or two cores (kernel, tangent) in a common variable; `edges` (segments + 1) of the angle.

    `basis` is None for homogeneous networks, whose factors are the deviations themselves.
    """

    variable: AngleVariable
    edges: tuple[float, ...]
    kernel: Core
    tangent: Core
    basis: NormBasis | None


_POINTS = 192  # sampled angles on [0, pi]: three times the longest polynomial used
_SEGMENT_POINTS = 32
_SEGMENT_TERMS = 18
_MOST_SEGMENTS = 64
_NORMS = (3, 5, 7, 9, 12, 16, 20, 26, 32)
# Norms that agree to rounding are one norm.
_EQUAL = 1e-13


def depth_fit(law: DepthLaw, deviation: Tensor, *, precision: Precision) -> DepthFit:
    """Return polynomials for every pair of the given first-layer deviations (N,), at any angle.

    Raises: SettingError where norms spread too far, or the function is too sharp, to be resolved.
    """
    if law.homogeneous:
        return _homogeneous(law, precision)
    low, high = float(deviation.min()), float(deviation.max())
    if high - low <= _EQUAL * high:
        basis = NormBasis(high, high, 1)
        edges, variable = _layout(law, basis.nodes(), precision)
        kernel, tangent = _cores(law, basis.nodes(), edges, variable, precision)
        return DepthFit(variable, edges, kernel, tangent, basis)
    edges, variable = _layout(law, spread_basis(deviation, 3).nodes().clamp(min=1e-12 * high), precision)
    for count in _NORMS:
        basis = spread_basis(deviation, count)
        kernel, tangent = _cores(law, basis.nodes(), edges, variable, precision)
        if kernel.terms[-1] == 0 and tangent.terms[-1] == 0:
            return DepthFit(variable, edges, kernel, tangent, basis)
    raise SettingError(
        f"the norms of the inputs spread from {low:.3g} to {high:.3g} (first-layer deviations), too far for {_NORMS[-1]}"
        " interpolation nodes; normalise the rows, or split the inputs by norm"
    )


@lru_cache(maxsize=64)
def _homogeneous(law: DepthLaw, precision: Precision) -> DepthFit:
    """Kernel: one function of the angle; tangent: one that scales with the norms (weights) and one that does not."""
    unit = torch.ones(1, dtype=torch.float64)
    edges, variable = _layout(law, unit, precision)
    laws = [law.with_rates(weights=True, biases=False), law.with_rates(weights=False, biases=True)]
    kernel, weights = _cores(laws[0], unit, edges, variable, precision)
    parts = [weights, _cores(laws[1], unit, edges, variable, precision)[1]] if any(law.bias_rate) else [weights]
    core = torch.zeros(
        len(edges) - 1, len(parts), len(parts), max(1, *(p.terms[0] for p in parts)), dtype=torch.float64
    )
    for place, part in enumerate(parts):
        core[:, place, place, : part.core.shape[-1]] = part.core[:, 0, 0] * float(
            _unit_values(laws[place]).tangent_diagonal
        )
    return DepthFit(variable, edges, kernel, Core(core, tuple(part.terms[0] for part in parts)), None)


@lru_cache(maxsize=128)
def _unit_values(law: DepthLaw) -> DepthValues:
    """Values of an input of deviation 1 with itself."""
    one, none = torch.ones(1, dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    return depth_values(law, one, none.double(), first=none, second=none)


def _layout(law: DepthLaw, nodes: Tensor, precision: Precision) -> tuple[tuple[float, ...], AngleVariable]:
    """Choose the variable on the whole interval, else cut it until every segment is resolved in the plain angle."""
    values = _normalised(law, nodes, plain_angle_points(_POINTS))
    together = torch.cat([part.flatten(1) for part in values], 1)
    variable = best_variable(together, tolerance=precision.tolerance, growth=precision.growth)
    if variable is not None:
        return (0.0, math.pi), variable
    return _segments(law, nodes, precision), AngleVariable(1e6)


def _segments(law: DepthLaw, nodes: Tensor, precision: Precision) -> tuple[float, ...]:
    waiting, done = [(0.0, 0.5 * math.pi), (0.5 * math.pi, math.pi)], []
    while waiting:
        low, high = waiting.pop()
        values = _normalised(law, nodes, plain_angle_points(_SEGMENT_POINTS, low=low, high=high))
        spectra = to_coefficients(_SEGMENT_POINTS) @ torch.cat([part.flatten(1) for part in values], 1)
        if float(spectra[_SEGMENT_TERMS:].abs().max()) <= precision.tolerance:
            done.append(low)
        elif len(done) + len(waiting) + 2 > _MOST_SEGMENTS:
            raise SettingError(
                f"{law.activation.name} with these variances separates inputs too sharply at depth"
                f" {len(law.weight_variance)} to be resolved with {_MOST_SEGMENTS} segments of the angle; take a network"
                " nearer to criticality or fewer layers"
            )
        else:
            waiting += [(low, 0.5 * (low + high)), (0.5 * (low + high), high)]
    return (*sorted(done), math.pi)


def _cores(
    law: DepthLaw, nodes: Tensor, edges: tuple[float, ...], variable: AngleVariable, precision: Precision
) -> tuple[Core, Core]:
    if len(edges) == 2:
        points, matrix = plain_angle_points(_POINTS), refit(_POINTS, variable)
    else:
        spans = list(itertools.pairwise(edges))
        points = torch.cat([plain_angle_points(_SEGMENT_POINTS, low=low, high=high) for low, high in spans])
        matrix = to_coefficients(_SEGMENT_POINTS)
    cores = []
    for part in _normalised(law, nodes, points):
        sampled = part.reshape(len(edges) - 1, -1, len(nodes), len(nodes))
        spectra = torch.einsum("kn,snij->skij", matrix, sampled)
        cores.append(Core(*fitted_core(spectra, tolerance=precision.tolerance)))
    return cores[0], cores[1]


def _normalised(law: DepthLaw, nodes: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """Kernel and tangent kernel over sqrt(F_aa F_bb), each (angles, m, m)."""
    count = len(nodes)
    first, second = torch.triu_indices(count, count)
    spread = angle.repeat_interleave(len(first))
    pairs = (first.repeat(len(angle)), second.repeat(len(angle)))
    found = depth_values(law, nodes, spread, first=pairs[0], second=pairs[1])
    parts = []
    for value, own in ((found.kernel, found.kernel_diagonal), (found.tangent, found.tangent_diagonal)):
        root = own.sqrt()
        scaled = (value / (root[pairs[0]] * root[pairs[1]]).clamp(min=1e-300)).reshape(len(angle), -1)
        full = torch.empty(len(angle), count, count, dtype=torch.float64)
        full[:, first, second] = scaled
        full[:, second, first] = scaled
        parts.append(full)
    return parts[0], parts[1]


def diagonal_values(law: DepthLaw, deviation: Tensor, *, vanishing: bool) -> DepthValues:
    """Return F(a, a) of every input; with `vanishing` F(0, a) with an input whose first layer vanishes, else no pairs.

    Errors: rounding for closed forms; else interpolation in the deviation, resolved to the 1e-12 of the averages.
    """
    if law.homogeneous and not vanishing:
        return _scaled_diagonal(law, deviation)
    distinct, place = torch.unique(deviation, return_inverse=True)
    basis = spread_basis(distinct, _DIAGONAL_NODES)
    direct = bool(law.activation.family) or len(distinct) <= _DIAGONAL_NODES
    nodes = distinct if direct else basis.nodes()
    order = torch.arange(len(nodes) if vanishing else 0)
    angle = torch.full((len(order),), 0.5 * math.pi, dtype=torch.float64)
    with_zero = torch.cat([nodes, torch.zeros(1, dtype=torch.float64)])
    found = depth_values(law, with_zero, angle, first=order, second=torch.full_like(order, len(nodes)))
    own = [found.kernel_diagonal[:-1], found.tangent_diagonal[:-1], *found.variance[:, :-1]]
    pairs = [found.kernel, found.tangent]
    if not direct:
        matrix = basis.values(distinct) @ to_coefficients(_DIAGONAL_NODES)
        own = [matrix @ part for part in own]
        pairs = [matrix @ part for part in pairs] if vanishing else pairs
    own = [part[place] for part in own]
    pairs = [part[place] for part in pairs] if vanishing else pairs
    return DepthValues(own[0], own[1], pairs[0], pairs[1], torch.stack(own[2:]))


def _scaled_diagonal(law: DepthLaw, deviation: Tensor) -> DepthValues:
    weights, biases = (_unit_values(law.with_rates(weights=w, biases=not w)) for w in (True, False))
    square, none = deviation**2, torch.zeros(0, dtype=torch.float64)
    tangent = weights.tangent_diagonal * square + biases.tangent_diagonal
    return DepthValues(weights.kernel_diagonal * square, tangent, none, none, weights.variance * square)


_DIAGONAL_NODES = 48

"""Averages over two correlated Gaussian variables, with the difference of the two carried to relative accuracy.

State of a pair: x = K_aa, w = K_bb and distance = (K_aa + K_bb)/2 - K_ab = <(z_a - z_b)^2>/2, given as its own number
so that inputs with correlation 1 - 1e-12 keep all their digits. Root, with cos(2 t) = K_ab / sqrt(x w):
    z_a = shift + sqrt(x) (cos(t) v + sin(t) u),    z_b = shift + sqrt(w) (cos(t) v - sin(t) u),
u and v independent standard normal. The coordinate with the smaller weight (u if K_ab > 0, else v) is the outer one:
the inner average smooths every kink over at least 0.7 standard deviations, so the outer integrand is smooth but for the
points where kinks of z_a and z_b coincide. The number of panels does not grow as the correlation tends to 1 or -1.
Functions without kinks, on variances not too wide for their features, are summed by the trapezoid rule instead.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.panels import Mesh, panel_nodes

__all__ = ["PairNodes", "PairRoot", "expectation_pair", "pair_nodes", "pair_root", "state_of"]

# Beyond 8.5 standard deviations the weight is 2e-17; fourth powers of both variables there still count less than 1e-11.
_SPAN = 8.5
# One break at 0: 20 nodes on [0, 8.5] integrate the Gaussian to 2e-11, 16 nodes to 5e-9, 24 nodes to 6e-15 (measured).
_OWN = (-_SPAN, 0.0, _SPAN)
_DENSITY = 1.0 / (2.0 * math.pi)
# Trapezoid step per unit of 1/order; its error is exp(-2 pi d / step), d the distance of the nearest complex pole in
# standard deviations, and a mesh's length is about 2 d / pi times the standard deviation (tanh: pole pi/2, length 1).
_STEP = 6.5
# Above this ratio of standard deviation to feature length panels need fewer nodes than the trapezoid rule.
_WIDEST = 4.0


@dataclass(frozen=True)
class PairRoot:
    """Standard deviations of a pair and cos(t), sin(t) of its root, each (P,); `gap` = deviation_a - deviation_b."""

    deviation_a: Tensor
    deviation_b: Tensor
    gap: Tensor
    cosine: Tensor
    sine: Tensor


@dataclass(frozen=True)
class PairNodes:
    """Nodes of a two-dimensional Gaussian rule, each (P, G): z_a, z_b, z_a - z_b, the whitened u, v, and weights."""

    first: Tensor
    second: Tensor
    difference: Tensor
    u: Tensor
    v: Tensor
    weight: Tensor
    root: PairRoot

    def average(self, values: Tensor) -> Tensor:
        """Return sum over nodes of weight * values, (..., P)."""
        return (values * self.weight).sum(-1)


def pair_root(x: Tensor, w: Tensor, distance: Tensor) -> PairRoot:
    """Return the root of each covariance; sin(t)^2 = (1 - rho)/2 keeps the relative accuracy of `distance`.

    Raises: SettingError if a variance is negative or the distance is more than rounding outside what they allow.
    """
    a, b = x.sqrt(), w.sqrt()
    total, product = a + b, a * b
    gap = torch.where(total > 0, (x - w) / total, 0.0)
    below, above = distance - 0.5 * gap**2, 0.5 * total**2 - distance
    slack = 1e-9 * (x + w)
    if not bool(((x >= 0) & (w >= 0) & (below >= -slack) & (above >= -slack)).all()):
        raise SettingError(
            f"K_aa {x.min():.6g}, K_bb {w.min():.6g} and distance {distance.min():.6g} (smallest of each) do not form a"
            " covariance; K_aa, K_bb >= 0 and |K_ab| <= sqrt(K_aa K_bb) are needed"
        )
    lone = product <= 0  # one of the two is constant: any angle will do, 45 degrees means independent
    divisor = torch.where(lone, 1.0, 2.0 * product)
    sine = torch.where(lone, 0.5, (below / divisor).clamp(0.0, 1.0)).sqrt()
    cosine = torch.where(lone, 0.5, (above / divisor).clamp(0.0, 1.0)).sqrt()
    return PairRoot(a, b, gap, cosine, sine)


def pair_nodes(
    x: Tensor,
    w: Tensor,
    distance: Tensor,
    *,
    kinks: Sequence[float] = (),
    mesh: Mesh | None = None,
    mean_shift: float | Tensor = 0.0,
    order: int = 20,
) -> PairNodes:
    """Return a rule for <f(z_a, z_b)> over each pair of Gaussians, near rounding for functions smooth between kinks.

    `kinks` are the points where f is not smooth in z_a or in z_b. `mesh` (`mesh_of(activation)`) tells the length of
    the function's features and is needed once K exceeds its square. `mean_shift` is added to both variables.
    Shapes: x, w, distance (P,), mean_shift a number or (P,); nodes (P, G), G about 8 order^2 for one kink, 6 order^2
    for smooth functions, and up to fifty times that for features far narrower than the standard deviation.
    Errors: relative to <|f|>, at order 16: 5e-9, 20: 2e-11, 24: 1e-13 for one kink and K <= length^2 (measured).
    """
    x, w, distance = (torch.as_tensor(value, dtype=torch.float64).reshape(-1) for value in (x, w, distance))
    root = pair_root(x, w, distance)
    shift = torch.as_tensor(mean_shift, dtype=torch.float64).expand(len(x))
    flipped = root.cosine < root.sine
    width = _relative_width(root, mesh)
    if not kinks and width <= _WIDEST:
        outer, inner, weight = _trapezoid(len(x), step=_STEP / order / max(width, 1.0))
    else:
        edges = mesh.edges if mesh is not None and width > 1.0 else ()
        outer, inner, weight = _panelled(root, shift, kinks=kinks, edges=edges, order=order)
    return _assembled(root, shift, outer, inner, flipped, weight)


def _relative_width(root: PairRoot, mesh: Mesh | None) -> float:
    """Largest standard deviation of the batch in units of the function's finest feature."""
    if mesh is None or not len(root.cosine):
        return 0.0
    return float(torch.maximum(root.deviation_a, root.deviation_b).max()) / mesh.length


def _trapezoid(pairs: int, *, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """Trapezoid rule on the disc of radius 8.5 in the whitened plane, the same for every pair; (P, G, 1) each."""
    count = int(_SPAN / step)
    axis = step * torch.arange(-count, count + 1, dtype=torch.float64)
    outer, inner = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
    square = outer * outer + inner * inner
    inside = square <= _SPAN**2
    weight = step * step * torch.exp(-0.5 * square[inside])
    return tuple(part.expand(pairs, -1).unsqueeze(-1) for part in (outer[inside], inner[inside], weight))  # type: ignore[return-value]


def _panelled(
    root: PairRoot, shift: Tensor, *, kinks: Sequence[float], edges: Sequence[float], order: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Composite Legendre rule with breaks at kinks and edges; coordinates and weights (P, outer, inner)."""
    hard_a, hard_b = _positions(root, shift, kinks)
    soft_a, soft_b = _positions(root, shift, sorted({*kinks, *edges}))
    # With K_ab < 0 the roles of u and v are exchanged and z_b is mirrored.
    mirror = torch.where(root.cosine < root.sine, -1.0, 1.0).unsqueeze(-1)
    small = torch.minimum(root.cosine, root.sine).unsqueeze(-1)
    large = torch.maximum(root.cosine, root.sine).unsqueeze(-1)
    outer, outer_weight = _outer(hard_a, mirror * hard_b, _finest(root, edges), small=small, order=order)
    inner, inner_weight = _inner(soft_a, mirror * soft_b, outer * small, large=large, order=order)
    return outer.unsqueeze(-1).expand_as(inner), inner, outer_weight.unsqueeze(-1) * inner_weight


def _positions(root: PairRoot, shift: Tensor, points: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Points in units of the standard deviation of z_a and of z_b, (P, points) each; beyond the span where it is 0."""
    distance = torch.tensor(list(points), dtype=torch.float64) - shift.unsqueeze(-1)

    def scaled(deviation: Tensor) -> Tensor:
        wide = deviation.unsqueeze(-1)
        # Twice the span is far enough to fall off every panel and near enough to add and subtract safely.
        return torch.where(wide > 0, distance / wide.clamp(min=1e-300), 1e9).clamp(-1e9, 1e9)

    return scaled(root.deviation_a), scaled(root.deviation_b)


def _finest(root: PairRoot, edges: Sequence[float]) -> Tensor:
    """Finest soft feature in units of the larger standard deviation, (P, 1); infinite without edges."""
    lengths = [abs(edge) for edge in edges if edge != 0.0]
    if not lengths:
        return torch.full((len(root.cosine), 1), math.inf, dtype=torch.float64)
    return (min(lengths) / torch.maximum(root.deviation_a, root.deviation_b).clamp(min=1e-300)).unsqueeze(-1)


def _outer(hard_a: Tensor, hard_b: Tensor, finest: Tensor, *, small: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Nodes of the outer coordinate: breaks where a kink of one variable meets a kink of the other."""
    meeting = (hard_a.unsqueeze(-1) - hard_b.unsqueeze(-2)).flatten(1)
    # Soft features meet near 0; panels graded by 4 around it follow them down to their own width.
    near = finest * torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)
    near = torch.where(near < 2.0, near, 1e9)
    breaks = torch.cat([meeting, near, -near], -1) / (2.0 * small).clamp(min=1e-300)
    return _ruled(breaks, order)


def _inner(soft_a: Tensor, soft_b: Tensor, offset: Tensor, *, large: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Nodes of the inner coordinate at every outer node: breaks where either variable passes an edge."""
    own = offset.unsqueeze(-1)
    breaks = torch.cat([soft_a.unsqueeze(1) - own, soft_b.unsqueeze(1) + own], -1) / large.unsqueeze(-1)
    return _ruled(breaks, order)


def _ruled(breaks: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Composite rule on [-8.5, 8.5] with the given breaks and the rule's own, weighted with exp(-x^2 / 2)."""
    own = torch.tensor(_OWN, dtype=torch.float64).expand(*breaks.shape[:-1], -1)
    edges = torch.sort(torch.cat([breaks.clamp(-_SPAN, _SPAN), own], -1), -1)[0]
    filled = (edges.diff(dim=-1) > 0).flatten(0, -2).any(0)
    keep = torch.cat([filled, torch.ones(1, dtype=torch.bool)])
    nodes, weight = panel_nodes(edges[..., keep], order)
    return nodes, weight * torch.exp(-0.5 * nodes * nodes)


def _assembled(
    root: PairRoot, shift: Tensor, outer: Tensor, inner: Tensor, flipped: Tensor, weight: Tensor
) -> PairNodes:
    swap = flipped.reshape(-1, 1, 1)
    u, v = (torch.where(swap, *both).flatten(1) for both in ((inner, outer), (outer, inner)))
    even, odd = root.cosine.unsqueeze(-1) * v, root.sine.unsqueeze(-1) * u
    a, b, gap = (value.unsqueeze(-1) for value in (root.deviation_a, root.deviation_b, root.gap))
    start = shift.unsqueeze(-1)
    return PairNodes(
        first=start + a * (even + odd),
        second=start + b * (even - odd),
        difference=gap * even + (a + b) * odd,
        u=u,
        v=v,
        weight=weight.flatten(1) * _DENSITY,
        root=root,
    )


def state_of(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variances (..., 2) and the distance (K_aa + K_bb)/2 - K_ab (...) of 2x2 covariances (..., 2, 2)."""
    variances = covariance.diagonal(dim1=-2, dim2=-1)
    return variances, 0.5 * variances.sum(-1) - 0.5 * (covariance[..., 0, 1] + covariance[..., 1, 0])


def expectation_pair(
    function: Callable[[Tensor, Tensor], Tensor],
    covariance: Tensor,
    *,
    kinks: Sequence[float] = (),
    mesh: Mesh | None = None,
    order: int = 24,
) -> Tensor:
    """Return <f(z_a, z_b)> over z ~ N(0, covariance), for every 2x2 covariance given.

    Shapes: covariance (..., 2, 2) to (...). Errors: 1e-10 relative to <|f|>, if kinks and, for variances large against
    the function's features, `mesh` are given; K_ab near sqrt(K_aa K_bb) loses the digits that its distance has lost.

    Example:
    >>> round(float(expectation_pair(lambda a, b: a * b, torch.tensor([[2.0, 0.5], [0.5, 1.0]]))), 12)
    0.5
    """
    values = torch.as_tensor(covariance, dtype=torch.float64)
    variances, distance = state_of(values)
    flat = variances.reshape(-1, 2)
    nodes = pair_nodes(flat[:, 0], flat[:, 1], distance.reshape(-1), kinks=kinks, mesh=mesh, order=order)
    return nodes.average(function(nodes.first, nodes.second)).reshape(values.shape[:-2])

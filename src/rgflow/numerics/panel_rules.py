"""Averages of products of kinked functions of up to four correlated Gaussian variables, by nested Legendre panels.

Convention: as in `lattice_rules`. Each axis is broken, given the outer coordinates, where a variable meets one of the
`points` (kinks; edges of the features of a smooth s that is narrow against its Gaussian), and where on the next axis two
such breaks would meet. Breaks of variables that still move a little on later axes are soft: they get panels of that width.
"""

import math

import numpy as np
from numba import njit, prange

from rgflow.numerics.function_table import lookup
from rgflow.numerics.group_factors import raised

# Compiled functions take their arguments by position; they serve this room and are no part of its public names.
__all__: list[str] = []

_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
# A kink smoothed over less than this many standard deviations still needs panels of its own width.
_SOFT = 0.33
_SHARP = 1e-9
_MEETING = 4  # with more points than this the meetings of soft features are left to the error estimate


@njit(cache=True)
def _most_edges(points):
    # Four variables of five edges each, six pairs of meeting ones likewise, and as many halved panels.
    meetings = 60 * points * points if points <= _MEETING else 0
    return 12 + 40 * points + meetings


@njit(cache=True)
def _width(factor, i, level):
    """Standard deviation of variable i on axes after `level`, in units of its slope along that axis."""
    tail = 0.0
    for axis in range(level + 1, 4):
        tail += factor[i, axis] ** 2
    return math.sqrt(tail) / abs(factor[i, level])


@njit(cache=True)
def _insert(edges, size, centre, width, span):
    """Add a break, with panels of its own width around it if it is soft; returns the new number of edges."""
    if abs(centre) > span + 9.0 * width:
        return size
    for offset in (0.0, 3.0, -3.0, 9.0, -9.0):
        at = centre + offset * width
        if abs(at) < span and size < len(edges):
            edges[size] = at
            size += 1
        if width < _SHARP:
            break
    return size


@njit(cache=True)
def _breaks(level, factor, powers, means, points, span, edges):
    """Fill the sorted panel edges of one axis given the means of all variables; returns their number."""
    edges[0], edges[1] = -span, span
    size = 2
    for i in range(level, 4):
        if powers[i] == 0 or factor[i, level] == 0.0:
            continue
        width = _width(factor, i, level)
        if width <= _SOFT:
            for point in points:
                size = _insert(edges, size, (point - means[i]) / factor[i, level], width, span)
    if level < 3 and len(points) <= _MEETING:
        size = _meetings(level, factor, powers, means, points, span, edges, size)
    edges[:size].sort()
    return _halved(edges, size, span)


@njit(cache=True)
def _meetings(level, factor, powers, means, points, span, edges, size):
    """Add the places where breaks of two variables on the next axis coincide."""
    after = level + 1
    for i in range(after, 4):
        if powers[i] == 0 or factor[i, after] == 0.0 or _width(factor, i, after) > _SOFT:
            continue
        for j in range(i + 1, 4):
            if powers[j] == 0 or factor[j, after] == 0.0 or _width(factor, j, after) > _SOFT:
                continue
            drift = factor[i, level] / factor[i, after] - factor[j, level] / factor[j, after]
            if abs(drift) < 1e-12:
                continue
            width = max(_width(factor, i, after), _width(factor, j, after)) / abs(drift)
            for point in points:
                for other in points:
                    gap = (point - means[i]) / factor[i, after] - (other - means[j]) / factor[j, after]
                    size = _insert(edges, size, gap / drift, width, span)
    return size


@njit(cache=True)
def _halved(edges, size, span):
    """Halve panels longer than 0.7 spans, which the Gaussian alone needs; returns the new number of edges."""
    extra = 0
    for e in range(size - 1):
        if edges[e + 1] - edges[e] > 0.7 * span and size + extra < len(edges):
            edges[size + extra] = 0.5 * (edges[e] + edges[e + 1])
            extra += 1
    edges[: size + extra].sort()
    return size + extra


@njit(cache=True)
def _panels(edges, size, rule, rule_weights, nodes, weights):
    count = 0
    for e in range(size - 1):
        half = 0.5 * (edges[e + 1] - edges[e])
        if half <= 1e-14:
            continue
        middle = 0.5 * (edges[e + 1] + edges[e])
        for g in range(len(rule)):
            x = middle + half * rule[g]
            nodes[count] = x
            weights[count] = half * rule_weights[g] * _DENSITY * math.exp(-0.5 * x * x)
            count += 1
    return count


@njit(cache=True, parallel=True)
def panel_averages(factors, powers, rule, rule_weights, span, points, table):
    """Return (Q, 2): each average with the Legendre rule given, and how many evaluations of s it took."""
    result = np.zeros((len(factors), 2))
    for q in prange(len(factors)):
        most = _most_edges(len(points))
        edges = np.empty(most)
        nodes, weights = np.empty((4, most * len(rule))), np.empty((4, most * len(rule)))
        _panel_sum(
            factors[q], powers[q], rule, rule_weights, span, points, edges, nodes, weights, np.zeros((5, 4)), table,
            result[q],
        )  # fmt: skip
    return result


@njit(cache=True)
def _prepare(level, factor, powers, means, points, span, edges, rule, rule_weights, nodes, weights):
    """Fill nodes and weights of one axis; returns their number, 1 if there is no such axis."""
    if factor[level, level] == 0.0:
        nodes[level, 0], weights[level, 0] = 0.0, 1.0
        return 1
    size = _breaks(level, factor, powers, means[level], points, span, edges)
    return _panels(edges, size, rule, rule_weights, nodes[level], weights[level])


@njit(cache=True)
def _advance(level, factor, means, x):
    for i in range(level, 4):
        means[level + 1, i] = means[level, i] + factor[i, level] * x


@njit(cache=True)
def _panel_sum(factor, powers, rule, rule_weights, span, points, edges, nodes, weights, means, table, result):
    last = 0
    for i in range(1, 4):
        if powers[i] > 0:
            last = i
    position = np.zeros(4, dtype=np.int64)
    sizes = np.zeros(4, dtype=np.int64)
    partial = np.zeros(4)
    outer = np.ones(4)
    level = 0
    sizes[0] = _prepare(0, factor, powers, means, points, span, edges, rule, rule_weights, nodes, weights)
    # A depth-first walk through the nested axes: `partial` sums an axis, `outer` is the weight of its current node.
    while level >= 0:
        if position[level] == sizes[level]:
            if level == 0:
                break
            level -= 1
            partial[level] += outer[level] * partial[level + 1]
            position[level] += 1
            continue
        if level == last:
            total = 0.0
            for k in range(sizes[level]):
                z = means[level, level] + factor[level, level] * nodes[level, k]
                total += weights[level, k] * raised(lookup(z, table), powers[level])
            partial[level] = total
            result[1] += sizes[level]
            position[level] = sizes[level]
            continue
        x = nodes[level, position[level]]
        _advance(level, factor, means, x)
        value = lookup(means[level + 1, level], table)
        outer[level] = weights[level, position[level]] * raised(value, powers[level])
        level += 1
        sizes[level] = _prepare(level, factor, powers, means, points, span, edges, rule, rule_weights, nodes, weights)
        position[level] = 0
        partial[level] = 0.0
    result[0] = partial[0]

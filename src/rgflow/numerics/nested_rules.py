"""Averages of s_1^p1 ... s_4^p4 over up to four correlated Gaussian variables, by one nested rule for each.

Method: pivoted Cholesky factor of the covariance, z_i = sum_{j <= i} L_ij x_j, so that singular covariances merely lose
axes; the loops nest in the same order and s_i is evaluated once its z_i is known. Smooth s: trapezoid rule with its own
step on each axis, on two interleaved lattices whose difference is the error estimate. Kinked s: Gauss-Legendre panels
broken at the kinks of every variable, given the outer coordinates.
"""

import math

import numpy as np
from numba import njit, prange

from rgflow.numerics.function_table import lookup

__all__ = ["factor_groups", "panel_averages", "trapezoid_averages"]

_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
# Conditional variances below this fraction are dropped: moves an average by at most the same fraction.
_NULL = 1e-13
_LEAST = 1e-300  # a variable of variance 0 has no scale of its own


@njit(cache=True)
def factor_groups(kernel, quadruples, factors, powers):
    """Fill the pivoted Cholesky factors (Q, 4, 4) and powers (Q, 4) of each row of four input numbers (-1: none)."""
    for q in range(len(quadruples)):
        members = np.full(4, -1)
        count = 0
        for k in range(4):
            index = quadruples[q, k]
            if index < 0:
                continue
            found = False
            for m in range(count):
                if members[m] == index:
                    powers[q, m] += 1
                    found = True
            if not found:
                members[count] = index
                powers[q, count] = 1
                count += 1
        _factor(kernel, members, count, factors[q], powers[q])


@njit(cache=True)
def _factor(kernel, members, count, factor, powers):
    rest = np.zeros(4)
    for m in range(count):
        rest[m] = kernel[members[m], members[m]]
    for j in range(count):
        best = j
        for m in range(j + 1, count):
            if rest[m] > rest[best]:
                best = m
        if best != j:
            members[j], members[best] = members[best], members[j]
            powers[j], powers[best] = powers[best], powers[j]
            rest[j], rest[best] = rest[best], rest[j]
            for l in range(j):
                factor[j, l], factor[best, l] = factor[best, l], factor[j, l]
        if rest[j] <= _NULL * max(kernel[members[j], members[j]], _LEAST):
            continue
        root = math.sqrt(rest[j])
        factor[j, j] = root
        for m in range(j + 1, count):
            value = kernel[members[m], members[j]]
            for l in range(j):
                value -= factor[m, l] * factor[j, l]
            factor[m, j] = value / root
            rest[m] -= factor[m, j] ** 2


@njit(cache=True, inline="always")
def _power(value, exponent):
    if exponent == 1:
        return value
    square = value * value
    if exponent == 2:
        return square
    if exponent == 3:
        return square * value
    return square * square if exponent == 4 else 1.0


@njit(cache=True)
def _axis(step, radius, offset, nodes, weights):
    """Fill one axis of the trapezoid rule; a step of 0 stands for an axis that does not exist. Returns the count."""
    if step == 0.0:
        nodes[0], weights[0] = 0.0, 1.0
        return 1
    half = int(radius / step)
    count = 0
    for i in range(-half - 1, half + 1):
        x = (i + offset) * step
        if abs(x) <= radius and count < len(nodes):
            nodes[count] = x
            weights[count] = step * _DENSITY * math.exp(-0.5 * x * x)
            count += 1
    return count


@njit(cache=True, parallel=True)
def trapezoid_averages(factors, powers, steps, radius, even, kinks, starts, inverse, first, count, coefficients):
    """Return (Q, 2): each average on two lattices, one shifted by half a step along every axis."""
    result = np.zeros((len(factors), 2))
    longest = np.zeros(len(factors), dtype=np.int64)
    for q in prange(len(factors)):
        for j in range(4):
            if steps[q, j] > 0.0:
                longest[q] = max(longest[q], 2 * int(radius / steps[q, j]) + 3)
    for q in prange(len(factors)):
        nodes = np.empty((4, max(longest[q], 1)))
        weights = np.empty((4, max(longest[q], 1)))
        sizes = np.empty(4, dtype=np.int64)
        for half in range(2):
            for j in range(4):
                sizes[j] = _axis(steps[q, j], radius, 0.5 * half, nodes[j], weights[j])
            result[q, half] = _lattice_sum(
                factors[q],
                powers[q],
                nodes,
                weights,
                sizes,
                radius,
                even,
                kinks,
                starts,
                inverse,
                first,
                count,
                coefficients,
            )
    return result


@njit(cache=True)
def _lattice_sum(
    factor, powers, nodes, weights, sizes, radius, even, kinks, starts, inverse, first, count, coefficients
):
    total = 0.0
    limit = radius * radius
    for i in range(sizes[0]):
        x0 = nodes[0, i]
        if even and x0 < 0.0:
            continue
        # An even product has the same value at x and -x.
        w0 = weights[0, i] * (2.0 if even and x0 > 0.0 else 1.0)
        s0 = w0 * _power(lookup(factor[0, 0] * x0, kinks, starts, inverse, first, count, coefficients), powers[0])
        r0 = limit - x0 * x0
        part1 = 0.0
        for j in range(sizes[1]):
            x1 = nodes[1, j]
            r1 = r0 - x1 * x1
            if r1 < 0.0:
                continue
            s1 = 1.0
            if powers[1] > 0:
                z1 = factor[1, 0] * x0 + factor[1, 1] * x1
                s1 = _power(lookup(z1, kinks, starts, inverse, first, count, coefficients), powers[1])
            part2 = 0.0
            for k in range(sizes[2]):
                x2 = nodes[2, k]
                r2 = r1 - x2 * x2
                if r2 < 0.0:
                    continue
                s2 = 1.0
                if powers[2] > 0:
                    z2 = factor[2, 0] * x0 + factor[2, 1] * x1 + factor[2, 2] * x2
                    s2 = _power(lookup(z2, kinks, starts, inverse, first, count, coefficients), powers[2])
                part3 = 1.0
                if powers[3] > 0:
                    mean = factor[3, 0] * x0 + factor[3, 1] * x1 + factor[3, 2] * x2
                    part3 = 0.0
                    for l in range(sizes[3]):
                        x3 = nodes[3, l]
                        if x3 * x3 > r2:
                            continue
                        value = lookup(mean + factor[3, 3] * x3, kinks, starts, inverse, first, count, coefficients)
                        part3 += weights[3, l] * _power(value, powers[3])
                part2 += weights[2, k] * s2 * part3
            part1 += weights[1, j] * s1 * part2
        total += s0 * part1
    return total


@njit(cache=True)
def _breaks(level, factor, powers, means, kinks, span, edges):
    """Fill the sorted panel edges of one axis given the means of all variables; returns their number."""
    edges[0], edges[1] = -span, span
    size = 2
    for i in range(level, 4):
        slope = factor[i, level]
        if powers[i] == 0 or slope == 0.0:
            continue
        tail = 0.0
        for l in range(level + 1, 4):
            tail += factor[i, l] ** 2
        width = math.sqrt(tail) / abs(slope)
        # A kink smoothed over less than a third of a standard deviation still needs panels of its own width.
        if width > 0.33:
            continue
        for kink in kinks:
            centre = (kink - means[i]) / slope
            if abs(centre) > span + 9.0 * width:
                continue
            spread = 1 if width < 1e-9 else 5
            for s in range(spread):
                at = centre + width * (
                    0.0 if s == 0 else (3.0 if s == 1 else (-3.0 if s == 2 else (9.0 if s == 3 else -9.0)))
                )
                if abs(at) < span and size < len(edges) - 16:
                    edges[size] = at
                    size += 1
    edges[:size].sort()
    # Panels longer than 1.1 spans are halved: the Gaussian alone needs it.
    extra = 0
    for e in range(size - 1):
        if edges[e + 1] - edges[e] > 0.7 * span and size + extra < len(edges):
            edges[size + extra] = 0.5 * (edges[e] + edges[e + 1])
            extra += 1
    size += extra
    edges[:size].sort()
    return size


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
def panel_averages(
    factors, powers, rule, rule_weights, span, kinks, starts, inverse, first, count, coefficients, most_edges
):
    """Return (Q,): each average by nested panels with the Legendre rule given."""
    result = np.zeros(len(factors))
    for q in prange(len(factors)):
        edges = np.empty(most_edges)
        nodes = np.empty((4, most_edges * len(rule)))
        weights = np.empty((4, most_edges * len(rule)))
        means = np.zeros((5, 4))
        result[q] = _panel_sum(
            factors[q],
            powers[q],
            rule,
            rule_weights,
            span,
            edges,
            nodes,
            weights,
            means,
            kinks,
            starts,
            inverse,
            first,
            count,
            coefficients,
        )
    return result


@njit(cache=True)
def _prepare(level, factor, powers, means, kinks, span, edges, rule, rule_weights, nodes, weights):
    if factor[level, level] == 0.0:
        nodes[level, 0], weights[level, 0] = 0.0, 1.0
        return 1
    size = _breaks(level, factor, powers, means[level], kinks, span, edges)
    return _panels(edges, size, rule, rule_weights, nodes[level], weights[level])


@njit(cache=True)
def _advance(level, factor, means, x):
    for i in range(level, 4):
        means[level + 1, i] = means[level, i] + factor[i, level] * x


@njit(cache=True)
def _panel_sum(
    factor,
    powers,
    rule,
    rule_weights,
    span,
    edges,
    nodes,
    weights,
    means,
    kinks,
    starts,
    inverse,
    first,
    count,
    coefficients,
):
    total = 0.0
    n0 = _prepare(0, factor, powers, means, kinks, span, edges, rule, rule_weights, nodes, weights)
    for i in range(n0):
        _advance(0, factor, means, nodes[0, i])
        s0 = _power(lookup(means[1, 0], kinks, starts, inverse, first, count, coefficients), powers[0])
        part1 = 1.0
        if powers[1] > 0:
            part1 = 0.0
            n1 = _prepare(1, factor, powers, means, kinks, span, edges, rule, rule_weights, nodes, weights)
            for j in range(n1):
                _advance(1, factor, means, nodes[1, j])
                s1 = _power(lookup(means[2, 1], kinks, starts, inverse, first, count, coefficients), powers[1])
                part2 = 1.0
                if powers[2] > 0:
                    part2 = 0.0
                    n2 = _prepare(2, factor, powers, means, kinks, span, edges, rule, rule_weights, nodes, weights)
                    for k in range(n2):
                        _advance(2, factor, means, nodes[2, k])
                        s2 = _power(lookup(means[3, 2], kinks, starts, inverse, first, count, coefficients), powers[2])
                        part3 = 1.0
                        if powers[3] > 0:
                            part3 = 0.0
                            n3 = _prepare(
                                3, factor, powers, means, kinks, span, edges, rule, rule_weights, nodes, weights
                            )
                            for l in range(n3):
                                z = means[3, 3] + factor[3, 3] * nodes[3, l]
                                value = lookup(z, kinks, starts, inverse, first, count, coefficients)
                                part3 += weights[3, l] * _power(value, powers[3])
                        part2 += weights[2, k] * s2 * part3
                part1 += weights[1, j] * s1 * part2
        total += weights[0, i] * s0 * part1
    return total

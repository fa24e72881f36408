"""Averages of products of smooth functions of up to four correlated Gaussian variables, by nested trapezoid rules.

Convention: a row's average is <prod_i s(z_i)^p_i>, z_i = sum_{j <= i} L_ij x_j (`group_factors`). The loops nest in the
order of the axes, and s(z_i) is evaluated once its z_i is known. Every average is taken on two lattices, one shifted by
half a step along each axis: their mean is far better than either, their difference a safe error.
"""

import math

import numpy as np
from numba import njit, prange

from rgflow.numerics.function_table import lookup
from rgflow.numerics.group_factors import raised

# Compiled functions take their arguments by position; they serve this room and are no part of its public names.
__all__: list[str] = []

_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


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


@njit(cache=True)
def _smoothed(factor, power, nodes, weights, size, reach, step, table, values, coefficients):
    """Fill quintic pieces (rows, 6) of S(m) = <s(m + L x)^p> over the last axis, |m| <= reach; returns their number.

    Slopes and bends at the grid points are central differences of order eight (Fornberg 1988).
    """
    rows = int(2.0 * reach / step) + 1
    for i in range(rows + 9):
        m = -reach + (i - 4) * step
        total = 0.0
        for k in range(size):
            total += weights[k] * raised(lookup(m + factor[3, 3] * nodes[k], table), power)
        values[i] = total
    for i in range(rows):
        f, g = values[i + 4], values[i + 5]
        d, e = _slope(values, i + 4), _slope(values, i + 5)
        b, c = _bend(values, i + 4), _bend(values, i + 5)
        rise = g - f
        row = coefficients[i]
        row[0], row[1], row[2] = f, d, 0.5 * b
        row[3] = 10.0 * rise - 6.0 * d - 4.0 * e - 1.5 * b + 0.5 * c  # quintic Hermite basis, as in `function_table`
        row[4] = -15.0 * rise + 8.0 * d + 7.0 * e + 1.5 * b - c
        row[5] = 6.0 * rise - 3.0 * (d + e) - 0.5 * (b - c)
    return rows


@njit(cache=True, inline="always")
def _slope(v, i):
    """First derivative times the step; coefficients 4/5, -1/5, 4/105, -1/280 (Fornberg 1988, table 1)."""
    near = 0.8 * (v[i + 1] - v[i - 1]) - 0.2 * (v[i + 2] - v[i - 2])
    return near + 4.0 / 105.0 * (v[i + 3] - v[i - 3]) - (v[i + 4] - v[i - 4]) / 280.0


@njit(cache=True, inline="always")
def _bend(v, i):
    """Second derivative times the step squared; coefficients 8/5, -1/5, 8/315, -1/560, -205/72 (Fornberg 1988, table 1)."""
    near = 1.6 * (v[i + 1] + v[i - 1]) - 0.2 * (v[i + 2] + v[i - 2])
    far = 8.0 / 315.0 * (v[i + 3] + v[i - 3]) - (v[i + 4] + v[i - 4]) / 560.0
    return near + far - 205.0 / 72.0 * v[i]


@njit(cache=True, parallel=True)
def lattice_averages(factors, powers, steps, radius, even, grid, table):
    """Return (Q, 2): each average on two lattices, one shifted by half a step along every axis.

    With four axes the last one is summed once on a grid of means (steps `grid`, (Q,)) and then interpolated.
    """
    result = np.zeros((len(factors), 2))
    for q in prange(len(factors)):
        longest, rows = 1, 1
        for j in range(4):
            if steps[q, j] > 0.0:
                longest = max(longest, 2 * int(radius / steps[q, j]) + 3)
        spread = math.sqrt(factors[q, 3, 0] ** 2 + factors[q, 3, 1] ** 2 + factors[q, 3, 2] ** 2)
        reach = radius * spread * (1.0 + 1e-12) + 1e-30
        folded = steps[q, 3] > 0.0 and spread > 0.0
        step = min(grid[q], 0.1 * reach)
        if folded:
            rows = int(2.0 * reach / step) + 12
        values, coefficients = np.empty(rows), np.empty((rows, 6))
        nodes, weights = np.empty((4, longest)), np.empty((4, longest))
        sizes = np.empty(4, dtype=np.int64)
        for half in range(2):
            for j in range(4):
                sizes[j] = _axis(steps[q, j], radius, 0.5 * half, nodes[j], weights[j])
            if folded:
                rows = _smoothed(
                    factors[q], powers[q, 3], nodes[3], weights[3], sizes[3], reach, step, table, values, coefficients
                )
            result[q, half] = _lattice_sum(
                factors[q], powers[q], nodes, weights, sizes, radius, even, table, folded, reach, 1.0 / step, rows,
                coefficients,
            )  # fmt: skip
    return result


@njit(cache=True, inline="always")
def _last(mean, factor, power, nodes, weights, size, left, table):
    """Average over the last axis by direct summation."""
    total = 0.0
    for k in range(size):
        x = nodes[k]
        if x * x <= left:
            total += weights[k] * raised(lookup(mean + factor[3, 3] * x, table), power)
    return total


@njit(cache=True)
def _lattice_sum(
    factor, powers, nodes, weights, sizes, radius, even, table, folded, reach, inverse, rows, coefficients
):
    total = 0.0
    limit = radius * radius
    for i in range(sizes[0]):
        x0 = nodes[0, i]
        if even and x0 < 0.0:
            continue
        # An even product has the same value at x and -x.
        w0 = weights[0, i] * (2.0 if even and x0 > 0.0 else 1.0)
        r0 = limit - x0 * x0
        part1 = 0.0
        for j in range(sizes[1]):
            x1 = nodes[1, j]
            r1 = r0 - x1 * x1
            if r1 < 0.0:
                continue
            part2 = 0.0
            for k in range(sizes[2]):
                x2 = nodes[2, k]
                r2 = r1 - x2 * x2
                if r2 < 0.0:
                    continue
                value = weights[2, k]
                if powers[2] > 0:
                    z2 = factor[2, 0] * x0 + factor[2, 1] * x1 + factor[2, 2] * x2
                    value *= raised(lookup(z2, table), powers[2])
                if powers[3] > 0:
                    mean = factor[3, 0] * x0 + factor[3, 1] * x1 + factor[3, 2] * x2
                    if folded:
                        t = (mean + reach) * inverse
                        row = min(int(t), rows - 1)
                        t -= row
                        c = coefficients[row]
                        value *= c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))))
                    else:
                        value *= _last(mean, factor, powers[3], nodes[3], weights[3], sizes[3], r2, table)
                part2 += value
            if powers[1] > 0:
                part2 *= raised(lookup(factor[1, 0] * x0 + factor[1, 1] * x1, table), powers[1])
            part1 += weights[1, j] * part2
        total += w0 * raised(lookup(factor[0, 0] * x0, table), powers[0]) * part1
    return total

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

__all__ = ["lattice_averages"]

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


@njit(cache=True, parallel=True)
def lattice_averages(factors, powers, steps, radius, even, table):
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
            result[q, half] = _lattice_sum(factors[q], powers[q], nodes, weights, sizes, radius, even, table)
    return result


@njit(cache=True)
def _lattice_sum(factor, powers, nodes, weights, sizes, radius, even, table):
    total = 0.0
    limit = radius * radius
    for i in range(sizes[0]):
        x0 = nodes[0, i]
        if even and x0 < 0.0:
            continue
        # An even product has the same value at x and -x.
        w0 = weights[0, i] * (2.0 if even and x0 > 0.0 else 1.0)
        s0 = w0 * raised(lookup(factor[0, 0] * x0, table), powers[0])
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
                s1 = raised(lookup(z1, table), powers[1])
            part2 = 0.0
            for k in range(sizes[2]):
                x2 = nodes[2, k]
                r2 = r1 - x2 * x2
                if r2 < 0.0:
                    continue
                s2 = 1.0
                if powers[2] > 0:
                    z2 = factor[2, 0] * x0 + factor[2, 1] * x1 + factor[2, 2] * x2
                    s2 = raised(lookup(z2, table), powers[2])
                part3 = 1.0
                if powers[3] > 0:
                    mean = factor[3, 0] * x0 + factor[3, 1] * x1 + factor[3, 2] * x2
                    part3 = 0.0
                    for l in range(sizes[3]):
                        x3 = nodes[3, l]
                        if x3 * x3 > r2:
                            continue
                        value = lookup(mean + factor[3, 3] * x3, table)
                        part3 += weights[3, l] * raised(value, powers[3])
                part2 += weights[2, k] * s2 * part3
            part1 += weights[1, j] * s1 * part2
        total += s0 * part1
    return total

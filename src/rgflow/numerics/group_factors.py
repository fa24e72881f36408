"""Cholesky factors of the covariances of up to four inputs each, repeats gathered into powers, singular or not.

Convention: z_i = sum_{j <= i} L_ij x_j with x independent standard normal; inputs are taken in the order of their remaining
variance, and one without remaining variance gets no axis of its own (L_ii = 0).
"""

import math

import numpy as np
from numba import njit

# Compiled functions take their arguments by position; they serve this room and are no part of its public names.
__all__: list[str] = []

# Conditional variances below this fraction are dropped: moves an average by at most about the same fraction.
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
def raised(value, exponent):
    """Return value to a power from 0 to 4."""
    if exponent == 1:
        return value
    square = value * value
    if exponent == 2:
        return square
    if exponent == 3:
        return square * value
    return square * square if exponent == 4 else 1.0

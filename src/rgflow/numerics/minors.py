"""Principal and bordered minors of four-by-four correlation matrices, accurate also where they nearly vanish.

Convention: C(e) has ones on the diagonal and (1 - e) rho_ij off it, so that C(0) is the matrix given, possibly singular,
and C(1) the identity. Minors are polynomials in e; their lowest coefficients are summed in twice the working precision,
because nearly coincident or coplanar inputs cancel them to 1e-16 and below. With t = 1 - e:
    D_ijk(e)    = det C(e) on i, j, k              = 1 - t^2 (sum of rho^2) + 2 t^3 rho_ij rho_jk rho_ik,
    N_kl|ij(e)  = minor with rows i, j, k, columns i, j, l = t (rho_kl - t c2 + t^2 c3),
    r_kl|ij     = N_kl|ij / sqrt(D_ijk D_ijl), the correlation of k and l given i and j.
Source: error-free transformations of Dekker 1971 and Knuth (The Art of Computer Programming 2, 4.2.2).
"""

import math

import numpy as np
from numba import njit

# Compiled functions take their arguments by position; they serve this room and are no part of its public names.
__all__ = ["PAIRS", "REST", "TRIPLE"]

# The six pairs of four inputs, and the complementary pair of each.
PAIRS = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])
REST = np.array([[2, 3], [1, 3], [1, 2], [0, 3], [0, 2], [0, 1]])
# Number of the triple (its missing member) for a pair and a third.
TRIPLE = np.array([[3, 2], [3, 1], [2, 1], [3, 0], [2, 0], [1, 0]])

_SPLITTER = 134217729.0  # 2^27 + 1, Dekker's constant for 53 bits


@njit(cache=True, inline="always")
def _two_sum(a, b):
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


@njit(cache=True, inline="always")
def _two_product(a, b):
    product = a * b
    c = _SPLITTER * a
    high_a = c - (c - a)
    low_a = a - high_a
    c = _SPLITTER * b
    high_b = c - (c - b)
    low_b = b - high_b
    return product, low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b)


@njit(cache=True, inline="always")
def _add(high, low, other_high, other_low):
    total, error = _two_sum(high, other_high)
    error += low + other_low
    return _two_sum(total, error)


@njit(cache=True, inline="always")
def _times(high, low, factor):
    product, error = _two_product(high, factor)
    return _two_sum(product, error + low * factor)


@njit(cache=True)
def fill_minors(rho, principal, border):
    """Fill the coefficients in e of D without input m, `principal` (4, 5), and of N_kl|ij / t, `border` (6, 4).

    The last column holds the rounding of the first, so that D(0) and N(0) are known to twice the working precision.
    """
    for m in range(4):
        i, j, k = (0 if m != 0 else 1), (1 if m > 1 else 2), (3 if m != 3 else 2)
        if m == 3:
            i, j, k = 0, 1, 2
        squares_high, squares_low = _two_product(rho[i, j], rho[i, j])
        part_high, part_low = _two_product(rho[i, k], rho[i, k])
        squares_high, squares_low = _add(squares_high, squares_low, part_high, part_low)
        part_high, part_low = _two_product(rho[j, k], rho[j, k])
        squares_high, squares_low = _add(squares_high, squares_low, part_high, part_low)
        product_high, product_low = _two_product(rho[i, j], rho[j, k])
        product_high, product_low = _times(product_high, product_low, rho[i, k])
        high, low = _add(1.0, 0.0, -squares_high, -squares_low)
        high, low = _add(high, low, 2.0 * product_high, 2.0 * product_low)
        principal[m, 0], principal[m, 4] = high, low
        six_high, six_low = _times(product_high, product_low, 6.0)
        high, low = _add(2.0 * squares_high, 2.0 * squares_low, -six_high, -six_low)
        principal[m, 1] = high + low
        high, low = _add(six_high, six_low, -squares_high, -squares_low)
        principal[m, 2] = high + low
        principal[m, 3] = -2.0 * product_high
    for p in range(6):
        i, j, k, l = PAIRS[p, 0], PAIRS[p, 1], REST[p, 0], REST[p, 1]
        second_high, second_low = _two_product(rho[k, i], rho[l, i])
        part_high, part_low = _two_product(rho[k, j], rho[l, j])
        second_high, second_low = _add(second_high, second_low, part_high, part_low)
        third_high, third_low = _two_product(rho[k, i], rho[l, j])
        part_high, part_low = _two_product(rho[k, j], rho[l, i])
        third_high, third_low = _add(third_high, third_low, part_high, part_low)
        part_high, part_low = _two_product(rho[k, l], rho[i, j])
        third_high, third_low = _add(third_high, third_low, -part_high, -part_low)
        third_high, third_low = _times(third_high, third_low, rho[i, j])
        high, low = _add(rho[k, l], 0.0, -second_high, -second_low)
        high, low = _add(high, low, third_high, third_low)
        border[p, 0], border[p, 3] = high, low
        high, low = _add(second_high, second_low, -2.0 * third_high, -2.0 * third_low)
        border[p, 1] = high + low
        border[p, 2] = third_high


@njit(cache=True, inline="always")
def horner_principal(principal, m, e):
    """Return D(e) of the three inputs other than m, clamped at 0."""
    return max(principal[m, 0] + e * (principal[m, 1] + e * (principal[m, 2] + e * principal[m, 3])), 0.0)


@njit(cache=True, inline="always")
def horner_border(border, p, e):
    """Return N_kl|ij(e) for pair p = (i, j)."""
    return (1.0 - e) * (border[p, 0] + e * (border[p, 1] + e * border[p, 2]))


@njit(cache=True, inline="always")
def single_border(rho, i, j, given):
    """Return the covariance of i and j given one input, rho_ij - rho_ig rho_jg."""
    product, error = _two_product(rho[i, given], rho[j, given])
    return (rho[i, j] - product) - error


@njit(cache=True)
def inner_determinant(principal, border, p):
    """Return D_ijk D_ijl - N_kl|ij^2 at e = 0 for pair p, to working precision relative to itself."""
    k, l = TRIPLE[p, 0], TRIPLE[p, 1]
    high, low = _two_product(principal[k, 0], principal[l, 0])
    low += principal[k, 0] * principal[l, 4] + principal[k, 4] * principal[l, 0]
    square, rest = _two_product(border[p, 0], border[p, 0])
    high, low = _add(high, low, -square, -(rest + 2.0 * border[p, 0] * border[p, 3]))
    return max(high + low, 0.0)


@njit(cache=True, inline="always")
def partial_angle(border, root_product_square):
    """Return asin(N / sqrt(D D')) from N and D D' - N^2, without loss where the correlation tends to 1."""
    return math.atan2(border, math.sqrt(max(root_product_square, 0.0)))

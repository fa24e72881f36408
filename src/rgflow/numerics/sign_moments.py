"""Averages <sgn z_1 sgn z_2 sgn z_3 sgn z_4> of correlated Gaussian variables, the one integral behind closed forms.

Method: Plackett's identity along C(e) = identity .. C(0), e = s^2,
    <sgn^4> = (4 / pi^2) int_0^1 2 s ds sum over pairs of rho_ij (1 - t^2 rho_ij^2)^(-1/2) asin r_kl|ij(e),   t = 1 - s^2;
the substitution removes the square roots at e = 0 of singular matrices, and Legendre panels that grow by 3 from the
smallest scale (angle of a pair, height of a triple or of the simplex) resolve nearly singular ones.
Source: Plackett 1954, Biometrika 41; Childs 1967, Biometrika 54 (four variables by single integrals).
"""

import math

import numpy as np
from numba import njit

from rgflow.numerics.minors import PAIRS, TRIPLE, horner_border, horner_principal, inner_determinant, partial_angle

__all__ = ["sign_moment"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(14)
# Scales below this contribute less than rounding: the integrand is bounded there.
_SMALLEST = 1e-8
_GROWTH = 3.0


@njit(cache=True)
def sign_moment(rho, principal, border):
    """Return <sgn^4> for a correlation matrix (4, 4) with its minors (`fill_minors`)."""
    lower, total = 0.0, 0.0
    upper = 0.5 * _smallest_scale(rho, principal, border)
    while lower < 1.0:
        if upper > 0.7:
            upper = 1.0
        half, middle = 0.5 * (upper - lower), 0.5 * (upper + lower)
        for g in range(len(_NODES)):
            total += half * _WEIGHTS[g] * _integrand(rho, principal, border, middle + half * _NODES[g])
        lower, upper = upper, upper * _GROWTH
    return 4.0 / math.pi**2 * total


@njit(cache=True)
def _smallest_scale(rho, principal, border):
    least = 1.0
    for p in range(6):
        least = min(least, math.sqrt(max(1.0 - abs(rho[PAIRS[p, 0], PAIRS[p, 1]]), 0.0)))
        first, second = horner_principal(principal, TRIPLE[p, 0], 0.0), horner_principal(principal, TRIPLE[p, 1], 0.0)
        least = min(least, math.sqrt(min(first, second)))
        least = min(least, math.sqrt(inner_determinant(principal, border, p)))
    return max(least, _SMALLEST)


@njit(cache=True)
def _integrand(rho, principal, border, s):
    e = s * s
    t = 1.0 - e
    total = 0.0
    for p in range(6):
        r = rho[PAIRS[p, 0], PAIRS[p, 1]]
        if r == 0.0:
            continue
        first, second = horner_principal(principal, TRIPLE[p, 0], e), horner_principal(principal, TRIPLE[p, 1], e)
        bordered = horner_border(border, p, e)
        angle = partial_angle(bordered, first * second - bordered * bordered)
        magnitude = abs(r)
        spread = ((1.0 - magnitude) + e * magnitude) * (1.0 + t * magnitude)
        total += r * angle / math.sqrt(spread)
    return 2.0 * s * total

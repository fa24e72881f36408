"""Fourth moments <s_a s_b s_c s_d> in closed form, for scale-invariant activations, erf and sin, over many quadruples.

Scale-invariant: s = h z + g |z|, so that only even numbers of |z| contribute; by parts (Stein), with unit variances,
    <z_i z_j |z_k||z_l|> = (2/pi) { rho_ij (w + rho_kl a) + (rho_ik rho_jk + rho_il rho_jl) w
                                    + (rho_ik rho_jl + rho_il rho_jk) a },  a = asin rho_kl, w = sqrt(1 - rho_kl^2),
and <|z||z||z||z|> reduces to partial angles asin r_ij|k, asin r_kl|ij and one <sgn^4> (`sign_moments`).
erf: erf(z) = <sgn(z + x)> over x ~ N(0, 1/2), so the moment is <sgn^4> of a covariance with 1/2 more on its diagonal.
sin: sum over signs of exponentials, written so that small kernels keep their relative accuracy.
"""

import math

import numpy as np
from numba import njit, prange

from rgflow.numerics.minors import (
    PAIRS,
    REST,
    fill_minors,
    inner_determinant,
    partial_angle,
    single_border,
)
from rgflow.numerics.sign_moments import sign_moment

# Compiled functions take their arguments by position; they serve this room and are no part of its public names.
__all__ = ["SHRINKING"]

# Correlations are shrunk by this much, so that singular matrices stay positive in spite of rounding (4 eps); the
# moments are Lipschitz in the correlations, so that they move by a few times as much.
SHRINKING = 1e-14
_TWO_OVER_PI = 2.0 / math.pi
_ROOT = math.sqrt(2.0 / math.pi)  # <|x|> of a standard normal variable, and twice its density at 0
_THREE_HALVES = _TWO_OVER_PI * _ROOT


@njit(cache=True)
def _isserlis(rho):
    return rho[0, 1] * rho[2, 3] + rho[0, 2] * rho[1, 3] + rho[0, 3] * rho[1, 2]


@njit(cache=True)
def _two_absolute(rho, p):
    """<z_i z_j |z_k||z_l|> for (k, l) the pair p."""
    k, l, i, j = PAIRS[p, 0], PAIRS[p, 1], REST[p, 0], REST[p, 1]
    r = min(max(rho[k, l], -1.0), 1.0)
    width = math.sqrt((1.0 - r) * (1.0 + r))
    angle = math.atan2(r, width)
    same = rho[i, k] * rho[j, k] + rho[i, l] * rho[j, l]
    cross = rho[i, k] * rho[j, l] + rho[i, l] * rho[j, k]
    return _TWO_OVER_PI * (rho[i, j] * (width + r * angle) + same * width + cross * angle)


@njit(cache=True)
def _pair_number(i, j):
    low, high = min(i, j), max(i, j)
    return (0 if low == 0 else (2 if low == 1 else 3)) + high - 1 if low > 0 else high - 1


@njit(cache=True)
def _signs_and_absolute(single, variance, angles, given, a, b, d):
    """<sgn a sgn b |d|> conditional on z_given = 0."""
    first = single[given, d, a] / math.sqrt(variance[given, a]) * angles[_pair_number(given, a)]
    second = single[given, d, b] / math.sqrt(variance[given, b]) * angles[_pair_number(given, b)]
    third = math.sqrt(variance[given, d]) * angles[_pair_number(given, d)]
    return _THREE_HALVES * (first + second + third)


@njit(cache=True)
def _three_absolute(single, variance, angles, outer, border, given, b, c, d):
    """<|b||c||d|> conditional on z_given = 0."""
    p = _pair_number(given, b)
    rest = variance[given, b]
    pair = _TWO_OVER_PI * (outer[p] + border[p, 0] * angles[p]) / rest
    value = _ROOT * math.sqrt(rest) * pair
    value += single[given, b, c] * _signs_and_absolute(single, variance, angles, given, b, c, d)
    return value + single[given, b, d] * _signs_and_absolute(single, variance, angles, given, b, d, c)


@njit(cache=True)
def _four_absolute(rho, single, variance, principal, border):
    """<|a||b||c||d|> for unit variances and no two inputs the same."""
    fill_minors(rho, principal, border)
    signs = sign_moment(rho, principal, border)
    angles, outer = np.empty(6), np.empty(6)
    for p in range(6):
        inner = inner_determinant(principal, border, p)
        outer[p] = math.sqrt(inner)
        angles[p] = partial_angle(border[p, 0], inner)
    for g in range(4):
        for i in range(4):
            variance[g, i] = (1.0 - rho[g, i]) * (1.0 + rho[g, i])
            for j in range(4):
                if g not in (i, j) and i != j:
                    single[g, i, j] = single_border(rho, i, j, g)
    total = _ROOT * _three_absolute(single, variance, angles, outer, border, 0, 1, 2, 3)
    for b in range(1, 4):
        c, d = (2 if b == 1 else 1), (2 if b == 3 else 3)
        mixed = _signs_and_absolute(single, variance, angles, c, 0, b, d)
        mixed += rho[c, 0] * _signs_and_absolute(single, variance, angles, 0, b, c, d)
        mixed += rho[c, b] * _signs_and_absolute(single, variance, angles, b, 0, c, d)
        total += rho[0, b] * (_ROOT * mixed + rho[c, d] * signs)
    return total


@njit(cache=True)
def _shrink(rho):
    for i in range(4):
        for j in range(4):
            if i != j:
                rho[i, j] *= 1.0 - SHRINKING


@njit(cache=True)
def _correlations(kernel, quadruple, rho):
    """Fill the correlations of four inputs; returns the product of their deviations, and in repeats the first equal pair."""
    scale = 1.0
    for i in range(4):
        scale *= math.sqrt(kernel[quadruple[i], quadruple[i]])
    if scale == 0.0:
        return 0.0
    for i in range(4):
        rho[i, i] = 1.0
        for j in range(i + 1, 4):
            x, w = kernel[quadruple[i], quadruple[i]], kernel[quadruple[j], quadruple[j]]
            r = kernel[quadruple[i], quadruple[j]] / math.sqrt(x * w)
            rho[i, j] = 1.0 if quadruple[i] == quadruple[j] else min(max(r, -1.0), 1.0)
            rho[j, i] = rho[i, j]
    return scale


@njit(cache=True, parallel=True)
def scale_invariant_moments(kernel, quadruples, upper, lower):
    """Return <s_a s_b s_c s_d> (Q,) for s = upper z (z > 0), lower z (z < 0); quadruples (Q, 4) ascending."""
    mean, half = 0.5 * (upper + lower), 0.5 * (upper - lower)
    result = np.zeros(len(quadruples))
    for q in prange(len(quadruples)):
        rho = np.empty((4, 4))
        scale = _correlations(kernel, quadruples[q], rho)
        if scale == 0.0:
            continue
        value = mean**4 * _isserlis(rho)
        if half != 0.0:
            two = 0.0
            same = -1
            for p in range(6):
                two += _two_absolute(rho, p)
                if quadruples[q, PAIRS[p, 0]] == quadruples[q, PAIRS[p, 1]]:
                    same = p
            if same >= 0:
                four = _two_absolute(rho, 5 - same)
            else:
                _shrink(rho)
                four = _four_absolute(rho, np.zeros((4, 4, 4)), np.zeros((4, 4)), np.empty((4, 5)), np.empty((6, 4)))
            value += mean**2 * half**2 * two + half**4 * four
        result[q] = scale * value
    return result


@njit(cache=True, parallel=True)
def erf_moments(kernel, quadruples):
    """Return <erf erf erf erf> (Q,)."""
    result = np.zeros(len(quadruples))
    for q in prange(len(quadruples)):
        rho, principal, border = np.empty((4, 4)), np.empty((4, 5)), np.empty((6, 4))
        for i in range(4):
            rho[i, i] = 1.0
            for j in range(i + 1, 4):
                a, b = quadruples[q, i], quadruples[q, j]
                rho[i, j] = kernel[a, b] / math.sqrt((kernel[a, a] + 0.5) * (kernel[b, b] + 0.5))
                rho[j, i] = rho[i, j]
        fill_minors(rho, principal, border)
        result[q] = sign_moment(rho, principal, border)
    return result


@njit(cache=True)
def _third_order(x):
    """exp(-x) - 1 + x - x^2 / 2."""
    if abs(x) > 0.5:
        return math.expm1(-x) + x - 0.5 * x * x
    term, total = -x * x * x / 6.0, 0.0
    for k in range(4, 20):
        total += term
        term *= -x / k
    return total


@njit(cache=True, parallel=True)
def sine_moments(kernel, quadruples):
    """Return <sin sin sin sin> (Q,) = exp(-tr K / 2) / 8 sum over signs of (product of signs) exp(-sum s_i s_j K_ij)."""
    result = np.zeros(len(quadruples))
    for q in prange(len(quadruples)):
        y, half_trace = np.empty(6), 0.0
        for i in range(4):
            half_trace += 0.5 * kernel[quadruples[q, i], quadruples[q, i]]
        for p in range(6):
            y[p] = kernel[quadruples[q, PAIRS[p, 0]], quadruples[q, PAIRS[p, 1]]]
        large, small = 0.0, 0.0
        for code in range(8):  # the last sign is fixed: the sum is even
            signs = np.ones(4)
            for i in range(3):
                signs[i] = 1.0 - 2.0 * ((code >> i) & 1)
            parity = signs[0] * signs[1] * signs[2]
            exponent = 0.0
            for p in range(6):
                exponent += signs[PAIRS[p, 0]] * signs[PAIRS[p, 1]] * y[p]
            large += parity * math.exp(-exponent - half_trace)
            small += parity * _third_order(exponent) if half_trace < 1.0 else 0.0
        # The first two orders of the sum are 0 and 8 (y12 y34 + y13 y24 + y14 y23).
        pairings = y[0] * y[5] + y[1] * y[4] + y[2] * y[3]
        result[q] = 0.125 * large if half_trace >= 1.0 else math.exp(-half_trace) * (pairings + 0.125 * small)
    return result

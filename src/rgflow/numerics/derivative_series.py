"""Averages T_pq = <s^(p)_a s^(q)_b> for all pairs of a kernel matrix by Mehler's series, derivatives of s never taken.

With he_k orthonormal and c_k(K) = <s(sqrt(K) x) he_k(x)>, integration by parts gives the coefficients of derivatives,
c_k^(p) = K^(-p/2) sqrt((k + p)! / k!) c_{k+p}, so that T_pq = sum_k c_k^(p)(K_aa) c_k^(q)(K_bb) rho^k with kinks and steps of
s included, each pair to the truncation that its correlation allows.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numba import njit
from torch import Tensor

from rgflow.numerics.gaussian import mesh_of
from rgflow.numerics.hermite import hermite_coefficients
from rgflow.numerics.pointwise import Activation

__all__ = ["ORDERS", "DerivativeSeries", "derivative_series"]

ORDERS = ((1, 1), (2, 0), (0, 2), (2, 2), (3, 1), (1, 3), (4, 0), (0, 4))
_HIGHEST = 4
# Last terms whose largest bounds the rest: functions of one parity have every other one zero, kinks make them oscillate.
_TAIL = 8
_ENVELOPE = 2.0  # the last eight terms of a kinked function reach 0.7 of the envelope of the rest (hardtanh, measured)
_TINY = 1e-300  # keeps 0 / 0 out of a ratio
# A rest longer than a thousand terms is only seen where the last coefficients are rounding, or the pair is refused anyway.
_SLOWEST = 1e-3


@dataclass(frozen=True)
class DerivativeSeries:
    """T_pq (8, P) in the order of ORDERS for the pairs a < b: `values`, estimated `errors`, and the `sizes` of their terms."""

    values: Tensor
    errors: Tensor
    sizes: Tensor


def derivative_series(activation: Activation, kernel: Tensor) -> DerivativeSeries:
    """Return the averages for all pairs a < b, row by row, of `kernel` (N, N) with positive diagonal.

    Errors: rest of the series, estimated from its last terms: as geometric with their own ratio for smooth functions, with
    the correlation alone for kinked ones, whose coefficients decay like powers.
    """
    variance = kernel.diagonal()
    coefficients = hermite_coefficients(activation.function, variance, mesh=mesh_of(activation)).numpy()
    terms = coefficients.shape[1] - _HIGHEST
    k = np.arange(terms)
    scaled = np.empty((_HIGHEST + 1, terms, len(variance)))
    deviation = variance.sqrt().numpy()
    for p in range(_HIGHEST + 1):
        rising = np.sqrt(np.prod([k + i for i in range(1, p + 1)], axis=0)) if p else np.ones(terms)
        scaled[p] = (rising[:, None] * coefficients[:, p : p + terms].T) / deviation**p
    correlation = (kernel / torch.outer(variance.sqrt(), variance.sqrt())).clamp(-1.0, 1.0).numpy()
    pairs = len(variance) * (len(variance) - 1) // 2
    values, errors = np.empty((len(ORDERS), pairs)), np.empty((len(ORDERS), pairs))
    _sums(scaled, np.array(ORDERS), correlation, not activation.kinks, values, errors)
    norms = torch.from_numpy(np.sqrt((scaled**2).sum(1)))
    a, b = torch.triu_indices(len(variance), len(variance), offset=1)
    sizes = torch.stack([norms[p, a] * norms[q, b] for p, q in ORDERS])
    return DerivativeSeries(torch.from_numpy(values), torch.from_numpy(errors), sizes)


@njit(cache=True, fastmath=True)
def _sums(scaled, orders, correlation, smooth, values, errors):
    """Fill sums and tail estimates, one row of the upper triangle and one T_pq at a time (vectorised over columns)."""
    terms, inputs = scaled.shape[1], scaled.shape[2]
    start = 0
    for a in range(inputs - 1):
        count = inputs - a - 1
        rho = correlation[a, a + 1 :]
        for i in range(len(orders)):
            left, right = scaled[orders[i, 0], :, a], scaled[orders[i, 1], :, a + 1 :]
            total = values[i, start : start + count]
            total[:] = 0.0
            for k in range(terms - 1, -1, -1):
                _horner(total, rho, left[k], right[k])
            last, before = np.zeros(count), np.zeros(count)
            for k in range(terms - _TAIL, terms):
                _largest(last, left[k], right[k])
                _largest(before, left[k - _TAIL], right[k - _TAIL])
            rest = errors[i, start : start + count]
            for b in range(count):
                decay = min(1.0, (last[b] / (before[b] + _TINY)) ** (1.0 / _TAIL)) if smooth else 1.0
                ratio = abs(rho[b]) * decay
                rest[b] = _ENVELOPE * last[b] * abs(rho[b]) ** terms / max(1.0 - ratio, _SLOWEST)
        start += count


@njit(cache=True, fastmath=True, inline="always")
def _horner(total, rho, factor, row):
    for b in range(len(total)):
        total[b] = total[b] * rho[b] + factor * row[b]


@njit(cache=True, fastmath=True, inline="always")
def _largest(found, factor, row):
    for b in range(len(found)):
        found[b] = max(found[b], abs(factor * row[b]))

"""Single-spin updates of spins with pair couplings, compiled; imported only where they run.

Each loop moves one chain: `spins` (sites,) int8 changes in place, `stream` (2,) holds its random words, `out`
(records, sites) receives every `every`-th sweep after `discard`. Heat bath visits the sites in order (the law is kept
by every step, hence by the sweep: global balance); Metropolis visits random sites (detailed balance; a fixed order would
flip all free spins at once and never mix at infinite temperature).
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.random_streams import advance, uniform

# For `spin_methods` and `tempering_loops` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
_U32 = np.uint64(32)


@njit(**_OPTIONS)
def local_field(spins, i, starts, neighbours, couplings, fields):
    """Return h_i = sum_j K_ij s_j + field_i."""
    total = fields[i]
    for k in range(starts[i], starts[i + 1]):
        total += couplings[k] * spins[neighbours[k]]
    return total


@njit(**_OPTIONS)
def heat_bath_sweep(spins, starts, neighbours, couplings, fields, a, b):
    """Redraw every spin from P(s_i = 1) = 1 / (1 + exp(-2 h_i)) in order; returns the random words that follow."""
    for i in range(spins.shape[0]):
        h = local_field(spins, i, starts, neighbours, couplings, fields)
        word, a, b = advance(a, b)
        spins[i] = 1 if uniform(word) * (1.0 + math.exp(-2.0 * h)) < 1.0 else -1
    return a, b


@njit(**_OPTIONS)
def heat_bath(spins, starts, neighbours, couplings, fields, stream, discard, every, out):
    """Heat bath on any graph."""
    a, b = stream[0], stream[1]
    for sweep in range(discard + every * out.shape[0]):
        a, b = heat_bath_sweep(spins, starts, neighbours, couplings, fields, a, b)
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def metropolis(spins, starts, neighbours, couplings, fields, stream, discard, every, out):
    """Metropolis on any graph: a sweep tries as many random sites as there are."""
    a, b = stream[0], stream[1]
    sites = spins.shape[0]
    for sweep in range(discard + every * out.shape[0]):
        for _ in range(sites):
            word, a, b = advance(a, b)
            i = np.int64(((word >> _U32) * np.uint64(sites)) >> _U32)
            cost = 2.0 * spins[i] * local_field(spins, i, starts, neighbours, couplings, fields)
            if cost > 0.0:
                word, a, b = advance(a, b)
                if uniform(word) >= math.exp(-cost):
                    continue
            spins[i] = -spins[i]
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def square_heat_bath(spins, thresholds, width, stream, discard, every, out):
    """Heat bath on a periodic square lattice with one coupling and one field: P(1) 2^64 by the sum of the neighbours."""
    a, b = stream[0], stream[1]
    height = spins.shape[0] // width
    for sweep in range(discard + every * out.shape[0]):
        for row in range(height):
            here = row * width
            above = (row - 1 if row > 0 else height - 1) * width
            below = (row + 1 if row < height - 1 else 0) * width
            left = spins[here + width - 1]
            for j in range(width):
                right = spins[here + (j + 1 if j < width - 1 else 0)]
                total = left + right + spins[above + j] + spins[below + j]
                word, a, b = advance(a, b)
                left = np.int8(1) if word < thresholds[(total + 4) >> 1] else np.int8(-1)
                spins[here + j] = left
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def counted_heat_bath_sweep(spins, starts, neighbours, signs, thresholds, a, b):
    """Redraw every spin in order where couplings have one size and sites at most 7 neighbours.

    2^64 P(1) = thresholds[degree, neighbours that pull up].
    """
    for i in range(spins.shape[0]):
        first, last = np.int64(starts[i]), np.int64(starts[i + 1])
        degree = last - first
        # Written out in place: as a loop, or as a function, these few terms take several times as long.
        total, k = np.int64(0), first
        if last - k >= 4:
            total += np.int64(signs[k]) * np.int64(spins[neighbours[k]])
            total += np.int64(signs[k + 1]) * np.int64(spins[neighbours[k + 1]])
            total += np.int64(signs[k + 2]) * np.int64(spins[neighbours[k + 2]])
            total += np.int64(signs[k + 3]) * np.int64(spins[neighbours[k + 3]])
            k += 4
        if last - k >= 2:
            total += np.int64(signs[k]) * np.int64(spins[neighbours[k]])
            total += np.int64(signs[k + 1]) * np.int64(spins[neighbours[k + 1]])
            k += 2
        if last - k >= 1:
            total += np.int64(signs[k]) * np.int64(spins[neighbours[k]])
        word, a, b = advance(a, b)
        spins[i] = np.int8(2 * np.int64(word < thresholds[degree, (total + degree) >> 1]) - 1)
    return a, b


@njit(**_OPTIONS)
def counted_heat_bath(spins, starts, neighbours, signs, thresholds, stream, discard, every, out):
    """Heat bath for couplings of one size and one field."""
    a, b = stream[0], stream[1]
    for sweep in range(discard + every * out.shape[0]):
        a, b = counted_heat_bath_sweep(spins, starts, neighbours, signs, thresholds, a, b)
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def minus_energies(states, first, second, couplings, fields, out):
    """Fill out (states,) with -H of every state (states, sites)."""
    for m in range(states.shape[0]):
        total = 0.0
        for e in range(first.shape[0]):
            total += couplings[e] * (states[m, first[e]] * states[m, second[e]])
        for i in range(fields.shape[0]):
            total += fields[i] * states[m, i]
        out[m] = total

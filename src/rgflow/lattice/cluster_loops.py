"""Cluster updates of spins with unfrustrated pair couplings, compiled; imported only where they run.

A satisfied edge (K s_i s_j > 0) is kept with probability 1 - exp(-2 |K|), compared as `thresholds` / 2^64 with a random word.
Loops move one chain as in `local_loops`. Wolff makes a FIXED number of clusters between records: to stop at a number of
flips would favour states with small clusters.
"""

import numpy as np
from numba import njit

from rgflow.lattice.random_streams import advance

# For `spin_methods` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
_U1, _U32, _U63 = np.uint64(1), np.uint64(32), np.uint64(63)


@njit(**_OPTIONS)
def _root(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(**_OPTIONS)
def swendsen_wang(spins, first, second, signs, thresholds, stream, discard, every, out):
    """Swendsen-Wang: all kept edges join clusters, every cluster flips with probability 1/2."""
    a, b = stream[0], stream[1]
    sites = spins.shape[0]
    parent = np.empty(sites, np.int32)
    flip = np.empty(sites, np.int8)
    for sweep in range(discard + every * out.shape[0]):
        for i in range(sites):
            parent[i] = i
        for e in range(first.shape[0]):
            i, j = first[e], second[e]
            if spins[i] * spins[j] == signs[e]:
                word, a, b = advance(a, b)
                if word < thresholds[e]:
                    i, j = _root(parent, i), _root(parent, j)
                    parent[max(i, j)] = min(i, j)
        for i in range(sites):  # a parent has a smaller number: its sign is known
            if parent[i] == i:
                word, a, b = advance(a, b)
                flip[i] = np.int8(1) if word >> _U63 else np.int8(-1)
            else:
                flip[i] = flip[parent[i]]
            spins[i] *= flip[i]
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def wolff(spins, starts, neighbours, signs, thresholds, stream, discard, every, out):
    """Wolff: `every` clusters from random sites between records, `discard` before; returns the number of sites flipped."""
    a, b = stream[0], stream[1]
    sites = spins.shape[0]
    stack = np.empty(sites, np.int32)
    flipped = 0
    for cluster in range(discard + every * out.shape[0]):
        word, a, b = advance(a, b)
        i = np.int64(((word >> _U32) * np.uint64(sites)) >> _U32)
        stack[0] = i
        spins[i] = -spins[i]
        height = 1
        while height > 0:
            height -= 1
            i = np.int64(stack[height])
            old = -spins[i]
            flipped += 1
            for k in range(starts[i], starts[i + 1]):
                j = neighbours[k]
                if spins[j] == old * signs[k]:
                    word, a, b = advance(a, b)
                    if word < thresholds[k]:
                        spins[j] = -spins[j]
                        stack[height] = j
                        height += 1
        done = cluster + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b
    return flipped

"""Single-spin updates of spins with terms of any order, compiled; imported only where they run.

`products` (terms,) int8 holds prod s over each term and follows every flip. Loops move one chain as in `local_loops`.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.random_streams import advance, uniform

# For `spin_methods` alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}
_U32 = np.uint64(32)


@njit(**_OPTIONS)
def _multiply(products, spins, starts, members):
    for t in range(products.shape[0]):
        product = np.int8(1)
        for k in range(starts[t], starts[t + 1]):
            product *= spins[members[k]]
        products[t] = product


@njit(**_OPTIONS)
def _alignment(products, i, starts, terms, couplings):
    """Return s_i h_i, the part of -H that changes sign when spin i flips."""
    total = 0.0
    for k in range(starts[i], starts[i + 1]):
        total += couplings[k] * products[terms[k]]
    return total


@njit(**_OPTIONS)
def _flip(spins, products, i, starts, terms):
    spins[i] = -spins[i]
    for k in range(starts[i], starts[i + 1]):
        products[terms[k]] = -products[terms[k]]


@njit(**_OPTIONS)
def heat_bath_terms(spins, member_starts, members, starts, terms, couplings, stream, discard, every, out):
    """Heat bath, sites in order: a spin leaves its value with probability 1 / (1 + exp(2 s_i h_i))."""
    a, b = stream[0], stream[1]
    products = np.empty(member_starts.shape[0] - 1, np.int8)
    _multiply(products, spins, member_starts, members)
    for sweep in range(discard + every * out.shape[0]):
        for i in range(spins.shape[0]):
            word, a, b = advance(a, b)
            if uniform(word) * (1.0 + math.exp(2.0 * _alignment(products, i, starts, terms, couplings))) < 1.0:
                _flip(spins, products, i, starts, terms)
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def metropolis_terms(spins, member_starts, members, starts, terms, couplings, stream, discard, every, out):
    """Metropolis, random sites: a sweep tries as many as there are."""
    a, b = stream[0], stream[1]
    sites = spins.shape[0]
    products = np.empty(member_starts.shape[0] - 1, np.int8)
    _multiply(products, spins, member_starts, members)
    for sweep in range(discard + every * out.shape[0]):
        for _ in range(sites):
            word, a, b = advance(a, b)
            i = np.int64(((word >> _U32) * np.uint64(sites)) >> _U32)
            cost = 2.0 * _alignment(products, i, starts, terms, couplings)
            word, a, b = advance(a, b)
            if cost <= 0.0 or uniform(word) < math.exp(-cost):
                _flip(spins, products, i, starts, terms)
        done = sweep + 1 - discard
        if done > 0 and done % every == 0:
            out[done // every - 1] = spins
    stream[0], stream[1] = a, b


@njit(**_OPTIONS)
def minus_term_energies(states, starts, members, couplings, out):
    """Fill out (states,) with -H of every state (states, sites)."""
    for m in range(states.shape[0]):
        total = 0.0
        for t in range(couplings.shape[0]):
            product = np.int8(1)
            for k in range(starts[t], starts[t + 1]):
                product *= states[m, members[k]]
            total += couplings[t] * product
        out[m] = total

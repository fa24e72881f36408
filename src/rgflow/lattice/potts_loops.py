"""Compiled sweeps of the Potts model: heat bath site by site, and Swendsen-Wang clusters.

Convention: -H = sum_e K_e [x_i = x_j] + sum_i field[x_i] in nats. `words` are the two words of a random stream, which every
sweep moves on. Loops change `states` in place.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.cluster_roots import join, root
from rgflow.lattice.random_streams import advance, uniform

__all__ = ["cluster_sweep", "heat_bath_sweep"]


@njit(cache=True, nogil=True, error_model="numpy")
def drawn_level(levels, draw):
    """Return the state x with probability exp(levels[x]) / sum, from a number `draw` in [0, 1); changes `levels`."""
    largest = levels.max()
    total = 0.0
    for x in range(len(levels)):
        levels[x] = math.exp(levels[x] - largest)
        total += levels[x]
    left = draw * total
    for x in range(len(levels) - 1):
        left -= levels[x]
        if left < 0.0:
            return x
    return len(levels) - 1


@njit(cache=True, nogil=True, error_model="numpy")
def heat_bath_sweep(states, table, field, words):
    """Draw every site in turn from its law given its neighbours; `table` is (starts, neighbours, couplings)."""
    starts, neighbours, couplings = table
    levels = np.empty(len(field))
    a, b = words[0], words[1]
    for site in range(len(states)):
        levels[:] = field
        for k in range(starts[site], starts[site + 1]):
            levels[states[neighbours[k]]] += couplings[k]
        word, a, b = advance(a, b)
        states[site] = drawn_level(levels, uniform(word))
    words[0], words[1] = a, b


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_sweep(states, bonds, field, words):
    """Bind equal neighbours with 1 - exp(-K), then draw a state for every cluster; `bonds` is (edges, couplings >= 0).

    A cluster of n sites takes the state x with weight exp(n field[x]).
    Source: Swendsen and Wang 1987, Phys. Rev. Lett. 58, 86.
    """
    edges, couplings = bonds
    parents = np.arange(len(states))
    a, b = words[0], words[1]
    for edge in range(len(couplings)):
        if states[edges[edge, 0]] == states[edges[edge, 1]]:
            word, a, b = advance(a, b)
            if uniform(word) < -math.expm1(-couplings[edge]):
                join(parents, (edges[edge, 0], edges[edge, 1]))
    sizes = np.zeros(len(states))
    for site in range(len(states)):
        parents[site] = root(parents, site)
        sizes[parents[site]] += 1.0
    for site in range(len(states)):
        if parents[site] == site:
            word, a, b = advance(a, b)
            states[site] = drawn_level(sizes[site] * field, uniform(word))
        else:
            states[site] = states[parents[site]]
    words[0], words[1] = a, b

"""Compiled sweeps of the phi^4 model: Metropolis with a uniform step, and clusters of its signs.

Convention: H = sum_i (m x_i^2 / 2 + g x_i^4 / 4) + sum_e K_e (x_i - x_j)^2 / 2 in nats, so that each site sees
(m + sum_j K_ij) x^2 / 2 + g x^4 / 4 - x sum_j K_ij x_j. `words` are the two words of a random stream, which every sweep
moves on. Loops change `field` in place.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.cluster_roots import join, root
from rgflow.lattice.random_streams import advance, uniform

__all__ = ["cluster_sweep", "metropolis_sweep"]


@njit(cache=True, nogil=True, error_model="numpy")
def metropolis_sweep(field, table, potential, words):
    """Offer every site a move by up to `step` either way; return the accepted fraction. `potential` is (m, g, step)."""
    starts, neighbours, couplings = table
    mass_squared, quartic, step = potential
    a, b = words[0], words[1]
    accepted = 0
    for site in range(len(field)):
        pull, stiffness = 0.0, mass_squared
        for k in range(starts[site], starts[site + 1]):
            pull += couplings[k] * field[neighbours[k]]
            stiffness += couplings[k]
        word, a, b = advance(a, b)
        old = field[site]
        new = old + step * (2.0 * uniform(word) - 1.0)
        old_square, new_square = old * old, new * new
        cost = (new_square - old_square) * (stiffness / 2.0 + quartic / 4.0 * (new_square + old_square))
        cost -= pull * (new - old)
        word, a, b = advance(a, b)
        if cost <= 0.0 or uniform(word) < math.exp(-cost):
            field[site] = new
            accepted += 1
    words[0], words[1] = a, b
    return accepted / len(field)


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_sweep(field, bonds, words):
    """Bind sites with 1 - exp(-2 K x_i x_j) where that is > 0, then give every cluster a fresh sign.

    `bonds` is (edges, couplings of any sign). Sizes |x| stay: local moves must follow.
    Source: Brower and Tamayo 1989, Phys. Rev. Lett. 62, 1087.
    """
    edges, couplings = bonds
    parents = np.arange(len(field))
    a, b = words[0], words[1]
    for edge in range(len(couplings)):
        strength = 2.0 * couplings[edge] * field[edges[edge, 0]] * field[edges[edge, 1]]
        if strength > 0.0:
            word, a, b = advance(a, b)
            if uniform(word) < -math.expm1(-strength):
                join(parents, (edges[edge, 0], edges[edge, 1]))
    flips = np.zeros(len(field), dtype=np.bool_)
    for site in range(len(field)):
        top = root(parents, site)
        if top == site:
            word, a, b = advance(a, b)
            flips[site] = uniform(word) < 0.5
        if flips[top]:
            field[site] = -field[site]
    words[0], words[1] = a, b

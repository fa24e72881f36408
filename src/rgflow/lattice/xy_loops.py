"""Compiled sweeps of the XY model: Metropolis, over-relaxation, and clusters of the Ising model embedded in it.

Convention: -H = sum_e K_e s_i . s_j in nats, s unit vectors with the components `across` and `along`. `words` are the two
words of a random stream, which every sweep moves on. Loops change the components in place.
"""

import math

import numpy as np
from numba import njit

from rgflow.lattice.cluster_roots import join, root
from rgflow.lattice.random_streams import advance, uniform

__all__ = ["cluster_sweep", "metropolis_sweep", "overrelaxation_sweep"]


@njit(cache=True, nogil=True, error_model="numpy")
def local_field(vectors, table, site):
    """Return sum_j K_ij s_j, two components."""
    across, along = vectors
    starts, neighbours, couplings = table
    first, second = 0.0, 0.0
    for k in range(starts[site], starts[site + 1]):
        first += couplings[k] * across[neighbours[k]]
        second += couplings[k] * along[neighbours[k]]
    return first, second


@njit(cache=True, nogil=True, error_model="numpy")
def metropolis_sweep(vectors, table, step, words):
    """Offer every site a turn by up to `step` radians either way; return the accepted fraction."""
    across, along = vectors
    a, b = words[0], words[1]
    accepted = 0
    for site in range(len(across)):
        first, second = local_field(vectors, table, site)
        word, a, b = advance(a, b)
        turn = step * (2.0 * uniform(word) - 1.0)
        cosine, sine = math.cos(turn), math.sin(turn)
        x = cosine * across[site] - sine * along[site]
        y = sine * across[site] + cosine * along[site]
        gain = first * (x - across[site]) + second * (y - along[site])
        word, a, b = advance(a, b)
        if gain >= 0.0 or uniform(word) < math.exp(gain):
            size = math.sqrt(x * x + y * y)  # 1 but for rounding, which must not add up over many turns
            across[site], along[site] = x / size, y / size
            accepted += 1
    words[0], words[1] = a, b
    return accepted / len(across)


@njit(cache=True, nogil=True, error_model="numpy")
def overrelaxation_sweep(vectors, table):
    """Mirror every vector at the field of its neighbours, which keeps the energy: s' = 2 (s.h) h / h^2 - s.

    Source: Brown and Woch 1987, Phys. Rev. Lett. 58, 2394.
    """
    across, along = vectors
    for site in range(len(across)):
        first, second = local_field(vectors, table, site)
        square = first * first + second * second
        if square > 0.0:
            factor = 2.0 * (across[site] * first + along[site] * second) / square
            x, y = factor * first - across[site], factor * second - along[site]
            size = math.sqrt(x * x + y * y)
            across[site], along[site] = x / size, y / size


@njit(cache=True, nogil=True, error_model="numpy")
def cluster_sweep(vectors, bonds, words):
    """Mirror clusters at a random line: the components along one direction are Ising spins with couplings K p_i p_j.

    `bonds` is (edges, couplings of any sign); every cluster is mirrored with probability 1/2.
    Source: Wolff 1989, Phys. Rev. Lett. 62, 361, with all clusters at once as in Swendsen and Wang 1987.
    """
    across, along = vectors
    edges, couplings = bonds
    parents, part = np.arange(len(across)), np.empty(len(across))
    a, b = words[0], words[1]
    word, a, b = advance(a, b)
    angle = math.pi * uniform(word)  # a direction and its opposite are one mirror
    cosine, sine = math.cos(angle), math.sin(angle)
    for site in range(len(across)):
        part[site] = cosine * across[site] + sine * along[site]
    for edge in range(len(couplings)):
        strength = 2.0 * couplings[edge] * part[edges[edge, 0]] * part[edges[edge, 1]]
        if strength > 0.0:
            word, a, b = advance(a, b)
            if uniform(word) < -math.expm1(-strength):
                join(parents, (edges[edge, 0], edges[edge, 1]))
    flips = np.zeros(len(across), dtype=np.bool_)
    for site in range(len(across)):
        top = root(parents, site)
        if top == site:
            word, a, b = advance(a, b)
            flips[site] = uniform(word) < 0.5
        if flips[top]:
            across[site] -= 2.0 * part[site] * cosine
            along[site] -= 2.0 * part[site] * sine
    words[0], words[1] = a, b

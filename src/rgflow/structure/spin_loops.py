"""Compiled loops over the terms of a spin Hamiltonian: margins, their adjoint, features of a site, counts of neighbourhoods.

Convention: spins (sites, rows) int8; the margin of site i is s_i h_i = sum over terms t that contain i of theta_t prod s_j.
Rows are worked off in blocks that stay in the second-level cache, so that every inner loop runs on whole vector registers.
One thread each: fits call these loops hundreds of times, and threads of short loops wait for each other on a busy machine.
"""

import numpy as np
from numba import njit

# For the fits of this room alone: compiled functions take no keyword-only arguments.
__all__: list[str] = []

_OPTIONS = {"fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy", "nogil": True, "cache": True}
_BLOCK = 256  # rows of a block: 256 sites of spins and margins in float64 are then 1 MB


@njit(**_OPTIONS)
def _multiply(product, spins, first, last, members):
    """Set product to the product of the spins of one term, members[first:last], row by row."""
    width = product.shape[0]
    here = spins[members[first]]
    for b in range(width):
        product[b] = here[b]
    for a in range(first + 1, last):
        here = spins[members[a]]
        for b in range(width):
            product[b] *= here[b]


@njit(**_OPTIONS)
def margins_of(spins, starts, members, values, margins):
    """Fill `margins` (sites, rows) for couplings `values` (terms,)."""
    sites, rows = spins.shape
    for low in range(0, rows, _BLOCK):
        high = min(rows, low + _BLOCK)
        width = high - low
        local = spins[:, low:high].astype(np.float64)
        total = np.zeros((sites, width))
        product = np.empty(width)
        for t in range(values.shape[0]):
            if values[t] == 0.0:
                continue
            _multiply(product, local, starts[t], starts[t + 1], members)
            value = values[t]
            for a in range(starts[t], starts[t + 1]):
                row = total[members[a]]
                for b in range(width):
                    row[b] += value * product[b]
        margins[:, low:high] = total


@njit(**_OPTIONS)
def pulled_back(spins, starts, members, slopes):
    """Return the sum over rows of prod_t s * sum_{i in t} slopes_i for every term t: the adjoint of `margins_of`."""
    rows = spins.shape[1]
    terms = starts.shape[0] - 1
    found = np.zeros(terms)
    for low in range(0, rows, _BLOCK):
        high = min(rows, low + _BLOCK)
        width = high - low
        local = spins[:, low:high].astype(np.float64)
        slope = slopes[:, low:high].copy()
        product = np.empty(width)
        for t in range(terms):
            _multiply(product, local, starts[t], starts[t + 1], members)
            total = 0.0
            for a in range(starts[t], starts[t + 1]):
                row = slope[members[a]]
                for b in range(width):
                    total += product[b] * row[b]
            found[t] += total
    return found


@njit(**_OPTIONS)
def row_scores(spins, starts, members, tie, slopes, scores):
    """Add to `scores` (parameters, rows) the summands of the adjoint row by row, terms of one tie together."""
    rows = spins.shape[1]
    for low in range(0, rows, _BLOCK):
        high = min(rows, low + _BLOCK)
        width = high - low
        local = spins[:, low:high].astype(np.float64)
        slope = slopes[:, low:high].copy()
        product = np.empty(width)
        total = np.empty(width)
        for t in range(starts.shape[0] - 1):
            _multiply(product, local, starts[t], starts[t + 1], members)
            total[:] = 0.0
            for a in range(starts[t], starts[t + 1]):
                row = slope[members[a]]
                for b in range(width):
                    total[b] += row[b]
            for b in range(width):
                scores[tie[t], low + b] += product[b] * total[b]


@njit(**_OPTIONS)
def site_features(spins, starts, members, terms, places, features):
    """Add to `features` (parameters here, rows): row places[e] gains prod s of term terms[e], for the terms of one site."""
    rows = spins.shape[1]
    product = np.empty(_BLOCK)
    for low in range(0, rows, _BLOCK):
        width = min(rows, low + _BLOCK) - low
        for e in range(terms.shape[0]):
            t = terms[e]
            for b in range(width):
                product[b] = 1.0
            for a in range(starts[t], starts[t + 1]):
                here = spins[members[a]]
                for b in range(width):
                    product[b] *= here[low + b]
            row = features[places[e]]
            for b in range(width):
                row[low + b] += product[b]


@njit(**_OPTIONS)
def neighbourhood_counts(spins, site_starts, entry_starts, others, strides, offset, counts):
    """Count in `counts` (samples, keys) how often each feature vector occurs among the sites of a sample.

    spins (samples, sites) int8; entry e of site i multiplies the spins others[entry_starts[e] : entry_starts[e + 1]] and s_i,
    and moves the key by strides[e] times that product; `offset` is the key of the zero vector.
    """
    samples, sites = spins.shape
    for m in range(samples):
        row = spins[m]
        for i in range(sites):
            key = 0
            for e in range(site_starts[i], site_starts[i + 1]):
                product = strides[e]
                for a in range(entry_starts[e], entry_starts[e + 1]):
                    product *= row[others[a]]
                key += product
            counts[m, offset + row[i] * key] += 1

"""Derivatives of monomials on samples: what score matching averages.

For p(x) ~ exp(-H(x)) the score-matching objective of one sample is |grad H|^2 / 2 - lap H, whose average is least at the
truth. Arrays inside are (variables, samples), so that a variable's values lie side by side.
Source: Hyvarinen 2005, J. Machine Learning Research 6, 695.
"""

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from rgflow.structure.continuous_monomials import ContinuousTerms, Pattern

__all__ = [
    "energy_slopes",
    "laplacian_means",
    "power_table",
    "score_series",
    "site_designs",
    "squared_score_rows",
]

_BLOCK = 2_000_000  # numbers in a work array: 16 MB, which stays near the caches


def power_table(z: np.ndarray, order: int) -> np.ndarray:
    """Return z^0 .. z^order of samples `z` (samples, variables) as (order + 1, variables, samples)."""
    table = np.ones((order + 1, z.shape[1], z.shape[0]))
    for power in range(1, order + 1):
        np.multiply(table[power - 1], z.T, out=table[power])
    return table


def site_designs(terms: ContinuousTerms, table: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return for each variable i the parameters that touch it and d/dx_i of their features.

    Shapes: (parameters of i,) and (parameters of i, samples).
    """
    term, slot = np.nonzero(terms.powers)
    site = terms.members[term, slot]
    ranks = np.argsort(site, kind="stable")
    ends = np.searchsorted(site[ranks], np.arange(terms.variables + 1))
    for variable in range(terms.variables):
        touched = ranks[ends[variable] : ends[variable + 1]]
        yield _site_design(terms, table, term[touched], slot[touched])


def energy_slopes(terms: ContinuousTerms, theta: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return grad H (variables, samples) and lap H (samples,) for parameters `theta` of H."""
    weights = theta[terms.tie]
    slopes = np.zeros(table.shape[1:])
    curvature = np.zeros(table.shape[2])
    for pattern in terms.patterns:
        if len(pattern.powers) == 2:
            curvature += _add_pair_slopes(slopes, pattern, weights[pattern.rows], table)
            continue
        for block in _blocks(pattern, table.shape[2]):
            curvature += _add_slopes(slopes, block, weights[block.rows], table)
    return slopes, curvature


def score_series(
    terms: ContinuousTerms, slopes: np.ndarray, table: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return blocks of terms: their places, and lap f - grad f . grad H of every sample (terms of the block, samples).

    Summed over the terms of a parameter and averaged over samples this vanishes at the score-matching estimate.
    """
    for pattern in terms.patterns:
        for block in _blocks(pattern, table.shape[2]):
            found = np.zeros((len(block.rows), table.shape[2]))
            for slot, power in enumerate(block.powers):
                found -= _derivative(block, slot, table, times=1) * slopes[block.members[:, slot]]
                if power > 1:
                    found += _derivative(block, slot, table, times=2)
            yield block.rows, found


def laplacian_means(terms: ContinuousTerms, table: np.ndarray) -> np.ndarray:
    """Return the mean of lap f over samples, summed over the terms of each parameter (parameters,)."""
    found = np.zeros(len(terms))
    for pattern in terms.patterns:
        if max(pattern.powers) < 2:
            continue
        for block in _blocks(pattern, table.shape[2]):
            for slot, power in enumerate(block.powers):
                if power > 1:
                    found[block.rows] += _derivative(block, slot, table, times=2).mean(axis=1)
    return terms.gather @ found


def squared_score_rows(slopes: np.ndarray, curvature: np.ndarray) -> np.ndarray:
    """Return minus the score-matching objective of every sample, divided by the number of variables (samples,)."""
    return (curvature - 0.5 * (slopes**2).sum(axis=0)) / len(slopes)


def _add_slopes(slopes: np.ndarray, block: Pattern, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Add the gradient of the block's terms to `slopes`, return its Laplacian (samples,)."""
    curvature = np.zeros(table.shape[2])
    for slot, power in enumerate(block.powers):
        where = (block.members[:, slot], np.arange(len(weights)))
        slopes += csr_array((weights, where), shape=(len(slopes), len(weights))) @ _derivative(
            block, slot, table, times=1
        )
        if power > 1:
            curvature += weights @ _derivative(block, slot, table, times=2)
    return curvature


def _add_pair_slopes(slopes: np.ndarray, pattern: Pattern, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
    """The same for x_i^p x_j^q by two products with the matrix of couplings."""
    (p, q), (i, j) = pattern.powers, pattern.members.T
    couplings = csr_array((weights, (i, j)), shape=(len(slopes), len(slopes)))
    second, first = couplings @ table[q], couplings.T @ table[p]
    slopes += p * table[p - 1] * second + q * table[q - 1] * first
    curvature = np.zeros(table.shape[2])
    if p > 1:
        curvature += p * (p - 1) * np.einsum("im,im->m", table[p - 2], second)
    if q > 1:
        curvature += q * (q - 1) * np.einsum("im,im->m", table[q - 2], first)
    return curvature


def _site_design(
    terms: ContinuousTerms, table: np.ndarray, term: np.ndarray, slot: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    lowered = terms.powers[term].copy()
    factor = lowered[np.arange(len(term)), slot].astype(np.float64)
    lowered[np.arange(len(term)), slot] -= 1
    members = terms.members[term]
    design = table[lowered[:, 0], members[:, 0]]
    for column in range(1, lowered.shape[1]):
        active = np.flatnonzero(lowered[:, column])
        design[active] *= table[lowered[active, column], members[active, column]]
    if not terms.tied:
        design *= factor[:, None]
        return terms.tie[term], design
    parameters, place = np.unique(terms.tie[term], return_inverse=True)
    gather = csr_array((factor, (place, np.arange(len(term)))), shape=(len(parameters), len(term)))
    return parameters, gather @ design


def _derivative(block: Pattern, slot: int, table: np.ndarray, *, times: int) -> np.ndarray:
    power = block.powers[slot]
    factor = float(power) if times == 1 else float(power * (power - 1))
    found = factor * table[power - times, block.members[:, slot]]
    for other, raised in enumerate(block.powers):
        if other != slot:
            found *= table[raised, block.members[:, other]]
    return found


def _blocks(pattern: Pattern, samples: int) -> Iterator[Pattern]:
    step = max(1, _BLOCK // max(1, samples))
    for start in range(0, len(pattern.rows), step):
        yield Pattern(pattern.powers, pattern.members[start : start + step], pattern.rows[start : start + step])

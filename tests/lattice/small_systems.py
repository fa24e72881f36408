"""Exact averages of small spin models as sums over all states, and z-scores of samples against them.

Energies are those of the definition, computed apart from the package: -H = sum over terms of coupling times product of spins.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

__all__ = ["Averages", "Term", "averages", "energies", "scores", "spin_states", "torus_terms"]

Term = tuple[tuple[int, ...], float]


@dataclass(frozen=True, eq=False)
class Averages:
    """Exact averages: energy and its square per site, every spin, every pair of spins (all flattened into `values`)."""

    terms: Sequence[Term]
    values: np.ndarray

    @property
    def energy(self) -> float:
        return float(self.values[0])


def spin_states(sites: int) -> np.ndarray:
    return np.array(list(itertools.product((-1.0, 1.0), repeat=sites)))


def energies(states: np.ndarray, terms: Sequence[Term]) -> np.ndarray:
    """Return H of states (..., sites)."""
    total = np.zeros(states.shape[:-1])
    for members, coupling in terms:
        total -= coupling * np.prod(states[..., list(members)], axis=-1)
    return total


def averages(sites: int, terms: Sequence[Term]) -> Averages:
    states = spin_states(sites)
    weight = np.exp(-energies(states, terms) + energies(states, terms).min())
    return Averages(terms, _features(states, terms).T @ (weight / weight.sum()))


def scores(values: Tensor, exact: Averages) -> np.ndarray:
    """Return the z-scores of all averages, with standard errors from the means of independent chains."""
    spins = values.flatten(2).numpy()
    means = np.stack([_features(chain, exact.terms).mean(0) for chain in spins])
    errors = means.std(0, ddof=1) / np.sqrt(len(means))
    return (means.mean(0) - exact.values) / errors


def _features(states: np.ndarray, terms: Sequence[Term]) -> np.ndarray:
    sites = states.shape[-1]
    energy = energies(states, terms) / sites
    first, second = np.triu_indices(sites, 1)
    return np.column_stack([energy, energy**2, states, states[:, first] * states[:, second]])


def torus_terms(height: int, width: int, *, coupling: float, field: float = 0.0) -> list[Term]:
    """Return the terms of a periodic square lattice, written out site by site."""
    terms: list[Term] = [((site,), field) for site in range(height * width)] if field else []
    for row, column in itertools.product(range(height), range(width)):
        here = row * width + column
        terms.append(((here, (row + 1) % height * width + column), coupling))
        terms.append(((here, row * width + (column + 1) % width), coupling))
    return terms

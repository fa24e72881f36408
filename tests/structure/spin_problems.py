"""Small spin models with known couplings: all states, exact probabilities, independent draws, one Markov chain."""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rgflow.lattice import Lattice
from rgflow.structure import Terms
from rgflow.structure.terms import all_terms, untied

__all__ = ["SpinModel", "chain", "generic_pairs", "glass", "torus", "triples"]


@dataclass(frozen=True, eq=False)
class SpinModel:
    """p(s) ~ exp(sum_t theta[tie[t]] prod s), by the sum over all states."""

    terms: Terms
    theta: np.ndarray

    @cached_property
    def states(self) -> np.ndarray:
        return np.array(list(itertools.product([-1, 1], repeat=self.terms.sites)), dtype=np.int8)

    @cached_property
    def probabilities(self) -> np.ndarray:
        exponent, tie = np.zeros(2**self.terms.sites), iter(self.terms.tie.tolist())
        states = self.states.astype(np.float64)
        for group in self.terms.groups:
            for members in group:
                exponent += self.theta[next(tie)] * states[:, members].prod(1)
        weights = np.exp(exponent - exponent.max())
        return weights / weights.sum()

    def draws(self, count: int, *, seed: int) -> np.ndarray:
        """Independent configurations (count, sites)."""
        rows = np.random.default_rng(seed).choice(2**self.terms.sites, count, p=self.probabilities)
        return self.states[rows]


def torus() -> SpinModel:
    """The 3 x 4 torus at K = 0.3 on every bond."""
    lattice = Lattice((3, 4))
    return SpinModel(untied([lattice.pairs_within(1.0)], sites=12), np.full(24, 0.3))


def triples() -> SpinModel:
    """A ring of 10 spins, J = 0.5 on consecutive triples."""
    members = np.sort([[i, (i + 1) % 10, (i + 2) % 10] for i in range(10)], axis=1)
    return SpinModel(untied([members], sites=10), np.full(10, 0.5))


def glass(sites: int, *, beta: float, seed: int) -> SpinModel:
    """Sherrington and Kirkpatrick's model: pairs N(0, beta^2 / sites), fields 0."""
    pairs = np.stack(np.triu_indices(sites, 1), axis=1)
    couplings = beta * np.random.default_rng(seed).standard_normal(len(pairs)) / np.sqrt(sites)
    return SpinModel(untied([pairs], sites=sites), couplings)


def generic_pairs(sites: int, *, seed: int) -> SpinModel:
    """Fields N(0, 0.2^2) and pairs N(0, 0.3^2)."""
    terms = all_terms(sites, 2)
    scale = np.repeat([0.2, 0.3], [len(group) for group in terms.groups])
    return SpinModel(terms, scale * np.random.default_rng(seed).standard_normal(len(terms)))


def chain(model: SpinModel, *, records: int, updates: int, seed: int) -> np.ndarray:
    """One heat-bath chain of fields and pairs, `updates` single spins between records, 200 records discarded."""
    generator, sites = np.random.default_rng(seed), model.terms.sites
    fields, pairs = np.zeros(sites), np.zeros((sites, sites))
    theta = model.theta[model.terms.tie]
    for group, part in zip(model.terms.groups, np.split(theta, [len(model.terms.groups[0])]), strict=False):
        if group.shape[1] == 1:
            fields[group[:, 0]] = part
        else:
            pairs[group[:, 0], group[:, 1]] = part
    pairs, total = pairs + pairs.T, (records + 200) * updates
    spins = generator.choice([-1.0, 1.0], sites)
    chosen, uniform = generator.integers(sites, size=total), generator.random(total)
    found = np.empty((records + 200, sites), dtype=np.int8)
    for step in range(total):
        site = chosen[step]
        spins[site] = 1.0 if uniform[step] * (1.0 + np.exp(-2.0 * (fields[site] + pairs[site] @ spins))) < 1.0 else -1.0
        if step % updates == updates - 1:
            found[step // updates] = spins
    return found[200:]

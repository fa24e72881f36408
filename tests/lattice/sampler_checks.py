"""Models with their terms written out, shared by the tests of samplers and by the bugs planted in them.

A case names a model, its shape and a method; `exact_scores` samples it and returns the z-scores against the sum over states.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from lattice.small_systems import Averages, Term, averages, scores, torus_terms
from rgflow.lattice import Ising, PSpin, SpinGlass, sample, sample_checkerboard
from rgflow.numerics.sparse_polynomial import SparsePolynomial
from rgflow.records import Hamiltonian

__all__ = ["CASES", "CHAINS", "Case", "exact_scores"]

CHAINS = 192  # three groups of 64 bit-coded chains


@dataclass(frozen=True, eq=False)
class Case:
    model: Any
    shape: tuple[int, ...]
    terms: tuple[Term, ...]
    methods: tuple[str, ...]


def _graph(sites: int, bonds: int, *, seed: int) -> np.ndarray:
    pairs = np.stack(np.triu_indices(sites, 1), axis=1)
    chosen = np.random.default_rng(seed).permutation(len(pairs))[:bonds]
    return pairs[np.sort(chosen)]


def _torus(coupling: float, field: float, *methods: str) -> Case:
    terms = torus_terms(3, 4, coupling=coupling, field=field)
    return Case(Ising(coupling=coupling, field=field), (3, 4), tuple(terms), methods)


def _random_graph() -> Case:
    generator, edges = np.random.default_rng(1), _graph(9, 16, seed=1)
    couplings, fields = generator.normal(size=16) * 0.5, generator.normal(size=9) * 0.4
    terms = [(tuple(edge), float(k)) for edge, k in zip(edges.tolist(), couplings, strict=True)]
    terms += [((site,), float(h)) for site, h in enumerate(fields)]
    model = Ising(coupling=couplings, field=fields, edges=edges)
    return Case(model, (9,), tuple(terms), ("heat-bath", "metropolis"))


def _unfrustrated() -> Case:
    generator, edges = np.random.default_rng(2), _graph(9, 15, seed=2)
    signs = generator.integers(0, 2, size=9) * 2 - 1
    couplings = generator.uniform(0.1, 0.7, size=15) * signs[edges[:, 0]] * signs[edges[:, 1]]
    terms = [(tuple(edge), float(k)) for edge, k in zip(edges.tolist(), couplings, strict=True)]
    model = Ising(coupling=couplings, edges=edges)
    return Case(model, (9,), tuple(terms), ("swendsen-wang", "wolff", "heat-bath"))


def _plus_minus() -> Case:
    generator, edges = np.random.default_rng(3), _graph(9, 18, seed=3)
    couplings = 0.45 * (generator.integers(0, 2, size=18) * 2 - 1)
    terms = [(tuple(edge), float(k)) for edge, k in zip(edges.tolist(), couplings, strict=True)]
    terms += [((site,), 0.2) for site in range(9)]
    return Case(
        Ising(coupling=couplings, field=0.2, edges=edges), (9,), tuple(terms), ("bit-coded", "heat-bath", "metropolis")
    )


def _three_spin() -> Case:
    ring = [[i, (i + 1) % 9, (i + 2) % 9] for i in range(9)]
    terms = [(tuple(members), 0.4) for members in ring]
    model = PSpin(order=3, temperature=2.0, terms=ring, couplings=0.8)
    return Case(model, (9,), tuple(terms), ("heat-bath", "metropolis"))


def _mixed_orders() -> Case:
    generator = np.random.default_rng(4)
    exponents = np.unique(generator.integers(0, 2, size=(30, 8)), axis=0)
    exponents = exponents[exponents.sum(1) > 0]
    coefficients = generator.normal(size=len(exponents)) * 0.3
    polynomial = SparsePolynomial(tuple("abcdefgh"), exponents, coefficients)
    terms = [(tuple(np.flatnonzero(row).tolist()), -float(c)) for row, c in zip(exponents, coefficients, strict=True)]
    return Case(Hamiltonian("spin", polynomial), (8,), tuple(terms), ("heat-bath", "metropolis"))


CASES = {
    "torus": _torus(0.3, 0.0, "swendsen-wang", "wolff", "heat-bath", "metropolis", "bit-coded"),
    "torus in a field": _torus(0.25, 0.15, "heat-bath", "metropolis", "bit-coded"),
    "antiferromagnetic torus": _torus(-0.3, 0.1, "heat-bath", "bit-coded"),
    "random graph": _random_graph(),
    "unfrustrated graph": _unfrustrated(),
    "couplings of both signs": _plus_minus(),
    "three-spin ring": _three_spin(),
    "terms of many orders": _mixed_orders(),
}


@lru_cache
def _exact(name: str) -> Averages:
    case = CASES[name]
    return averages(int(np.prod(case.shape)), case.terms)


def exact_scores(name: str, method: str, *, seed: int = 0, sweeps: int = 300) -> np.ndarray:
    """Return the z-scores of a case by a method: energy, its square, all spins, all pairs."""
    case = CASES[name]
    settings = {"shape": case.shape, "chains": CHAINS, "sweeps": sweeps, "discard": 100, "seed": seed}
    found = sample(case.model, method=method, **settings)
    return scores(found.values, _exact(name))


@lru_cache
def _exact_torus_in_a_field() -> Averages:
    return averages(16, torus_terms(4, 4, coupling=0.25, field=0.15))


def glass(temperature: float) -> SpinGlass:
    return SpinGlass(temperature=temperature, graph="complete", disorder_seed=5)


def checkerboard_scores(*, seed: int = 0) -> np.ndarray:
    """Return the z-scores of the torch sampler on 4 x 4 sites with a field."""
    model = Ising(coupling=0.25, field=0.15)
    found = sample_checkerboard(model, shape=(4, 4), chains=CHAINS, sweeps=200, discard=60, seed=seed)
    return scores(found.values, _exact_torus_in_a_field())

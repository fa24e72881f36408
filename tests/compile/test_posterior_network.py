"""Compiled posteriors are Bayes' rule: against densities normalised by enumeration, closed form or quadrature."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad
from scipy.stats import multivariate_normal

from rgflow.compile import ClassHamiltonians, gaussian_hamiltonians, posterior_network
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial, from_terms
from rgflow.records import Hamiltonian

PRIORS = np.array([0.3, 0.7])


def gaussian_classes(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, covariances and priors of four classes in three dimensions."""
    generator = np.random.default_rng(seed)
    roots = generator.normal(size=(4, 3, 3))
    return generator.normal(size=(4, 3)), roots @ roots.transpose(0, 2, 1) + np.eye(3), generator.dirichlet(np.ones(4))


def bayes(log_densities: np.ndarray, priors: np.ndarray) -> torch.Tensor:
    return torch.softmax(torch.from_numpy(log_densities + np.log(priors)), dim=1)


def divergence(exact: torch.Tensor, found: torch.Tensor) -> float:
    """Mean Kullback-Leibler divergence of the found from the exact posterior, in nats."""
    return float(torch.xlogy(exact, exact / found).sum(1).mean())


def enumerated(
    kind: str, polynomials: list[SparsePolynomial], states: np.ndarray
) -> tuple[ClassHamiltonians, np.ndarray]:
    """Classes of discrete variables, and ln p(state | class) from sums over all states."""
    energies = np.stack([polynomial(states) for polynomial in polynomials], axis=1)
    log_sums = np.log(np.exp(-energies).sum(axis=0))
    offsets = torch.from_numpy(log_sums - np.log(PRIORS))
    records = tuple(Hamiltonian(kind, polynomial) for polynomial in polynomials)  # type: ignore[arg-type]
    return ClassHamiltonians(records, offsets), -energies - log_sums


def random_polynomial(variables: int, orders: tuple[int, ...], *, seed: int) -> SparsePolynomial:
    generator = np.random.default_rng(seed)
    supports = [s for k in orders for s in itertools.combinations(range(variables), k)]
    terms = {tuple(int(i in s) for i in range(variables)): float(generator.normal(scale=0.5)) for s in supports}
    return from_terms(terms, variables=[f"s{i}" for i in range(variables)])


def test_four_gaussian_classes_equal_bayes_to_rounding():
    means, covariances, priors = gaussian_classes(0)
    points = np.random.default_rng(1).normal(size=(200, 3))
    logs = [multivariate_normal(m, c).logpdf(points) for m, c in zip(means, covariances, strict=True)]
    exact = bayes(np.stack(logs, axis=1), priors)
    found = gaussian_hamiltonians(means, covariances, priors).posterior(points)
    # Probabilities of some ten roundings of 2^-53 each.
    assert float((found - exact).abs().max()) < 1e-15 * 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_network_of_gaussian_classes_is_bayes(seed):
    means, covariances, priors = gaussian_classes(seed)
    points = np.random.default_rng(seed).uniform(-4.0, 4.0, size=(500, 3))
    logs = [multivariate_normal(m, c).logpdf(points) for m, c in zip(means, covariances, strict=True)]
    exact = bayes(np.stack(logs, axis=1), priors)
    network = posterior_network(gaussian_hamiltonians(means, covariances, priors), domain=4.0, tolerance=1e-5)
    found = network.posterior(points)
    assert float((found - exact).abs().max()) <= network.probability_bound
    assert divergence(exact, found) < 1e-8


@pytest.mark.parametrize(
    ("kind", "values", "variables", "orders"),
    [
        pytest.param("spin", (-1.0, 1.0), 6, (1, 2), id="ising glass in a field"),
        pytest.param("spin", (-1.0, 1.0), 6, (3, 4), id="three- and four-spin glass"),
        pytest.param("bit", (0.0, 1.0), 6, (1, 2, 3), id="bits with triples"),
    ],
)
def test_the_network_of_discrete_classes_is_bayes(kind, values, variables, orders):
    states = np.array(list(itertools.product(values, repeat=variables)))
    classes, logs = enumerated(kind, [random_polynomial(variables, orders, seed=s) for s in (0, 1)], states)
    exact = bayes(logs, PRIORS)
    assert float((classes.posterior(states) - exact).abs().max()) < 1e-14
    network = posterior_network(classes, activation="relu", tolerance=1e-6)
    assert float((network.posterior(states) - exact).abs().max()) <= network.probability_bound
    assert divergence(exact, network.posterior(states)) < 1e-8


def test_the_network_of_two_interacting_fields_is_bayes():
    # Two sites of phi^4 with opposite couplings; normalised by quadrature over the plane.
    def action(coupling: float) -> SparsePolynomial:
        terms = {(2, 0): 0.5, (0, 2): 0.5, (4, 0): 0.25, (0, 4): 0.25, (1, 1): -coupling}
        return from_terms(terms, variables=("a", "b"))

    def weight(y: float, x: float, coupling: float) -> float:
        return math.exp(-(x * x + y * y) / 2 - (x**4 + y**4) / 4 + coupling * x * y)

    couplings = (0.8, -0.3)
    sums = [dblquad(weight, -6, 6, -6, 6, args=(j,), epsabs=1e-12)[0] for j in couplings]
    points = np.random.default_rng(0).uniform(-2.0, 2.0, size=(400, 2))
    logs = np.array([[math.log(weight(y, x, j) / z) for j, z in zip(couplings, sums, strict=True)] for x, y in points])
    exact = bayes(logs, PRIORS)
    offsets = torch.tensor(np.log(sums) - np.log(PRIORS))
    classes = ClassHamiltonians(tuple(Hamiltonian("continuous", action(j)) for j in couplings), offsets)
    network = posterior_network(classes, domain=2.0, tolerance=1e-5)
    assert divergence(exact, network.posterior(points)) < 1e-8


def test_categories_enter_as_indicators():
    names = ("a=0", "a=1", "b=0", "b=1", "b=2")
    couplings = [{(1, 0, 1, 0, 0): -1.0, (0, 1, 0, 0, 1): 0.7}, {(1, 0, 0, 1, 0): 0.4, (0, 1, 1, 0, 0): -0.2}]
    records = tuple(Hamiltonian("categorical", from_terms(c, variables=names), levels=(2, 3)) for c in couplings)
    classes = ClassHamiltonians(records, torch.zeros(2))
    states = np.array(list(itertools.product(range(2), range(3))))
    indicators = np.concatenate([np.eye(2)[states[:, 0]], np.eye(3)[states[:, 1]]], axis=1)
    network = posterior_network(classes, activation="relu")
    assert divergence(classes.posterior(states), network.posterior(indicators)) < 1e-8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_bound_holds_with_means_and_scales_in_the_first_layer(dtype):
    means, covariances, priors = gaussian_classes(4)
    classes = gaussian_hamiltonians(means, covariances, priors)
    centre, scale = np.array([100.0, -3.0, 0.0]), np.array([7.0, 0.1, 1.0])
    network = posterior_network(
        classes, mean=centre, scale=scale, domain=3.0, activation="squared_relu", tolerance=1e-2, dtype=dtype
    )
    z = np.random.default_rng(0).uniform(-3.0, 3.0, size=(300, 3))
    raw = torch.from_numpy(centre + scale * z).to(dtype)
    exact = classes.logits((raw.double().numpy() - centre) / scale)
    with torch.no_grad():
        found = network.module(raw)
    assert found.dtype == dtype
    assert float((found.double() - exact).abs().max()) <= network.error_bound
    kinds = {type(part).__name__ for part in network.module.modules() if not list(part.children())}
    assert "Linear" in kinds
    assert len(kinds) == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scale": [1.0, 0.0]}, "scales above 0"),
        ({"mean": [1.0, 0.0, 2.0]}, "one for each variable"),
    ],
)
def test_means_and_scales_must_fit(change, words):
    classes = gaussian_hamiltonians(np.zeros((2, 2)), np.stack([np.eye(2), 2.0 * np.eye(2)]), [0.5, 0.5])
    with pytest.raises(SettingError, match=words):
        posterior_network(classes, **change)


def test_classes_that_depend_on_nothing_are_refused():
    flat = Hamiltonian("real", from_terms({(0,): 1.0}, variables=("a",)))
    with pytest.raises(SettingError, match="the posterior is the prior"):
        posterior_network(ClassHamiltonians((flat, flat), torch.zeros(2)))


@pytest.mark.parametrize(
    ("means", "covariances", "priors", "words"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2, 2)), [0.5, 0.5], "not positive definite"),
        (np.zeros((2, 2)), np.ones((2, 3, 3)), [0.5, 0.5], "are needed"),
        (np.zeros((2, 1)), np.ones((2, 1, 1)), [1.0, 0.0], "positive probability"),
        (np.zeros((2, 2)), np.array([[[1.0, 0.5], [0.2, 1.0]]] * 2), [0.5, 0.5], "not symmetric"),
    ],
)
def test_impossible_gaussian_classes_are_refused(means, covariances, priors, words):
    with pytest.raises(SettingError, match=words):
        gaussian_hamiltonians(means, covariances, priors)


def test_classes_over_other_variables_are_refused():
    first, second = (Hamiltonian("real", from_terms({(1,): 1.0}, variables=(name,))) for name in "ab")
    with pytest.raises(SettingError, match="over the same variables"):
        ClassHamiltonians((first, second), torch.zeros(2))

"""Pseudo-likelihood fits of spins: reference values, derivatives, three designs against each other, invariances, refusals.

Derivatives are compared with central differences of step 1e-4, whose own error is step^2 / 6 of the third derivatives.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.structure import Terms, fit_by_screening, fit_terms, log_pseudo_likelihood, support_terms
from rgflow.structure.pseudo_likelihood import design_for
from rgflow.structure.spin_designs import PairDesign, TableDesign, TermDesign
from rgflow.structure.spin_layout import TermLayout
from rgflow.structure.spin_losses import PSEUDO_LIKELIHOOD, SCREENING, SiteLoss
from rgflow.structure.spin_minimise import Problem, minimised_by_lbfgs, minimised_by_newton
from rgflow.structure.spin_samples import spin_sample
from rgflow.structure.terms import all_terms, tied_by, untied
from structure.spin_problems import SpinModel, generic_pairs, glass, torus, triples
from tests.structure.ising_samples import ising_samples
from tolerances import ROUNDING, SINGLE

VALUES = json.loads((Path(__file__).parents[1] / "reference" / "spin_fits.json").read_text())["values"]
GOLDEN = {value["id"]: value for value in VALUES}
LOSSES = [PSEUDO_LIKELIHOOD, SCREENING]
DIFFERENCES = 1e-6
LATTICE = Lattice((3, 4))
LOCAL = support_terms("local", sites=12, lattice=LATTICE)
RUNGS = {
    "4-local": all_terms(12, 4),
    "3-local": all_terms(12, 3),
    "2-local": all_terms(12, 2),
    "spatial_local": LOCAL,
    "translation": support_terms("translation", sites=12, lattice=LATTICE),
    "+rotation": Terms(12, LOCAL.groups, np.repeat([0, 1], [12, 24])),
    "+Z2": Terms(12, LOCAL.groups[1:], np.zeros(24, dtype=np.int64)),
    "wrong:independent": all_terms(12, 1),
}


def drawn_terms(sites: int) -> Terms:
    """Terms of orders 1 to 4 with random ties."""
    terms, generator = all_terms(sites, 4), np.random.default_rng(5)
    kept = untied([group[generator.random(len(group)) < 0.5] for group in terms.groups], sites=sites)
    tie = np.unique(generator.integers(0, len(kept) // 2, size=len(kept)), return_inverse=True)[1]
    return Terms(sites, kept.groups, tie)


def table_of(design: TermDesign | PairDesign, spins: np.ndarray) -> np.ndarray:
    """Features (parameters, sites, samples) by the definition: the product of the spins of each term, at each member."""
    terms = design.layout.terms
    features = np.zeros((terms.parameters, terms.sites, len(spins)))
    tie = iter(terms.tie.tolist())
    for group in terms.groups:
        for members in group:
            features[next(tie), members] += spins[:, members].prod(1)
    return features


def test_the_true_torus_scores_its_exact_expectation() -> None:
    model = torus()
    rows = log_pseudo_likelihood(model.states, model.terms, model.theta)
    golden = GOLDEN["B.ladder3x4.exact_true"]
    assert abs(float(torch.from_numpy(model.probabilities) @ rows.mean(1)) - golden["value"]) <= golden["tol"]


@pytest.mark.parametrize("name", [name for name in GOLDEN if ".ladder3x4.M" in name])
def test_rungs_of_the_torus_score_as_in_the_reference(name: str) -> None:
    samples, rung = name.removeprefix("B.ladder3x4.M").removesuffix(".test").split(".", 1)
    model, terms = torus(), RUNGS[rung]
    fit = fit_terms(model.draws(int(samples), seed=1), terms)
    held_out = model.draws(20_000, seed=2)
    score = float(log_pseudo_likelihood(held_out, terms, fit.parameters).mean())
    assert abs(score - GOLDEN[name]["value"]) <= GOLDEN[name]["tol"]


def test_triples_score_as_in_the_reference_only_from_order_three_on() -> None:
    model, golden = triples(), GOLDEN["B.3spin.true_pl"]
    samples, held_out = model.draws(4000, seed=3), model.draws(4000, seed=4)
    assert (
        abs(float(log_pseudo_likelihood(held_out, model.terms, model.theta).mean()) - golden["value"]) <= golden["tol"]
    )
    tied = tied_by(model.terms, np.roll(np.arange(10), 1)[None])
    fit = fit_terms(samples, tied)
    assert tied.parameters == 1
    assert float(fit.parameters[0]) == pytest.approx(0.5, abs=0.03)  # 6 standard errors
    pairs = fit_terms(samples, all_terms(10, 2))
    assert float(log_pseudo_likelihood(held_out, pairs.terms, pairs.parameters).mean()) < -0.6


@pytest.mark.parametrize("name", [name for name in GOLDEN if ".SK14." in name])
def test_a_glass_of_14_spins_is_recovered_as_well_as_in_the_reference(name: str) -> None:
    beta, samples = name.removeprefix("B.SK14.beta").removesuffix(".pl").split("_M")
    ratios = []
    for seed in range(2):
        model = glass(14, beta=float(beta), seed=seed)
        fit = fit_terms(model.draws(int(samples), seed=seed), model.terms)
        misfit = np.sqrt(((fit.parameters.numpy() - model.theta) ** 2).mean() / (model.theta**2).mean())
        ratios.append(misfit / GOLDEN[name]["value"])
    middle = float(np.exp(np.log(ratios).mean()))
    assert 1.0 / GOLDEN[name]["tol"] <= middle <= GOLDEN[name]["tol"]


def test_ising_16_by_16_is_found_by_one_coupling() -> None:
    spins = ising_samples(16, 3.0, samples=4000, seed=1)
    lattice, golden = Lattice((16, 16)), GOLDEN["B.ising16.T3.0.K"]
    bond = support_terms("rotation", sites=256, lattice=lattice, even=True)
    coupling = float(fit_terms(spins, bond).parameters[0])
    assert abs(coupling - golden["value"]) <= golden["tol"]


@pytest.mark.slow
def test_all_pairs_of_ising_16_by_16_exceed_by_the_reference_value() -> None:
    lattice, golden = Lattice((16, 16)), GOLDEN["B.ising16.T2.5.all_pairs_excess"]
    spins = ising_samples(16, 2.5, samples=8000, seed=1)
    bond, pairs = support_terms("rotation", sites=256, lattice=lattice, even=True), all_terms(256, 2)
    fit = fit_terms(spins[:4000], pairs)
    truth = log_pseudo_likelihood(spins[4000:], bond, [0.4]).mean()
    excess = float(truth - log_pseudo_likelihood(spins[4000:], pairs, fit.parameters).mean())
    # the reference fits each site alone; the joint fit shares each pair, whose two copies hardly differ at weak coupling
    assert abs(excess - golden["value"]) <= golden["tol"]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("terms", [all_terms(5, 3), drawn_terms(6), support_terms("permutation", sites=6)], ids=len)
def test_gradient_and_hessian_are_the_differences_of_the_objective(loss: SiteLoss, terms: Terms) -> None:
    generator = np.random.default_rng(0)
    spins = generator.choice(np.array([-1, 1], dtype=np.int8), (300, terms.sites))
    problem = Problem(design_for(spins, terms), loss, 0.1)
    theta, step = 0.3 * generator.standard_normal(terms.parameters), 1e-4
    for direction in np.eye(terms.parameters)[:: max(1, terms.parameters // 6)]:
        ahead, behind = theta + step * direction, theta - step * direction
        slope = (problem.value(ahead) - problem.value(behind)) / (2.0 * step)
        assert slope == pytest.approx(problem.gradient(theta) @ direction, abs=DIFFERENCES)
        bend = (problem.gradient(ahead) - problem.gradient(behind)) / (2.0 * step)
        assert np.allclose(bend, problem.hessian(theta) @ direction, atol=DIFFERENCES)


@pytest.mark.parametrize("merged", [False, True])
def test_compiled_loops_follow_the_definition(merged: bool) -> None:
    terms, generator = drawn_terms(6), np.random.default_rng(1)
    spins = generator.choice(np.array([-1, 1], dtype=np.int8), (900 if merged else 200, 6))
    design = TermDesign(spin_sample(spins, sites=6), TermLayout(terms))
    assert (design.sample.inverse is not None) == merged
    rows = design.sample.spins.T
    features, theta = table_of(design, rows), generator.standard_normal(terms.parameters)
    slopes = generator.standard_normal((6, len(rows)))
    assert np.allclose(design.margins(theta), np.einsum("p,pim->im", theta, features), rtol=ROUNDING, atol=ROUNDING)
    assert np.allclose(design.pulled(slopes), np.einsum("pim,im->p", features, slopes), rtol=ROUNDING, atol=1e-10)
    weights = np.abs(slopes)
    expected = np.einsum("pim,im,qim->pq", features, weights, features)
    assert np.allclose(design.curvature(weights), expected, rtol=ROUNDING, atol=1e-10)


def test_matrix_products_agree_with_the_loops_in_single_precision() -> None:
    generator = np.random.default_rng(2)
    spins = generator.choice(np.array([-1, 1], dtype=np.int8), (300, 70))
    dense = design_for(spins, all_terms(70, 2))
    assert isinstance(dense, PairDesign)
    loops = TermDesign(dense.sample, dense.layout)
    theta, slopes = generator.standard_normal(dense.parameters), generator.standard_normal((70, 300))
    assert np.allclose(dense.margins(theta), loops.margins(theta), rtol=SINGLE, atol=20 * SINGLE)
    assert np.allclose(dense.pulled(slopes), loops.pulled(slopes), rtol=SINGLE, atol=20 * SINGLE)
    for site in (0, 33, 69):
        order = np.argsort(dense.parameters_at(site))
        assert np.array_equal(dense.parameters_at(site)[order], loops.parameters_at(site))
        assert np.array_equal(dense.features_at(site)[order], loops.features_at(site))


def test_a_table_of_neighbourhoods_gives_the_fit_of_the_loops() -> None:
    model, terms = torus(), RUNGS["translation"]
    spins = model.draws(500, seed=0)
    table = design_for(spins, terms)
    assert isinstance(table, TableDesign)
    assert table.counts.sum() == 500 * 12
    loops = TermDesign(spin_sample(spins, sites=12), TermLayout(terms))
    one, other = (
        minimised_by_newton(Problem(design, PSEUDO_LIKELIHOOD, 0.02), np.zeros(3)) for design in (table, loops)
    )
    assert np.allclose(one.theta, other.theta, rtol=1e-9)


def test_newton_and_lbfgs_find_the_same_minimum() -> None:
    model = generic_pairs(8, seed=1)
    problem = Problem(design_for(model.draws(800, seed=1), model.terms), PSEUDO_LIKELIHOOD, 0.01)
    start = np.zeros(problem.design.parameters)
    first, second = minimised_by_newton(problem, start), minimised_by_lbfgs(problem, start)
    assert (first.converged, second.converged) == (True, True)
    assert np.abs(problem.gradient(first.theta)).max() < 1e-9
    assert np.allclose(first.theta, second.theta, atol=1e-4)  # L-BFGS stops at slopes of 5e-6, curvatures are above 0.1


def test_screening_equals_single_flip_minimum_probability_flow() -> None:
    terms, generator = drawn_terms(6), np.random.default_rng(3)
    spins = generator.choice(np.array([-1, 1], dtype=np.int8), (40, 6))
    theta = 0.4 * generator.standard_normal(terms.parameters)
    model = SpinModel(terms, theta)
    energy = dict(zip(map(bytes, model.states), -np.log(model.probabilities), strict=True))
    flow = 0.0
    for row in spins:
        for site in range(6):
            flipped = row.copy()
            flipped[site] *= -1
            flow += np.exp((energy[bytes(row)] - energy[bytes(flipped)]) / 2.0) / len(spins)
    assert Problem(design_for(spins, terms), SCREENING, 0.0).value(theta) == pytest.approx(flow, rel=1e-10)


@pytest.mark.parametrize("fit", [fit_terms, fit_by_screening])
def test_flipping_a_spin_flips_its_couplings_and_relabelling_moves_them(fit) -> None:
    model = generic_pairs(6, seed=4)
    spins = model.draws(600, seed=4)
    plain = fit(spins, model.terms).parameters.numpy()
    gauge = np.array([1, -1, 1, 1, -1, 1], dtype=np.int8)
    signs = np.concatenate([gauge[group].prod(1) for group in model.terms.groups])
    assert np.allclose(fit(spins * gauge, model.terms).parameters.numpy(), signs * plain, rtol=1e-8, atol=1e-10)
    permutation = np.array([3, 0, 5, 1, 4, 2])
    moved = fit(spins[:, permutation], model.terms).parameters.numpy()
    place = {tuple(sorted(row.tolist())): k for k, row in enumerate(row for g in model.terms.groups for row in g)}
    for members, k in place.items():
        assert moved[k] == pytest.approx(plain[place[tuple(sorted(permutation[list(members)].tolist()))]], rel=1e-8)


def test_all_states_with_their_probabilities_give_the_true_couplings() -> None:
    model = generic_pairs(5, seed=6)
    counts = np.round(model.probabilities * 400_000).astype(np.int64)
    fit = fit_terms(np.repeat(model.states, counts, axis=0), model.terms, regularisation=0.0)
    assert np.abs(fit.parameters.numpy() - model.theta).max() < 1e-4  # counts are rounded to 1 in 400,000


def test_a_penalty_keeps_separable_data_finite_and_without_one_it_is_said() -> None:
    spins = torus().draws(300, seed=7)
    spins[:, 4] = 1
    fit = fit_terms(spins, all_terms(12, 2))
    assert fit.converged
    assert bool(torch.isfinite(fit.parameters).all())
    assert float(fit.parameters[4]) > 1.0
    assert not fit_terms(spins, all_terms(12, 1), regularisation=0.0).converged


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([[0, 1], [1, 1]], "has the value 0; it must be -1 or 1"),
        ([[0.5, 1.0]], "has the value 0.5"),
        ([[float("nan"), 1.0]], "has the value nan"),
        ([1, -1], "shape"),
        ([[1, 1, 1]], r"\(samples, 2\) is needed"),
        ([["a", "b"]], "must be the number"),
    ],
)
def test_samples_that_are_no_spins_are_refused(samples: list, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fit_terms(samples, all_terms(2, 1))


def test_wrong_settings_are_refused() -> None:
    spins = [[1, -1], [1, 1]]
    with pytest.raises(SettingError, match="regularisation is -1"):
        fit_terms(spins, all_terms(2, 1), regularisation=-1.0)
    with pytest.raises(SettingError, match="no terms to fit"):
        fit_terms(spins, Terms(2, (), np.zeros(0, dtype=np.int64)))
    with pytest.raises(SettingError, match="3 parameters given; the terms have 2"):
        log_pseudo_likelihood(spins, all_terms(2, 1), [0.0, 0.0, 0.0])

"""Errors, second opinion, selection, supports and memory of spin fits, over repeated draws with known couplings.

z-scores pool parameters of many draws; parameters of one draw are correlated, so that the variance of the mean square is
taken over draws. `NAIVE` is what shuffling a correlated chain gives: the negative control.
"""

import math

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.structure import (
    Terms,
    fit_categories,
    fit_continuous,
    fit_hamiltonian,
    fit_spins,
    fit_terms,
    forecast_memory,
    log_pseudo_likelihood,
    parameter_errors,
    select_support,
    support_terms,
)
from rgflow.structure.fit_memory import checked_memory
from rgflow.structure.selection import kept_terms, selected_by_rate
from rgflow.structure.series_errors import inflation
from rgflow.structure.terms import all_terms, untied
from structure.spin_problems import SpinModel, chain, generic_pairs, torus, triples
from tolerances import ROUNDING, z_limit

DRAWS = 40
SLACK = 0.04  # the penalty's shrinkage, 7 theta / sqrt(samples) standard errors, adds at most this to a mean square


def squares(deviations: list[np.ndarray]) -> tuple[float, float]:
    """Mean of the squared z-scores and its standard error over draws."""
    means = [float((z**2).mean()) for z in deviations]
    return float(np.mean(means)), float(np.std(means) / math.sqrt(len(means) - 1))


@pytest.mark.parametrize(("samples", "route"), [(300, "joint"), (2000, "joint"), (2000, "sites")])
def test_z_scores_of_independent_samples_have_unit_variance(samples: int, route: str) -> None:
    model, found = generic_pairs(8, seed=1), []
    for seed in range(DRAWS):
        spins = model.draws(samples, seed=seed)
        fit = fit_terms(spins, model.terms)
        errors = parameter_errors(spins, fit, route=route).errors  # pyright: ignore[reportArgumentType]
        found.append((fit.parameters.numpy() - model.theta) / errors.numpy())
    mean, error = squares(found)
    low = 0.1 if route == "sites" else 0.0  # an upper bound: errors up to 5 % larger here
    assert 1.0 - low - SLACK - z_limit(1) * error < mean < 1.0 + SLACK + z_limit(1) * error


def test_z_scores_of_a_correlated_chain_have_unit_variance_and_shuffling_it_loses_that() -> None:
    model, found, naive, effective = generic_pairs(6, seed=2), [], [], []
    for seed in range(24):
        spins = chain(model, records=2000, updates=2, seed=seed)
        fit = fit_terms(spins, model.terms)
        errors = parameter_errors(spins, fit)
        found.append((fit.parameters.numpy() - model.theta) / errors.errors.numpy())
        effective.append(errors.effective_samples / 2000)
        shuffled = parameter_errors(np.random.default_rng(seed).permutation(spins), fit).errors
        naive.append((fit.parameters.numpy() - model.theta) / shuffled.numpy())
    mean, error = squares(found)
    # 30 effective stretches a chain make the variance of an error matter: E[1 / variance] adds about 0.06
    assert 1.0 - 0.06 - z_limit(1) * error < mean < 1.12 + z_limit(1) * error
    assert squares(naive)[0] > 2.0
    assert 0.2 < np.mean(effective) < 0.7


def test_leverage_keeps_errors_honest_with_few_samples_for_each_parameter() -> None:
    terms, found = all_terms(8, 2), []
    for seed in range(60):
        spins = np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), (60, 8))
        fit = fit_terms(spins, terms, regularisation=1 / 60)
        found.append((fit.parameters / parameter_errors(spins, fit).errors).numpy())
    assert 0.8 < squares(found)[0] < 1.12  # 8 parameters a site and 60 samples: without leverage 1.27 +- 0.05


def test_inflation_of_an_autoregression_is_its_exact_value() -> None:
    generator, strength = np.random.default_rng(0), 0.8
    noise = generator.standard_normal((40, 8200))
    series = np.empty_like(noise)
    series[:, 0] = noise[:, 0] / math.sqrt(1.0 - strength**2)
    for step in range(1, 8200):
        series[:, step] = strength * series[:, step - 1] + noise[:, step]
    series = series[:, :8000] - series[:, :8000].mean(1, keepdims=True)
    found = inflation(series, groups=np.zeros(40))
    exact = (1.0 + strength) / (1.0 - strength)
    spread = exact * math.sqrt(2.0 * (2.0 * found.window + 1.0) / 8000 / 40)
    assert abs(found.factors.mean() - exact) < z_limit(1) * spread + 0.03 * exact  # the window cuts off about e^-3
    assert found.settled
    split = inflation(series.reshape(40, 8000), groups=np.zeros(40), chains=8)
    assert split.factors.mean() == pytest.approx(found.factors.mean(), rel=0.05)
    white = noise[:, :8000] - noise[:, :8000].mean(1, keepdims=True)
    assert inflation(white, groups=np.zeros(40)).factors.mean() == pytest.approx(1.0, abs=0.03)


def test_chains_one_after_the_other_are_told_from_interleaved_ones() -> None:
    model = generic_pairs(6, seed=3)
    runs = [chain(model, records=300, updates=2, seed=seed) for seed in range(6)]
    fit = fit_terms(np.concatenate(runs), model.terms)
    kept = parameter_errors(np.concatenate(runs), fit, chains=6)
    mixed = parameter_errors(np.stack(runs, axis=1).reshape(-1, 6), fit)
    assert kept.effective_samples < 0.8 * mixed.effective_samples
    with pytest.raises(SettingError, match="chains is 7 for 1800 samples"):
        parameter_errors(np.concatenate(runs), fit, chains=7)


def test_errors_of_tied_terms_and_of_the_table_agree_with_repeated_draws() -> None:
    lattice, found = Lattice((3, 4)), []
    terms = support_terms("translation", sites=12, lattice=lattice)
    model = torus()
    for seed in range(DRAWS):
        spins = model.draws(400, seed=seed)
        fit = fit_terms(spins, terms)
        found.append((fit.parameters.numpy() - [0.0, 0.3, 0.3]) / parameter_errors(spins, fit).errors.numpy())
    mean, error = squares(found)
    assert abs(mean - 1.0) < SLACK + z_limit(1) * error


def test_a_sandwich_sees_what_the_curvature_alone_does_not() -> None:
    model = generic_pairs(8, seed=4)
    spins = model.draws(4000, seed=0)
    fit = fit_terms(spins, model.terms)
    found = parameter_errors(spins, fit)
    assert found.covariance is not None
    assert torch.allclose(found.covariance.diagonal().sqrt(), found.errors, rtol=ROUNDING)
    # the score of a pair counts one product twice: the curvature alone promises errors smaller by up to sqrt 2
    assert 0.6 < float((1.0 / math.sqrt(2.0 * 4000)) / found.errors[8:].min()) < 0.9


def test_a_spin_that_never_changes_is_said_and_its_couplings_are_unknown() -> None:
    spins = torus().draws(400, seed=1)
    spins[:, 3] = 1
    spins[:, 5] = spins[:, 6]
    fitted = fit_spins(spins)
    assert fitted.fit is not None
    touched = [k for k, name in enumerate(fitted.fit.names) if "x3" in name.split("*") or name == "x5*x6"]
    assert torch.isinf(fitted.fit.errors).nonzero().flatten().tolist() == touched
    assert bool(torch.isfinite(fitted.fit.parameters).all())
    assert any("constant in all 400 samples: x3;" in note for note in fitted.fit.notes)


def test_the_second_opinion_agrees_on_the_right_terms_and_disagrees_on_wrong_ones() -> None:
    pairs = generic_pairs(8, seed=5)
    right = fit_spins(pairs.draws(3000, seed=5)).fit
    wrong = fit_spins(triples().draws(3000, seed=5), support="independent").fit
    mixed = SpinModel(all_terms(8, 3), np.concatenate([pairs.theta, np.full(56, 0.25)]))
    third = fit_spins(mixed.draws(8000, seed=5), order=2).fit
    assert right is not None
    assert third is not None
    assert wrong is not None
    assert right.second_opinion is not None
    assert not any("screening differs" in note for note in right.notes)
    assert not any("screening differs" in note for note in wrong.notes)  # single spins are balanced: both estimate 0
    assert any("screening differs" in note for note in third.notes)


def sparse_graph(seed: int) -> SpinModel:
    """12 of the 66 pairs of 12 spins, J = +-0.3."""
    generator = np.random.default_rng(seed)
    pairs = np.stack(np.triu_indices(12, 1), axis=1)
    chosen = np.sort(generator.choice(66, 12, replace=False))
    return SpinModel(untied([pairs[chosen]], sites=12), generator.choice([-0.3, 0.3], 12))


def test_false_discoveries_stay_at_their_rate_and_true_ones_are_found() -> None:
    terms, rate = all_terms(12, 2), 0.1
    place = {tuple(row.tolist()): 12 + k for k, row in enumerate(terms.groups[1])}
    shares, power, nulls = [], [], []
    for seed in range(DRAWS):
        model = sparse_graph(seed)
        found = select_support(model.draws(600, seed=seed), terms, false_discoveries=rate)
        true = torch.zeros(78, dtype=torch.bool)
        true[[place[tuple(row.tolist())] for row in model.terms.groups[0]]] = True
        kept = int(found.selected.sum())
        shares.append(int((found.selected & ~true).sum()) / max(kept, 1))
        power.append(int((found.selected & true).sum()) / 12)
        noise = np.random.default_rng(1000 + seed).choice(np.array([-1, 1], dtype=np.int8), (600, 12))
        nulls.append(int(select_support(noise, terms, false_discoveries=rate).selected.sum()) > 0)
    error = float(np.std(shares)) / math.sqrt(DRAWS)
    assert np.mean(shares) < rate + 3.0 * error
    assert np.mean(shares) > 0.01  # a procedure that never errs is not the one promised
    assert np.mean(power) > 0.95
    assert sum(nulls) <= 12  # 40 draws at 0.1: P(more than 12) = 2e-4


def test_a_selected_fit_holds_the_kept_terms_alone() -> None:
    model = sparse_graph(3)
    fitted = fit_spins(model.draws(1500, seed=3), false_discoveries=0.1)
    fit = fitted.fit
    assert fit is not None
    assert fit.selected is not None
    assert len(fitted.polynomial) == int(fit.selected.sum())
    assert fitted.errors is not None
    assert float(fit.parameters[~fit.selected].abs().max()) == 0.0
    held_out = model.draws(3000, seed=4)
    whole = fit_spins(model.draws(1500, seed=3))
    assert score(fitted, held_out) > score(whole, held_out)
    noise = np.random.default_rng(7).choice(np.array([-1, 1], dtype=np.int8), (300, 5))
    empty = fit_spins(noise, false_discoveries=1e-6)
    assert len(empty.polynomial) == 0


def score(fitted, held_out: np.ndarray) -> float:
    """Mean log pseudo-likelihood from energies alone: p(s_i | rest) = 1 / (1 + exp(H(s) - H(flipped)))."""
    energy, total = fitted.energy(held_out), 0.0
    for site in range(held_out.shape[1]):
        flipped = held_out.copy()
        flipped[:, site] *= -1
        total += float(-torch.nn.functional.softplus(energy - fitted.energy(flipped)).mean())
    return total / held_out.shape[1]


def test_the_hamiltonian_gives_the_conditionals_of_the_fit_and_its_errors_in_its_own_order() -> None:
    model = generic_pairs(6, seed=8)
    spins = model.draws(500, seed=8)
    shuffled = np.random.default_rng(0).permutation(15)
    terms = Terms(6, (model.terms.groups[0], model.terms.groups[1][shuffled]), np.arange(21))
    fitted = fit_hamiltonian(spins, terms=terms, names=tuple("abcdef"))
    assert fitted.fit is not None
    assert fitted.errors is not None
    rows = log_pseudo_likelihood(spins, terms, fitted.fit.parameters)
    assert score(fitted, spins) == pytest.approx(float(rows.mean()), rel=1e-10)
    assert fitted.fit.objective == pytest.approx(-float(rows.mean()), rel=1e-10)
    by_name = dict(zip(fitted.fit.names, zip(fitted.fit.parameters, fitted.fit.errors, strict=True), strict=True))
    for (exponents, coupling), error in zip(fitted.polynomial.terms(), fitted.errors, strict=True):
        name = "*".join(letter for letter, power in zip("abcdef", exponents, strict=True) if power)
        assert by_name[name] == (-coupling, error)


def test_benjamini_and_hochberg_as_by_hand() -> None:
    p_values = torch.tensor([0.001, 0.2, 0.012, 0.04, 0.9], dtype=torch.float64)
    assert selected_by_rate(p_values, 0.05).tolist() == [True, False, True, False, False]
    assert not selected_by_rate(torch.ones(3), 0.1).any()
    with pytest.raises(SettingError, match="false_discoveries is 1"):
        selected_by_rate(p_values, 1.0)


def test_kept_terms_keep_ties_and_order() -> None:
    terms = support_terms("translation", sites=12, lattice=Lattice((3, 4)))
    kept = kept_terms(terms, torch.tensor([False, True, True]))
    assert (kept.parameters, len(kept), kept.order) == (2, 24, 2)
    assert len(kept_terms(terms, torch.zeros(3, dtype=torch.bool))) == 0


def test_supports_have_as_many_parameters_as_the_count_ladder_says() -> None:
    square, ring = Lattice((4, 4)), Lattice((10,))
    assert support_terms("local", sites=16, lattice=square).parameters == 16 + 32
    assert support_terms("translation", sites=16, lattice=square).parameters == 3
    assert support_terms("rotation", sites=16, lattice=square).parameters == 2
    assert support_terms("rotation", sites=16, lattice=square, even=True).parameters == 1
    assert support_terms("local", sites=16, order=4, lattice=square, reach=1.5).parameters == 16 + 64 + 64 + 16
    assert support_terms("translation", sites=10, order=3, lattice=ring, reach=2).parameters == 4
    assert support_terms("permutation", sites=10, order=3).parameters == 3
    assert support_terms("independent", sites=10).parameters == 10
    open_square = Lattice((3, 3), periodic=False)
    assert support_terms("translation", sites=9, lattice=open_square).parameters == 3
    assert support_terms("reflection", sites=16, order=3, lattice=square, reach=1.5).parameters == 5
    swap = np.arange(16)[::-1]
    assert support_terms("local", sites=16, lattice=square, permutations=swap[None]).parameters == 8 + 16


def test_translation_fits_a_large_lattice_from_few_counts() -> None:
    lattice = Lattice((64, 64))
    spins = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.int8), (50, 4096))
    fit = fit_hamiltonian(spins, support="rotation", lattice=lattice, even=True).fit
    assert fit is not None
    assert abs(float(fit.parameters[0])) < z_limit(1) * float(fit.errors[0])
    assert float(fit.errors[0]) == pytest.approx(1.0 / math.sqrt(2 * 4096 * 50), rel=0.2)  # as many bonds as noise
    assert int(fit.members[0]) == 8192


def test_memory_is_forecast_before_work_and_refused_above_the_limit() -> None:
    assert 2**28 < forecast_memory(all_terms(400, 2), samples=100_000) < 2**33
    with pytest.raises(SettingError, match="GiB are allowed; lower the order"):
        fit_spins(torus().draws(100, seed=0), memory_limit=1000)
    with pytest.raises(SettingError, match="GiB are allowed"):
        fit_spins(np.ones((3, 3000), dtype=np.int8), order=4, memory_limit=2**30)
    assert checked_memory(10, limit=None) == 10


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"support": "near"}, "support is 'near'; it must be one of"),
        ({"support": "local"}, "needs a lattice with 12 sites; the lattice given is none"),
        ({"support": "local", "lattice": Lattice((4, 4))}, r"the lattice given is \(4, 4\)"),
        ({"support": "local", "lattice": Lattice((3, 4)), "order": 4}, "no 4 sites lie within reach 1"),
        ({"order": 0}, "order is 0"),
        ({"order": 1, "even": True}, "leaves no term"),
        ({"names": ("a",)}, "1 names given for 12 sites"),
        ({"terms": all_terms(3, 1)}, "over 3 sites and the samples have 12"),
        ({"kind": "binary"}, "kind is 'binary'"),
        ({"spin": 2}, "there is no setting 'spin' for kind='spin'"),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(settings: dict, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        fit_hamiltonian(torus().draws(50, seed=0), **settings)


def test_one_entrance_leads_to_the_fits_of_all_kinds() -> None:
    generator = np.random.default_rng(9)
    real, states = generator.standard_normal((200, 3)), generator.integers(0, 3, size=(200, 3))
    pairs = [
        (fit_hamiltonian(real, kind="continuous", even=True), fit_continuous(real, even=True)),
        (fit_hamiltonian(states, kind="categorical", order=1), fit_categories(states, order=1)),
        (fit_hamiltonian(np.sign(real), order=1), fit_spins(np.sign(real), order=1)),
    ]
    assert [found.kind for found, _ in pairs] == ["continuous", "categorical", "spin"]
    assert all(torch.equal(found.couplings, direct.couplings) for found, direct in pairs)


def test_bits_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError, match="for bits b give 2 b - 1"):
        fit_hamiltonian([[0, 1], [1, 0]])

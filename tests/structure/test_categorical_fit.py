"""Potts models from samples: the reference, spins as two levels, gauge, orientation, errors that hold."""

import itertools

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.structure import category_rows, fit_categories, fit_spins
from rgflow.structure.categorical_errors import joint_errors, site_errors
from rgflow.structure.categorical_likelihood import CategoricalSample, curvature, negative_likelihood, score_matrix
from rgflow.structure.categorical_terms import categorical_terms_of, contrasts
from tests.tolerances import ROUNDING, z_limit

RING = Lattice((7,))
COUPLING, FIELD = 0.7, 0.3  # of the reference: q = 3, ring of 7, J delta(s_i, s_j) + h delta(s_i, 0)
STATES = np.array(list(itertools.product(range(3), repeat=7)))


def ring_samples(samples: int, *, seed: int, turn: int = 0) -> np.ndarray:
    """Independent samples of the reference; `turn` favours s_(i+1) = s_i + turn instead of equal neighbours."""
    energy = COUPLING * (np.roll(STATES, -1, 1) == (STATES + turn) % 3).sum(1) + FIELD * (STATES == 0).sum(1)
    chances = np.exp(energy)
    return STATES[np.random.default_rng(seed).choice(len(STATES), samples, p=chances / chances.sum())]


def field_on_colour_0(hamiltonian) -> float:
    """h of h delta(s, 0), from the fields of site 0 in the zero-sum gauge."""
    fields = -hamiltonian.couplings[:3]
    return float(fields[0] - (fields[1] + fields[2]) / 2.0)


@pytest.mark.parametrize(
    ("samples", "reference", "tolerance"),
    [(3000, (0.6848, 0.3053), 0.06), (30000, (0.6886, 0.3005), 0.02)],
    ids=["3000", "30000"],
)
def test_the_ring_of_the_reference_is_recovered(samples, reference, tolerance):
    found = fit_categories(
        ring_samples(samples, seed=1), support="translation", lattice=RING, colours="potts", regularisation=0.0
    )
    assert float(found.fit.parameters[-1]) == pytest.approx(reference[0], abs=tolerance)
    assert field_on_colour_0(found) == pytest.approx(reference[1], abs=tolerance)
    assert abs(float((found.fit.parameters[-1] - COUPLING) / found.fit.errors[-1])) < z_limit(1)


def test_two_levels_are_spins():
    generator = np.random.default_rng(2)
    codes = generator.integers(0, 2, size=(300, 4))
    codes[:, 1] = np.where(generator.random(300) < 0.6, codes[:, 0], codes[:, 1])
    spins = fit_spins(1.0 - 2.0 * codes, second_estimator="no")
    found = fit_categories(codes)
    np.testing.assert_allclose(found.fit.parameters.numpy(), spins.fit.parameters.numpy(), atol=1e-7)
    np.testing.assert_allclose(found.fit.errors.numpy(), spins.fit.errors.numpy(), rtol=0.05)  # leverage: spins alone
    assert found.fit.objective == pytest.approx(spins.fit.objective, rel=1e-9)


def test_standard_errors_are_the_scatter_over_draws_tied_and_free():
    truth = {}
    for (i, a), (j, b) in itertools.combinations(itertools.product(range(7), range(3)), 2):
        near = (j - i) % 7 in (1, 6)
        truth[f"x{i}={a}*x{j}={b}"] = -COUPLING * near * ((a == b) - 1.0 / 3.0)
    tied, free = [], []
    for seed in range(40):
        samples = ring_samples(1000, seed=seed)
        fit = fit_categories(samples, support="translation", lattice=RING, colours="potts").fit
        tied.append(float((fit.parameters[-1] - COUPLING) / fit.errors[-1]))
        if seed < 10:
            found = fit_categories(samples, regularisation=0.0)
            pairs = found.polynomial.exponents.sum(1) == 2
            named = [
                truth["*".join(found.variables[v] for v in np.flatnonzero(row))]
                for row in found.polynomial.exponents[pairs]
            ]
            free.append((found.couplings.numpy()[pairs] - named) / found.errors.numpy()[pairs])
    assert np.mean(np.square(tied)) == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / 40.0))
    assert np.mean(np.square(free)) == pytest.approx(1.0, abs=0.15)
    assert np.abs(free).max() < z_limit(np.size(free))


def test_fields_and_couplings_add_up_to_zero_over_the_levels():
    samples = np.random.default_rng(3).integers(0, (2, 3, 4), size=(200, 3))
    found = fit_categories(samples)
    assert found.levels == (2, 3, 4)
    tables = {}
    for row, value in zip(found.polynomial.exponents, found.couplings.tolist(), strict=True):
        sites, states = zip(*(found.variables[v].split("=") for v in np.flatnonzero(row)), strict=True)
        tables.setdefault(sites, {})[tuple(int(s) for s in states)] = value
    assert len(tables) == 6
    for sites, table in tables.items():
        for axis in range(len(sites)):
            for level in {key[axis] for key in table} if len(sites) == 2 else {0}:
                kept = [v for key, v in table.items() if len(sites) == 1 or key[axis] == level]
                assert abs(sum(kept)) < ROUNDING


def test_rows_are_the_conditionals_of_the_energy():
    found = fit_categories(ring_samples(500, seed=4)[:, :4])
    states = np.array(list(itertools.product(range(3), repeat=4)))
    rows = category_rows(found, states)
    weight = torch.exp(-found.energy(states)).reshape(3, 3, 3, 3)
    for site in range(4):
        conditional = (weight / weight.sum(site, keepdim=True)).reshape(-1)
        np.testing.assert_allclose(rows[:, site].exp().numpy(), conditional.numpy(), rtol=1e-10)
    held = ring_samples(300, seed=5)[:, :4]
    assert rows.shape == (81, 4)
    assert float(category_rows(found, held).mean()) < 0.0


def test_slope_and_curvature_are_derivatives_of_the_likelihood():
    samples = ring_samples(50, seed=6)[:, :4]
    terms = categorical_terms_of((3,) * 4, pairs=Lattice((4,)).bonds, permutations=Lattice((4,)).translations, names=())
    sample = CategoricalSample(samples, terms.levels, np.full(50, 0.02))
    theta = np.random.default_rng(7).normal(size=terms.parameters) * 0.3
    slope = lambda t: negative_likelihood(t, terms, sample, ridge=0.2)[1]  # noqa: E731
    value = lambda t: negative_likelihood(t, terms, sample, ridge=0.2)[0]  # noqa: E731
    steps = 1e-5 * np.eye(len(theta))
    numeric = [(value(theta + s) - value(theta - s)) / 2e-5 for s in steps]
    np.testing.assert_allclose(slope(theta), numeric, atol=1e-8)
    second = np.array([(slope(theta + s) - slope(theta - s)) / 2e-5 for s in steps])
    np.testing.assert_allclose(curvature(terms, theta, sample) + 0.2 * np.eye(len(theta)), second, atol=1e-7)
    np.testing.assert_allclose(0.2 * theta - score_matrix(terms, theta, sample).mean(axis=1), slope(theta), atol=1e-12)


def test_a_law_that_turns_one_way_keeps_its_direction():
    """J(a, b) favours b = a + 1: translation keeps it, mirrors average it with its transpose."""
    samples = ring_samples(4000, seed=8, turn=1)
    turning = fit_categories(samples, support="translation", lattice=RING)
    mirrored = fit_categories(samples, support="reflection", lattice=RING)

    def value(found, i: int, a: int, j: int, b: int) -> float:
        rows = [set(np.flatnonzero(row)) == {3 * i + a, 3 * j + b} for row in found.polynomial.exponents]
        return -float(found.couplings[rows.index(True)])

    for site in (0, 3):
        assert value(turning, site, 0, site + 1, 1) == pytest.approx(COUPLING * 2.0 / 3.0, abs=0.06)
        assert value(turning, site, 1, site + 1, 0) == pytest.approx(-COUPLING / 3.0, abs=0.06)
    assert value(turning, 6, 0, 0, 1) == pytest.approx(value(turning, 0, 0, 1, 1), rel=1e-12)  # across the seam
    assert value(mirrored, 0, 0, 1, 1) == pytest.approx(value(mirrored, 0, 1, 1, 0), rel=1e-12)
    assert len(turning.fit.names) == 2 + 4
    assert len(mirrored.fit.names) == 2 + 3


def test_supports_count_their_parameters():
    samples = ring_samples(200, seed=9)
    count = lambda **settings: len(fit_categories(samples, **settings).fit.names)  # noqa: E731
    assert count(order=1) == 14
    assert count(support="independent") == 14
    assert count() == 14 + 21 * 4
    assert count(support="local", lattice=RING) == 14 + 7 * 4
    assert count(support="permutation") == 2 + 3
    assert count(support="permutation", colours="symmetric") == 1
    open_chain = Lattice((7,), periodic=False)
    assert count(support="translation", lattice=open_chain, reach=2) == 2 + 2 * 4


def test_errors_site_by_site_are_near_the_joint_ones():
    samples = ring_samples(2000, seed=10)
    pairs = np.stack(np.triu_indices(7, 1), axis=1)
    terms = categorical_terms_of((3,) * 7, pairs=pairs, permutations=np.zeros((0, 7), dtype=int))
    theta = fit_categories(samples).fit.parameters.numpy()
    sample = CategoricalSample(samples, terms.levels, np.full(2000, 1.0 / 2000.0))
    joint = joint_errors(terms, theta, sample, condensed=sample, ridge=0.005, chains=1)
    alone = site_errors(terms, theta, sample, ridge=0.005, chains=1)
    ratio = alone.errors / joint.errors
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    assert 0.75 < ratio.min() < ratio.max() < 1.25


def test_repeating_every_sample_leaves_the_errors_as_they_were():
    samples = ring_samples(500, seed=11)
    settings = {"support": "translation", "lattice": RING, "regularisation": 0.02}
    once = fit_categories(samples, **settings).fit
    often = fit_categories(np.repeat(samples, 6, axis=0), **settings).fit
    ratio = (often.errors / once.errors).numpy()
    assert 0.75 < ratio.min() < ratio.max() < 1.35
    assert often.effective_samples < 2.0 * len(samples)


def test_selection_keeps_the_ring():
    found = fit_categories(ring_samples(3000, seed=12), false_discoveries=0.05, colours="potts")
    kept = {
        name for name, stays in zip(found.fit.names, found.fit.selected.tolist(), strict=True) if stays and "*" in name
    }
    bonds = {f"x{min(i, j)}*x{max(i, j)}" for i, j in RING.bonds.tolist()}
    assert bonds <= kept
    assert len(kept - bonds) <= 2


def test_contrasts_are_orthogonal_to_each_other_and_to_constants():
    for q in (2, 3, 5):
        table = contrasts(q)
        np.testing.assert_allclose(table.T @ table, q * np.eye(q - 1), atol=1e-12)
        np.testing.assert_allclose(table.sum(axis=0), 0.0, atol=1e-12)
    assert contrasts(2).ravel().tolist() == [1.0, -1.0]


@pytest.mark.parametrize(
    ("samples", "settings", "error", "word"),
    [
        ([[0.5, 1], [1, 1]], {}, DataError, "whole"),
        ([[-1, 1], [1, 1]], {}, DataError, "whole"),
        ([0, 1], {}, DataError, "shape"),
        (None, {"order": 3}, SettingError, "order"),
        (None, {"colours": "red"}, SettingError, "colours"),
        (None, {"support": "local"}, SettingError, "lattice"),
        (None, {"levels": (2, 3)}, SettingError, "levels"),
        (None, {"regularisation": -1.0}, SettingError, "regularisation"),
        (None, {"levels": (3, 4), "permutations": [[1, 0]]}, SettingError, "levels"),
        (None, {"levels": (3, 4), "colours": "potts"}, SettingError, "levels"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_sentence(samples, settings, error, word):
    given = [[0, 1], [2, 2], [1, 0], [2, 1]] if samples is None else samples
    with pytest.raises(error, match=word):
        fit_categories(given, **settings)

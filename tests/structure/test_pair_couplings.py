"""Pair couplings of every kind: exact where a formula exists, calibrated errors, honest limits."""

import math

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.structure import fit_pair_couplings
from rgflow.structure.pair_logistic import fit_conditionals
from structure.planted_lattices import gaussian_rows, ising_rows, square
from tolerances import ROUNDING, z_limit

NOISE = {
    "spin": lambda g, shape: g.choice([-1.0, 1.0], size=shape),
    "categorical": lambda g, shape: g.integers(0, 3, size=shape).astype(float),
    "continuous": lambda g, shape: g.standard_normal(shape),
}


def upper(matrix: torch.Tensor) -> np.ndarray:
    return matrix.numpy()[np.triu_indices(len(matrix), 1)]


def test_couplings_of_real_variables_are_minus_the_unbiased_inverse_of_their_correlations():
    rows = np.random.default_rng(0).standard_normal((400, 5)) @ np.triu(np.ones((5, 5)))
    found = fit_pair_couplings(rows, kind="continuous")
    expected = -np.linalg.inv(np.corrcoef(rows, rowvar=False)) * (400 - 5 - 2) / 400
    assert upper(found.matrix) == pytest.approx(expected[np.triu_indices(5, 1)], rel=1e3 * ROUNDING)
    partial = upper(found.matrix) / upper(found.unit)
    inverse = np.linalg.inv(np.cov(rows, rowvar=False))
    scale = np.sqrt(np.outer(np.diag(inverse), np.diag(inverse)))
    assert partial == pytest.approx((-inverse / scale)[np.triu_indices(5, 1)], rel=1e3 * ROUNDING)


def test_the_conditional_fit_of_categories_has_no_slope_left():
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 3, size=(300, 4))
    codes[:, 1] = np.where(generator.random(300) < 0.5, codes[:, 0], codes[:, 1])
    indicators = np.concatenate([codes[:, [i]] == np.arange(1, 3) for i in range(4)], axis=1).astype(float)
    fit = fit_conditionals(indicators, levels=np.full(4, 3), penalty=0.5)
    design = np.concatenate([indicators, np.ones((300, 1))], axis=1)
    fields = (design @ fit.theta).reshape(300, 4, 2)
    chances = np.exp(fields) / (1.0 + np.exp(fields).sum(2, keepdims=True))
    slope = design.T @ (indicators - chances.reshape(300, 8)) / 300
    slope[:-1] -= 0.5 / 300 * fit.theta[:-1]
    site = np.arange(8) // 2
    slope[:-1][site[:, None] == site[None]] = 0.0
    assert np.abs(slope).max() * math.sqrt(300) < 1e-3  # the tolerance that the function states
    assert np.abs(fit.theta[:-1][site[:, None] == site[None]]).max() == 0.0


def test_two_spins_have_the_coupling_of_their_contingency_table():
    rows = np.array([[1.0, 1.0]] * 40 + [[-1.0, -1.0]] * 40 + [[1.0, -1.0]] * 10 + [[-1.0, 1.0]] * 10)
    found = fit_pair_couplings(np.random.default_rng(0).permutation(rows.repeat(50, axis=0)), kind="spin")
    assert float(found.matrix[0, 1]) == pytest.approx(math.atanh(0.6), abs=float(found.errors[0, 1]))
    assert float(found.errors[0, 1]) == pytest.approx(1.0 / math.sqrt(5000 * (1 - 0.36)), rel=0.1)


def test_categories_of_two_levels_couple_twice_as_strongly_as_the_same_spins():
    rows = ising_rows(3, temperature=3.0, samples=1000, seed=0)
    spins = fit_pair_couplings(rows, kind="spin")
    codes = fit_pair_couplings((rows + 1) / 2, kind="categorical")
    # A zero-sum 2 x 2 block with entries +-J has the Frobenius norm 2 |J|.
    assert upper(codes.matrix) == pytest.approx(2.0 * np.abs(upper(spins.matrix)), rel=1e-9)
    assert upper(codes.errors) / upper(spins.errors) == pytest.approx(np.full(36, 2.0), rel=0.05)


@pytest.mark.parametrize("kind", ["spin", "categorical", "continuous"])
def test_scores_of_independent_variables_are_standard_normal(kind):
    generator = np.random.default_rng(5)
    squares = [upper(fit_pair_couplings(NOISE[kind](generator, (800, 20)), kind=kind).z) ** 2 for _ in range(6)]
    pairs = 6 * 190
    mean = np.mean(squares)
    # chi-squared: mean 1, standard deviation sqrt(2 / pairs); errors are conservative by up to columns / samples (2 to 5 %)
    assert abs(mean - 1.0) < z_limit(3) * math.sqrt(2.0 / pairs) + 0.05


def test_couplings_of_the_ising_lattice_are_unbiased_and_their_errors_hold():
    lattice = square(6)
    i, j = np.triu_indices(36, 1)
    bonded = np.isclose(lattice.distance(i, j), 1.0)
    near, far = [], []
    for seed in range(3):
        found = fit_pair_couplings(ising_rows(6, temperature=2.5, samples=1500, seed=seed), kind="spin")
        assert found.determined
        near.append((upper(found.matrix)[bonded] - 0.4) / upper(found.errors)[bonded])
        far.append(upper(found.z)[~bonded])
    pairs, bonds = 3 * 558, 3 * 72
    assert (
        abs(np.mean(near)) < z_limit(2) / math.sqrt(bonds) + 0.3
    )  # 0.3 errors: the bias that is left at 2 % columns a sample
    assert abs(np.mean(np.square(far)) - 1.0) < z_limit(2) * math.sqrt(2.0 / pairs) + 0.05


def test_a_pair_that_repeats_every_sample_four_times_has_twice_the_errors():
    rows = np.random.default_rng(2).standard_normal((600, 12))
    once, fourfold = (fit_pair_couplings(given, kind="continuous") for given in (rows, rows.repeat(4, axis=0)))
    ratio = upper(fourfold.errors) / upper(once.errors)
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.1)  # 4 times the samples, 4 times the variance each
    assert fourfold.inflation == pytest.approx(4.0, rel=0.2)
    assert once.inflation == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("kind", ["spin", "continuous"])
def test_replicas_scatter_as_the_errors_state(kind):
    rows = NOISE[kind](np.random.default_rng(3), (2000, 15))
    found = fit_pair_couplings(rows, kind=kind)
    parts = found.replicas.numpy()
    jackknife = (19 / 20 * ((parts - parts.mean(0)) ** 2).sum(0))[np.triu_indices(15, 1)]
    assert jackknife.mean() == pytest.approx((upper(found.errors) ** 2).mean(), rel=0.15)


def test_heavy_tails_widen_the_errors_beyond_the_gaussian_ones():
    generator = np.random.default_rng(4)
    scale = np.exp(generator.standard_normal((4000, 1)))  # one scale a sample: uncorrelated, but not independent
    rows = scale * generator.standard_normal((4000, 12))
    found = fit_pair_couplings(rows, kind="continuous")
    assert float(found.errors[0, 1]) > 1.5 / math.sqrt(4000)
    assert np.mean(upper(found.z) ** 2) < 1.5


def test_constant_columns_have_no_coupling_and_no_error():
    rows = np.random.default_rng(0).standard_normal((200, 5))
    rows[:, 2] = 7.0
    found = fit_pair_couplings(rows, kind="continuous")
    assert found.active.tolist() == [True, True, False, True, True]
    assert found.matrix[2].abs().max() == 0.0
    assert bool(torch.isinf(found.errors[2]).all())


def test_duplicate_columns_are_said_and_do_not_break_the_fit():
    rows = np.random.default_rng(0).standard_normal((300, 4))
    found = fit_pair_couplings(np.concatenate([rows, rows[:, :1]], axis=1), kind="continuous")
    assert bool(torch.isfinite(found.matrix).all())
    assert "near singular" in found.notes[0]


def test_few_samples_or_nearly_frozen_spins_leave_the_couplings_undetermined():
    generator = np.random.default_rng(0)
    assert not fit_pair_couplings(generator.standard_normal((60, 50)), kind="continuous").determined
    frozen = np.where(generator.random((400, 40)) < 0.01, -1.0, 1.0)
    frozen = frozen[:, (frozen < 0).any(0)]
    assert not fit_pair_couplings(frozen, kind="spin").determined


def test_unusable_input_is_refused_with_what_is_needed():
    with pytest.raises(DataError, match="at least 40 samples"):
        fit_pair_couplings(np.zeros((10, 3)), kind="spin")
    with pytest.raises(DataError, match="NaN"):
        fit_pair_couplings(np.full((100, 3), np.nan), kind="continuous")
    with pytest.raises(DataError, match="two"):
        fit_pair_couplings(np.random.default_rng(0).integers(0, 3, size=(100, 3)), kind="spin")
    with pytest.raises(SettingError, match="kind"):
        fit_pair_couplings(np.zeros((100, 3)), kind="colour")  # pyright: ignore[reportArgumentType]


def test_a_coupled_pair_of_real_variables_is_found_among_many():
    rows = gaussian_rows(np.array([[3, 7]]), nodes=30, samples=500, seed=0)
    found = fit_pair_couplings(rows, kind="continuous")
    assert np.argwhere(np.triu(np.abs(found.z.numpy())) > found.threshold).tolist() == [[3, 7]]

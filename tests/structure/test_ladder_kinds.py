"""The ladder of real variables and of categories: exact identities of the models and samplers, and known laws found."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder
from rgflow.structure import PlantedProblem, calibrate, ladder, ladder_power, planted_laws, planted_problems
from rgflow.structure.categorical_terms import categorical_terms_of
from rgflow.structure.continuous_monomials import monomials
from rgflow.structure.ladder_category_models import CategoryTerms
from rgflow.structure.ladder_real_models import AllPairs, Polynomial, Spectrum
from rgflow.structure.ladder_spin_models import SpinTerms
from rgflow.structure.power_curves import PowerCurve, PowerPoint
from rgflow.structure.rungs_categories import category_rungs
from rgflow.structure.rungs_lattice import lattice_terms
from rgflow.structure.rungs_real import with_powers
from rgflow.structure.terms import Terms, all_terms
from tolerances import ROUNDING, z_limit

LAWS = {law.name: law for law in planted_laws()}
TORUS = Lattice((4, 4))


def drawn(name: str, samples: int, *, seed: int = 1) -> np.ndarray:
    return PlantedProblem(LAWS[name], samples, seed=seed).drawn()


def scores(found: Ladder) -> dict[str, float]:
    return {rung.name: rung.score.value for rung in found.rungs if rung.score is not None}


def test_score_matching_of_all_pairs_is_the_inverse_covariance() -> None:
    samples = drawn("Gaussian of all pairs", 400)[:, :5] + 0.3
    polynomial, gaussian = Polynomial(monomials(5, order=2)), AllPairs(centred=False)
    first = polynomial.score(samples, polynomial.fit(samples))
    second = gaussian.score(samples, gaussian.fit(samples))
    np.testing.assert_allclose(first, second, rtol=1e-7)  # both have a relative floor of 1e-10 on different matrices


def test_the_score_of_a_gaussian_is_what_its_precision_says() -> None:
    samples = np.array([[1.0, 2.0]])
    precision = np.array([[2.0, 0.5], [0.5, 1.0]])
    slopes = precision @ samples[0]
    expected = (3.0 - 0.5 * slopes @ slopes) / 2.0
    found = AllPairs(centred=True).score(samples, np.concatenate([precision, np.zeros((1, 2))]))
    assert found[0] == pytest.approx(expected, rel=ROUNDING)


def test_a_spectrum_is_the_polynomial_with_all_displacements() -> None:
    samples = drawn("Gaussian field", 300)
    pairs = lattice_terms(TORUS, 10.0, order=2, sharing="translation", even=True)
    polynomial, spectrum = Polynomial(with_powers(pairs, degree=2, even=True, shared=True)), Spectrum((4, 4))
    first, second = polynomial.fit(samples), spectrum.fit(samples)
    assert len(first) == len(second)
    np.testing.assert_allclose(polynomial.score(samples, first), spectrum.score(samples, second), rtol=1e-7)  # floors


def test_couplings_at_all_distances_are_found_to_be_the_same_everywhere() -> None:
    noise = np.random.default_rng(1).normal(size=(1500, 6, 6))
    moving_average = noise + 0.3 * np.roll(noise, 1, axis=1) + 0.3 * np.roll(noise, 2, axis=2)
    found = ladder(moving_average, lattice=(6, 6), max_order=2, seed=0)
    assert found.chosen is not None
    assert "translation" in found.rung(found.chosen).symmetries


def test_categories_with_two_levels_are_spins() -> None:
    generator = np.random.default_rng(1)
    states = (generator.random((500, 4)) < 0.3 + 0.4 * generator.random((500, 1))).astype(np.int64)
    pairs = all_terms(4, 2).groups[1]
    two = CategoryTerms(categorical_terms_of((2,) * 4, pairs=pairs, permutations=np.zeros((0, 4), dtype=np.int64)))
    spins = SpinTerms(all_terms(4, 2))
    values = (1 - 2 * states).astype(np.int8)  # the first level has the contrast 1
    first, second = two.score(states, two.fit(states)), spins.score(values, spins.fit(values))
    np.testing.assert_allclose(first, second, atol=1e-6)  # two searches, the slope of either below 1e-6


def test_names_of_categories_do_not_matter_to_models_that_tell_them_not_apart() -> None:
    states = drawn("Potts ring", 300)[:, :5]
    moved = np.array([2, 0, 1])[states]
    plain, renamed = (scores(ladder(item, seed=1)) for item in (states, moved))
    for name in plain:
        if "no fields" in name or name == "independent":
            assert renamed[name] == pytest.approx(plain[name], rel=1e-6)
    assert renamed["independent, fields"] == pytest.approx(plain["independent, fields"], rel=1e-5)


@pytest.mark.parametrize("name", ["phi^4", "Potts ring with field"])
def test_known_laws_are_found(name: str) -> None:
    law = LAWS[name]
    assert ladder(drawn(name, law.enough), lattice=law.lattice, seed=0).chosen == law.answer


def test_units_and_origin_of_real_variables_do_not_matter() -> None:
    samples = drawn("Gaussian field", 200)
    plain, moved = (ladder(item, lattice=(4, 4), max_order=2, seed=1) for item in (samples, 3.0 * samples - 7.0))
    assert plain.chosen == moved.chosen
    for name, value in scores(plain).items():
        assert scores(moved)[name] == pytest.approx(value, rel=1e-9)


def test_the_kind_is_read_from_the_values() -> None:
    generator = np.random.default_rng(1)
    assert ladder(generator.normal(size=(100, 3)), seed=0).unit.startswith("minus the score-matching")
    assert ladder(generator.integers(0, 3, size=(100, 3)), seed=0).generic_parameters == "26"
    assert ladder(generator.integers(0, 2, size=(100, 3)), seed=0).generic_parameters == "7"
    assert ladder(generator.integers(0, 2, size=(100, 30)), max_order=1, seed=0).generic_parameters == "2^30 - 1"
    assert ladder(generator.integers(0, 50, size=(100, 3)), max_order=2, seed=0).generic_parameters == "infinite"


def test_powers_and_pairs_make_the_terms_of_phi_4() -> None:
    bonds = Terms(16, (np.unique(np.sort(TORUS.bonds, axis=1), axis=0),), np.zeros(32, dtype=np.int64))
    even = with_powers(bonds, degree=4, even=True, shared=True)
    assert (even.parameters, len(even)) == (3, 16 + 16 + 32)
    own = with_powers(bonds, degree=4, even=False, shared=False)
    assert (own.parameters, len(own)) == (4 * 16 + 1, 4 * 16 + 32)


@pytest.mark.parametrize(
    ("name", "kappa", "square", "quartic"), [("phi^4", 0.5, -1.0, 1.0), ("Gaussian field", 1.0, 1.0, 0.0)]
)
def test_drawn_fields_obey_the_virial_theorem(name: str, kappa: float, square: float, quartic: float) -> None:
    """E[x_i dH/dx_i] = 1 for every density exp(-H)."""
    field = drawn(name, 1000, seed=3).reshape(-1, 4, 4)
    around = np.stack([np.roll(field, shift, axis=axis) for shift in (-1, 1) for axis in (1, 2)]).sum(0)
    slope = square * field + quartic * field**3 + kappa * (4.0 * field - around)
    virial = (field * slope).mean((1, 2))
    assert abs(virial.mean() - 1.0) < z_limit(2) * virial.std() / math.sqrt(1000)


def test_drawn_double_wells_obey_the_virial_theorem() -> None:
    values = drawn("double wells", 2000)
    virial = (4.0 * values**2 * (values**2 - 1.0)).mean(1)
    assert abs(virial.mean() - 1.0) < z_limit(1) * virial.std() / math.sqrt(2000)


def test_a_small_calibration_is_right_and_repeats() -> None:
    names = [
        "fair coins",
        "equal coins",
        "coins of their own",
        "one coupling",
        "coupling and field",
        "two directions",
        "disordered bonds",
        "ring",
        "ring with field",
        "second neighbours",
    ]
    problems = [
        PlantedProblem(replace(LAWS[name], max_order=2), LAWS[name].enough, seed=seed)
        for seed in (4, 5)
        for name in names
    ]
    seen = []
    found = calibrate(problems, seed=0, progress=seen.append)
    assert len(found.rows) == 20
    assert tuple(seen) == found.rows
    assert found.correct.value >= 0.95
    assert found.share("too general").value == 0.0
    assert calibrate(problems[:3], seed=0).rows == found.rows[:3]
    assert "| one coupling | order 2, reach 1, translation+rotation+flip | 2 | 2 |" in found.table()


def test_rungs_of_categories_have_the_parameters_that_one_counts_by_hand() -> None:
    counts = {rung.name: rung.parameters for rung in category_rungs(7, levels=3, lattice=Lattice((7,)), max_order=2)}
    assert counts["independent"] == 0
    assert counts["independent, fields"] == 14
    assert counts["permutation, Potts, no fields"] == 1
    assert counts["translation+reflection, reach 1, Potts, no fields"] == 1
    assert counts["translation+reflection, reach 1, Potts"] == 3
    assert counts["translation+reflection, reach 1, free tables"] == 2 + 3
    assert counts["translation, reach 1, free tables"] == 2 + 4
    assert counts["local, reach 1, free tables"] == 14 + 7 * 4
    assert counts["2-local, free tables"] == 14 + 21 * 4


def test_the_need_is_the_fewest_samples_from_which_on_most_answers_are_right() -> None:
    none = Estimate(0.0, 0.1, "statistical")
    points = [
        PowerPoint(samples, 1.0, 10, Estimate(share, 0.1, "statistical"), none, none, none)
        for samples, share in ((50, 0.95), (100, 0.5), (200, 0.9), (400, 1.0))
    ]
    assert PowerCurve("law", "rung", tuple(points)).needed(strength=1.0) == 200
    assert PowerCurve("law", "rung", tuple(points[:2])).needed(strength=1.0) is None


@pytest.mark.slow
def test_of_114_planted_problems_at_least_95_in_100_are_answered_right() -> None:
    found = calibrate(planted_problems(114, seed=0), seed=0)
    assert found.correct.value >= 0.95
    assert found.share("too general").value + found.share("other").value <= 0.02


def test_power_rises_with_samples_and_too_few_are_not_answered_wrongly() -> None:
    law = replace(LAWS["ring"], max_order=2)
    curve = ladder_power(law, samples=(20, 300), draws=2, seed=1)
    few, many = curve.points
    assert many.correct.value >= 0.5
    assert many.too_simple.value + many.wrong.value == 0.0
    assert few.undetermined.value >= 0.5


def test_planted_problems_are_drawn_anew_and_repeat() -> None:
    first, second = planted_problems(60, seed=1), planted_problems(60, seed=2)
    assert {problem.law.kind for problem in first} == {"spin", "categorical", "continuous"}
    assert np.array_equal(first[3].drawn(), planted_problems(60, seed=1)[3].drawn())
    assert not np.array_equal(first[3].drawn(), second[3].drawn())

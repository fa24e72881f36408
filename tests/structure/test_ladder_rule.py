"""The decision rule on rows made by hand, and by many simulated samples where its rates are known."""

import math

import numpy as np
import pytest

from rgflow.structure.ladder_folds import autocorrelation, dealt
from rgflow.structure.ladder_models import RungModel
from rgflow.structure.ladder_rule import decide, needed_for, paired
from rgflow.structure.rungs import ALIKE, FLIP, PERMUTATION, TRANSLATION, PlannedRung, contains, in_order
from tolerances import ROUNDING, z_limit

SAMPLES = 400


def unbuilt() -> RungModel:
    raise AssertionError("a rule must not fit anything")


def rung(
    name: str, parameters: int, *, order: int = 2, reach: float = math.inf, symmetries: frozenset[str] = frozenset()
) -> PlannedRung:
    return PlannedRung(
        name, name, parameters, order, reach, symmetries, unbuilt, incidences=10 * max(parameters, 1), degree=order
    )


LOW = rung("low", 1, reach=1.0, symmetries=frozenset({TRANSLATION, FLIP}))
MIDDLE = rung("middle", 2, reach=1.0, symmetries=frozenset({TRANSLATION}))
HIGH = rung("high", 10, reach=1.0)
OTHER = rung("other", 2, symmetries=frozenset({TRANSLATION, PERMUTATION}))


def noisy(*deficits: float) -> np.ndarray:
    """Scores whose paired deficits to the row of deficit 0 are exactly these many standard errors."""
    noise = np.random.default_rng(3).normal(size=SAMPLES)
    noise -= noise.mean()
    error = paired(noise).error
    return np.stack([0.0 * noise if deficit == 0.0 else noise - deficit * error for deficit in deficits])


def test_the_simplest_rung_below_two_standard_errors_is_chosen() -> None:
    found = decide(noisy(0.5, 0.2, 0.0), [LOW, MIDDLE, HIGH], variables=10)
    assert found.chosen == 0
    assert found.best == 2
    assert found.needed_samples is None


def test_a_rung_above_two_standard_errors_is_passed_over() -> None:
    assert decide(noisy(2.1, 0.5, 0.0), [LOW, MIDDLE, HIGH], variables=10).chosen == 1
    assert decide(noisy(50.0, 30.0, 0.0), [LOW, MIDDLE, HIGH], variables=10).chosen == 2


@pytest.mark.parametrize(("deficit", "open_question"), [(1.45, False), (1.55, True), (1.95, True), (2.05, False)])
def test_between_one_and_a_half_and_two_standard_errors_the_verdict_is_open(
    deficit: float, open_question: bool
) -> None:
    found = decide(noisy(deficit, 0.0), [LOW, HIGH], variables=10)
    assert (found.chosen is None) is open_question
    if open_question:
        assert found.needed_samples is not None
        assert found.needed_samples > SAMPLES
        assert "standard errors" in found.reason


def test_a_deficit_nearer_to_two_standard_errors_needs_fewer_samples() -> None:
    near, far = (decide(noisy(z, 0.0), [LOW, HIGH], variables=10).needed_samples for z in (1.9, 1.6))
    assert near is not None
    assert far is not None
    assert near < far


def test_the_samples_that_resolve_a_deficit_are_those_at_which_it_is_two_standard_errors() -> None:
    found = decide(noisy(1.7, 0.0), [LOW, HIGH], variables=10)
    assert found.needed_samples is not None
    deficit, overfit = found.deficits[0], 9 / 20.0  # 9 parameters more, 2 times 10 variables
    gap, spread = deficit.value + overfit / SAMPLES, deficit.error * math.sqrt(SAMPLES)

    def z(samples: float) -> float:
        return (gap - overfit / samples) * math.sqrt(samples) / spread

    assert z(0.96 * found.needed_samples) < 2.0 <= z(found.needed_samples)


def test_two_rungs_that_do_not_contain_each_other_leave_the_question_open() -> None:
    found = decide(noisy(0.3, 0.5, 0.0), [LOW, OTHER, HIGH], variables=10)
    assert found.chosen is None
    assert '"low" and "other"' in found.reason
    assert decide(noisy(0.3, 2.5, 0.0), [LOW, OTHER, HIGH], variables=10).chosen == 0


def test_too_few_samples_to_see_a_typical_coupling_are_no_evidence_of_its_absence() -> None:
    few = noisy(0.0, 2.5)[:, :30]
    small = rung("pairs", 10)
    low = rung("none", 0, order=0, reach=0.0, symmetries=ALIKE | {FLIP})
    scores = np.stack([np.zeros(30), np.full(30, -0.1) + few[1] - few[1].mean()])
    found = decide(scores, [low, small], variables=10)
    assert found.chosen is None
    assert found.needed_samples == 38  # gap 100 * 0.01 / 2 = 0.5; ((2 + sqrt(24))^2 - 10) / (2 * 0.5) = 37.6
    many = np.tile(scores, (1, 10))
    assert decide(many, [low, small], variables=10).chosen == 0


def test_the_needed_samples_follow_the_formula() -> None:
    gap, parameters = 200 * 0.1**2 * 0.5 / 2.0, 7
    samples = needed_for(parameters, 200, spread=0.5)
    deficit = gap - parameters / (2.0 * samples)
    assert deficit == pytest.approx(2.0 * math.sqrt(2.0 * gap * samples + parameters) / samples, rel=ROUNDING)


def test_a_longer_autocorrelation_time_asks_for_more_samples() -> None:
    scores = noisy(0.0, 3.0)
    rungs = [rung("none", 0, order=0, reach=0.0, symmetries=ALIKE | {FLIP}), rung("pairs", 10)]
    assert decide(scores, rungs, variables=10, time=1.0).chosen == 0
    slow = decide(scores, rungs, variables=10, time=40.0)
    assert slow.chosen is None
    assert "autocorrelation time of 40" in slow.reason


def test_constant_differences_have_no_error() -> None:
    assert paired(np.full(10, 0.25)).error == 0.0
    assert decide(np.stack([np.zeros(SAMPLES), np.full(SAMPLES, 0.5)]), [LOW, HIGH], variables=10).chosen == 1


def test_errors_of_correlated_differences_count_effective_samples() -> None:
    generator = np.random.default_rng(5)
    series = np.repeat(generator.normal(size=500), 20)
    assert paired(series).error == pytest.approx(1.0 / math.sqrt(500), rel=0.3)


def test_one_rung_contains_another_with_fewer_terms_and_more_symmetry() -> None:
    assert contains(MIDDLE, LOW)
    assert contains(HIGH, MIDDLE)
    assert not contains(LOW, MIDDLE)
    assert not contains(OTHER, LOW)
    assert not contains(HIGH, OTHER)


def test_rungs_stand_from_few_parameters_to_many() -> None:
    assert [item.name for item in in_order([HIGH, OTHER, LOW, MIDDLE])] == ["low", "middle", "other", "high"]


def test_the_false_alarm_of_one_superfluous_parameter_is_that_of_the_derivation() -> None:
    """Cross-fitted means: a deficit above 1 standard error in 6 of 1,000 samples, above 1.5 in less than 1."""
    draws, samples = 3000, 250
    values = np.random.default_rng(11).normal(size=(draws, samples))
    folds = np.arange(samples) % 5
    gains = np.empty_like(values)
    for fold in range(5):
        mean = values[:, folds != fold].mean(1, keepdims=True)
        gains[:, folds == fold] = (values * mean - mean**2 / 2.0)[:, folds == fold]
    z = gains.mean(1) / (gains.std(1, ddof=1) / math.sqrt(samples))
    expected = 0.0063 * draws  # P(|Z| > 1 + sqrt(3)), Z normal
    assert (
        abs((z > 1.0).sum() - expected) < z_limit(1) * math.sqrt(expected) + 0.5 * expected
    )  # five folds, not infinitely many
    assert (z > 1.5).sum() <= 8  # 1.1 expected: above 8 in 1 of a million
    assert (z > 2.0).sum() <= 2  # 0.03 expected


def test_folds_are_blocks_that_make_up_all_samples() -> None:
    folds = dealt(1000, folds=5, time=4.0, seed=1)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(1000))
    owner = np.empty(1000, dtype=int)
    for number, fold in enumerate(folds):
        owner[fold] = number
    lengths = np.diff(np.flatnonzero(np.diff(owner, prepend=-1, append=-1)))
    assert lengths.min() >= 80
    assert not np.array_equal(folds[0], dealt(1000, folds=5, time=4.0, seed=2)[0])


def test_a_slow_chain_gives_one_block_a_fold() -> None:
    folds = dealt(100, folds=5, time=1e6, seed=1)
    assert all(np.array_equal(np.diff(fold), np.ones(19)) for fold in folds)


def test_independent_samples_have_time_one_and_repeated_ones_a_longer_one() -> None:
    values = np.random.default_rng(2).choice([-1, 1], size=(500, 9))
    assert autocorrelation(values, seed=1) == 1.0
    assert autocorrelation(np.repeat(values, 10, axis=0), seed=1) == pytest.approx(10.0, rel=0.6)


def test_a_global_sign_drawn_afresh_does_not_hide_the_autocorrelation() -> None:
    generator = np.random.default_rng(2)
    values = np.repeat(np.sign(generator.normal(size=(300, 9)) + 1.5 * generator.normal(size=(300, 1))), 10, axis=0)
    assert autocorrelation(values * generator.choice([-1, 1], size=(3000, 1)), seed=1) > 5.0

"""The paired comparison: rates chosen on validation, Student intervals on paired differences, honest verdicts."""

from dataclasses import replace

import pytest
import torch
from scipy import stats

from rgflow.ensembles.pairing import chosen, compare, edge_wins
from rgflow.ensembles.training import TrainedArm

RATES = (0.01, 0.1, 1.0)
SETTING = {"metric": "accuracy", "optimizer": "sgd", "chance": 0.1, "steps": 1, "seed": 0}


def arm(validation: torch.Tensor, test: torch.Tensor) -> TrainedArm:
    return TrainedArm(validation.double(), test.double(), torch.zeros_like(validation, dtype=torch.bool))


def drawn(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def compared(stock: torch.Tensor, tuned: torch.Tensor):
    """Compare two lists of test scores at one rate."""
    arms = [arm(torch.zeros(len(t), 1), t.unsqueeze(1)) for t in (stock, tuned)]
    return compare(*arms, rates=(0.1,), **SETTING)


def test_the_rate_is_chosen_on_the_validation_scores_alone():
    validation = torch.tensor([[0.1, 0.9, 0.2], [0.2, 0.8, 0.1]])
    test = torch.tensor([[0.9, 0.3, 0.1], [0.8, 0.4, 0.1]])
    result = compare(arm(validation, test), arm(validation, test), rates=RATES, **SETTING)
    assert result.stock.chosen_rate == 0.1
    assert result.stock.test == pytest.approx((0.3, 0.4))
    assert chosen(arm(validation, test)) == 1


def test_each_arm_has_its_own_best_rate():
    low, high = torch.tensor([[0.9, 0.1, 0.1]] * 2), torch.tensor([[0.1, 0.1, 0.9]] * 2)
    result = compare(arm(low, low), arm(high, high), rates=RATES, **SETTING)
    assert (result.stock.chosen_rate, result.tuned.chosen_rate) == (0.01, 1.0)


def test_the_interval_is_that_of_the_paired_t_test():
    stock, tuned = 0.5 + 0.1 * drawn(0, (8,)), 0.52 + 0.1 * drawn(1, (8,))
    result = compared(stock, tuned)
    expected = stats.ttest_rel(tuned.numpy(), stock.numpy()).confidence_interval(0.95)
    assert result.interval == pytest.approx((expected.low, expected.high))
    assert result.difference.value == pytest.approx(float((tuned - stock).mean()))


def test_pairing_sees_a_gain_far_below_the_seed_to_seed_spread():
    common = 0.3 * drawn(0, (8,))
    gain = 0.02 + 0.005 * drawn(1, (8,))
    assert compared(common, common + gain).verdict == "tuned is better"
    broken = (common + gain)[torch.randperm(8, generator=torch.Generator().manual_seed(2))]
    assert compared(common, broken).verdict == "no benefit"


def test_the_three_verdicts():
    base = torch.full((5,), 0.5, dtype=torch.float64)
    noise = 0.01 * drawn(3, (5,))
    assert compared(base, base + 0.2 + noise).verdict == "tuned is better"
    assert compared(base, base - 0.2 + noise).verdict == "stock is better"
    assert compared(base, base + noise - noise.mean()).verdict == "no benefit"
    equal = compared(base, base)
    assert (equal.verdict, equal.interval) == ("no benefit", (0.0, 0.0))


def test_the_interval_covers_the_truth_in_95_of_100_cases():
    trials, inside = 2000, 0
    for trial in range(trials):
        low, high = compared(torch.zeros(6), 0.3 + drawn(trial, (6,))).interval
        inside += low <= 0.3 <= high
    # Five standard errors of a binomial share.
    assert abs(inside / trials - 0.95) < 5 * (0.95 * 0.05 / trials) ** 0.5


def test_an_edge_wins_only_where_it_is_clearly_better_than_its_neighbour():
    rising = torch.tensor([[0.1, 0.5, 0.9], [0.1, 0.6, 0.9], [0.2, 0.5, 0.8]])
    assert edge_wins(arm(rising, rising)) == 1
    assert edge_wins(arm(rising.flip(1), rising)) == -1
    flat = torch.full((3, 3), 0.1)
    assert edge_wins(arm(flat, flat)) == 0
    noisy = torch.tensor([[0.1, 0.1, 0.3], [0.1, 0.2, 0.1], [0.1, 0.1, 0.1]])
    assert edge_wins(arm(noisy, noisy)) == 0
    assert edge_wins(arm(rising[:, [0, 2, 1]], rising)) == 0


def test_a_grid_that_diverges_from_its_lowest_rate_on_must_grow_downwards():
    flat = torch.full((3, 3), 0.1).double()
    lost = torch.tensor([[True] * 3, [True] * 3, [False] * 3])
    assert edge_wins(TrainedArm(flat, flat, lost)) == -1


def test_a_chosen_rate_at_the_edge_of_the_sweep_is_noted_for_its_own_arm():
    rising = torch.tensor([[0.1, 0.5, 0.9], [0.1, 0.6, 0.9], [0.2, 0.5, 0.8]])
    result = compare(arm(rising, rising), arm(rising[:, [0, 2, 1]], rising[:, [0, 2, 1]]), rates=RATES, **SETTING)
    (note,) = result.notes
    assert "stock" in note
    assert "highest of the sweep" in note
    falling = rising.flip(1)
    result = compare(arm(falling, falling), arm(rising, rising), rates=RATES, **SETTING)
    assert ["lowest" in note for note in result.notes] == [True, False]
    assert ["tuned" in note for note in result.notes] == [False, True]


def test_an_arm_at_chance_is_called_that_and_its_meaningless_edge_is_not_mentioned():
    flat = torch.full((3, 3), 0.1)
    good = torch.tensor([[0.2, 0.9, 0.3]] * 3)
    result = compare(arm(flat, flat), arm(good, good), rates=RATES, **SETTING)
    assert result.notes == ("stock networks stay at chance (0.100) even at their best rate",)
    assert result.chance == 0.1


def test_diverged_networks_are_counted_at_every_rate_and_noted_at_the_chosen_one():
    scores = torch.tensor([[0.2, 0.9, 0.1], [0.2, 0.9, 0.1], [0.2, 0.1, 0.1]]).double()
    failed = torch.tensor([[False, False, True], [False, False, True], [False, True, False]])
    result = compare(TrainedArm(scores, scores, failed), arm(scores, scores), rates=RATES, notes=["given"], **SETTING)
    assert result.stock.failed == (0, 1, 2)
    assert result.tuned.failed == (0, 0, 0)
    assert result.notes[:2] == ("given", "1 of 3 stock networks diverge at the chosen rate and score chance")


def test_one_arm_that_stands_for_both_is_judged_once():
    flat = arm(torch.full((3, 3), 0.1), torch.full((3, 3), 0.1))
    assert len(compare(flat, flat, rates=RATES, **SETTING).notes) == 1
    assert len(compare(flat, replace(flat), rates=RATES, **SETTING).notes) == 2

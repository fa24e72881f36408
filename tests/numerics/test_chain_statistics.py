"""Autocorrelation, errors and split R-hat of chains whose answers are known: first-order autoregressions and constants.

Of x' = c x + noise the integrated autocorrelation time is (1 + c) / (1 - c) and the variance of the mean of n records of unit
variance is that over n, up to a relative O(time / n).
"""

import math

import numpy as np
import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics.chain_statistics import chain_statistics, split_r_hat
from tests.tolerances import ROUNDING, z_limit


def autoregression(correlation: float, *, chains: int, records: int, seed: int) -> np.ndarray:
    """Return stationary chains (chains, records) of unit variance."""
    generator = np.random.default_rng(seed)
    noise = generator.normal(size=(chains, records)) * math.sqrt(1.0 - correlation**2)
    noise[:, 0] = generator.normal(size=chains)
    values = np.empty_like(noise)
    values[:, 0] = noise[:, 0]
    for t in range(1, records):
        values[:, t] = correlation * values[:, t - 1] + noise[:, t]
    return values


@pytest.mark.parametrize("chains", [1, 4, 50])
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_autocorrelation_time_of_an_autoregression_is_found(correlation, chains):
    records = 40_000 // chains
    exact = (1.0 + correlation) / (1.0 - correlation)
    found = chain_statistics(torch.tensor(autoregression(correlation, chains=chains, records=records, seed=1)))
    # Sokal 1996: the relative error of a summed time is about sqrt(2 (2 window + 1) / records), a window of 5 times here
    spread = math.sqrt(2.0 * (10.0 * exact + 1.0) / (records * chains))
    assert abs(found.autocorrelation_time / exact - 1.0) < 4.0 * spread
    assert found.effective_samples == pytest.approx(records * chains / found.autocorrelation_time, rel=ROUNDING)


@pytest.mark.parametrize("chains", [1, 4])
@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_errors_of_short_correlated_chains_are_honest_over_many_repetitions(correlation, chains):
    repeats, records = 400, 400 // chains
    values = autoregression(correlation, chains=repeats * chains, records=records, seed=2)
    groups = [chain_statistics(torch.tensor(group)) for group in values.reshape(repeats, chains, records)]
    scores = np.array([found.mean / found.error for found in groups])
    # the variance of 400 normal scores has the standard error sqrt(2 / 400); a time of 9 in 400 records allows 20 % more
    assert abs((scores**2).mean() - 1.0) < z_limit(4) * math.sqrt(2.0 / repeats) + 0.2
    naive = np.array([group.mean() / group.std() * math.sqrt(group.size) for group in values.reshape(repeats, -1)])
    assert ((naive**2).mean() > 3.0) == (correlation > 0.5)


def test_r_hat_is_one_for_chains_of_one_law_and_not_for_chains_that_disagree():
    values = torch.tensor(autoregression(0.5, chains=8, records=4000, seed=3))
    assert abs(split_r_hat(values) - 1.0) < 0.01
    shifted = values.clone()
    shifted[0] += 2.0
    assert split_r_hat(shifted) > 1.1
    drifting = values + torch.linspace(-2.0, 2.0, 4000)
    assert split_r_hat(drifting) > 1.25  # half means of -1 and 1: sqrt(1 + 1 / (1 + 1/3)) = 1.32


def test_r_hat_equals_its_formula():
    values = torch.tensor(autoregression(0.3, chains=3, records=11, seed=4))
    halves = torch.cat([values[:, :5], values[:, 6:]])
    within, between = halves.var(1).mean(), halves.mean(1).var()
    assert split_r_hat(values) == pytest.approx(float(((0.8 * within + between) / within).sqrt()), rel=ROUNDING)


def test_constant_chains_are_said_to_be_constant_and_disagreeing_ones_infinitely_far_apart():
    same = chain_statistics(torch.ones(3, 10))
    assert (same.constant, same.error, same.split_r_hat) == (True, 0.0, 1.0)
    apart = chain_statistics(torch.tensor([[1.0] * 10, [-1.0] * 10]))
    assert (apart.constant, apart.split_r_hat) == (False, math.inf)
    assert apart.effective_samples <= 2.0


def test_chains_of_three_records_count_one_sample_each_and_claim_no_mixing():
    found = chain_statistics(torch.tensor(autoregression(0.9, chains=500, records=3, seed=5)))
    assert found.effective_samples == 500.0
    assert math.isnan(found.split_r_hat)
    assert abs(found.mean) < z_limit(1) * found.error


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5,), (2, 3, 4)])
def test_a_series_of_another_shape_is_refused(shape):
    with pytest.raises(SettingError, match="chains, records"):
        chain_statistics(torch.zeros(shape))

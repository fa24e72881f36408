"""Samples say whether their chains are long enough; what they ask for suffices; chains stuck in one well are found out."""

import re

import numpy as np
import pytest
import torch

from rgflow.lattice import Ising, SpinGlass, sample
from tests.tolerances import ROUNDING


def number_in(reason: str, name: str) -> int:
    found = re.search(rf"{name}=(\d+)", reason)
    assert found, reason
    return int(found[1])


def test_chains_stuck_in_one_of_two_wells_are_flagged_and_cluster_moves_cross():
    settings = {"shape": (8, 8), "chains": 6, "sweeps": 600, "seed": 0}
    stuck = sample(Ising(temperature=1.2), method="metropolis", **settings)
    assert not stuck.reliable
    assert stuck.split_r_hat > 3.0
    assert "magnetisation" in stuck.reason
    worst = {one.name: one.statistics for one in stuck.observables}
    assert worst["absolute magnetisation"].split_r_hat < 1.2  # the energy and |m| alone would have seen nothing
    crossing = sample(Ising(temperature=1.2), method="swendsen-wang", **settings)
    assert crossing.reliable, crossing.reason


def test_a_frozen_glass_is_flagged():
    frozen = sample(SpinGlass(temperature=0.3, disorder="binary"), shape=(8, 8), chains=6, sweeps=600, seed=0)
    assert not frozen.reliable
    assert frozen.split_r_hat > 1.5


@pytest.mark.parametrize("seed", range(4))
def test_a_chain_that_is_too_short_says_what_would_suffice_and_that_suffices(seed):
    settings = {"shape": (8, 8), "chains": 2, "seed": seed, "method": "heat-bath"}
    sweeps, discard = 150, 400
    short = sample(Ising(temperature=3.0), sweeps=sweeps, discard=discard, **settings)
    assert not short.reliable
    assert "too short" in short.reason
    for _ in range(3):  # each estimate is rough: what is asked for may have to be asked for again
        asked = sample(Ising(temperature=3.0), sweeps=sweeps, discard=discard, **settings)
        if asked.reliable:
            break
        assert number_in(asked.reason, "sweeps") > sweeps
        sweeps = number_in(asked.reason, "sweeps")
    assert asked.reliable, asked.reason
    assert sweeps < 100_000


def test_a_start_that_is_not_forgotten_is_said_and_the_discard_asked_for_suffices():
    settings = {"shape": (8, 8), "chains": 16, "sweeps": 3000, "seed": 1, "method": "heat-bath"}
    hasty = sample(Ising(temperature=3.0), discard=0, **settings)
    assert "0 sweeps were discarded" in hasty.reason
    assert sample(Ising(temperature=3.0), discard=number_in(hasty.reason, "discard"), **settings).reliable


def test_three_records_or_frozen_observables_are_no_evidence():
    few = sample(Ising(temperature=3.0), shape=(4, 4), chains=500, sweeps=3, seed=0)
    assert "3 records" in few.reason
    assert np.isnan(few.split_r_hat)
    still = sample(Ising(coupling=1.0, field=40.0), shape=(4, 4), chains=4, sweeps=100, seed=0)
    assert "ever changed" in still.reason


def test_the_slowest_observable_decides():
    found = sample(Ising(temperature=2.3), shape=(16, 16), chains=4, sweeps=500, seed=0, method="heat-bath")
    effective = [one.statistics.effective_samples for one in found.observables]
    assert found.effective_samples == min(effective) < effective[0]
    assert found.split_r_hat == max(one.statistics.split_r_hat for one in found.observables)
    assert found.autocorrelation_sweeps == pytest.approx(found.autocorrelation_time * found.every, rel=ROUNDING)


def test_shapes_records_and_metadata_are_those_asked_for():
    found = sample(Ising(temperature=3.0), shape=(4, 5), chains=3, sweeps=21, every=5, discard=7, seed=9)
    assert tuple(found.values.shape) == (3, 4, 4, 5)
    assert found.values.dtype == torch.float64
    assert (found.sweeps, found.every, found.discard, found.seed) == (21, 5, 7, 9)
    assert torch.equal(found.flat().reshape(4, 3, 4, 5).transpose(0, 1), found.values)
    assert set(found.values.unique().tolist()) == {-1.0, 1.0}


def test_thinning_shortens_the_autocorrelation_in_records_and_keeps_it_in_sweeps():
    settings = {"shape": (8, 8), "chains": 8, "sweeps": 20_000, "seed": 0, "method": "heat-bath"}
    dense = sample(Ising(temperature=2.6), **settings)
    thin = sample(Ising(temperature=2.6), every=20, **settings)
    assert thin.autocorrelation_time < dense.autocorrelation_time / 5.0
    assert thin.autocorrelation_sweeps == pytest.approx(dense.autocorrelation_time, rel=0.5)
    np.testing.assert_allclose(dense.values[:, 19::20], thin.values)


def test_the_energy_is_that_of_the_hamiltonian():
    found = sample(Ising(coupling=[0.5, -0.2], field=0.3, edges=[[0, 1], [1, 2]]), shape=3, chains=2, sweeps=50, seed=0)
    s = found.values
    energies = -(0.5 * s[..., 0] * s[..., 1] - 0.2 * s[..., 1] * s[..., 2] + 0.3 * s.sum(-1)) / 3.0
    assert found.energy.value == pytest.approx(float(energies.mean()), rel=ROUNDING)

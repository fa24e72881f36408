"""Couplings against distance: nearest neighbours stay nearest neighbours, long ranges are seen, noise has none."""

import math

import numpy as np
import pytest

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.structure import fit_pair_couplings, measure_range
from structure.planted_lattices import gaussian_rows, ising_rows, square
from tolerances import z_limit


def decaying_rows(law, *, samples: int, seed: int) -> np.ndarray:
    pairs = np.stack(np.triu_indices(64, 1), axis=1)
    return gaussian_rows(pairs, nodes=64, samples=samples, seed=seed, weights=law(square(8).distance(*pairs.T)))


@pytest.mark.parametrize("temperature", [2.269, 3.0])
def test_nearest_neighbour_spins_have_reach_one_at_and_above_the_transition(temperature):
    reaches = []
    for seed in range(5):
        rows = ising_rows(6, temperature=temperature, samples=1500, seed=seed)
        found = measure_range(fit_pair_couplings(rows, kind="spin"), square(6))
        reaches.append(found.reach)
        first = found.strengths[0]
        assert (
            abs(first.value - 1.0 / temperature) < z_limit(10) * first.error + 0.02
        )  # 0.02: bias at 2 % columns a sample
    # Family-wise 5 %: four or more false alarms in 5 draws have probability 3e-5.
    assert reaches.count(1.0) >= 3


def test_noise_has_no_reach_but_for_the_stated_rate_of_false_alarms():
    alarms = 0
    for seed in range(20):
        rows = np.random.default_rng(seed).standard_normal((500, 25))
        alarms += measure_range(fit_pair_couplings(rows, kind="continuous"), square(5)).reach is not None
    assert alarms <= 6  # binomial(20, 0.05): more than 6 has probability 3e-5


def test_long_ranges_are_resolved_further_out_and_fit_no_exponential_where_there_is_none():
    power = measure_range(
        fit_pair_couplings(decaying_rows(lambda r: r**-2.0, samples=20000, seed=0), kind="continuous"), square(8)
    )
    assert power.reach is not None
    assert power.reach >= 3.0
    assert power.length is None


def test_the_decay_length_of_an_exponential_is_found_within_its_error():
    rows = decaying_rows(lambda r: np.exp(-r / 1.5), samples=8000, seed=1)
    found = measure_range(fit_pair_couplings(rows, kind="continuous"), square(8))
    assert found.length is not None
    assert abs(found.length.value - 1.5) < z_limit(1, false_alarm=1e-4) * found.length.error
    assert "exp(-r / " in found.sentence


def test_shells_hold_every_pair_once_and_strengths_are_never_negative():
    rows = np.random.default_rng(0).standard_normal((300, 24))
    found = measure_range(fit_pair_couplings(rows, kind="continuous"), Lattice((4, 6), periodic=False))
    assert sum(found.pairs) <= 24 * 23 // 2
    assert sum(found.pairs) >= 24 * 23 // 2 - 8  # the last shell may be too small to stand alone
    assert list(found.distances) == sorted(found.distances)
    assert all(one.value >= 0.0 and one.error > 0.0 for one in found.strengths)
    assert all(level > 0.0 for level in found.noise)


def test_the_noise_level_is_passed_by_five_in_a_hundred_shells_of_noise():
    above, shells = 0, 0
    for seed in range(30):
        rows = np.random.default_rng(100 + seed).standard_normal((400, 16))
        found = measure_range(fit_pair_couplings(rows, kind="continuous"), square(4))
        above += sum(one.value > level for one, level in zip(found.strengths, found.noise, strict=True))
        shells += len(found.noise)
    assert abs(above - 0.05 * shells) < z_limit(1) * math.sqrt(0.05 * 0.95 * shells) + 0.05 * shells


def test_too_few_samples_have_no_reach():
    rows = np.random.default_rng(0).standard_normal((60, 49))
    found = measure_range(fit_pair_couplings(rows, kind="continuous"), square(7))
    assert found.reach is None
    assert "too few" in found.sentence


def test_a_lattice_of_another_size_is_refused():
    couplings = fit_pair_couplings(np.random.default_rng(0).standard_normal((100, 9)), kind="continuous")
    with pytest.raises(SettingError, match="16 sites"):
        measure_range(couplings, square(4))

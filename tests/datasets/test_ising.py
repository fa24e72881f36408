"""The Ising sampler against exact answers: all states of a small lattice, and Onsager's energy of the infinite one.

Chains are independent, so standard errors come from their means; z limits hold for a false-alarm rate of 1e-6.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from rgflow.datasets import load
from rgflow.datasets.ising import IsingSettings, energy_per_site, sample_ising
from rgflow.errors import DataError
from tests.tolerances import z_limit

CHAINS = 50
TEMPERATURES = (1.8, 2.269, 3.5)


def chain_means(values: np.ndarray) -> np.ndarray:
    """Return the mean of every independent chain; samples come as blocks of all chains at one time."""
    return values.reshape(-1, CHAINS).mean(axis=0)


def z_score(values: np.ndarray, *, truth: float) -> float:
    means = chain_means(values)
    return float((means.mean() - truth) / (means.std(ddof=1) / math.sqrt(len(means))))


def all_states(height: int, width: int) -> np.ndarray:
    states = np.array(list(itertools.product((-1, 1), repeat=height * width)), dtype=np.int8)
    return states.reshape(-1, height, width)


@pytest.fixture(scope="module")
def enumeration() -> np.ndarray:
    return all_states(4, 4)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_energy_and_magnetisation_of_a_small_lattice_match_the_sum_over_all_states(temperature, enumeration):
    sites = 16
    energy = energy_per_site(enumeration)
    weight = np.exp(-(energy - energy.min()) * sites / temperature)
    weight /= weight.sum()
    magnetisation = np.abs(enumeration.mean(axis=(1, 2), dtype=np.float64))
    spins = sample_ising(IsingSettings(4, 4, temperature, samples=5000, seed=3))
    found = np.abs(spins.mean(axis=(1, 2), dtype=np.float64))
    limit = z_limit(4 * len(TEMPERATURES))
    assert abs(z_score(energy_per_site(spins), truth=float(weight @ energy))) < limit
    assert abs(z_score(energy_per_site(spins) ** 2, truth=float(weight @ energy**2))) < limit
    assert abs(z_score(found, truth=float(weight @ magnetisation))) < limit
    assert abs(z_score(spins.mean(axis=(1, 2), dtype=np.float64), truth=0.0)) < limit


def test_the_small_lattice_test_would_see_a_temperature_wrong_by_five_percent(enumeration):
    spins = sample_ising(IsingSettings(4, 4, 3.5 * 1.05, samples=5000, seed=3))
    energy = energy_per_site(enumeration)
    weight = np.exp(-energy * 16 / 3.5)
    assert abs(z_score(energy_per_site(spins), truth=float(weight @ energy / weight.sum()))) > z_limit(12)


def onsager_energy(temperature: float) -> float:
    """Return the energy per site of the infinite lattice (Onsager 1944, Phys. Rev. 65, 117)."""
    doubled = 2.0 / temperature
    modulus = 2.0 * math.sinh(doubled) / math.cosh(doubled) ** 2
    elliptic = quad(lambda angle: 1.0 / math.sqrt(1.0 - (modulus * math.sin(angle)) ** 2), 0.0, math.pi / 2)[0]
    bracket = 1.0 + 2.0 / math.pi * (2.0 * math.tanh(doubled) ** 2 - 1.0) * elliptic
    return -1.0 / math.tanh(doubled) * bracket


def test_energy_of_a_large_lattice_above_the_transition_matches_onsager():
    # correlation length 1/(log coth(1/T) - 2/T) = 1.5 at T = 3.5: the finite lattice shifts the energy by exp(-32/1.5)
    spins = load("ising:32x32:T=3.5:samples=500:seed=1").inputs[:, 0].numpy()
    assert abs(z_score(energy_per_site(spins), truth=onsager_energy(3.5))) < z_limit(1)


def test_a_rectangular_lattice_keeps_its_two_sides():
    assert tuple(load("ising:4x6:T=2.5:samples=10").inputs.shape) == (10, 1, 4, 6)


def test_the_default_is_a_thousand_spin_configurations_without_targets():
    data = load("ising:5x5:T=2.5")
    assert tuple(data.inputs.shape) == (1000, 1, 5, 5)
    assert set(data.inputs.unique().tolist()) == {-1.0, 1.0}
    assert (data.targets, data.task) == (None, "unsupervised")


def test_one_seed_gives_one_result_and_two_seeds_give_two():
    first, again, other = (load(f"ising:6x6:T=2.5:samples=20:seed={seed}").inputs for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "spec",
    [
        "ising",
        "ising:32:T=2",
        "ising:8x8",
        "ising:8x8:T=hot",
        "ising:8x8:T=0",
        "ising:8x8:T=inf",
        "ising:2x8:T=2",
        "ising:8x8:T=2:samples=1",
        "ising:8x8:T=2:bonds=3",
        "ising:999x999:T=2",
        "ising:8x8:T=2:seed=-1",
    ],
)
def test_a_wrong_specification_is_refused_in_one_sentence(spec):
    with pytest.raises(DataError) as error:
        load(spec)
    assert "\n" not in str(error.value)

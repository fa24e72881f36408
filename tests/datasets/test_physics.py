"""Generated physics: the law of every model against exact answers, evidence in the provenance, wrong texts refused.

Samples come as records of 20 independent chains, one record of all chains after the other; errors are those of the chains.
"""

import math
import re

import pytest
import torch

from rgflow.datasets import batch_of, load, splits
from rgflow.datasets.physics import SPECIFICATIONS
from rgflow.errors import DataError
from rgflow.lattice import Lattice, SpinGlass, enumerate_potts, enumerate_spins, torus_covariance, torus_energy
from rgflow.lattice.spin_models import pair_system
from rgflow.numerics.chain_statistics import chain_statistics
from rgflow.numerics.statistics import mean
from rgflow.records.dataset import Dataset
from tests.tolerances import z_limit

CHAINS = 20


def z_score(values: torch.Tensor, *, truth: float) -> float:
    found = chain_statistics(values.reshape(-1, CHAINS).T)
    return (found.mean - truth) / found.error if found.error else math.inf


def bonds_per_site(data: Dataset) -> torch.Tensor:
    spins = data.inputs[:, 0]
    return (spins * torch.roll(spins, 1, 1) + spins * torch.roll(spins, 1, 2)).mean((1, 2))


@pytest.mark.parametrize("temperature", [1.8, 2.269, 3.5])
def test_ising_data_have_the_exact_energy_of_their_lattice(temperature: float) -> None:
    data = load(f"ising:6x8:T={temperature}:samples=2000:seed=3")
    energy, limit = torus_energy((6, 8), temperature=temperature), z_limit(6)
    assert abs(z_score(-bonds_per_site(data), truth=energy)) < limit
    assert abs(z_score(data.inputs.mean((1, 2, 3)), truth=0.0)) < limit


def test_the_energy_test_would_see_a_temperature_wrong_by_five_percent() -> None:
    data = load("ising:6x8:T=3.675:samples=2000:seed=3")
    assert abs(z_score(-bonds_per_site(data), truth=torus_energy((6, 8), temperature=3.5))) > z_limit(6)


def test_potts_data_have_the_exact_energy_of_their_lattice() -> None:
    data = load("potts:3x3:q=3:T=1.25:samples=2000")
    exact = enumerate_potts(Lattice((3, 3)).bonds, 0.8, sites=9, states=3)
    states = data.inputs[:, 0]
    equal = ((states == torch.roll(states, 1, 1)).double() + (states == torch.roll(states, 1, 2)).double()).mean((1, 2))
    assert set(states.unique().tolist()) == {0.0, 1.0, 2.0}
    assert abs(z_score(-0.8 * equal, truth=exact.mean_energy / 9)) < z_limit(1)


def test_xy_data_are_unit_vectors_that_obey_the_identity_of_their_energy() -> None:
    # <d^2 H / da^2> = <(dH / da)^2> at every site, by partial integration
    data = load("xy:6x6:T=1.3:samples=2000")
    across, along = data.inputs[:, 0], data.inputs[:, 1]
    angles = torch.atan2(along, across)
    assert float((across**2 + along**2 - 1.0).abs().max()) < 1e-12
    turns = [torch.roll(angles, step, axis) - angles for axis in (1, 2) for step in (-1, 1)]
    slope, bend = sum(torch.sin(t) for t in turns) / 1.3, sum(torch.cos(t) for t in turns) / 1.3
    assert abs(z_score((bend - slope**2).mean((1, 2)), truth=0.0)) < z_limit(1)


def test_phi4_data_obey_the_virial_identity_of_the_numbers_in_their_name() -> None:
    data = load("phi4:6x6:m2=-1:lambda=1:kappa=.5:samples=2000")
    x = data.inputs[:, 0]
    around = sum(torch.roll(x, step, axis) for axis in (1, 2) for step in (-1, 1))
    virial = (x * (-x + x**3 + 0.5 * (4.0 * x - around))).mean((1, 2))
    assert abs(z_score(virial, truth=1.0)) < z_limit(1)


def test_gaussian_data_have_the_covariance_of_their_lattice() -> None:
    flat = load("gaussian:4x5:m2=.5:kappa=1:samples=4000").inputs.flatten(1)
    truth = torus_covariance(Lattice((4, 5)), mass_squared=0.5, coupling=1.0)
    error = ((torch.outer(truth.diag(), truth.diag()) + truth**2) / len(flat)).sqrt()
    assert float(((flat.T @ flat / len(flat) - truth) / error).abs().max()) < z_limit(210)


@pytest.mark.parametrize("temperature", [2.0, 0.7])
def test_glass_data_have_the_pair_moments_of_the_sum_over_all_states(temperature: float) -> None:
    data = load(f"glass:10:T={temperature}:samples=2000:disorder=7")
    model = SpinGlass(temperature=temperature, graph="complete", disorder_seed=7)
    system = pair_system(model, shape=(10,))
    truth = enumerate_spins([system.edges], system.couplings, sites=10).moments([system.edges])
    pairs = data.inputs[:, system.edges[:, 0]] * data.inputs[:, system.edges[:, 1]]
    worst = max(abs(z_score(pairs[:, k], truth=float(truth[k]))) for k in range(len(truth)))
    assert worst < z_limit(2 * len(truth))


def test_noise_is_white_and_of_the_law_in_its_name() -> None:
    normal, spins = load("noise:4x4:samples=4000"), load("noise:4x4:spins:samples=4000")
    assert set(spins.inputs.unique().tolist()) == {-1.0, 1.0}
    kurtosis = mean((normal.inputs**4 - 3.0).mean((1, 2, 3)))
    assert abs(float(kurtosis.value / kurtosis.error)) < z_limit(1)
    for data in (normal, spins):
        flat = data.inputs.flatten(1)
        deviation = (flat.T @ flat / len(flat) - torch.eye(16, dtype=torch.float64)) * math.sqrt(len(flat) / 2.0)
        assert float(deviation.abs().max()) < z_limit(136)


CASES = {
    "ising:5x4:T=2.5": ((1, 5, 4), (5, 4), "spin"),
    "potts:4x5:q=4:T=1.5": ((1, 4, 5), (4, 5), "state"),
    "xy:4x5:T=1": ((2, 4, 5), (4, 5), "component of a unit vector"),
    "phi4:4x5:m2=1:lambda=1:kappa=1": ((1, 4, 5), (4, 5), "field"),
    "gaussian:4x5:m2=1:kappa=1": ((1, 4, 5), (4, 5), "field"),
    "glass:9:T=1": ((9,), (), "spin"),
    "noise:4x5": ((1, 4, 5), (4, 5), "standard deviation"),
    "noise:4x5:spins": ((1, 4, 5), (4, 5), "spin"),
}


@pytest.mark.parametrize("spec", CASES)
def test_data_carry_their_lattice_unit_and_evidence(spec: str) -> None:
    shape, grid, unit = CASES[spec]
    data = load(f"{spec}:samples=60:seed=5")
    assert tuple(data.inputs.shape) == (60, *shape)
    assert (data.grid, data.periodic, data.units) == (grid, bool(grid), (unit,))
    assert (data.targets, data.task) == (None, "unsupervised")
    assert len(data.axes) == len(shape)
    assert "seed 5" in data.provenance
    assert 30 <= int(re.search(r"n_eff (\d+) of 60", data.provenance)[1]) <= 60


@pytest.mark.parametrize("spec", CASES)
def test_one_seed_gives_one_result_and_two_seeds_give_two(spec: str) -> None:
    first, again, other = (load(f"{spec}:samples=20:seed={seed}").inputs for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_default_is_a_thousand_spin_configurations_without_targets() -> None:
    data = load("ising:5x5:T=2.5")
    assert tuple(data.inputs.shape) == (1000, 1, 5, 5)
    assert set(data.inputs.unique().tolist()) == {-1.0, 1.0}


def test_couplings_of_a_glass_are_drawn_by_their_own_seed() -> None:
    one, other = (load(f"glass:30:T=2:samples=2000:disorder={disorder}").inputs for disorder in (0, 1))
    same = load("glass:30:T=2:samples=2000:seed=1").inputs
    moments = [(data.T @ data / len(data)).triu(1).flatten() for data in (one, same, other)]
    assert float(torch.corrcoef(torch.stack(moments))[0, 1]) > 0.5 > float(torch.corrcoef(torch.stack(moments))[0, 2])


def test_chains_that_are_too_short_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rgflow.datasets.independent_samples._ROUNDS", 1)
    assert "too short for independent samples" in load("glass:24:T=0.15:samples=400").provenance
    assert "too short" not in load("glass:24:T=2:samples=400").provenance


def test_correlated_records_are_drawn_again_further_apart() -> None:
    apart = int(re.search(r"(\d+) sweeps apart", load("glass:16:T=0.4:samples=400").provenance)[1])
    assert apart > 5


def test_batches_and_splits_keep_lattice_and_units() -> None:
    data = load("ising:4x4:T=2.5:samples=40")
    for part in (batch_of(data, size=10, seed=0), *splits(data, validation=0.25, test=0.25, seed=0)):
        assert (part.grid, part.periodic, part.units) == ((4, 4), True, ("spin",))


WRONG = [
    "ising",
    "ising:32:T=2",
    "ising:8x8",
    "ising:8x8:T=hot",
    "ising:8x8:T=0",
    "ising:8x8:T=inf",
    "ising:2x8:T=2",
    "ising:8x8:T=2:samples=1",
    "ising:8x8:T=2:bonds=3",
    "ising:8x8:T=2:T=3",
    "ising:8x8x8:T=2",
    "ising:999x999:T=2",
    "ising:8x8:T=2:seed=-1",
    "ising:8x8:T=2:samples",
    "potts:8x8:T=2",
    "potts:8x8:q=1:T=2",
    "potts:8x8:q=2.5:T=2",
    "xy:8x8:T=-1",
    "phi4:8x8:m2=-1:lambda=0:kappa=1",
    "phi4:8x8:m2=-1:kappa=1",
    "gaussian:8x8:m2=0:kappa=1",
    "gaussian:8x8:m2=nan:kappa=1",
    "glass:8x8:T=1",
    "glass:900:T=0.1",
    "glass:5000:T=1",
    "glass:10:T=1:disorder=-1",
    "noise",
    "noise:8",
    "noise:8x8:T=1",
    "noise:0x8",
    "photos:1x1",
    "photos:8",
    "photos:8x800",
]


@pytest.mark.parametrize("spec", WRONG)
def test_a_wrong_specification_is_refused_in_one_sentence(spec: str) -> None:
    with pytest.raises(DataError) as error:
        load(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", SPECIFICATIONS)
def test_the_example_of_every_form_is_understood(kind: str) -> None:
    for spec in SPECIFICATIONS[kind].split(" or "):
        assert len(load(f"{spec.replace('32x32', '4x4').replace('16x16', '4x4')}:samples=4").inputs) == 4

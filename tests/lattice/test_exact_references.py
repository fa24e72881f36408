"""Exact references against each other and against published values: sums over states, Kaufman, Onsager, transfer matrices.

Two routes to one number agree to rounding; the reference file comes from an independent prototype, at its own tolerances.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ellipk, iv

from rgflow.errors import SettingError
from rgflow.lattice import (
    CRITICAL_COUPLING,
    CRITICAL_TEMPERATURE,
    Lattice,
    enumerate_potts,
    enumerate_spins,
    gaussian_precision,
    ising_ring,
    onsager_energy,
    phi4_ring,
    potts_ring,
    spontaneous_magnetisation,
    torus_covariance,
    torus_energy,
    torus_log_partition,
    xy_ring,
)
from tests.tolerances import ROUNDING

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "square_ising.json").read_text())["values"]
ENERGIES = [row for row in GOLDEN if ".u_" in row["id"]]


def agree(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= ROUNDING * max(1.0, abs(wanted))


@pytest.mark.parametrize("row", ENERGIES, ids=[row["id"] for row in ENERGIES])
def test_an_energy_is_that_of_the_independent_prototype(row: dict) -> None:
    spelled, size = row["id"].removeprefix("C.T").split(".u_")
    temperature = CRITICAL_TEMPERATURE if spelled == "c" else float(spelled)
    side = 0 if size == "inf" else int(size.removeprefix("L"))
    found = torus_energy((side, side), temperature=temperature) if side else onsager_energy(temperature)
    assert abs(found - row["value"]) <= row["tol"]


def test_the_critical_point_and_the_partition_function_are_those_of_the_prototype() -> None:
    wanted = {row["id"]: row for row in GOLDEN}
    assert abs(CRITICAL_COUPLING - wanted["C.Kc"]["value"]) <= wanted["C.Kc"]["tol"]
    small = wanted["C.lnZ_4x4_K0.4"]
    assert abs(torus_log_partition((4, 4), temperature=2.5) - small["value"]) <= small["tol"]


@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (3, 6)])
@pytest.mark.parametrize("temperature", [0.05, 1.5, CRITICAL_TEMPERATURE, 3.0, 40.0])
def test_a_torus_of_any_shape_has_the_partition_function_and_energy_of_its_states(shape, temperature) -> None:
    lattice = Lattice(shape)
    states = enumerate_spins([lattice.bonds], np.full(len(lattice.bonds), 1.0 / temperature), sites=lattice.sites)
    assert agree(torus_log_partition(shape, temperature=temperature), states.log_partition)
    energy = states.mean_energy * temperature / lattice.sites
    assert agree(torus_energy(shape, temperature=temperature), energy)


def test_the_energy_of_a_torus_is_the_slope_of_its_partition_function() -> None:
    step, coupling = 1e-4, 0.43
    ends = [torus_log_partition((8, 12), temperature=1.0 / (coupling + k * step)) for k in (-2, -1, 1, 2)]
    slope = (ends[0] - 8.0 * ends[1] + 8.0 * ends[2] - ends[3]) / (12.0 * step)  # error of order step^4
    assert abs(torus_energy((8, 12), temperature=1.0 / coupling) + slope / 96) < 1e-8


def test_a_large_torus_has_the_energy_of_the_infinite_lattice_away_from_the_critical_point() -> None:
    for temperature in (1.0, 1.9, 3.0):
        assert agree(torus_energy((200, 200), temperature=temperature), onsager_energy(temperature))


def test_onsager_at_the_critical_point_and_at_both_ends() -> None:
    assert onsager_energy(CRITICAL_TEMPERATURE) == pytest.approx(-math.sqrt(2.0), rel=ROUNDING)
    assert onsager_energy(0.01) == pytest.approx(-2.0, rel=ROUNDING)
    assert onsager_energy(1e4) == pytest.approx(-2e-4, rel=1e-7)  # -2K up to K^2 = 1e-8 relative
    near = [onsager_energy(CRITICAL_TEMPERATURE + shift) + math.sqrt(2.0) for shift in (-1e-9, 1e-9)]
    assert near[0] < 0.0 < near[1]
    assert max(map(abs, near)) < 1e-7  # the slope grows like log |T - T_c| only


def test_onsager_agrees_with_the_textbook_elliptic_integral() -> None:
    for temperature in (1.7, 2.6):
        doubled = 2.0 / temperature
        modulus = 2.0 * math.sinh(doubled) / math.cosh(doubled) ** 2
        factor = 2.0 / math.pi * (2.0 * math.tanh(doubled) ** 2 - 1.0) * ellipk(modulus**2)
        assert agree(onsager_energy(temperature), -(1.0 + factor) / math.tanh(doubled))


def test_the_spontaneous_magnetisation_has_its_published_values_and_vanishes_above() -> None:
    assert spontaneous_magnetisation(1.5) == pytest.approx(0.98650, abs=5e-6)  # five printed digits
    assert spontaneous_magnetisation(2.0) == pytest.approx(0.91132, abs=5e-6)
    assert spontaneous_magnetisation(CRITICAL_TEMPERATURE) == spontaneous_magnetisation(3.0) == 0.0


@pytest.mark.parametrize("field", [0.0, 0.2, -0.6])
def test_an_ising_ring_by_transfer_matrix_is_the_sum_over_its_states(field: float) -> None:
    ring, bonds = ising_ring(7, coupling=0.4, field=field), Lattice((7,)).bonds
    states = enumerate_spins([np.arange(7)[:, None], bonds], [field] * 7 + [0.4] * 7, sites=7)
    assert agree(ring.log_partition, states.log_partition)
    magnetisation, neighbours, apart = states.moments([[[3]], [[2, 3]], [[1, 4]]]).tolist()
    assert agree(ring.mean(ring.points), magnetisation)
    assert agree(ring.bond_mean(np.outer(ring.points, ring.points)), neighbours)
    assert agree(ring.correlation(ring.points, ring.points, distance=3), apart)
    assert agree(ring.correlation(ring.points, ring.points, distance=1), neighbours)


def test_a_potts_ring_with_fields_is_the_sum_over_its_states() -> None:
    fields = [0.3, 0.0, -0.1]
    ring = potts_ring(6, states=3, coupling=0.7, fields=fields)
    states = enumerate_potts(Lattice((6,)).bonds, 0.7, sites=6, states=3, fields=fields)
    assert agree(ring.log_partition, states.log_partition)
    equal = (states.states[:, 0] == states.states[:, 1]).double()
    assert agree(ring.bond_mean(np.eye(3)), float(states.mean(equal)))
    assert agree(ring.mean([1.0, 0.0, 0.0]), float(states.mean((states.states[:, 2] == 0).double())))


def test_two_potts_states_are_an_ising_model_of_half_the_coupling() -> None:
    bonds = Lattice((3, 3)).bonds
    potts = enumerate_potts(bonds, 0.8, sites=9, states=2)
    ising = enumerate_spins([bonds], np.full(len(bonds), 0.4), sites=9)
    assert agree(potts.log_partition, ising.log_partition + 0.4 * len(bonds))
    assert torch.allclose(potts.probabilities, ising.probabilities, rtol=ROUNDING, atol=0.0)


def test_an_xy_ring_is_the_sum_of_bessel_functions() -> None:
    ring, orders = xy_ring(5, coupling=1.3), np.arange(-60, 61)
    bessel = iv(orders, 1.3)
    assert agree(ring.log_partition, math.log((2.0 * math.pi * bessel) ** 5 @ np.ones(121)))
    wanted = float((bessel**3 * iv(orders + 1, 1.3) ** 2).sum() / (bessel**5).sum())
    found = sum(ring.correlation(f(ring.points), f(ring.points), distance=2) for f in (np.cos, np.sin))
    assert agree(found, wanted)


def test_a_gaussian_ring_has_the_covariance_of_the_field() -> None:
    ring, lattice = phi4_ring(6, mass_squared=0.5, quartic=0.0, coupling=1.0), Lattice((6,))
    covariance = torus_covariance(lattice, mass_squared=0.5, coupling=1.0)
    for distance in range(4):
        found = ring.correlation(ring.points, ring.points, distance=distance)
        assert agree(found, float(covariance[0, distance]))
    determinant = float(torch.logdet(gaussian_precision(lattice, mass_squared=0.5, coupling=1.0)))
    assert agree(ring.log_partition, 3.0 * math.log(2.0 * math.pi) - determinant / 2.0)


def test_a_phi4_ring_without_coupling_is_a_single_integral() -> None:
    def weight(x: float, power: int) -> float:
        return x**power * math.exp(x**2 / 2.0 - x**4 / 4.0)

    total, square = (quad(weight, -8.0, 8.0, args=(power,), epsabs=0.0, epsrel=1e-13)[0] for power in (0, 2))
    ring = phi4_ring(4, mass_squared=-1.0, quartic=1.0, coupling=0.0)
    assert agree(ring.log_partition, 4.0 * math.log(total))
    assert agree(ring.mean(ring.points**2), square / total)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (4, 3, 5)])
def test_the_covariance_on_a_torus_inverts_the_precision(shape: tuple[int, ...]) -> None:
    lattice = Lattice(shape)
    precision = gaussian_precision(lattice, mass_squared=0.3, coupling=0.7)
    covariance = torus_covariance(lattice, mass_squared=0.3, coupling=0.7)
    assert float((precision @ covariance - torch.eye(lattice.sites, dtype=torch.float64)).abs().max()) < ROUNDING


def test_the_precision_of_an_open_lattice_gives_its_energy() -> None:
    lattice = Lattice((3, 4), periodic=False)
    field = torch.linspace(-1.0, 2.0, 12, dtype=torch.float64).cos()
    matrix = gaussian_precision(lattice, mass_squared=0.3, coupling=0.7)
    first, second = torch.from_numpy(lattice.bonds).T
    energy = 0.15 * field.square().sum() + 0.35 * (field[first] - field[second]).square().sum()
    assert agree(float(field @ matrix @ field / 2.0), float(energy))


def test_bits_and_terms_of_order_three_are_enumerated_as_written() -> None:
    states = enumerate_spins([[[0]], [[0, 1, 2]]], [0.4, -1.1], sites=3, values=(0.0, 1.0))
    weights = [math.exp(0.4 * a - 1.1 * a * b * c) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert agree(states.log_partition, math.log(sum(weights)))
    assert agree(float(states.moments([[[0, 2]]])[0]), (weights[5] + weights[7]) / sum(weights))
    energy = -sum(w * math.log(w) for w in weights) / sum(weights)
    assert agree(states.mean_energy, energy)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: enumerate_spins([], [], sites=21), "can be enumerated"),
        (lambda: enumerate_spins([[[0, 1]]], [1.0, 2.0], sites=2), "one for each term"),
        (lambda: enumerate_spins([[[0, 2]]], [1.0], sites=2), "sites are 0..1"),
        (lambda: enumerate_potts([[0, 1]], sites=20, states=3), "can be enumerated"),
        (lambda: enumerate_potts([[0, 1]], sites=2, states=3, fields=[1.0]), "one for each state"),
        (lambda: enumerate_potts([[0, 5]], sites=2, states=3), "sites are 0..1"),
        (lambda: enumerate_potts([[0, 1]], sites=2, states=1), "at least 2"),
        (lambda: onsager_energy(0.0), "temperature is 0.0"),
        (lambda: torus_energy((2, 4), temperature=1.0), "both sides must be >= 3"),
        (lambda: ising_ring(2, coupling=1.0), "at least 3"),
        (lambda: potts_ring(4, states=3, coupling=1.0, fields=[1.0]), "one field each"),
        (lambda: xy_ring(4, coupling=1e4), "up to 500"),
        (lambda: phi4_ring(4, mass_squared=-1.0, quartic=0.0, coupling=1.0), "needed"),
        (lambda: torus_covariance(Lattice((4,), periodic=False), mass_squared=1.0, coupling=1.0), "open"),
        (lambda: gaussian_precision(Lattice((4,)), mass_squared=0.0, coupling=1.0), "mass_squared > 0"),
    ],
)
def test_what_cannot_be_computed_is_refused_in_one_sentence(wrong, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as error:
        wrong()
    assert "\n" not in str(error.value)

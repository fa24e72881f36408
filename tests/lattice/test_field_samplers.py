"""Samplers of Potts, XY, phi^4 and Gaussian models against exact answers: sums over states, transfer matrices, identities.

Errors come from effective samples; limits of z hold for a false-alarm rate of 1e-6 over the cells of a test.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.integrate import dblquad, quad
from scipy.special import iv

from rgflow.errors import SettingError
from rgflow.lattice import (
    CRITICAL_TEMPERATURE,
    XY,
    GaussianField,
    Lattice,
    Phi4,
    Potts,
    Samples,
    enumerate_potts,
    gaussian_precision,
    phi4_ring,
    sample,
    torus_covariance,
    torus_energy,
    xy_ring,
)
from rgflow.numerics.chain_statistics import chain_statistics
from tests.tolerances import z_limit

POTTS_METHODS = ("swendsen-wang", "heat-bath")
REAL_METHODS = ("embedded-clusters", "metropolis")
EMPTY = np.zeros((0, 2), dtype=np.int64)


def drawn(model: Any, shape: Any, *, method: str | None = None, sweeps: int = 4000, seed: int = 1) -> Samples:
    return sample(model, shape=shape, chains=6, sweeps=sweeps, seed=seed, method=method)


def z_score(series: torch.Tensor, truth: float) -> float:
    """Return (mean - truth) / error of a series (chains, records)."""
    found = chain_statistics(series)
    return (found.mean - truth) / found.error


def energy_z(samples: Samples, truth: float) -> float:
    return (samples.energy.value - truth) / samples.energy.error


@pytest.mark.parametrize("method", POTTS_METHODS)
@pytest.mark.parametrize("field", [(), (0.3, 0.0, -0.2)])
def test_potts_samples_have_the_energy_states_and_pairs_of_the_sum_over_all_states(method: str, field: tuple) -> None:
    lattice = Lattice((3, 3))
    exact = enumerate_potts(lattice.bonds, 0.8, sites=9, states=3, fields=field)
    found = drawn(Potts(states=3, coupling=0.8, field=field), (3, 3), method=method)
    values, limit = found.values.flatten(2), z_limit(16)
    assert found.reliable, found.reason
    assert abs(energy_z(found, exact.mean_energy / 9)) < limit
    for state in (0, 2):
        share = float(exact.mean((exact.states == state).double().mean(1)))
        assert abs(z_score((values == state).double().mean(2), share)) < limit
    diagonal = float(exact.mean((exact.states[:, 0] == exact.states[:, 4]).double()))
    assert abs(z_score((values[..., 0] == values[..., 4]).double(), diagonal)) < limit


def test_an_antiferromagnetic_potts_model_is_sampled_by_the_heat_bath_alone() -> None:
    model = Potts(states=3, coupling=-0.9)
    exact = enumerate_potts(Lattice((3, 3)).bonds, -0.9, sites=9, states=3)
    found = drawn(model, (3, 3))
    assert found.method == "heat-bath"
    assert abs(energy_z(found, exact.mean_energy / 9)) < z_limit(1)
    with pytest.raises(SettingError, match="bind equal neighbours"):
        drawn(model, (3, 3), method="swendsen-wang")


def test_the_potts_test_would_see_a_coupling_wrong_by_five_percent() -> None:
    exact = enumerate_potts(Lattice((3, 3)).bonds, 0.8, sites=9, states=3)
    found = drawn(Potts(states=3, coupling=0.8 * 1.05), (3, 3))
    wrong = chain_statistics(-0.8 * _equal_bonds(found) / 9)
    assert abs(wrong.mean - exact.mean_energy / 9) / wrong.error > z_limit(16)


def _equal_bonds(samples: Samples) -> torch.Tensor:
    values, bonds = samples.values.flatten(2), torch.from_numpy(Lattice((3, 3)).bonds)
    return (values[..., bonds[:, 0]] == values[..., bonds[:, 1]]).double().sum(2)


def test_two_potts_states_at_the_critical_point_have_the_energy_of_the_ising_torus() -> None:
    found = drawn(Potts(states=2, coupling=2.0 / CRITICAL_TEMPERATURE), (12, 12), sweeps=2000)
    ising = torus_energy((12, 12), temperature=CRITICAL_TEMPERATURE)
    assert found.reliable, found.reason
    assert abs(energy_z(found, (ising - 2.0) / CRITICAL_TEMPERATURE)) < z_limit(1)  # [s = s'] = (1 + s s') / 2


@pytest.mark.parametrize("method", REAL_METHODS)
def test_two_xy_vectors_have_the_ratio_of_bessel_functions(method: str) -> None:
    found = drawn(XY(coupling=1.4, edges=[[0, 1]]), 2, method=method)
    cosine = torch.cos(found.values[..., 0] - found.values[..., 1])
    limit = z_limit(6)
    assert abs(z_score(cosine, iv(1, 1.4) / iv(0, 1.4))) < limit
    assert abs(z_score(torch.cos(2.0 * torch.acos(cosine.clamp(-1, 1))), iv(2, 1.4) / iv(0, 1.4))) < limit
    assert abs(z_score(torch.cos(found.values[..., 0]), 0.0)) < limit


@pytest.mark.parametrize("method", REAL_METHODS)
@pytest.mark.parametrize("coupling", [1.4, -0.8])
def test_an_xy_ring_has_the_energy_and_correlations_of_the_transfer_matrix(method: str, coupling: float) -> None:
    ring = xy_ring(6, coupling=coupling)
    found = drawn(XY(coupling=coupling), 6, method=method)
    bond = ring.bond_mean(np.cos(ring.points[:, None] - ring.points[None, :]))
    far = sum(ring.correlation(f(ring.points), f(ring.points), distance=3) for f in (np.cos, np.sin))
    assert found.reliable, found.reason
    assert abs(energy_z(found, -coupling * bond)) < z_limit(8)
    assert abs(z_score(torch.cos(found.values[..., 1] - found.values[..., 4]), far)) < z_limit(8)


@pytest.mark.parametrize("method", REAL_METHODS)
def test_an_xy_lattice_obeys_the_identity_of_its_first_and_second_derivatives(method: str) -> None:
    # <d^2 H / da^2> = <(dH / da)^2> at every site, by partial integration over the circle
    found = drawn(XY(temperature=1.3), (8, 8), method=method, sweeps=1500)
    angles = found.values
    turns = [torch.roll(angles, step, axis) - angles for axis in (2, 3) for step in (-1, 1)]
    slope = sum(torch.sin(turn) for turn in turns) / 1.3
    bend = sum(torch.cos(turn) for turn in turns) / 1.3
    assert abs(z_score((bend - slope**2).mean((2, 3)), 0.0)) < z_limit(2)
    assert abs(z_score((bend - 1.05 * slope**2).mean((2, 3)), 0.0)) > z_limit(2)


def single_moment(power: int) -> float:
    return quad(lambda x: x**power * math.exp(x**2 / 2.0 - x**4 / 4.0), -7.0, 7.0, epsabs=0.0, epsrel=1e-12)[0]


@pytest.mark.parametrize("method", REAL_METHODS)
def test_a_single_phi4_site_has_the_moments_of_its_integral(method: str) -> None:
    found = drawn(Phi4(mass_squared=-1.0, quartic=1.0, edges=EMPTY), 1, method=method)
    for power in (1, 2, 4):
        truth = single_moment(power) / single_moment(0) if power > 1 else 0.0
        assert abs(z_score(found.values[..., 0] ** power, truth)) < z_limit(6)


@pytest.mark.parametrize("method", REAL_METHODS)
@pytest.mark.parametrize("coupling", [0.7, -0.4])
def test_two_phi4_sites_have_the_moments_of_a_double_integral(method: str, coupling: float) -> None:
    def weight(y: float, x: float) -> float:
        return math.exp((x**2 + y**2) / 2.0 - (x**4 + y**4) / 4.0 - coupling * (x - y) ** 2 / 2.0)

    def integral(function: Any) -> float:
        return dblquad(lambda y, x: function(x, y) * weight(y, x), -4.5, 4.5, -4.5, 4.5, epsrel=1e-6)[0]

    total = integral(lambda x, y: 1.0)
    found = drawn(Phi4(mass_squared=-1.0, quartic=1.0, coupling=coupling, edges=[[0, 1]]), 2, method=method)
    first, second = found.values[..., 0], found.values[..., 1]
    assert abs(z_score(first * second, integral(lambda x, y: x * y) / total)) < z_limit(8)
    assert abs(z_score(first**2, integral(lambda x, y: x * x) / total)) < z_limit(8)


@pytest.mark.parametrize("method", REAL_METHODS)
def test_a_phi4_ring_has_the_energy_and_correlations_of_the_transfer_matrix(method: str) -> None:
    ring = phi4_ring(5, mass_squared=-1.0, quartic=1.0, coupling=0.5)
    found = drawn(Phi4(mass_squared=-1.0, quartic=1.0, coupling=0.5), 5, method=method)
    x = ring.points
    energy = ring.mean(-(x**2) / 2.0 + x**4 / 4.0) + 0.25 * ring.bond_mean((x[:, None] - x[None, :]) ** 2)
    assert found.reliable, found.reason
    assert abs(energy_z(found, energy)) < z_limit(4)
    apart = found.values[..., 0] * found.values[..., 2]
    assert abs(z_score(apart, ring.correlation(x, x, distance=2))) < z_limit(4)


@pytest.mark.parametrize("method", REAL_METHODS)
def test_a_phi4_lattice_obeys_the_virial_identity(method: str) -> None:
    # <x dH/dx> = 1 at every site, by partial integration
    found = drawn(Phi4(mass_squared=-1.0, quartic=1.0, coupling=0.5), (8, 8), method=method, sweeps=1500)
    x = found.values
    around = sum(torch.roll(x, step, axis) for axis in (2, 3) for step in (-1, 1))
    virial = (x * (-x + x**3 + 0.5 * (4.0 * x - around))).mean((2, 3))
    assert abs(z_score(virial, 1.0)) < z_limit(2)
    assert abs(z_score(virial, 1.06)) > z_limit(2)


def test_phi4_without_quartic_is_the_gaussian_field() -> None:
    found = drawn(Phi4(mass_squared=0.5, quartic=0.0, coupling=1.0), (3, 4), sweeps=3000)
    covariance = torus_covariance(Lattice((3, 4)), mass_squared=0.5, coupling=1.0)
    flat = found.values.flatten(2)
    assert abs(energy_z(found, 0.5)) < z_limit(4)  # half a nat a site: equipartition
    for other in (0, 1, 6):
        assert abs(z_score(flat[..., 0] * flat[..., other], float(covariance[0, other]))) < z_limit(4)


def covariance_z(samples: Samples, truth: torch.Tensor) -> float:
    """Return the largest |z| of all entries of the covariance of independent samples of mean 0."""
    flat = samples.flat().flatten(1)
    found = flat.T @ flat / len(flat)
    error = ((torch.outer(truth.diag(), truth.diag()) + truth**2) / len(flat)).sqrt()
    return float(((found - truth) / error).abs().max())


@pytest.mark.parametrize("method", ["fourier", "cholesky"])
@pytest.mark.parametrize("shape", [(4, 5), (7,), (3, 3, 4)])
def test_gaussian_fields_have_the_covariance_of_the_torus(method: str, shape: tuple[int, ...]) -> None:
    truth = torus_covariance(Lattice(shape), mass_squared=0.5, coupling=1.0)
    found = drawn(GaussianField(mass_squared=0.5, coupling=1.0), shape, method=method)
    assert found.reliable, found.reason
    limit = z_limit(36 * 37 // 2)
    assert covariance_z(found, truth) < limit
    assert covariance_z(found, torus_covariance(Lattice(shape), mass_squared=0.6, coupling=1.0)) > limit
    assert abs(energy_z(found, 0.5)) < z_limit(6)


def test_gaussian_fields_on_an_open_lattice_come_from_its_precision() -> None:
    lattice = Lattice((3, 4), periodic=False)
    truth = torch.linalg.inv(gaussian_precision(lattice, mass_squared=0.4, coupling=0.8))
    found = drawn(GaussianField(mass_squared=0.4, coupling=0.8, edges=lattice.bonds), (3, 4))
    assert found.method == "cholesky"
    assert covariance_z(found, truth) < z_limit(78)
    assert abs(energy_z(found, 0.5)) < z_limit(1)


def test_a_local_method_that_never_leaves_an_ordered_state_says_so_and_clusters_do_not_need_to() -> None:
    stuck = drawn(Potts(states=3, coupling=2.5), (8, 8), method="heat-bath", sweeps=500)
    assert not stuck.reliable
    assert stuck.reason
    moving = drawn(Potts(states=3, coupling=2.5), (8, 8), method="swendsen-wang", sweeps=500)
    assert moving.reliable, moving.reason


MODELS = {
    "potts clusters": (Potts(states=3, coupling=0.9), "swendsen-wang"),
    "potts heat bath": (Potts(states=3, coupling=0.9), "heat-bath"),
    "xy clusters": (XY(coupling=0.9), "embedded-clusters"),
    "xy metropolis": (XY(coupling=0.9), "metropolis"),
    "phi4 clusters": (Phi4(mass_squared=-1.0, quartic=1.0), "embedded-clusters"),
    "phi4 metropolis": (Phi4(mass_squared=-1.0, quartic=1.0), "metropolis"),
    "gaussian": (GaussianField(mass_squared=0.5), "fourier"),
    "gaussian by factors": (GaussianField(mass_squared=0.5), "cholesky"),
}


@pytest.mark.parametrize("case", MODELS)
def test_a_seed_repeats_its_samples_and_another_gives_others(case: str) -> None:
    model, method = MODELS[case]
    first, again, other = (drawn(model, (4, 4), method=method, sweeps=40, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.states, again.states)
    assert not torch.equal(first.states, other.states)
    assert not torch.equal(first.states[0], first.states[3])  # chains 0 and 3 both start at random
    assert tuple(first.values.shape) == (6, 40, 4, 4)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda: Potts(states=1, coupling=1.0), "states is 1"),
        (lambda: Potts(states=3), "exactly one"),
        (lambda: Potts(states=3, coupling=1.0, temperature=1.0), "exactly one"),
        (lambda: Potts(states=3, temperature=0.0), "finite and > 0"),
        (lambda: Potts(states=3, coupling=math.inf), "must be finite"),
        (lambda: Potts(states=3, coupling=1.0, field=[1.0, 2.0]), "each of 3 states"),
        (lambda: XY(), "exactly one"),
        (lambda: Phi4(mass_squared=-1.0, quartic=0.0), "no lower bound"),
        (lambda: Phi4(mass_squared=1.0, quartic=-1.0), "no lower bound"),
        (lambda: Phi4(mass_squared=math.nan, quartic=1.0), "no lower bound"),
        (lambda: GaussianField(mass_squared=0.0), "mass_squared > 0"),
        (lambda: GaussianField(mass_squared=1.0, coupling=-1.0), "coupling >= 0"),
        (lambda: drawn(XY(coupling=1.0, edges=[[0, 5]]), 3), "sites are 0..2"),
        (lambda: drawn(XY(coupling=1.0), (2, 5)), "every side must be >= 3"),
        (lambda: drawn(GaussianField(mass_squared=1.0, edges=[[0, 1]]), 2, method="fourier"), "use cholesky"),
        (lambda: drawn(GaussianField(mass_squared=1.0), (100, 100), method="cholesky"), "dense factor"),
        (lambda: drawn(XY(coupling=1.0), 4, method="heat-bath"), "embedded-clusters"),
    ],
)
def test_a_model_or_method_that_makes_no_sense_is_refused_in_one_sentence(wrong: Any, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence) as error:
        wrong()
    assert "\n" not in str(error.value)

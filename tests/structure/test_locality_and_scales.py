"""Locality beside its nulls, and couplings scale by scale."""

import math

import numpy as np
import pytest

from rgflow.lattice import Lattice
from rgflow.structure import fit_pair_couplings, measure_locality, scale_hierarchy
from rgflow.structure.locality_index import locality_of
from rgflow.structure.scale_levels import levels
from structure.planted_lattices import gaussian_rows, ising_rows, square
from tolerances import ROUNDING, z_limit


def test_the_spatial_index_of_a_planted_matrix_is_the_share_in_the_nearest_cells():
    lattice = square(5)
    near = (np.abs(lattice.separation(*np.mgrid[0:25, 0:25].reshape(2, -1))) <= 1).all(-1).reshape(25, 25)
    matrix = np.where(near, 1.0, 0.5)
    np.fill_diagonal(matrix, 0.0)
    # 8 near partners with J^2 = 1 and 16 others with J^2 = 1/4
    expected = 8.0 / (8.0 + 16.0 / 4.0)
    assert locality_of(matrix, np.full((25, 25), 1e-9), lattice=lattice) == pytest.approx(expected, rel=1e3 * ROUNDING)


@pytest.mark.parametrize("partners", [1, 2, 4])
def test_the_free_index_counts_equal_partners_exactly(partners):
    size = 20
    matrix = np.zeros((size, size))
    for step in range(1, partners // 2 + 1):
        for i in range(size):
            matrix[i, (i + step) % size] = matrix[(i + step) % size, i] = 0.3
    if partners == 1:
        for i in range(0, size, 2):
            matrix[i, i + 1] = matrix[i + 1, i] = 0.3
    found = locality_of(matrix, np.full((size, size), 1e-9), lattice=None)
    assert found == pytest.approx(1.0 - partners / (size - 1), rel=1e-9)


def test_noise_is_drawn_to_no_locality():
    errors = np.full((40, 40), 0.1)
    for seed in range(10):
        noise = 0.1 * np.random.default_rng(seed).standard_normal((40, 40))
        noise = np.triu(noise, 1) + np.triu(noise, 1).T
        assert locality_of(noise, errors, lattice=None) == 0.0


def test_lattice_data_are_local_and_their_nulls_are_not():
    rows = gaussian_rows(square(6).bonds, nodes=36, samples=1500, seed=0)
    couplings = fit_pair_couplings(rows, kind="continuous")
    for lattice in (square(6), None):
        found = measure_locality(couplings, samples=rows, lattice=lattice, seed=0)
        assert found.verdict == "yes"
        assert found.estimate is not None
        bands = {null.name: null for null in found.nulls}
        assert found.estimate.value > bands["shuffled"].high
        assert found.estimate.value > bands["rotated basis"].high
        assert ("phase-randomised" in bands) == (lattice is not None)
    assert found.estimate.value == pytest.approx(1.0 - 4.0 / 35.0, abs=0.05)  # four neighbours


def test_noise_is_not_local_and_few_samples_are_undetermined():
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((800, 25))
    assert (
        measure_locality(fit_pair_couplings(rows, kind="continuous"), samples=rows, lattice=square(5), seed=0).verdict
        == "no"
    )
    few = generator.standard_normal((50, 40))
    found = measure_locality(fit_pair_couplings(few, kind="continuous"), samples=few, seed=0)
    assert found.verdict == "undetermined"


def test_scrambled_sites_lose_their_place_in_space_but_not_their_few_partners():
    rows = gaussian_rows(square(6).bonds, nodes=36, samples=1500, seed=0)
    moved = rows[:, np.random.default_rng(1).permutation(36)]
    couplings = fit_pair_couplings(moved, kind="continuous")
    space = measure_locality(couplings, samples=moved, lattice=square(6), seed=0)
    free = measure_locality(couplings, samples=moved, seed=0)
    assert space.estimate is not None
    assert space.estimate.value < 0.5
    assert free.verdict == "yes"


def test_blocks_of_a_lattice_are_sums_of_its_cells():
    rows = np.random.default_rng(0).standard_normal((50, 64))
    steps = levels(rows, kind="continuous", lattice=square(8), seed=0)
    assert [step.side for step in steps] == [1, 2]
    cells = rows.reshape(50, 4, 2, 4, 2).sum((2, 4)).reshape(50, 16)
    assert steps[1].values == pytest.approx(cells, rel=1e3 * ROUNDING)
    open_ended = levels(rows[:, :49], kind="continuous", lattice=square(7, periodic=False), seed=0)
    assert open_ended[1].values.shape == (50, 9)  # the odd row and column are left out


def test_majorities_are_spins_and_their_ties_are_drawn_evenly():
    rows = np.tile([1.0, 1.0, -1.0, -1.0], (2000, 9))
    steps = levels(rows, kind="spin", lattice=square(6), seed=0)
    assert set(np.unique(steps[1].values)) == {-1.0, 1.0}
    assert abs(steps[1].values.mean()) < z_limit(1) / math.sqrt(2000 * 9)


def test_white_noise_has_the_variance_and_kurtosis_of_white_noise_on_every_scale():
    rows = np.random.default_rng(0).standard_normal((1500, 64))
    found = scale_hierarchy(rows, kind="continuous", lattice=square(8), seed=0)
    for row in found.rows:
        assert abs(row.variance.value - 1.0) < z_limit(4) * max(row.variance.error, 0.01)
        assert abs(row.non_gaussian.value) < z_limit(4) * max(row.non_gaussian.error, 0.03)
        assert row.neighbour_coupling is not None
        assert abs(row.neighbour_coupling.value) < z_limit(4) * row.neighbour_coupling.error
    assert found.index.verdict == "no"


def test_critical_spins_keep_their_couplings_and_hot_ones_lose_them():
    critical = scale_hierarchy(
        ising_rows(12, temperature=2.269, samples=1500, seed=0), kind="spin", lattice=square(12), seed=0
    )
    hot = scale_hierarchy(
        ising_rows(12, temperature=3.2, samples=1500, seed=0), kind="spin", lattice=square(12), seed=0
    )
    assert critical.index.estimate is not None
    assert hot.index.estimate is not None
    apart = math.hypot(critical.index.estimate.error, hot.index.estimate.error)
    assert critical.index.estimate.value - hot.index.estimate.value > 4.0 * apart
    assert hot.index.verdict == "no"
    assert critical.rows[-1].variance.value > 2.0 * hot.rows[-1].variance.value
    first = hot.rows[0].neighbour_coupling
    assert first is not None
    assert abs(first.value - 1 / 3.2) < z_limit(1) * first.error + 0.01


def test_pairs_matched_in_noise_show_no_coupling_though_they_were_the_strongest():
    rows = np.random.default_rng(3).standard_normal((1000, 40))
    found = scale_hierarchy(rows, kind="continuous", seed=0)
    first = found.rows[0].neighbour_coupling
    assert first is not None
    assert abs(first.value) < z_limit(1) * first.error
    assert found.index.verdict == "no"


def test_planted_pairs_are_matched_and_measured_with_their_sign():
    edges = np.arange(24).reshape(-1, 2)
    rows = gaussian_rows(edges, nodes=24, samples=2000, seed=0, weights=np.where(np.arange(12) % 2, 1.0, -1.0))
    found = scale_hierarchy(rows, kind="continuous", seed=0)
    first = found.rows[0].neighbour_coupling
    assert first is not None
    assert abs(first.value - 1.0 / 1.1) < z_limit(1) * first.error + 0.01  # partial correlation 1 / 1.1 of either sign


def test_one_scale_alone_is_not_applicable():
    rows = np.random.default_rng(0).standard_normal((200, 4))
    assert scale_hierarchy(rows, kind="continuous", lattice=Lattice((4,)), seed=0).index.verdict == "not applicable"


def test_the_same_seed_gives_the_same_index_and_another_seed_another_null():
    rows = gaussian_rows(square(4).bonds, nodes=16, samples=300, seed=0)
    couplings = fit_pair_couplings(rows, kind="continuous")
    first, again, other = (measure_locality(couplings, samples=rows, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.nulls != other.nulls

import math
from functools import cache

import numpy as np
import pytest

from rgflow.errors import DataError, SettingError
from rgflow.structure.basis_preference import (
    coupling_sparsity,
    non_gaussianity,
    partial_correlations,
    preferred_basis,
)
from rgflow.structure.null_data import haar_rotation
from tests.tolerances import ROUNDING, z_limit

SITES = 12


@cache
def phi4_ring():
    """exp(x^2 - x^4 / 4 + 0.2 x_i x_(i+1)) on a ring, Metropolis from random starts: 4000 independent chains."""
    generator = np.random.default_rng(0)
    field = generator.standard_normal((4000, SITES))
    for _ in range(60):
        for colour in (0, 1):
            sites = np.arange(colour, SITES, 2)
            beside = field[:, sites - 1] + field[:, (sites + 1) % SITES]
            old, new = field[:, sites], field[:, sites] + 1.5 * generator.standard_normal((4000, len(sites)))
            weight = [x**2 - x**4 / 4 + 0.2 * beside * x for x in (old, new)]
            accepted = np.log(generator.random(new.shape)) < weight[1] - weight[0]
            field[:, sites] = np.where(accepted, new, old)
    return field / field.std(0)


@cache
def turned():
    return phi4_ring() @ haar_rotation(SITES, seed=5).numpy()


def gaussian_chain():
    chain = np.random.default_rng(0).standard_normal((3000, SITES))
    for k in range(1, SITES):
        chain[:, k] += 0.6 * chain[:, k - 1]
    return chain


def test_a_sparse_ring_prefers_its_sites():
    found = preferred_basis(phi4_ring(), seed=0)
    assert found.given.verdict == "yes"
    assert found.given.estimate.value > found.given.nulls[0].high + z_limit(1) * found.given.estimate.error
    assert found.best == found.given.estimate.value


def test_a_rotation_destroys_the_sparsity_and_the_search_restores_it():
    found, original = preferred_basis(turned(), seed=0), coupling_sparsity(phi4_ring())
    assert found.given.verdict == "no"
    assert found.given.estimate.value < original / 2
    assert found.best > 0.9 * original
    assert "sparser" in found.sentence


def test_independent_non_gaussian_variables_prefer_their_axes_without_any_coupling():
    sources = np.random.default_rng(0).laplace(size=(3000, SITES))
    found = preferred_basis(sources, seed=0)
    assert found.given.verdict == "yes"
    assert abs(found.given.estimate.value - found.given.nulls[0].mean) < 0.2
    assert preferred_basis(sources @ haar_rotation(SITES, seed=1).numpy(), seed=0).given.verdict == "no"


def test_a_gaussian_chain_prefers_its_sites_for_its_couplings():
    assert preferred_basis(gaussian_chain(), seed=0).given.verdict == "yes"


@pytest.mark.parametrize("law", ["gaussian", "elliptical"])
def test_a_law_without_directions_has_no_preferred_basis(law):
    generator = np.random.default_rng(0)
    samples = generator.standard_normal((2000, SITES))
    if law == "elliptical":
        samples *= np.sqrt(5 / generator.chisquare(5, size=(2000, 1)))
    found = preferred_basis(samples, seed=0)
    assert found.given.verdict == "no"
    assert "no basis with sparser" in found.sentence


def test_isotropic_noise_is_called_preferred_no_more_often_than_the_level_says():
    seen = sum(
        preferred_basis(
            np.random.default_rng(s).standard_normal((200, 6)), rotations=10, level=0.05, seed=s
        ).given.verdict
        == "yes"
        for s in range(60)
    )
    assert seen <= 3 + z_limit(1) * math.sqrt(3)


def test_partial_correlations_are_minus_the_scaled_inverse():
    samples = gaussian_chain()
    found = partial_correlations(samples).numpy()
    inverse = np.linalg.inv(np.corrcoef(samples.T) + SITES / 3000 * np.eye(SITES))
    scale = np.sqrt(np.diag(inverse))
    np.testing.assert_allclose(found, np.where(np.eye(SITES) > 0, 0.0, -inverse / np.outer(scale, scale)), atol=1e-12)


def test_sparsity_has_its_known_values():
    generator = np.random.default_rng(0)
    noise = [coupling_sparsity(generator.standard_normal((400, 40))) for _ in range(10)]
    root = math.sqrt(40 * 39 / 2)
    gaussian = (root - root * math.sqrt(2 / math.pi)) / (root - 1)
    assert abs(np.mean(noise) - gaussian) < z_limit(1) * np.std(noise) / math.sqrt(10)
    one = generator.standard_normal((200_000, 3))
    one[:, 1] += one[:, 0]
    assert coupling_sparsity(one) > 0.98
    assert coupling_sparsity(one * [1.0, 5.0, 0.2]) == pytest.approx(coupling_sparsity(one), rel=1e3 * ROUNDING)


def test_non_gaussianity_is_zero_for_gaussians_and_known_for_coins():
    generator = np.random.default_rng(0)
    noise = [non_gaussianity(generator.standard_normal((2000, 8))) for _ in range(20)]
    assert abs(np.mean(noise)) < z_limit(1) * np.std(noise) / math.sqrt(20)
    coins = np.tile([[1.0], [-1.0]], (500, 4))
    assert non_gaussianity(coins) == pytest.approx((math.log(math.cosh(1)) - 0.37456720) ** 2, rel=1e-6)


def test_constant_columns_are_left_out_and_wide_data_are_not_searched():
    padded = np.concatenate([gaussian_chain(), np.ones((3000, 2))], axis=1)
    assert preferred_basis(padded, seed=0).given == preferred_basis(gaussian_chain(), seed=0).given
    wide = preferred_basis(np.random.default_rng(0).standard_normal((40, 15)), seed=0)
    assert wide.best is None
    assert "No better basis was searched for" in wide.sentence


def test_a_seed_fixes_the_rotations_and_another_changes_them():
    first, again, other = (preferred_basis(gaussian_chain()[:300], seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_too_little_is_refused():
    with pytest.raises(DataError, match="at least 20 samples and 3 variables"):
        preferred_basis(np.random.default_rng(0).standard_normal((50, 2)), seed=0)
    with pytest.raises(SettingError, match="at least 3"):
        preferred_basis(gaussian_chain(), rotations=1, seed=0)
    with pytest.raises(DataError, match="NaN"):
        preferred_basis(np.full((50, 4), np.nan), seed=0)

"""Roots of singular covariances, and draws that have the law they claim and leave the global state alone."""

import math

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics.gaussian_draws import covariance_root, gaussian_draws
from tolerances import ROUNDING, z_limit


def test_the_root_of_a_singular_covariance_is_exact_and_as_narrow_as_its_rank() -> None:
    x = torch.randn(12, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    covariance = torch.cat([x, x[:4]]) @ torch.cat([x, x[:4]]).T
    root = covariance_root(covariance)
    assert root.shape == (16, 5)
    assert float((root @ root.T - covariance).abs().max()) < ROUNDING * float(covariance.max())
    assert torch.equal(root[:4].abs().sum(1) > 0, torch.ones(4, dtype=torch.bool))


@pytest.mark.parametrize("dimension", [3, 100])
def test_draws_have_the_covariance_and_fourth_moment_of_the_gaussian(dimension: int) -> None:
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(dimension, dimension + 2, generator=generator, dtype=torch.float64)
    covariance = x @ x.T / dimension
    count = 8192
    z = gaussian_draws(covariance_root(covariance), count, seed=3)
    scale = covariance.diagonal().sqrt()
    gap = (z @ z.T / count - covariance) / torch.outer(scale, scale)
    assert float(gap.abs().max()) < z_limit(dimension**2) * math.sqrt(2 / count)
    fourth = (z / scale.unsqueeze(1)).pow(4).mean(1)
    assert float((fourth - 3).abs().max()) < z_limit(dimension) * math.sqrt(96 / count)  # Var z^4 = 105 - 9


def test_few_directions_are_averaged_far_better_than_at_random() -> None:
    root = torch.eye(2, dtype=torch.float64)
    gaps = [gaussian_draws(root, 4096, seed=seed).square().mean() - 1 for seed in range(8)]
    assert float(torch.stack(gaps).square().mean().sqrt()) < 0.2 * math.sqrt(2 / 8192)


def test_seeds_decide_and_the_global_state_is_left_as_found() -> None:
    root, state = torch.eye(70, dtype=torch.float64), torch.random.get_rng_state()
    first, again, other = (gaussian_draws(root, 16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())
    assert gaussian_draws(torch.zeros(3, 0, dtype=torch.float64), 4, seed=0).shape == (3, 4)


def test_a_covariance_that_is_not_finite_is_refused() -> None:
    with pytest.raises(SettingError, match="not finite"):
        covariance_root(torch.full((2, 2), math.nan, dtype=torch.float64))

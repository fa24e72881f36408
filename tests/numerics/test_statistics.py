"""Standard errors against their own coverage, and thresholds against the normal law."""

import math

import pytest
import torch
from scipy.stats import norm

from rgflow.errors import SettingError
from rgflow.numerics.statistics import (
    effective_samples,
    jackknife,
    mean,
    standard_deviation,
    variance,
    z_threshold,
)
from tests.tolerances import ROUNDING, z_limit

ENSEMBLES, SAMPLES = 2000, 200


def _draws(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def _spread_of_z(value: torch.Tensor, error: torch.Tensor, truth: float) -> float:
    """Mean square of (value - truth) / error over ensembles, as a z-score against 1."""
    square = ((value - truth) / error) ** 2
    return float((square.mean() - 1.0) / (square.std() / math.sqrt(len(square))))


def test_errors_of_mean_variance_and_deviation_are_the_scatter_over_ensembles():
    samples = 1.7 * _draws(SAMPLES, ENSEMBLES, seed=1) + 0.4
    for found, truth in ((mean(samples), 0.4), (variance(samples), 1.7**2), (standard_deviation(samples), 1.7)):
        scatter = float(found.value.std())
        typical = float(found.error.square().mean().sqrt())
        # Scatter of 2000 ensembles is known to 1/sqrt(4000) = 1.6 %; a bias of 8 % is seen at a false-alarm rate of 1e-6.
        assert abs(scatter / typical - 1.0) <= z_limit(3) / math.sqrt(2 * ENSEMBLES)
        # The square root is biased by -1/(4 n) = 0.1 % of itself, a fiftieth of an error bar.
        offset = (float(found.value.mean()) - truth) / (scatter / math.sqrt(ENSEMBLES))
        assert abs(offset) <= z_limit(3) + 0.05 * math.sqrt(ENSEMBLES)


def test_the_jackknife_of_a_linear_function_is_the_standard_error():
    samples = _draws(50, 3, seed=2)
    plain, jack = mean(samples), jackknife(lambda average: 3.0 * average, [samples])
    torch.testing.assert_close(jack.error, 3.0 * plain.error, rtol=ROUNDING, atol=0.0)


def test_the_jackknife_error_of_a_ratio_is_its_scatter():
    first = 2.0 + 0.5 * _draws(SAMPLES, ENSEMBLES, seed=3)
    second = 1.0 + 0.2 * _draws(SAMPLES, ENSEMBLES, seed=4) + 0.1 * first
    found = jackknife(lambda a, b: a / b, [first, second])
    scatter, typical = float(found.value.std()), float(found.error.square().mean().sqrt())
    assert abs(scatter / typical - 1.0) <= z_limit(1) / math.sqrt(2 * ENSEMBLES)


def test_effective_samples_of_an_autoregression_follow_its_correlation_time():
    noise, state = _draws(20000, seed=5), 0.0
    chain = torch.empty(20000, dtype=torch.float64)
    for i, kick in enumerate(noise.tolist()):
        state = 0.8 * state + kick
        chain[i] = state
    # n (1 - r) / (1 + r) with r = 0.8; the estimate scatters by about 5 % at this length.
    assert effective_samples(chain) == pytest.approx(20000 / 9, rel=0.25)
    assert effective_samples(noise) == pytest.approx(20000, rel=0.1)


@pytest.mark.parametrize("family", [1, 7, 400, 10**6])
def test_the_threshold_gives_the_stated_family_wise_rate(family: int):
    single = 2 * norm.sf(z_threshold(family, false_alarm=1e-6))
    assert -math.expm1(family * math.log1p(-single)) == pytest.approx(1e-6, rel=1e-6)


def test_constant_samples_have_no_error_and_no_division_by_zero():
    found = standard_deviation(torch.full((10,), 2.5))
    assert float(found.value) == 0.0
    assert float(found.error) == 0.0


def test_too_few_or_unequal_samples_are_refused():
    with pytest.raises(SettingError, match="at least 2"):
        mean(torch.ones(1))
    with pytest.raises(SettingError, match="equally many"):
        jackknife(lambda a, b: a / b, [torch.ones(3), torch.ones(4)])
    with pytest.raises(SettingError, match="family size"):
        z_threshold(0)

"""Standard laws have the moments that they state, and truncated normals those of numerical integration."""

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from rgflow.errors import SettingError
from rgflow.numerics import standard_law, truncated_normal, two_point
from tolerances import z_limit

LAWS = [
    *(standard_law(name) for name in ("gaussian", "uniform", "sign", "exponential", "truncated_normal")),
    two_point(0.15),
    truncated_normal(-0.5, 2.5).standardised(),
]
DRAWS = 200_000


@pytest.mark.parametrize("law", LAWS, ids=[law.name for law in LAWS])
def test_draws_have_the_moments_that_the_law_states(law) -> None:
    x = law.draw(np.random.default_rng(5), (DRAWS,))
    for values, truth in ((x, 0.0), (x**2, 1.0), (x**3, law.skewness), (x**4, law.kurtosis + 3.0)):
        error = values.std() / math.sqrt(DRAWS)
        assert abs(values.mean() - truth) <= z_limit(28) * error + 1e-12


@pytest.mark.parametrize("cuts", [(-2.0, 2.0), (-1.0, 1.0), (-0.3, 0.4), (0.5, 3.0), (-3.0, math.inf)])
def test_truncated_normals_agree_with_another_evaluation(cuts: tuple[float, float]) -> None:
    law = truncated_normal(*cuts)
    other = truncnorm.stats(*cuts, moments="mvsk")
    for ours, theirs in zip((law.mean, law.variance, law.skewness, law.kurtosis), other, strict=True):
        assert ours == pytest.approx(float(theirs), rel=1e-7, abs=1e-7)


def test_a_cut_at_two_deviations_shrinks_the_deviation_by_the_known_factor() -> None:
    """0.87962566103423978 is the constant by which JAX and TensorFlow divide to undo this truncation."""
    assert math.sqrt(truncated_normal(-2.0, 2.0).variance) == pytest.approx(0.87962566103423978, rel=1e-14)


@pytest.mark.parametrize("cuts", [(1.0, 1.0), (2.0, -2.0), (5.0, 6.0)])
def test_cuts_that_keep_nothing_are_refused(cuts: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match="apart"):
        truncated_normal(*cuts)


def test_an_unknown_law_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="one of gaussian"):
        standard_law("cauchy")

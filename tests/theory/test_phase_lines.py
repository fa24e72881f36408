"""Phase lines against exact laws of ReLU and erf, and against the flow itself: every point of a line is its fixed point."""

import math

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics import activation, moments
from rgflow.theory import criticality
from rgflow.theory.phase_lines import LEVELS, fixed_state, phase_lines
from tests.tolerances import ROUNDING

NAMES = ("relu", "tanh", "gelu", "erf", "softplus", "leaky_relu(0.2)")


@pytest.mark.parametrize("name", NAMES)
def test_every_point_of_a_line_is_a_fixed_point_of_its_level(name):
    rule = activation(name)
    for line in phase_lines(rule):
        there = torch.isfinite(line.kernel)
        if not bool(there.any()):
            continue  # no stable fixed point has this level, as above 1 for ReLU
        kernel, weight, bias = line.kernel[there], line.weight_variance[there], line.bias_variance[there]
        found = moments(rule, kernel)
        assert torch.allclose(bias + weight * found.square, kernel, rtol=1e-8)  # a bias of -1e-9 K is shown as 0
        assert torch.allclose(weight * found.slope_square, torch.full_like(kernel, line.level), rtol=ROUNDING)
        assert bool((weight * found.response / kernel <= 1 + 1e-8).all())


def test_relu_lines_stand_upright_and_end_at_the_critical_point():
    by_level = {line.level: line for line in phase_lines(activation("relu"))}
    for level, line in by_level.items():
        there = torch.isfinite(line.kernel)
        assert bool(there.any()) == (level <= 1.0)  # K grows without bound beyond
        assert torch.allclose(line.weight_variance[there], torch.tensor(2 * level, dtype=torch.float64))
    assert float(by_level[1.0].bias_variance.nan_to_num(0).max()) <= 1e-9 * 1e4


def test_the_critical_line_of_tanh_starts_at_its_critical_point_and_that_of_gelu_passes_through_it():
    tanh = next(line for line in phase_lines(activation("tanh")) if line.level == 1.0)
    assert float(tanh.weight_variance[0]) == pytest.approx(1.0, abs=1e-5)  # K* = 1e-6
    point = criticality("gelu")
    gelu = next(line for line in phase_lines(activation("gelu")) if line.level == 1.0)
    nearest = (gelu.kernel.nan_to_num(math.inf) - point.kernel).abs().argmin()
    # Neighbours on the line are 6 % of K* apart, and d ln C_W / d ln K* = -0.03 there.
    assert float(gelu.weight_variance[nearest]) == pytest.approx(point.weight_variance, rel=0.06 * 0.04)


def test_the_fixed_state_of_relu_with_bias_is_the_geometric_series():
    state = fixed_state(activation("relu"), weight_variance=1.5, bias_variance=0.1)
    assert state.kind == "fixed"
    assert state.kernel == pytest.approx(0.1 / (1 - 1.5 / 2), rel=1e-10)
    assert state.depth_perpendicular == pytest.approx(-1 / math.log(0.75))


@pytest.mark.parametrize(
    ("weight", "bias", "kind"), [(3.0, 0.0, "exploding"), (1.0, 0.0, "vanishing"), (2.0, 0.0, "fixed")]
)
def test_relu_explodes_above_and_vanishes_below_criticality(weight, bias, kind):
    assert fixed_state(activation("relu"), weight_variance=weight, bias_variance=bias).kind == kind


def test_tanh_at_criticality_drifts():
    state = fixed_state(activation("tanh"), weight_variance=1.0, bias_variance=0.0)
    assert state.kind == "drifting"
    assert state.kernel == pytest.approx(1 / (2 * 1000), rel=0.02)  # K -> 1 / (2 l), Roberts et al. 2022, eq. 5.104


def test_impossible_settings_are_refused_in_one_sentence():
    with pytest.raises(SettingError, match="must be > 0"):
        phase_lines(activation("relu"), levels=(0.5, 0.0))
    with pytest.raises(SettingError, match="variances must be"):
        fixed_state(activation("relu"), weight_variance=-1.0, bias_variance=0.0)
    assert LEVELS[4] == 1.0

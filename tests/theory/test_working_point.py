"""Working points: the critical point where there is one, a fixed point that keeps gradients where there is none."""

import math

import pytest
import torch

from rgflow.numerics.activations import activation
from rgflow.numerics.gaussian import moments
from rgflow.theory.tuning_rule import first_map, head_for_classes, head_for_regression, hidden_map, residual_map
from rgflow.theory.working_point import working_point
from tests.tolerances import ROUNDING


@pytest.mark.parametrize(
    ("name", "weight_variance", "bias_variance", "kernel"),
    [
        ("relu", 2.0, 0.0, 1.0),
        ("tanh", 1.0, 0.0, 1.0),
        ("erf", math.pi / 4, 0.0, 1.0),
        ("gelu", 1.9830582574, 0.1729223908, (3 + math.sqrt(17)) / 2),
        ("silu", 1.9880046783, 0.5551431707, 14.3201736180),
    ],
)
def test_a_critical_activation_gets_its_critical_point(name, weight_variance, bias_variance, kernel):
    point = working_point(activation(name))
    assert point.critical
    # Golden numbers carry ten digits.
    assert point.weight_variance == pytest.approx(weight_variance, rel=1e-8)
    assert point.bias_variance == pytest.approx(bias_variance, rel=1e-7)
    assert point.kernel == pytest.approx(kernel, rel=1e-7)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "hardsigmoid", "squared_relu", "cos"])
def test_a_compromise_is_a_fixed_point_that_keeps_gradients_within_a_fifth(name):
    function = activation(name)
    point = working_point(function)
    after = point.bias_variance + point.weight_variance * float(moments(function, point.kernel).square)
    assert not point.critical
    assert point.bias_variance >= 0
    assert after == pytest.approx(point.kernel, rel=1e-8)
    assert abs(math.log(point.chi_perpendicular)) < math.log(1.25)
    assert "compromise" in point.reason


def test_an_activation_that_jumps_has_no_working_point():
    assert working_point(activation("sign")) is None


def test_an_activation_in_other_units_starts_at_the_same_point_in_these_units():
    tanh = working_point(activation("tanh"))
    steep = working_point(activation(lambda z: torch.tanh(30.0 * z)))
    assert steep.kernel * 900 == pytest.approx(tanh.kernel, rel=1e-6)
    assert steep.weight_variance * 900 == pytest.approx(tanh.weight_variance, rel=1e-6)


def test_a_first_layer_hands_over_the_kernel_that_the_next_activation_wants():
    gelu = working_point(activation("gelu"))
    rule = first_map(gelu, square=59.8)
    assert rule.weight_variance * 59.8 + rule.bias_variance == pytest.approx(gelu.kernel, rel=ROUNDING)
    assert first_map(None, square=4.0, boundary=1.5).weight_variance == pytest.approx(1.5 / 4)


def test_hidden_layers_are_critical_and_hand_over_a_kernel_where_the_activation_changes():
    relu, gelu = (working_point(activation(name)) for name in ("relu", "gelu"))
    assert hidden_map(relu, after=relu).weight_variance == 2.0
    mixed = hidden_map(relu, after=gelu)
    assert mixed.weight_variance * relu.second_moment + mixed.bias_variance == pytest.approx(gelu.kernel, rel=ROUNDING)
    assert hidden_map(None).weight_variance == 1.0


def test_residual_branches_share_one_unit_of_gain():
    relu = working_point(activation("relu"))
    assert residual_map(relu, branches=8).weight_variance == 0.25


def test_heads_put_out_logits_of_order_one_or_of_the_targets_order():
    assert head_for_classes(square=0.5).weight_variance == pytest.approx(0.3)
    assert head_for_classes(square=1e-3).weight_variance == 1.0
    assert head_for_regression(square=0.5, target_variance=9.0).weight_variance * 0.5 == pytest.approx(0.15 * 9.0)

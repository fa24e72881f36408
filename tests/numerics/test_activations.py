"""Activations: derivatives, kinks and slopes of every name, PyTorch's modules, and callables nobody described."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rgflow.errors import SettingError
from rgflow.numerics.activations import activation, activation_names, leaky_relu
from rgflow.numerics.pointwise import differentiated

NAMES = [name for name in activation_names() if name not in ("prelu", "threshold")]
POINTS = torch.linspace(-6.03, 7.01, 401, dtype=torch.float64)
# Two ways to write a derivative in float64, at values up to exp(7) and z^3.
TWO_WAYS = 1e-12

MODULES = [
    nn.Identity(),
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.PReLU(),
    nn.ELU(2.0),
    nn.CELU(0.5),
    nn.SELU(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
    nn.SiLU(),
    nn.Mish(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardtanh(-2.0, 2.0),
    nn.ReLU6(),
    nn.Threshold(0.1, 0.2),
    nn.Softplus(2.0),
    nn.Softsign(),
    nn.Tanh(),
    nn.Tanhshrink(),
    nn.Sigmoid(),
    nn.LogSigmoid(),
    nn.Softshrink(0.3),
    nn.Hardshrink(0.3),
]


@pytest.mark.parametrize("name", NAMES)
def test_declared_derivatives_are_those_of_automatic_differentiation(name: str):
    act = activation(name)
    for function, derivative in ((act.function, act.derivative), (act.derivative, act.second_derivative)):
        found, expected = derivative(POINTS), differentiated(function)(POINTS)
        size = 1.0 + float(expected.abs().max())
        assert found.dtype == torch.float64
        assert float((found - expected).abs().max()) <= TWO_WAYS * size


@pytest.mark.parametrize("name", NAMES)
def test_declared_kinks_and_jumps_are_those_a_search_finds_in_the_bare_function(name: str):
    act = activation(name)
    found = activation(lambda z: act.function(z))
    strong = {k: (j, s) for k, j, s in zip(act.kinks, act.jumps, act.steps, strict=True)}
    assert set(found.kinks) == set(strong)
    for kink, jump, step in zip(found.kinks, found.jumps, found.steps, strict=True):
        assert jump == pytest.approx(strong[kink][0], abs=1e-6)
        assert step == pytest.approx(strong[kink][1], abs=1e-6)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: repr(module))
def test_modules_are_recognised_with_their_parameters(module: nn.Module):
    act = activation(module)
    expected = module.double()(POINTS).detach()
    # nn.Softplus replaces log(1 + exp(z)) by z beyond 20 / beta: exp(-20) apart at most.
    tolerance = 2e-9 if isinstance(module, nn.Softplus) else TWO_WAYS
    assert float((act(POINTS) - expected).abs().max()) <= tolerance
    assert act.module.startswith("nn.")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: repr(module))
def test_the_spelling_rebuilds_the_same_module(module: nn.Module):
    spelled = activation(module).module
    rebuilt = activation(eval(spelled, {"nn": nn}))
    assert torch.equal(rebuilt(POINTS), activation(module)(POINTS))


@pytest.mark.parametrize("function", [torch.tanh, F.gelu, F.relu, torch.relu, F.silu, torch.sin, F.softplus])
def test_functions_of_torch_are_recognised(function):
    act = activation(function)
    assert act is not activation(lambda z: function(z))
    assert act.name in activation_names()
    assert float((act(POINTS) - function(POINTS)).abs().max()) <= 2e-9


def test_slopes_at_zero_are_one_sided_and_exact():
    assert activation("relu").slopes == (1.0, 0.0)
    assert activation("elu(2)").slopes == (1.0, 2.0)
    assert activation("softsign").curvatures == pytest.approx((-2.0, 2.0), rel=1e-12)
    assert activation("celu(0.5)").curvatures == pytest.approx((0.0, 2.0), rel=1e-12)


def test_scale_invariance_is_seen_in_any_spelling():
    for spelling in (
        "leaky_relu(0.2)",
        "prelu(0.2)",
        nn.LeakyReLU(0.2),
        functools.partial(F.leaky_relu, negative_slope=0.2),
    ):
        assert activation(spelling).scale_invariant == pytest.approx((1.0, 0.2), rel=1e-15)
        assert activation(spelling).family == "scale-invariant"
    assert activation("abs").scale_invariant == (1.0, -1.0)
    for name in ("gelu", "tanh", "hardtanh", "sinh", "square", "sign", "elu"):
        assert activation(name).scale_invariant is None


def test_kinks_of_a_callable_are_found_to_rounding():
    act = activation(lambda z: torch.relu(z) + 0.1 * torch.relu(-z - 1) - 0.3 * torch.relu(z - math.pi))
    assert act.kinks == pytest.approx((-1.0, 0.0, math.pi), abs=1e-15)
    assert act.jumps == pytest.approx((0.1, 1.0, -0.3), abs=1e-8)


def test_two_kinks_a_hundredth_apart_that_undo_each_other_are_both_found():
    act = activation(lambda z: torch.relu(z - 0.5) - torch.relu(z - 0.51))
    assert act.kinks == pytest.approx((0.5, 0.51), abs=1e-12)


@settings(max_examples=15)
@given(st.floats(-30.0, 30.0), st.floats(0.01, 100.0))
def test_a_kink_anywhere_is_found(position: float, slope: float):
    act = activation(lambda z: z + slope * torch.relu(z - position))
    assert act.kinks == pytest.approx((position,), abs=1e-13 * max(1.0, abs(position)))
    assert act.jumps == pytest.approx((slope,), rel=1e-7)


@pytest.mark.parametrize(
    "smooth", [lambda z: torch.tanh(100 * z), lambda z: z - torch.tanh(z), lambda z: z * torch.sigmoid(1.702 * z)]
)
def test_no_kink_is_invented_where_there_is_none(smooth):
    assert activation(smooth).kinks == ()


def test_a_users_module_is_copied_and_left_in_its_precision_and_mode():
    module = nn.Sequential(nn.Tanh(), nn.LeakyReLU(0.1)).train()
    module.register_parameter("gain", nn.Parameter(torch.ones(1)))
    act = activation(module)
    assert module.training
    assert module.gain.dtype == torch.float32
    assert act(POINTS).dtype == torch.float64


def test_an_activation_passes_through_unchanged_and_names_are_cached():
    act = leaky_relu(0.3)
    assert activation(act) is act
    assert activation("tanh") is activation("tanh")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("relux", "no activation is called 'relux'"),
        ("leaky_relu(a)", "must be numbers"),
        ("elu(1,2,3)", "no activation"),
        (3, "give a name"),
        (nn.Softmax(-1), "mixes"),
        (lambda z: z.sum(), "shape"),
        (lambda z: z / 0.0, "not finite"),
        (lambda z: torch.from_numpy(z.detach().numpy() * 1.0), "autograd"),
        (lambda z, w: z, "fails"),
    ],
)
def test_what_is_not_an_activation_is_refused_in_one_sentence(wrong, words: str):
    with pytest.raises(SettingError, match=words) as refusal:
        activation(wrong)
    assert "\n" not in str(refusal.value).strip()


def test_a_prelu_with_several_slopes_is_refused():
    module = nn.PReLU(2)
    with torch.no_grad():
        module.weight[1] = 0.5
    with pytest.raises(SettingError, match="different slopes"):
        activation(module)

"""Critical points: published values, exact expansions, activations nobody listed, and covariance under scaling."""

import math
import time

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import nn

from rgflow.numerics.activations import activation
from rgflow.numerics.gaussian import moments
from rgflow.theory import criticality

EIGHT_DIGITS = 1e-8
# Coefficients come from a fit at small kernels, which keeps seven digits.
COEFFICIENT = 1e-7
ROOT = math.sqrt(2.0 / math.pi)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "weight", "growth"),
    [("linear", 1.0, 2.0), ("relu", 2.0, 5.0), ("abs", 1.0, 2.0), ("leaky_relu(0.5)", 1.6, 3 * 0.53125 / 0.390625 - 1)],
)
def test_scale_invariant_activations_keep_every_kernel(name: str, weight: float, growth: float):
    found = criticality(name)
    assert (found.kind, found.bias_variance, found.kernel) == ("scale-invariant", 0.0, None)
    assert found.weight_variance == pytest.approx(weight, rel=EIGHT_DIGITS)
    assert found.growth == pytest.approx(growth, rel=EIGHT_DIGITS)


@pytest.mark.parametrize(
    ("name", "weight", "exponent", "coefficient", "growth"),
    [
        ("tanh", 1.0, 1.0, -2.0, 2 / 3),
        ("arctan", 1.0, 1.0, -2.0, 2 / 3),
        ("erf", math.pi / 4, 1.0, -2.0, 2 / 3),
        ("sin", 1.0, 1.0, -1.0, 2 / 3),
        ("elu", 1.0, 0.5, -ROOT, 2 / 3),
        ("celu(0.5)", 1.0, 0.5, -2 * ROOT, 2 / 3),
        ("softsign", 1.0, 0.5, -4 * ROOT, 2 / 3),
        ("selu", 0.476771017882753, 0.5, None, 0.8910184506859156),
    ],
)
def test_kernels_that_vanish_do_so_with_the_exact_power(name, weight, exponent, coefficient, growth):
    found = criticality(name)
    assert (found.kind, found.bias_variance, found.kernel, found.exponent) == ("vanishing", 0.0, 0.0, exponent)
    assert found.weight_variance == pytest.approx(weight, rel=EIGHT_DIGITS)
    assert found.growth == pytest.approx(growth, rel=EIGHT_DIGITS)
    if coefficient is not None:
        assert found.coefficient == pytest.approx(coefficient, rel=COEFFICIENT)
    if exponent == 0.5:
        assert found.perpendicular_coefficient == pytest.approx(found.coefficient, rel=COEFFICIENT)


def test_the_selu_coefficient_is_the_one_of_its_one_sided_curvatures():
    act = activation("selu")
    (upper, lower), (_, bend) = act.slopes, act.curvatures
    expected = -2 * ROOT * lower * bend / (upper**2 + lower**2)
    assert criticality("selu").coefficient == pytest.approx(expected, rel=COEFFICIENT)


def test_hardtanh_vanishes_more_slowly_than_any_power():
    found = criticality("hardtanh")
    assert (found.kind, found.exponent, found.coefficient) == ("vanishing", math.inf, 0.0)
    assert found.weight_variance == pytest.approx(1.0, rel=EIGHT_DIGITS)


@pytest.mark.parametrize(
    ("name", "weight", "bias", "kernel", "coefficient", "growth"),
    [
        ("gelu", 1.9830582574, 0.1729223908, (3 + math.sqrt(17)) / 2, -1.43626419e-4, 4.90422621),
        ("swish", 1.9880046783, 0.5551431707, 14.3201736180, 2.84979219e-6, 4.92318709),
        ("hardswish", 1.97328958364, 0.5071458487885, 4.803855948880, 1.390050859e-3, 4.798019109436),
    ],
)
def test_half_stable_points_are_known_to_eight_digits(name, weight, bias, kernel, coefficient, growth):
    found = criticality(name)
    assert found.kind == "half-stable"
    assert found.kernel == pytest.approx(kernel, rel=EIGHT_DIGITS)
    assert found.weight_variance == pytest.approx(weight, rel=EIGHT_DIGITS)
    assert found.bias_variance == pytest.approx(bias, rel=EIGHT_DIGITS)
    assert found.coefficient == pytest.approx(coefficient, rel=COEFFICIENT)
    assert found.growth == pytest.approx(growth, rel=EIGHT_DIGITS)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("softplus", "infinity"),
        ("sigmoid", "s(0) = 0.5"),
        ("cos", "never reaches 1"),
        ("sign", "jumps"),
        ("square", "1.5"),
        ("cube", "1.667"),
        ("exp", "never reaches 1"),
        ("tanhshrink", "slope at 0 vanishes"),
    ],
)
def test_activations_without_a_critical_point_say_why_in_one_sentence(name: str, word: str):
    found = criticality(name)
    assert (found.kind, found.weight_variance, found.bias_variance, found.kernel) == ("none", None, None, None)
    assert word in found.reason
    assert "\n" not in found.reason


def test_the_compromise_keeps_gradients_at_a_stable_kernel():
    weight, bias = criticality("sigmoid").compromise
    act = activation("sigmoid")
    kernel = 1.0
    for _ in range(400):
        kernel = bias + weight * float(moments(act, kernel).square)
    settled = moments(act, kernel)
    assert weight * float(settled.slope_square) == pytest.approx(1.0, rel=1e-6)
    assert bias >= 0.0


@pytest.mark.parametrize(("name", "coefficient"), [("sinh", 1.0), ("z + 0.3 z^2", 0.27)])
def test_unstable_points_still_report_the_variances_at_zero(name: str, coefficient: float):
    function = (lambda z: z + 0.3 * z * z) if name.startswith("z") else name
    found = criticality(function)
    assert (found.kind, found.kernel, found.bias_variance) == ("unstable", 0.0, 0.0)
    assert found.weight_variance == pytest.approx(1.0, rel=EIGHT_DIGITS)
    assert found.coefficient == pytest.approx(coefficient, rel=COEFFICIENT)


def _log_cosh(z: torch.Tensor) -> torch.Tensor:
    return torch.sign(z) * (z.abs() + torch.log1p(torch.exp(-2 * z.abs())) - math.log(2))


# name, function, kind, C_W, exponent, a; values by hand from the expansion a = s3/s1 + (3/4) (s2/s1)^2.
UNLISTED = [
    ("sigmoid gate 1.702", lambda z: z * torch.sigmoid(1.702 * z), "half-stable", None, 1.0, 2.84979219e-6 * 1.702**2),
    ("softplus minus ln 2", lambda z: F.softplus(z) - math.log(2), "unstable", 4.0, 1.0, 0.1875),
    ("tanhshrink", lambda z: z - torch.tanh(z), "none", None, None, None),
    ("odd log cosh", _log_cosh, "none", None, None, None),
    ("snake", lambda z: z + torch.sin(z) ** 2, "half-stable", None, 1.0, None),
    ("bent identity", lambda z: (torch.sqrt(z * z + 1) - 1) / 2 + z, "unstable", 1.0, 1.0, 0.1875),
    ("relu plus sine", lambda z: torch.relu(z) + 0.1 * torch.sin(z), "vanishing", 2 / 1.22, 1.0, -0.12 / 1.22),
    ("inverse root", lambda z: z / torch.sqrt(1 + z * z), "vanishing", 1.0, 1.0, -3.0),
    ("z exp(-|z|)", lambda z: z * torch.exp(-z.abs()), "vanishing", 1.0, 0.5, -4 * ROOT),
    ("steep tanh", lambda z: torch.tanh(100 * z), "vanishing", 1e-4, 1.0, -2e4),
    ("fifth power", lambda z: z - z**5 / (1 + z**4), "vanishing", 1.0, 2.0, None),
    ("shifted tanh", lambda z: torch.tanh(z + 0.5), "none", None, None, None),
    ("cubic bell", lambda z: torch.exp(-z * z), "none", None, None, None),
    ("a module", nn.Sequential(nn.Tanh(), nn.LeakyReLU(0.1)), "vanishing", 2 / 1.01, 1.0, -2.0),
]


@pytest.mark.parametrize(
    ("name", "function", "kind", "weight", "exponent", "coefficient"), UNLISTED, ids=lambda v: str(v)[:24]
)
def test_activations_nobody_listed_are_classified_in_under_a_second(
    name, function, kind, weight, exponent, coefficient
):
    activation(lambda z: z / (1 + z.abs()))  # PyTorch loads its second derivatives of |z| once, which takes seconds
    start = time.process_time()
    found = criticality(function)
    assert time.process_time() - start < 1.0
    assert (found.kind, found.exponent) == (kind, exponent)
    if weight is not None:
        assert found.weight_variance == pytest.approx(weight, rel=EIGHT_DIGITS)
    if coefficient is not None:
        assert found.coefficient == pytest.approx(coefficient, rel=1e-6)


def _average(function, kernel: float) -> float:
    """<function> over N(0, kernel) by scipy's adaptive rule, independent of the panels under test."""
    root = math.sqrt(kernel)

    def integrand(x: float) -> float:
        value = float(function(torch.tensor([root * x], dtype=torch.float64)).detach())
        return value * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    return sum(
        quad(integrand, a, b, epsabs=1e-14, epsrel=1e-13, limit=400)[0]
        for a, b in ((-10, -1), (-1, 0), (0, 1), (1, 10))
    )


@pytest.mark.parametrize("name", ["gelu", "mish", "snake"])
def test_half_stable_points_satisfy_their_three_equations_in_an_independent_integration(name: str):
    act = activation(UNLISTED[4][1]) if name == "snake" else activation(name)
    found = criticality(act)
    k = found.kernel
    square = _average(lambda z: act(z) ** 2, k)
    response = _average(lambda z: z * act(z) * act.derivative(z), k)
    slope = _average(lambda z: act.derivative(z) ** 2, k)
    assert found.bias_variance + found.weight_variance * square == pytest.approx(k, rel=1e-10)
    assert found.weight_variance * response / k == pytest.approx(1.0, rel=1e-10)
    assert found.weight_variance * slope == pytest.approx(1.0, rel=1e-10)


@pytest.mark.parametrize("name", ["gelu", "swish", "mish"])
def test_the_coefficient_is_half_the_curvature_of_the_kernel_map(name: str):
    act, found = activation(name), criticality(name)
    step = 0.02 * found.kernel
    points = found.kernel + step * torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    values = found.weight_variance * moments(act, points).square
    stencil = torch.tensor([-1.0, 16.0, -30.0, 16.0, -1.0], dtype=torch.float64) / (24 * step**2)
    # The fourth-order stencil at 2 % leaves 1e-4 of a coefficient that is itself a difference of large terms.
    assert found.coefficient == pytest.approx(float(stencil @ values), rel=2e-3)


@pytest.mark.parametrize("name", ["tanh", "elu"])
def test_the_flow_into_zero_follows_exponent_and_coefficient(name: str):
    act, found = activation(name), criticality(name)
    kernel, depth = 1.0, 600
    for _ in range(depth):
        kernel = found.weight_variance * float(moments(act, kernel).square)
    predicted = (found.exponent * -found.coefficient * depth) ** (-1 / found.exponent)
    # Corrections are of order ln(depth)/depth.
    assert kernel == pytest.approx(predicted, rel=2 * math.log(depth) / depth)


@settings(max_examples=12)
@given(st.sampled_from(["tanh", "gelu", "elu", "swish", "relu"]), st.floats(0.2, 5.0), st.floats(0.2, 5.0))
def test_scaling_the_activation_moves_the_critical_point_as_dimensions_say(name: str, inner: float, outer: float):
    plain, act = criticality(name), activation(name)
    scaled = criticality(lambda z: outer * act(inner * z))
    assert scaled.kind == plain.kind
    assert scaled.weight_variance == pytest.approx(plain.weight_variance / (inner * outer) ** 2, rel=EIGHT_DIGITS)
    assert scaled.growth == pytest.approx(plain.growth, rel=1e-6)
    if plain.kernel:
        assert scaled.kernel == pytest.approx(plain.kernel / inner**2, rel=EIGHT_DIGITS)
        assert scaled.bias_variance == pytest.approx(plain.bias_variance / inner**2, rel=EIGHT_DIGITS)

"""Covariances of features are right to the error that they report: every activation, every rank, every near-degeneracy.

Truth: the two-dimensional rule of `pair_nodes` for two inputs, sums over pairings for polynomials, closed forms against
nested rules (two routes) for ranks three and four, exact special values, and mpmath for four absolute values.
"""

import math

import mpmath as mp
import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics import activation, feature_covariance, mesh_of, pair_nodes, quadruple_covariance
from rgflow.numerics.pair_space import quadruples_of
from rgflow.numerics.product_averages import closed_averages, product_averages
from rgflow.numerics.quasi_random import quasi_random_covariance
from tests.numerics.kernels import CATALOGUE, PAIRS, kernel_of_rank, polynomial_moment
from tests.numerics.truncated_moments import absolute_moment
from tests.tolerances import ROUNDING

# The two-dimensional rule is trusted to this fraction of <|f g|>; it stops at 8.5 deviations, where eighth powers of s
# still count 1e-11.
_RULE = 1e-11


def _truth(act, kernel):
    """Covariance of (s_a^2, s_a s_b, s_b^2) and the size of its terms by the pair rule."""
    distance = (0.5 * (kernel[0, 0] + kernel[1, 1]) - kernel[0, 1]).clamp(min=0.0)
    nodes = pair_nodes(kernel[0, 0], kernel[1, 1], distance, kinks=act.kinks, mesh=mesh_of(act), order=32)
    a, b, weight = act.function(nodes.first[0]), act.function(nodes.second[0]), nodes.weight[0]
    features = torch.stack([a * a, a * b, b * b])
    mean = features @ weight
    centred = features - mean.unsqueeze(1)
    return (centred * weight) @ centred.T, (features.abs() * weight) @ features.abs().T


# One of every kind by default: closed forms, entire functions, poles, kinks, jumps, narrow features; the rest run apart.
KINDS = {"relu", "erf", "sin", "gelu", "tanh", "silu", "elu", "hardtanh", "softshrink", "square", "sign", "softplus"}


@pytest.mark.parametrize(
    "name", [n if n in KINDS else pytest.param(n, marks=pytest.mark.slow) for n in CATALOGUE], ids=str
)
def test_two_inputs_are_as_right_as_reported(name):
    act = activation(name)
    for label, kernel in PAIRS.items():
        truth, size = _truth(act, kernel)
        found = feature_covariance(act, kernel)
        # z - tanh z is z^3/3 on small kernels: its twelfth power weighs 3e-9 beyond the truth's 8.5 deviations.
        noise = _RULE * size + 1e-8 * size.diagonal().max() * (act.name == "tanhshrink")
        assert bool(((found.covariance - truth).abs() <= found.error + noise).all()), label


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "erf", "sin", "elu", "hardtanh", "softsign"])
def test_two_plain_inputs_are_accurate(name):
    found = feature_covariance(activation(name), PAIRS["plain"])
    scale = torch.outer(found.covariance.diagonal(), found.covariance.diagonal()).sqrt()
    assert float((found.error / scale).max()) < 1e-9


@pytest.mark.parametrize("rank", [1, 2, 3, 4])
@pytest.mark.parametrize("power", [2, 3])
def test_polynomials_obey_wick(rank, power):
    kernel = kernel_of_rank(rank)
    act = activation({2: "square", 3: "cube"}[power])
    rows = quadruples_of(4)[::5]
    found = product_averages(act, kernel, rows=rows, budget=2e7)
    exact = [polynomial_moment(kernel, tuple(row), power=power) for row in rows.tolist()]
    assert bool(((found.value - torch.tensor(exact, dtype=torch.float64)).abs() <= found.error).all())


@pytest.mark.parametrize("rank", [2, 3, 4])
@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.3)", "abs", "erf", "sin"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_closed_forms_and_nested_rules_agree_within_what_they_report(rank, name, scale):
    kernel = kernel_of_rank(rank, scale=scale)
    act = activation(name)
    rows = quadruples_of(4)[::3]
    closed = closed_averages(act, kernel, rows=rows)
    assert closed is not None
    # A small budget makes the rule's own error matter.
    for budget in (2e4, 4e6):
        found = product_averages(act, kernel, rows=rows, budget=budget)
        assert bool(((found.value - closed.value).abs() <= found.error + closed.error).all())


@pytest.mark.parametrize("name", ["hardtanh", "elu", "softsign", "selu", "relu6"])
@pytest.mark.parametrize("rank", [3, 4])
def test_coarse_panels_know_their_error(name, rank):
    kernel = kernel_of_rank(rank)
    act = activation(name)
    rows = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 2], [1, 2, 3, 3]])
    fine = product_averages(act, kernel, rows=rows, budget=3e7)
    coarse = product_averages(act, kernel, rows=rows, budget=1e5)
    assert bool(((fine.value - coarse.value).abs() <= coarse.error + fine.error).all())


@pytest.mark.parametrize(
    "angle", [1e-5, *(pytest.param(angle, marks=pytest.mark.slow) for angle in (1.0, 1e-3, 1e-7, 1e-9))]
)
def test_four_absolute_values_keep_their_digits_near_coincidence(angle):
    generator = torch.Generator().manual_seed(5)
    rows = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    rows[1] = 1.3 * rows[0] + angle * rows[1]
    exact = [
        [sum(mp.mpf(a) * mp.mpf(b) for a, b in zip(p, q, strict=True)) for q in rows.tolist()] for p in rows.tolist()
    ]
    kernel = torch.tensor([[float(value) for value in row] for row in exact], dtype=torch.float64)
    found = closed_averages(activation("abs"), kernel, rows=torch.tensor([[0, 1, 2, 3]]))
    assert found is not None
    assert abs(float(found.value) - float(absolute_moment(exact))) <= float(found.error)


def test_four_signs_of_equal_correlation_have_the_value_of_the_simplex():
    """P(four variables of correlation 1/2 positive) = 1/5, so <sgn^4> = 16/5 - 1 - 6/3 = 1/5; erf of a huge kernel."""
    size = 1e12
    kernel = size * (0.5 * torch.eye(4, dtype=torch.float64) + 0.5)
    found = closed_averages(activation("erf"), kernel, rows=torch.tensor([[0, 1, 2, 3]]))
    assert found is not None
    assert abs(float(found.value) - 0.2) < 1e-11  # the 1/2 on the diagonal counts 1/size


def test_small_kernels_of_sin_keep_their_relative_accuracy():
    kernel = kernel_of_rank(3, scale=1e-8)
    found = feature_covariance(activation("sin"), kernel)
    linear = feature_covariance(activation("identity"), kernel)
    assert torch.allclose(found.covariance, linear.covariance, rtol=1e-6, atol=0.0)


def test_the_linear_covariance_is_wicks():
    kernel = kernel_of_rank(3)
    found = feature_covariance(activation("identity"), kernel)
    a, b = torch.triu_indices(4, 4)
    wick = kernel[a][:, a] * kernel[b][:, b] + kernel[a][:, b] * kernel[b][:, a]
    assert torch.allclose(found.covariance, wick, rtol=ROUNDING, atol=ROUNDING)
    assert torch.allclose(found.fourth(), wick + torch.outer(kernel[a, b], kernel[a, b]), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", ["relu", "tanh", "elu"])
def test_chosen_quadruples_agree_with_the_matrix(name):
    kernel = kernel_of_rank(3)
    matrix = feature_covariance(activation(name), kernel)
    chosen = quadruple_covariance(activation(name), kernel, quadruples=torch.tensor([[2, 1, 3, 0], [0, 0, 3, 1]]))
    # Pairs 01, 03, 12, ... are numbers 1, 3, 5 of (00 01 02 03 11 12 13 22 23 33).
    expected, error = (matrix_of[[5, 0], [3, 6]] for matrix_of in (matrix.covariance, matrix.error))
    assert bool(((chosen.value - expected).abs() <= chosen.error + error).all())


@pytest.mark.parametrize("name", ["relu", "erf"])
def test_quasi_random_covariances_are_within_their_five_standard_errors(name):
    act, kernel = activation(name), kernel_of_rank(6, inputs=6)
    exact = feature_covariance(act, kernel)
    found = quasi_random_covariance(act, kernel, mean=exact.mean, points=2**14, seed=1)
    assert bool(((found.value - exact.covariance).abs() <= found.error).all())
    again = quasi_random_covariance(act, kernel, mean=exact.mean, points=2**14, seed=1)
    other = quasi_random_covariance(act, kernel, mean=exact.mean, points=2**14, seed=2)
    assert torch.equal(found.value, again.value)
    assert not torch.equal(found.value, other.value)


def test_functions_that_grow_too_fast_report_an_infinite_error():
    found = feature_covariance(activation("exp"), torch.tensor([[400.0]], dtype=torch.float64))
    assert math.isinf(float(found.error))


@pytest.mark.parametrize(
    "kernel", [torch.tensor([[1.0, 2.0], [2.0, 1.0]]), torch.ones(2, 3), torch.tensor([[1.0, 0.5], [0.4, 1.0]])]
)
def test_what_is_no_covariance_is_refused(kernel):
    with pytest.raises(SettingError):
        feature_covariance(activation("relu"), kernel)


def test_quadruples_of_missing_inputs_are_refused():
    with pytest.raises(SettingError, match="inputs 0 to 1"):
        quadruple_covariance(activation("relu"), torch.eye(2), quadruples=torch.tensor([[0, 1, 1, 2]]))

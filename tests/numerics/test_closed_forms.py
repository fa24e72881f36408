"""Exact pair averages: their mutual relations, limits and agreement with the matrices built without them."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rgflow.errors import SettingError
from rgflow.numerics.activations import activation
from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.gaussian import mesh_of, moments
from rgflow.numerics.hermite import mehler
from rgflow.numerics.second_moments import derivative_moment, second_moment
from tests.tolerances import ROUNDING

FAMILIES = ["relu", "leaky_relu(0.3)", "abs", "erf", "sin", "gelu"]
MATRIX_ACCURACY = 1e-10


def _one(value: float) -> torch.Tensor:
    return torch.tensor([value], dtype=torch.float64)


@pytest.mark.parametrize("name", FAMILIES)
@given(st.floats(0.05, 5.0), st.floats(0.05, 5.0), st.floats(-0.95, 0.95))
def test_the_slope_average_is_the_derivative_with_respect_to_the_covariance(name: str, x: float, w: float, rho: float):
    y, step = rho * math.sqrt(x * w), 1e-3 * math.sqrt(x * w)

    def value(shift: float) -> float:
        return float(closed_pair_moments(activation(name), _one(x), _one(y + shift * step), w=_one(w)).value)

    slope = (value(-2) - 8 * value(-1) + 8 * value(1) - value(2)) / (12 * step)
    exact = float(closed_pair_moments(activation(name), _one(x), _one(y), w=_one(w)).slope)
    # Fourth-order difference of step 1e-3: the fifth derivative at |rho| = 0.95 is below 1e4.
    assert slope == pytest.approx(exact, abs=1e-7)


@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.3)", "erf", "sin"])
@given(st.floats(0.05, 5.0), st.floats(0.05, 5.0), st.floats(-0.95, 0.95))
def test_the_curvature_average_obeys_integration_by_parts(name: str, x: float, w: float, rho: float):
    act, y = activation(name), rho * math.sqrt(x * w)
    found = closed_pair_moments(act, _one(x), _one(y), w=_one(w))
    step = 1e-4 * x

    def value(shift: float) -> float:
        return float(closed_pair_moments(act, _one(x + shift * step), _one(y), w=_one(w)).value)

    # d<s_a s_b>/dK_aa = <s''_a s_b> / 2
    slope = (value(-2) - 8 * value(-1) + 8 * value(1) - value(2)) / (12 * step)
    assert 2 * slope == pytest.approx(float(found.bend), abs=1e-6)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("k", [1e-3, 0.7, 40.0])
def test_the_diagonal_is_the_one_dimensional_average(name: str, k: float):
    act = activation(name)
    exact = closed_pair_moments(act, _one(k), _one(k), w=_one(k))
    single = moments(act, _one(k))
    # gelu's closed form cancels to 1e-12 of K at small K.
    assert float(single.square) == pytest.approx(float(exact.value), rel=1e-10)
    assert float(single.slope_square) == pytest.approx(float(exact.slope), rel=1e-10)


def _kernel() -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(24, 6, dtype=torch.float64, generator=generator)
    x[1], x[2], x[4] = x[0] + 1e-4, -x[0], 5 * x[4]
    return x @ x.T / 6


@pytest.mark.parametrize("name", FAMILIES)
def test_matrices_by_quadrature_equal_matrices_by_closed_form(name: str):
    act, kernel = activation(name), _kernel()
    plain = dataclasses.replace(act, family="")
    for matrix in (second_moment, derivative_moment):
        exact, found = matrix(act, kernel), matrix(plain, kernel)
        size = torch.outer(exact.diagonal().sqrt(), exact.diagonal().sqrt())
        # x_1 is x_0 moved by 1e-4: K_ab there keeps 8 digits of the angle, and slopes of kinks feel the angle.
        loss = 1e-7 if matrix is derivative_moment and act.kinks else MATRIX_ACCURACY
        assert float(((found - exact) / size).abs().max()) <= loss


def test_a_zero_input_and_an_empty_upper_triangle_are_allowed():
    kernel = torch.diag(torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    found = second_moment(activation("sigmoid"), kernel)
    assert float(found[0, 0]) == pytest.approx(0.25, rel=ROUNDING)
    assert float(found[0, 1]) == pytest.approx(0.25, rel=MATRIX_ACCURACY)
    assert second_moment(activation("tanh"), kernel[1:2, 1:2]).shape == (1, 1)
    assert float(derivative_moment(activation("relu"), kernel)[0, 0]) == 0.0


@pytest.mark.parametrize("name", ["relu", "tanh", "hardtanh", "softsign"])
def test_the_bound_of_the_series_covers_its_true_error(name: str):
    act = activation(name)
    rho = torch.tensor([[1.0, 0.2, 0.9], [0.2, 1.0, -0.97], [0.9, -0.97, 1.0]], dtype=torch.float64)
    variance = torch.tensor([0.5, 1.5, 4.0], dtype=torch.float64)
    scale = torch.outer(variance.sqrt(), variance.sqrt())
    truth = second_moment(act, rho * scale)
    found = mehler(act.function, variance, correlation=rho, mesh=mesh_of(act))
    assert bool(((found.value - truth).abs() <= found.bound + MATRIX_ACCURACY * truth.diagonal().max()).all())
    assert float(found.bound[0, 1]) < 1e-30  # the bound is not a blanket: weak correlations are known exactly


def test_kernels_that_are_not_symmetric_matrices_are_refused():
    with pytest.raises(SettingError, match="symmetric square matrix"):
        second_moment(activation("tanh"), torch.tensor([[1.0, 0.2], [0.3, 1.0]]))

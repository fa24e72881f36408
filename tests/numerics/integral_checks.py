"""Short checks of the integrals on pair space as functions of the room's modules, cheap enough to run uncompiled.

`test_planted_bugs_integrals` runs them on rooms with one line changed and expects one of them to object.
"""

import importlib
import math
from types import SimpleNamespace

import torch
from torch import Tensor

from tests.numerics.kernels import kernel_of_rank, pair_kernel, polynomial_moment

__all__ = ["CHECKS", "load_integrals"]

_MODULES = (
    *(
        "activations",
        "pair_space",
        "minors",
        "sign_moments",
        "closed_fourth_moments",
        "function_table",
        "group_factors",
    ),
    *("lattice_rules", "panel_rules", "product_averages", "quasi_random", "feature_covariance", "pair_derivatives"),
    "kernel_derivatives",
)


def load_integrals() -> SimpleNamespace:
    """Import the modules as they are now."""
    return SimpleNamespace(**{name: importlib.import_module(f"rgflow.numerics.{name}") for name in _MODULES})


def _row(*inputs: int) -> Tensor:
    return torch.tensor([inputs])


def _within(found, exact: float, *, most: float) -> None:
    value, error = float(found.value.reshape(-1)[0]), float(found.error.reshape(-1)[0])
    assert abs(value - exact) <= error, f"{value} is not {exact} within {error}"
    assert error <= most, f"the error {error} is larger than {most}"


def multisets_are_numbered_in_order(room: SimpleNamespace) -> None:
    rows = room.pair_space.quadruples_of(4)
    assert torch.equal(room.pair_space.quadruple_number(rows), torch.arange(35))
    matrix = torch.arange(9.0).reshape(3, 3)
    assert torch.equal(room.pair_space.pair_matrix(room.pair_space.pair_vector(matrix + matrix.T)), matrix + matrix.T)


def four_signs_have_the_value_of_the_simplex(room: SimpleNamespace) -> None:
    kernel = 1e12 * (0.5 * torch.eye(4, dtype=torch.float64) + 0.5)
    found = room.product_averages.closed_averages(room.activations.activation("erf"), kernel, rows=_row(0, 1, 2, 3))
    assert abs(float(found.value) - 0.2) < 1e-11


def closed_absolute_values_are_those_of_panels(room: SimpleNamespace) -> None:
    act = room.activations.activation("leaky_relu(0.3)")
    for rank, row in ((2, (0, 1, 2, 3)), (3, (0, 0, 1, 3)), (1, (0, 1, 1, 2))):
        kernel = kernel_of_rank(rank)
        closed = room.product_averages.closed_averages(act, kernel, rows=_row(*row))
        found = room.product_averages.product_averages(act, kernel, rows=_row(*row), budget=1e4)
        assert abs(float(found.value - closed.value)) <= float(found.error + closed.error)
        assert float(found.error) < 0.05 * float(closed.error) / 2e-13  # the closed form reports 2e-13 of the size


def independent_absolute_values_factorise(room: SimpleNamespace) -> None:
    act = room.activations.activation("abs")
    kernel = torch.diag(torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=torch.float64))
    found = room.product_averages.closed_averages(act, kernel, rows=_row(0, 1, 2, 3))
    _within(found, (2 / math.pi) ** 2 * math.sqrt(3.0), most=1e-11)
    # |z_3| = |z_0 + z_1 + z_2| / sqrt 3 with three independent ones: a value by spherical trigonometry is not short,
    # so two inputs at 45 degrees beside two independent ones: <|a||b|> = (2/pi)(sin + angle cos).
    half = math.sqrt(0.5)
    kernel = torch.eye(4, dtype=torch.float64)
    kernel[0, 1] = kernel[1, 0] = half
    found = room.product_averages.closed_averages(act, kernel, rows=_row(0, 1, 2, 3))
    _within(found, (2 / math.pi) ** 2 * (half + half * math.pi / 4), most=1e-11)
    # Two independent pairs of equal correlation.
    kernel[2, 3] = kernel[3, 2] = -half
    found = room.product_averages.closed_averages(act, kernel, rows=_row(0, 1, 2, 3))
    _within(found, (2 / math.pi * (half + half * math.pi / 4)) ** 2, most=1e-11)


def sines_of_small_kernels_keep_their_digits(room: SimpleNamespace) -> None:
    kernel = kernel_of_rank(3, scale=1e-3)
    act = room.activations.activation("sin")
    closed = room.product_averages.closed_averages(act, kernel, rows=_row(0, 1, 2, 3))
    found = room.product_averages.product_averages(act, kernel, rows=_row(0, 1, 2, 3), budget=3e4)
    assert abs(float(found.value - closed.value)) <= float(found.error + closed.error)
    assert float(found.error) < 1e-13


def powers_obey_wick(room: SimpleNamespace) -> None:
    for rank, row in ((2, (0, 1, 1, 2)), (3, (0, 1, 2, 3)), (4, (0, 1, 2, 3))):
        kernel = kernel_of_rank(rank)
        act = room.activations.activation("square")
        found = room.product_averages.product_averages(act, kernel, rows=_row(*row), budget=1e5)
        _within(found, polynomial_moment(kernel, row, power=2), most=0.1)


def matrices_collect_the_right_quadruples(room: SimpleNamespace) -> None:
    kernel = kernel_of_rank(2, inputs=3)
    found = room.feature_covariance.feature_covariance(room.activations.activation("identity"), kernel)
    a, b = torch.triu_indices(3, 3)
    wick = kernel[a][:, a] * kernel[b][:, b] + kernel[a][:, b] * kernel[b][:, a]
    assert torch.allclose(found.covariance, wick, rtol=1e-12, atol=1e-12)


def quasi_random_covariances_are_unbiased(room: SimpleNamespace) -> None:
    kernel = kernel_of_rank(3, inputs=3)
    act = room.activations.activation("relu")
    exact = room.feature_covariance.feature_covariance(act, kernel)
    found = room.quasi_random.quasi_random_covariance(act, kernel, mean=exact.mean, points=2**13, seed=3)
    assert bool(((found.value - exact.covariance).abs() <= found.error).all())
    assert bool((found.error <= 0.05 * exact.covariance.diagonal().max()).all())


def derivatives_agree_with_hermite_weights(room: SimpleNamespace) -> None:
    kernel = pair_kernel(1.3, 0.7, 1.1)
    x, y, w = (value.reshape(1) for value in (kernel[0, 0], kernel[0, 1], kernel[1, 1]))
    for name in ("tanh", "hardtanh", "leaky_relu(0.3)"):
        act = room.activations.activation(name)
        found = room.pair_derivatives.pair_derivatives(act, x, y, w=w)
        truth = room.pair_derivatives.stepped_derivatives(act, x, y, w=w)
        for field, slope in (("t22", 1.0), ("t31", -y / x), ("t04", (y / w) ** 2), ("t20", 0.0), ("t11", 0.0)):
            whole = getattr(found, field) + slope * found.contact
            assert abs(float(whole - getattr(truth, field))) < 1e-9, (name, field)


def curvature_is_the_second_derivative_of_relu(room: SimpleNamespace) -> None:
    kernel = pair_kernel(1.3, 0.7, 1.1)
    direction = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)

    def value(t: float) -> float:
        x, y, w = (float(part) for part in torch.stack([kernel[0, 0], kernel[0, 1], kernel[1, 1]]) + t * direction)
        height = math.sqrt(x * w - y * y)
        return (height + y * (math.pi - math.atan2(height, y))) / (2 * math.pi)

    h = 0.01
    second = (-value(2 * h) + 16 * value(h) - 30 * value(0) + 16 * value(-h) - value(-2 * h)) / (12 * h * h)
    curvature = room.kernel_derivatives.kernel_curvature(room.activations.activation("relu"), kernel)
    found = curvature.contract(torch.outer(direction, direction))
    assert abs(float(found.value[1]) - 0.5 * second) < 1e-7
    response = room.kernel_derivatives.kernel_response(room.activations.activation("relu"), kernel)
    slope = (8 * (value(h) - value(-h)) - value(2 * h) + value(-2 * h)) / (12 * h)
    assert abs(float(response.apply(direction, weight_variance=1.0)[1]) - slope) < 1e-8
    vertex = torch.outer(direction, direction)
    matrix = response.matrix(2.0)
    assert torch.allclose(matrix @ vertex @ matrix.T, response.propagate(vertex, weight_variance=2.0))


CHECKS = (
    multisets_are_numbered_in_order,
    independent_absolute_values_factorise,
    four_signs_have_the_value_of_the_simplex,
    curvature_is_the_second_derivative_of_relu,
    derivatives_agree_with_hermite_weights,
    matrices_collect_the_right_quadruples,
    closed_absolute_values_are_those_of_panels,
    sines_of_small_kernels_keep_their_digits,
    quasi_random_covariances_are_unbiased,
    powers_obey_wick,
)

"""Response and curvature of the kernel map, against closed forms, finite differences in mpmath and Hermite weights.

Truth for two inputs: Hermite polynomials of the whitened pair, which take no derivative of s, and closed forms; for near
coincidence, mpmath derivatives of relu's closed kernel along a direction.
"""

import math

import mpmath as mp
import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics import activation, kernel_curvature, kernel_response, pair_matrix, pair_vector
from rgflow.numerics.pair_derivatives import PairDerivatives, pair_derivatives, stepped_derivatives
from tests.numerics.kernels import CATALOGUE, PAIRS, kernel_of_rank, pair_kernel
from tests.tolerances import ROUNDING

SMOOTH_OR_KINKED = tuple(name for name in CATALOGUE if not any(activation(name).steps))


def _full(found: PairDerivatives, x: float, y: float, w: float) -> dict[str, float]:
    contact = float(found.contact)
    values = {name: float(getattr(found, name)) for name in ("t11", "t20", "t02", "t22", "t31", "t13", "t40", "t04")}
    values["t22"] += contact
    values["t31"] -= y / x * contact
    values["t13"] -= y / w * contact
    values["t40"] += (y / x) ** 2 * contact
    values["t04"] += (y / w) ** 2 * contact
    return values


@pytest.mark.parametrize("name", SMOOTH_OR_KINKED)
def test_derivatives_agree_with_hermite_weights(name):
    act = activation(name)
    for kernel in (PAIRS["plain"], pair_kernel(2.0, 1.5, 2.2)):
        x, y, w = kernel[0, 0], kernel[0, 1], kernel[1, 1]
        state = [value.reshape(1) for value in (x, y, w)]
        found, truth = pair_derivatives(act, *state[:2], w=state[2]), stepped_derivatives(act, *state[:2], w=state[2])
        one, other = (_full(part, float(x), float(y), float(w)) for part in (found, truth))
        slack = {
            field: 1e-11 * max(1.0, abs(value)) for field, value in other.items()
        }  # the Hermite rule stops at 8.5 deviations
        for field in ("t11", "t20", "t02"):
            bound = float(found.first_error + truth.first_error) + slack[field]
            assert abs(one[field] - other[field]) <= bound, (name, field)
        for field in ("t22", "t31", "t13", "t40", "t04"):
            bound = float(getattr(found, f"{field}_error") + getattr(truth, f"{field}_error")) + slack[field]
            assert abs(one[field] - other[field]) <= bound, (name, field)


@pytest.mark.parametrize("kernel", PAIRS.values(), ids=PAIRS.keys())
def test_relu_has_its_closed_derivatives(kernel):
    found = kernel_response(activation("relu"), kernel)
    x, y, w = float(kernel[0, 0]), float(kernel[0, 1]), float(kernel[1, 1])
    if x == 0.0:
        return
    height = math.sqrt(max((math.sqrt(x * w) - abs(y)) * (math.sqrt(x * w) + abs(y)), 0.0))
    # Rounding of K moves the angle by 1e-16 / angle.
    slack = 1e-12 + 4e-16 * math.sqrt(x * w) / max(height, 1e-8)
    assert (
        abs(float(found.slope[0, 1]) - (math.pi - math.atan2(height, y)) / (2 * math.pi)) <= found.error[0, 1] + slack
    )
    assert abs(float(found.bend[0, 1]) - height / (2 * math.pi * x)) <= found.error[0, 1] + slack * math.sqrt(w / x)
    assert torch.allclose(found.slope.diagonal() + found.bend.diagonal(), torch.tensor(0.5, dtype=torch.float64))


def _relu_kernel(x: mp.mpf, y: mp.mpf, w: mp.mpf) -> mp.mpf:
    height = mp.sqrt(x * w - y * y)
    return (height + y * (mp.pi - mp.atan2(height, y))) / (2 * mp.pi)


@pytest.mark.parametrize("angle", [1.0, 1e-2, 1e-4, 1e-5, 1e-7, 1e-9])
def test_the_curvature_of_relu_stays_finite_and_honest_near_coincidence(angle):
    """V of fluctuations that scale the pair: a random common factor and a random relative change of the distance."""
    kernel = pair_kernel(1.0, 1.44, angle)
    x, y, w = (mp.mpf(float(value)) for value in (kernel[0, 0], kernel[0, 1], kernel[1, 1]))
    # Directions (dx, dy, dw): both norms together, and the squared distance alone, by its own size.
    gap = mp.sqrt(x * w) - y
    directions = [(x, y, w), (mp.mpf(0), gap, mp.mpf(0)), (x, y / 2, mp.mpf(0))]
    vertex = torch.zeros(3, 3, dtype=torch.float64)
    exact = mp.mpf(0)
    with mp.workdps(60):
        for d in directions:
            vector = torch.tensor([float(value) for value in d], dtype=torch.float64)
            vertex += torch.outer(vector, vector)
            if angle >= 1e-7 or d[1] != gap:
                exact += (
                    mp.diff(
                        lambda t, d=d: _relu_kernel(x + t * d[0], y + t * d[1], w + t * d[2]), 0, 2, h=mp.mpf(10) ** -15
                    )
                    / 2
                )
    found = kernel_curvature(activation("relu"), kernel).contract(vertex)
    assert torch.isfinite(found.value).all()
    assert torch.isfinite(found.error).all()
    assert abs(float(found.value[1]) - float(mp.re(exact))) <= float(found.error[1]) + 1e-12
    assert float(found.error[1]) < 1e-8


@pytest.mark.parametrize("name", ["tanh", "gelu", "relu", "sin", "elu", "hardtanh", "square"])
def test_single_inputs_have_the_derivatives_of_their_second_moment(name):
    """F(K) = <s^2>: first and second derivative by differences of order eight over K."""
    from rgflow.numerics import moments

    act, k, h = activation(name), 1.1, 0.03
    kernel = torch.tensor([[k]], dtype=torch.float64)
    f = [float(moments(act, k + i * h).square) for i in range(-4, 5)]
    first = (672 * (f[5] - f[3]) - 168 * (f[6] - f[2]) + 32 * (f[7] - f[1]) - 3 * (f[8] - f[0])) / (840 * h)
    second = (-14350 * f[4] + 8064 * (f[5] + f[3]) - 1008 * (f[6] + f[2]) + 128 * (f[7] + f[1]) - 9 * (f[8] + f[0])) / (
        5040 * h * h
    )
    response = kernel_response(act, kernel).matrix(1.0)
    shift = kernel_curvature(act, kernel).contract(torch.ones(1, 1, dtype=torch.float64)).value
    assert abs(float(response) - first) < 1e-8 * max(1.0, abs(first))
    assert abs(float(shift) - 0.5 * second) < 1e-7 * max(1.0, abs(second))


def test_the_jacobian_is_the_derivative_of_the_map_and_is_applied_as_its_matrix():
    kernel = kernel_of_rank(5, inputs=4)
    found = kernel_response(activation("tanh"), kernel)
    matrix = found.matrix(1.5)
    change = torch.randn(10, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(matrix @ change, found.apply(change, weight_variance=1.5), rtol=ROUNDING, atol=ROUNDING)
    vertex = change @ change.T
    direct = matrix @ vertex @ matrix.T
    assert torch.allclose(direct, found.propagate(vertex, weight_variance=1.5), rtol=ROUNDING, atol=ROUNDING)
    assert int((matrix != 0).sum()) == 4 + 3 * 6
    step = 1e-4 * pair_matrix(change[:, 0])
    from rgflow.numerics import second_moment

    rise = (second_moment(activation("tanh"), kernel + step) - second_moment(activation("tanh"), kernel - step)) / 2e-4
    assert torch.allclose(1.5 * pair_vector(rise), matrix @ change[:, 0], rtol=1e-6, atol=1e-7)


def test_an_input_that_is_zero_leaves_everything_finite():
    kernel = PAIRS["one zero"]
    for name in ("relu", "tanh", "elu", "softplus"):
        response, curvature = kernel_response(activation(name), kernel), kernel_curvature(activation(name), kernel)
        vertex = torch.zeros(3, 3, dtype=torch.float64)
        vertex[2, 2] = 1.0
        shift = curvature.contract(vertex)
        for value in (response.slope, response.bend, response.error, shift.value, shift.error):
            assert bool(torch.isfinite(value).all()), name


def test_wrong_shapes_are_refused():
    kernel = kernel_of_rank(3, inputs=3)
    with pytest.raises(SettingError, match="first axis must be 6"):
        kernel_response(activation("relu"), kernel).apply(torch.ones(5), weight_variance=1.0)
    with pytest.raises(SettingError, match=r"\(6, 6\)"):
        kernel_curvature(activation("relu"), kernel).contract(torch.ones(5, 5))

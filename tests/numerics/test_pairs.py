"""Two-dimensional Gaussian averages against closed forms, exact moments, and 40 digits where inputs coincide."""

import math

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from rgflow.errors import SettingError
from rgflow.numerics.activations import activation
from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.gaussian import mesh_of
from rgflow.numerics.pairs import expectation_pair, pair_nodes, pair_root, state_of

mpmath.mp.dps = 40
ACCURACY = 1e-10
STATES = [
    (1.0, 1.0, 0.3),
    (1.0, 1.0, 1e-6),
    (1.0, 2.0, 0.2),
    (1.0, 1.0, 1.9),
    (2.0, 0.01, 0.99),
    (0.02, 3.0, 1.4),
    (1e-4, 1e-4, 3e-5),
    (100.0, 80.0, 20.0),
    (9e3, 1e4, 500.0),
    (100.0, 100.0, 199.0),
]


def _tensors(*values: float) -> tuple[torch.Tensor, ...]:
    return tuple(torch.tensor([value], dtype=torch.float64) for value in values)


# sin is left out where exp(-K) has taken its average below every float.
CLOSED = [
    (name, state)
    for name in ("relu", "leaky_relu(0.3)", "abs", "identity", "erf", "gelu", "sin")
    for state in STATES
    if name != "sin" or max(state) < 50
]


@pytest.mark.parametrize(("name", "state"), CLOSED, ids=str)
def test_the_rule_meets_every_closed_form(name: str, state: tuple[float, float, float]):
    act = activation(name)
    x, w, distance = _tensors(*state)
    nodes = pair_nodes(x, w, distance, kinks=act.kinks, mesh=mesh_of(act), order=24)
    exact = closed_pair_moments(act, x, 0.5 * (x + w) - distance, w=w)
    assert exact is not None
    for function, value in ((act.function, exact.value), (act.derivative, exact.slope)):
        a, b = function(nodes.first), function(nodes.second)
        size = (nodes.average(a * a) * nodes.average(b * b)).sqrt()
        assert float((nodes.average(a * b) - value).abs() / size) <= ACCURACY


def _relu_gap(x: float, distance: float) -> float:
    """<(relu(z_a) - relu(z_b))^2> for K_aa = K_bb = x in 40 digits."""
    wide, gap = mpmath.mpf(x), mpmath.mpf(distance)
    angle = mpmath.acos(1 - gap / wide)
    cross = wide / (2 * mpmath.pi) * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle))
    return float(wide - 2 * cross)


@pytest.mark.parametrize("distance", [1e-2, 1e-6, 1e-12, 1e-16, 1e-30])
def test_differences_of_a_kinked_function_keep_nine_digits_as_inputs_coincide(distance: float):
    nodes = pair_nodes(*_tensors(1.3, 1.3, distance), kinks=(0.0,))
    both = (nodes.first > 0) & (nodes.second > 0)
    gap = torch.where(both, nodes.difference, torch.relu(nodes.first) - torch.relu(nodes.second))
    assert float(nodes.average(gap * gap)) == pytest.approx(_relu_gap(1.3, distance), rel=1e-9)
    assert float(nodes.average(nodes.difference**2)) == pytest.approx(2 * distance, rel=1e-11)


@given(
    st.floats(1e-3, 1e3),
    st.floats(1e-3, 1e3),
    st.floats(-0.999999, 0.999999),
    st.sampled_from([(), (0.0,), (-0.4, 1.1)]),
)
def test_all_second_and_fourth_moments_are_exact(x: float, w: float, rho: float, kinks: tuple[float, ...]):
    y = rho * math.sqrt(x * w)
    nodes = pair_nodes(*_tensors(x, w, 0.5 * (x + w) - y), kinks=kinks, order=24)
    a, b = nodes.first, nodes.second
    for value, exact, size in (
        (torch.ones_like(a), 1.0, 1.0),
        (a * a, x, x),
        (a * b, y, math.sqrt(x * w)),
        (b * b, w, w),
        (a**2 * b**2, x * w + 2 * y * y, x * w),
        (a**3 * b, 3 * x * y, x * math.sqrt(x * w)),
    ):
        assert abs(float(nodes.average(value)) - exact) <= 1e-10 * size


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.floats(-0.99, 0.99))
def test_exchanging_the_two_variables_changes_nothing(x: float, w: float, rho: float):
    act = activation("elu")
    distance = 0.5 * (x + w) - rho * math.sqrt(x * w)
    values = []
    for first, second in ((x, w), (w, x)):
        nodes = pair_nodes(*_tensors(first, second, distance), kinks=act.kinks, mesh=mesh_of(act))
        a, b = (nodes.first, nodes.second) if first == x else (nodes.second, nodes.first)
        values.append(float(nodes.average(act.function(a) * act.derivative(b))))
    assert values[0] == pytest.approx(values[1], rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("rho", [-0.95, -0.3, 0.0, 0.6, 0.999])
def test_kinks_away_from_zero_and_a_common_shift_give_orthant_probabilities(rho: float):
    covariance = [[1.5, rho * math.sqrt(1.5 * 0.8)], [rho * math.sqrt(1.5 * 0.8), 0.8]]
    state = torch.tensor(covariance, dtype=torch.float64)
    variances, distance = state_of(state)
    shift, threshold = 0.25, 0.7
    nodes = pair_nodes(
        variances[:1], variances[1:], distance.reshape(1), kinks=(threshold,), mean_shift=shift, order=24
    )
    found = float(nodes.average(((nodes.first > threshold) & (nodes.second > threshold)).double()))
    lower = [shift - threshold] * 2
    exact = float(multivariate_normal(mean=[0, 0], cov=covariance, allow_singular=True).cdf(lower))
    assert found == pytest.approx(exact, abs=2e-8)  # scipy's own accuracy is 1e-8


def test_a_constant_partner_and_a_mirrored_one_are_treated_exactly():
    nodes = pair_nodes(*_tensors(3.0, 0.0, 1.5), kinks=(0.0,), mean_shift=0.5, order=24)
    assert float((nodes.second - 0.5).abs().max()) == 0.0
    assert float(nodes.average((nodes.first - 0.5) ** 2)) == pytest.approx(3.0, rel=1e-11)
    opposite = pair_nodes(*_tensors(1.0, 1.0, 2.0), kinks=(0.0,))
    assert float(opposite.average(torch.relu(opposite.first) * torch.relu(opposite.second))) == pytest.approx(
        0.0, abs=1e-15
    )


def test_whitened_coordinates_rebuild_both_variables():
    x, w, distance = _tensors(1.7, 0.6, 0.4)
    nodes = pair_nodes(x, w, distance, kinks=(0.0,), mean_shift=-0.2)
    root = pair_root(x, w, distance)
    even, odd = root.cosine * nodes.v, root.sine * nodes.u
    torch.testing.assert_close(nodes.first, -0.2 + root.deviation_a * (even + odd), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(nodes.second, -0.2 + root.deviation_b * (even - odd), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(nodes.first - nodes.second, nodes.difference, rtol=0.0, atol=1e-13)


def test_a_batch_of_pairs_gives_the_same_numbers_as_one_pair_at_a_time():
    act = activation("hardtanh")
    x, w, distance = (torch.tensor(column, dtype=torch.float64) for column in zip(*STATES[:6], strict=True))
    together = pair_nodes(x, w, distance, kinks=act.kinks)
    values = together.average(act(together.first) * act(together.second))
    for i, state in enumerate(STATES[:6]):
        alone = pair_nodes(*_tensors(*state), kinks=act.kinks)
        assert float(alone.average(act(alone.first) * act(alone.second))) == pytest.approx(float(values[i]), rel=1e-11)


def test_impossible_covariances_are_refused():
    with pytest.raises(SettingError, match="covariance"):
        pair_nodes(*_tensors(1.0, 1.0, 2.5))
    with pytest.raises(SettingError, match="covariance"):
        expectation_pair(lambda a, b: a * b, torch.tensor([[1.0, 2.0], [2.0, 1.0]]))

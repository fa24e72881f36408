"""Gram matrices against the layer recursion of pair averages, at all depths, norms and angles, within the stated error.

The oracle is `second_moment` and `derivative_moment` on the whole kernel matrix; where inputs nearly coincide its own
arccosine loses digits, and the pair-by-pair recursion with distances (`exact_block`) takes its place.
"""

import math
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from rgflow import MLP
from rgflow.errors import DataError, DeviceError, SettingError
from rgflow.numerics import derivative_moment, second_moment
from rgflow.theory import gram, gram_plan, gram_tile
from rgflow.theory.gram_check import exact_block
from rgflow.theory.gram_matrix import forecast_memory, tile_spans
from rgflow.theory.gram_planning import _law, _unit_vectors
from rgflow.theory.gram_tiles import torch_tile
from tests.tolerances import ROUNDING, z_limit

# What `second_moment` and `derivative_moment` promise, times layers through which their error grows.
ORACLE = 1e-10
FEATURES = 6


def network(activation: str = "relu", depth: int = 3, *, weights: float = 1.7, biases: float = 0.0) -> MLP:
    return MLP((FEATURES,) + (8,) * depth, activation, weight_variance=weights, bias_variance=biases)


def inputs(count: int = 24, *, equal: bool = False, seed: int = 0) -> Tensor:
    x = torch.randn(count, FEATURES, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x / x.norm(dim=1, keepdim=True) * math.sqrt(FEATURES)
    return x if equal else x * torch.linspace(0.6, 1.4, count, dtype=torch.float64).unsqueeze(1)


def recursion(net: MLP, x: Tensor) -> Iterator[Tensor]:
    """Kernel and tangent kernel of the last layer by the matrix recursion of training.md, section 1."""
    product = x @ x.T / FEATURES
    kernel = net.bias_variance[0] + net.weight_variance[0] * product
    tangent = 1.0 + product
    for scale, bias in zip(net.weight_variance[1:], net.bias_variance[1:], strict=True):
        activity, slope = second_moment(net.activation, kernel), derivative_moment(net.activation, kernel)
        kernel, tangent = bias + scale * activity, 1.0 + activity + scale * slope * tangent
    yield from (kernel, tangent)


def relative(found: Tensor, true: Tensor, *, diagonal: Tensor | None = None) -> float:
    own = true.diagonal() if diagonal is None else diagonal
    return float(((found.double() - true).abs() / torch.outer(own, own).sqrt()).max())


CASES = [
    ("relu", 1, 0.0), ("relu", 3, 0.0), ("relu", 30, 0.0), ("relu", 30, 0.2), ("leaky_relu(0.2)", 10, 0.1), ("abs", 4, 0.0),
    ("identity", 5, 0.3), ("erf", 3, 0.0), ("erf", 30, 0.1), ("gelu", 3, 0.0), ("gelu", 30, 0.1), ("sin", 4, 0.0),
]  # fmt: skip


@pytest.mark.parametrize("equal", [False, True], ids=["any norms", "equal norms"])
@pytest.mark.parametrize(("name", "depth", "bias"), CASES)
def test_both_kernels_equal_the_layer_recursion_within_the_stated_error(name, depth, bias, equal):
    net, x = network(name, depth, biases=bias), inputs(equal=equal)
    found = gram(net, x)
    kernel, tangent = recursion(net, x)
    off = ~torch.eye(len(x), dtype=torch.bool)  # the oracle's arccosine loses half its digits on the diagonal
    for value, true, error in (
        (found.kernel, kernel, found.error.kernel),
        (found.tangent, tangent, found.error.tangent),
    ):
        own = value.diagonal()
        deviation = ((value - true).abs() / torch.outer(own, own).sqrt())[off].max()
        assert float(deviation) <= error + ROUNDING
    assert found.error.kernel < ORACLE
    assert found.error.tangent < ORACLE


@pytest.mark.parametrize(("name", "weights", "bias"), [("tanh", 1.3, 0.1), ("silu", 1.9, 0.0), ("elu", 1.5, 0.1)])
def test_activations_without_closed_forms_hold_their_error_at_equal_norms(name, weights, bias):
    net, x = network(name, 3, weights=weights, biases=bias), inputs(12, equal=True)
    found = gram(net, x)
    assert found.plan.route == "one function of the angle"
    for value, true, error in zip(
        (found.kernel, found.tangent), recursion(net, x), (found.error.kernel, found.error.tangent), strict=True
    ):
        assert relative(value, true) <= error + 3 * ORACLE


def test_kinked_activations_without_closed_forms_are_integrated_pair_by_pair_at_any_norms():
    net, x = network("hardtanh", 2, biases=0.1), inputs(6)
    found = gram(net, x)
    assert found.plan.route == "layer by layer, quadrature of every pair"
    for value, true in zip((found.kernel, found.tangent), recursion(net, x), strict=True):
        assert relative(value, true) <= 3 * ORACLE


def special() -> Tensor:
    """Coincident, nearly coincident, opposite, nearly opposite and parallel inputs."""
    x = inputs(16)
    x[1], x[2], x[3] = x[0], -x[0], 1.5 * x[0]
    x[4], x[5] = x[6] + 1e-7, -x[7] + 1e-6
    x[8] = x[9] * (1 + 1e-9)
    return x


@pytest.mark.parametrize(
    ("name", "bias"), [("relu", 0.0), ("relu", 0.1), ("leaky_relu(0.5)", 0.0), ("gelu", 0.0), ("erf", 0.0)]
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_coincident_and_opposite_inputs_hold_the_stated_error(name, bias, dtype):
    net, x = network(name, 8, biases=bias), special()
    found = gram(net, x, dtype=dtype)
    law = _law(net, bias_rate=1.0, weight_rate=1.0)
    unit, deviation = _unit_vectors(law, x)
    true = exact_block(law, unit, unit, row_deviation=deviation, column_deviation=deviation)
    values = found.plan.row_values
    assert relative(found.kernel, true.kernel, diagonal=values.kernel_diagonal) <= found.error.kernel
    assert relative(found.tangent, true.tangent, diagonal=values.tangent_diagonal) <= found.error.tangent


@pytest.mark.parametrize("name", ["relu", "gelu", "erf"])
def test_float32_states_its_error_and_holds_it(name):
    net, x = network(name, 10), inputs(60)
    single, double = gram(net, x, dtype=torch.float32), gram(net, x)
    assert single.kernel.dtype == torch.float32
    for one, two, error in (
        (single.kernel, double.kernel, single.error.kernel),
        (single.tangent, double.tangent, single.error.tangent),
    ):
        assert relative(one, two) <= error < 3e-5


@pytest.mark.parametrize(("name", "bias"), [("relu", 0.0), ("relu", 0.1), ("gelu", 0.0), ("erf", 0.1)])
def test_the_compiled_loops_agree_with_torch_operations(name, bias):
    plan = gram_plan(network(name, 6, biases=bias), inputs(30), inputs(21, seed=1))
    rows, columns = slice(3, 27), slice(2, 21)
    one, two = gram_tile(plan, rows, columns), torch_tile(plan, rows, columns)
    for name_of in ("kernel", "tangent"):
        a, b = getattr(one, name_of), getattr(two, name_of)
        assert float((a - b).abs().max() / b.abs().max()) <= 10 * ROUNDING


@pytest.mark.parametrize(("name", "bias"), [("relu", 0.0), ("relu", 0.1), ("gelu", 0.0)])
def test_matrices_are_symmetric_positive_and_made_of_their_tiles(name, bias):
    net, x = network(name, 5, biases=bias), inputs(300)
    found = gram(net, x)
    cross = gram(net, x, x)
    for value, other, error in (
        (found.kernel, cross.kernel, found.error.kernel),
        (found.tangent, cross.tangent, found.error.tangent),
    ):
        assert torch.equal(value, value.T)
        assert relative(other, value) <= 2 * error
        lowest = float(torch.linalg.eigvalsh(value).min())
        assert lowest >= -len(x) * error * float(value.diagonal().max())


def test_the_tiles_of_a_symmetric_plan_cover_its_upper_triangle_once():
    plan = gram_plan(network(), inputs(1200), kind="kernel")
    seen = torch.zeros(plan.shape, dtype=torch.int64)
    for spans in tile_spans(plan):
        seen[spans.rows, spans.columns] += 1
    assert bool((torch.triu(seen) == torch.triu(torch.ones_like(seen)))[~torch.eye(1200, dtype=torch.bool)].all())


@pytest.mark.parametrize("name", ["relu", "gelu", "tanh"])
def test_zero_inputs_have_the_kernels_of_the_recursion(name):
    net = network(name, 3)
    x = inputs(8, equal=name == "tanh")
    x[3] = 0.0
    found = gram(net, x)
    kernel, tangent = recursion(net, x)
    assert float((found.kernel - kernel).abs()[3].max()) <= 3 * ORACLE
    assert float((found.tangent - tangent).abs()[3].max()) <= 3 * ORACLE * float(tangent.max())


def test_rates_equal_to_variances_give_the_tangent_kernel_of_the_ntk_parameterisation():
    net, x = network("relu", 4, weights=1.5, biases=0.2), inputs(9)
    found = gram(net, x, bias_rate=net.bias_variance, weight_rate=net.weight_variance)
    kernel = 0.2 + 1.5 * x @ x.T / FEATURES
    tangent = kernel.clone()
    for _ in range(3):
        slope = derivative_moment(net.activation, kernel)
        kernel = 0.2 + 1.5 * second_moment(net.activation, kernel)
        tangent = kernel + 1.5 * slope * tangent
    off = ~torch.eye(9, dtype=torch.bool)
    assert float((found.tangent - tangent).abs()[off].max()) <= ROUNDING * float(tangent.max())


def test_the_tangent_kernel_is_that_of_explicit_wide_networks():
    """J J^T of drawn networks by autograd: mean over networks within the statistical error, plus O(1/n)."""
    net, x = MLP((FEATURES, 256, 256, 1), "relu", weight_variance=1.7, bias_variance=0.1), inputs(4)
    draws = torch.stack([_explicit_tangent(net, x, seed) for seed in range(60)])
    error = draws.std(0) / math.sqrt(len(draws))
    expected = gram(net, x, kind="tangent").tangent
    z = (draws.mean(0) - expected).abs() / (error + expected.abs().max() / 256 / 10)
    assert float(z.max()) < z_limit(10)


def _explicit_tangent(net: MLP, x: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    parameters, scales = [], []
    for layer, (n, m) in enumerate(zip(net.widths, net.widths[1:], strict=False)):
        draw = torch.randn(m, n, dtype=torch.float64, generator=generator)
        bias = torch.randn(m, dtype=torch.float64, generator=generator)
        parameters.append((draw * math.sqrt(net.weight_variance[layer] / n)).requires_grad_())
        parameters.append((bias * math.sqrt(net.bias_variance[layer])).requires_grad_())
        scales += [1.0 / n, 1.0]  # weight_rate / fan_in and bias_rate
    rows = []
    for point in x:
        z = point
        for layer in range(net.depth):
            z = parameters[2 * layer] @ (z if layer == 0 else torch.relu(z)) + parameters[2 * layer + 1]
        gradients = torch.autograd.grad(z.sum(), parameters)
        rows.append(torch.cat([g.flatten() * math.sqrt(s) for g, s in zip(gradients, scales, strict=True)]))
    jacobian = torch.stack(rows)
    return jacobian @ jacobian.T


def test_only_what_is_asked_for_is_computed_and_progress_is_told():
    seen = []
    found = gram(network(), inputs(), kind="tangent", progress=lambda stage, fraction: seen.append(fraction))
    assert found.kernel is None
    assert found.error.kernel is None
    assert seen[-1] == 1.0


def test_a_plan_can_be_pickled():
    plan = gram_plan(network("gelu"), inputs())
    again = pickle.loads(pickle.dumps(plan))
    rows = slice(0, 9)
    assert torch.equal(gram_tile(plan, rows, rows).kernel, gram_tile(again, rows, rows).kernel)


def test_results_alone_are_most_of_the_memory_forecast_and_a_budget_is_kept():
    net = network()
    need = forecast_memory(net, 4000, 4000, kind=("kernel", "tangent"), dtype=torch.float64)
    assert 2 * 4000**2 * 8 < need < 1.8 * 2 * 4000**2 * 8
    with pytest.raises(SettingError, match="GiB may be used"):
        gram(net, inputs(400), memory=1000)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"kind": "vertex"}, SettingError, "kind is 'vertex'"),
        ({"dtype": torch.float16}, SettingError, "float64 or torch.float32"),
        ({"device": "meta"}, DeviceError, "does not offer"),
        ({"bias_rate": [1.0]}, SettingError, "bias_rate"),
    ],
)
def test_settings_that_cannot_work_are_refused_in_one_sentence(change, error, words):
    with pytest.raises(error, match=words) as caught:
        gram(network(), inputs(), **change)
    assert "\n" not in str(caught.value)


def test_inputs_that_cannot_work_are_refused():
    with pytest.raises(DataError, match="is needed for widths"):
        gram(network(), torch.ones(3, FEATURES + 1))
    with pytest.raises(DataError, match="NaN"):
        gram(network(), torch.full((3, FEATURES), math.nan))
    with pytest.raises(SettingError, match="skip"):
        gram(MLP((FEATURES, 4), "relu", weight_variance=1.0, skip=0.5), inputs())

"""The flow of all inputs against reference values, exact laws, symmetries, other routes, and drawn networks.

REFERENCE covers the digits printed in the reference file. Finite-width cells stand within standard errors plus the flow's own
truncation bars; layer 2, which is exact at every width, within standard errors alone.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics.activations import activation
from rgflow.numerics.criticality import criticality
from rgflow.records import MLP, Flow, QuadrupleFlow
from rgflow.theory import flow, kernel_estimate, metric_covariance, residual_flow
from tolerances import ROUNDING, z_limit

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "effective_flow.json").read_text())
CASES = {case["id"]: case for case in GOLDEN["cases"]}
REFERENCE = 1e-9
INPUTS = torch.tensor([[1.0, 0.5, -0.3, 0.8], [0.2, -1.1, 0.7, 0.4], [-0.6, 0.9, 1.2, 0.1]], dtype=torch.float64)


def network(case: dict) -> MLP:
    return MLP(case["widths"], case["activation"], weight_variance=case["C_W"], bias_variance=case["C_b"])


def upper(found: Flow, matrices: torch.Tensor) -> torch.Tensor:
    return matrices[..., found.pairs[:, 0], found.pairs[:, 1]]


def tensor(values: list) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def assert_close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> None:
    assert float((got - want).abs().max()) <= tolerance * max(1.0, float(want.abs().max())), (got, want)


@pytest.mark.parametrize("name", CASES)
def test_kernel_correction_vertex_and_six_point_equal_the_reference_in_every_layer(name: str) -> None:
    case = CASES[name]
    found = flow(network(case), case["inputs"], order=2 if len(case["inputs"]) == 1 else 1)
    assert found.vertex is not None
    assert found.correction is not None
    for index, layer in enumerate(case["layers"]):
        assert_close(upper(found, found.kernel[index]), tensor(layer["K"]), REFERENCE)
        assert_close(upper(found, found.correction[index]), tensor(layer["G1"]), REFERENCE)
        assert_close(found.vertex[index], tensor(layer["V"]), REFERENCE)
        if found.six_point is not None:
            assert_close(found.six_point[index], tensor(layer["U"]), REFERENCE)


@pytest.mark.parametrize("name", CASES)
def test_drawn_networks_scatter_as_forecast_within_standard_errors_and_truncation_bars(name: str) -> None:
    case = CASES[name]
    found = flow(network(case), case["inputs"])
    limit = z_limit(2 * 137)  # cells of the whole reference
    for layer in case["layers"]:
        if "mc" not in layer or float(found.control[layer["layer"] - 1]) > 1:
            continue
        width, drawn = case["widths"][layer["layer"] - 1], layer["mc"]
        for position, (a, b) in enumerate(found.pairs.tolist()):
            forecast = kernel_estimate(found, layer=layer["layer"], first=a, second=b)
            assert abs(drawn["mean"][position] - forecast.mean.value) <= (
                forecast.mean.error + limit * drawn["mean_se"][position]
            )
            deviation = math.sqrt(drawn["cov"][position][position] / width)
            error = drawn["cov_se"][position][position] / width / (2 * deviation)
            assert abs(deviation - forecast.deviation.value) <= forecast.deviation.error + limit * error


@pytest.mark.parametrize("name", CASES)
def test_the_covariance_of_the_second_layer_is_exact_at_every_width(name: str) -> None:
    case = CASES[name]
    found, drawn = flow(network(case), case["inputs"]), case["layers"][1]["mc"]
    assert found.vertex is not None
    z = (tensor(drawn["cov"]) - found.vertex[1]) / tensor(drawn["cov_se"])
    assert float(z.abs().max()) <= z_limit(z.numel() * len(CASES))


@pytest.mark.parametrize(
    ("name", "weight_variance", "growth"), [("relu", 2.0, 5.0), ("identity", 1.0, 2.0), ("abs", 1.0, 2.0)]
)
def test_scale_invariant_networks_grow_by_nu_in_every_layer_at_constant_kernel(
    name: str, weight_variance: float, growth: float
) -> None:
    widths = [4, 30, 60, 20, 45, 1]
    found = flow(MLP(widths, name, weight_variance=weight_variance), INPUTS[:1])
    assert found.vertex is not None
    kernel = float(found.kernel[0])
    expected = tensor([growth * sum(1 / n for n in widths[1:layer]) for layer in range(1, 6)])
    assert found.control.tolist() == pytest.approx(expected.tolist(), rel=REFERENCE, abs=REFERENCE)
    for layer in range(2, 6):
        vertex = widths[layer - 1] * float(expected[layer - 1]) * kernel**2
        assert float(found.vertex[layer - 1]) == pytest.approx(vertex, rel=REFERENCE)
        assert float(found.kernel[layer - 1]) == pytest.approx(kernel, rel=ROUNDING)
    assert found.correction is not None
    assert float(found.correction.abs().max()) < REFERENCE


@pytest.mark.slow
def test_the_six_point_function_of_a_deep_relu_network_tends_to_three_nu_squared() -> None:
    depth = 60
    found = flow(MLP([1, *[100] * depth, 1], "relu", weight_variance=2.0), [[1.0]], order=2)
    assert found.six_point is not None
    ratio = float(found.six_point[-1]) / (3 * 25 * depth**2 * float(found.kernel[0]) ** 3)
    assert ratio == pytest.approx(1.0, abs=1.0 / depth)  # next order of the growth, one over depth


@pytest.mark.parametrize(
    "name", ["relu", *(pytest.param(n, marks=pytest.mark.slow) for n in ("tanh", "sin", "elu")), "gelu"]
)
def test_the_relative_variance_grows_by_the_nu_of_the_universality_class(name: str) -> None:
    point, depth = criticality(name), 300
    start = point.kernel if point.kernel else 0.1
    critical = MLP([1, *[1000] * depth, 1], name, weight_variance=2.0).critical()
    x = math.sqrt((start - critical.bias_variance[0]) / critical.weight_variance[0])
    found = flow(critical, [[x]], order=0)
    assert point.growth is not None
    grown = float(found.control[depth]) * 1000 / depth
    # A flow into K* = 0 forgets its start as log(depth) / depth; started at K* itself there is nothing to forget.
    slack = 6 * math.log(depth) / depth if point.kernel == 0.0 else 20 / depth
    assert grown == pytest.approx(point.growth, rel=slack)


def test_a_half_stable_network_started_at_its_fixed_point_stays_there() -> None:
    point = criticality("gelu")
    critical = MLP([1, *[100] * 6, 1], "gelu", weight_variance=2.0).critical()
    assert point.kernel is not None
    assert point.amplitude is not None
    x = math.sqrt((point.kernel - critical.bias_variance[0]) / critical.weight_variance[0])
    found = flow(critical, [[x]])
    assert found.vertex is not None
    for layer in range(7):
        assert float(found.kernel[layer]) == pytest.approx(point.kernel, rel=1e-8)
        assert float(found.vertex[layer]) == pytest.approx(layer * point.amplitude * point.kernel**2, rel=1e-6)
    assert found.chi_parallel.flatten().tolist() == pytest.approx([1.0] * 7, abs=1e-7)
    assert found.chi_perpendicular.flatten().tolist() == pytest.approx([1.0] * 7, abs=1e-7)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_order_of_the_inputs_does_not_matter(name: str) -> None:
    tuned = MLP([4, 30, 40, 20, 1], name, weight_variance=1.7, bias_variance=0.1)
    order = torch.tensor([2, 0, 1])
    one, other = flow(tuned, INPUTS), flow(tuned, INPUTS[order])
    assert one.vertex is not None
    assert other.vertex is not None
    assert one.vertex_error is not None
    place = {tuple(pair): k for k, pair in enumerate(one.pairs.tolist())}
    moved = [place[tuple(sorted((int(order[a]), int(order[b]))))] for a, b in other.pairs.tolist()]
    assert_close(other.kernel, one.kernel[:, order][:, :, order], 1e-10)
    for layer in range(4):
        gap = (other.vertex[layer] - one.vertex[layer][moved][:, moved]).abs().max()
        assert float(gap) <= 2 * float(one.vertex_error[layer]) + ROUNDING


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu"])
def test_a_repeated_input_changes_nothing_for_the_others_and_copies_itself(name: str) -> None:
    tuned = MLP([4, 30, 40, 20, 1], name, weight_variance=1.7, bias_variance=0.1)
    plain, doubled = flow(tuned, INPUTS[:2]), flow(tuned, INPUTS[[0, 1, 0]])
    place = {(0, 0): 0, (0, 1): 1, (1, 1): 2}
    index = [place[tuple(sorted((a % 2, b % 2)))] for a, b in doubled.pairs.tolist()]  # input 2 is input 0
    assert plain.vertex is not None
    assert doubled.vertex is not None
    assert torch.equal(doubled.vertex, plain.vertex[:, index][:, :, index])
    assert plain.correction is not None
    assert doubled.correction is not None
    same = torch.tensor([0, 1, 0])
    assert torch.equal(doubled.correction, plain.correction[:, same][:, :, same])


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "softplus"])
def test_a_zero_input_without_bias_is_certain_or_follows_the_value_at_zero(name: str) -> None:
    found = flow(MLP([4, 30, 40, 1], name, weight_variance=1.5), torch.cat([INPUTS[:1], torch.zeros(1, 4).double()]))
    assert found.vertex is not None
    assert found.correction is not None
    own = 2  # pair (1, 1)
    at_zero = 1.5 * activation(name).origin ** 2
    assert float(found.kernel[1, 1, 1]) == pytest.approx(at_zero, abs=1e-12)
    assert float(found.vertex[1, own].abs().max()) < 1e-12
    if at_zero == 0.0:
        assert float(found.vertex[:, own].abs().max()) < ROUNDING
        assert float(found.correction[:, 1].abs().max()) < ROUNDING
    assert all(
        bool(part.isfinite().all()) for part in (found.vertex, found.correction, found.chi_parallel, found.control)
    )


@pytest.mark.parametrize("name", ["relu", "abs", "leaky_relu(0.2)"])
def test_scale_invariant_networks_without_bias_scale_with_their_inputs(name: str) -> None:
    tuned, factor = MLP([4, 30, 40, 20, 1], name, weight_variance=1.7), 3.0
    small, large = flow(tuned, INPUTS[:2]), flow(tuned, factor * INPUTS[:2])
    for one, other, power in (
        (small.kernel, large.kernel, 2),
        (small.correction, large.correction, 2),
        (small.vertex, large.vertex, 4),
    ):
        assert one is not None
        assert other is not None
        assert_close(other, factor**power * one, 1e-9)
    assert torch.allclose(small.control, large.control, rtol=1e-9)


def test_parallel_inputs_stay_parallel_in_a_network_of_absolute_values() -> None:
    found = flow(MLP([4, 30, 40, 1], "abs", weight_variance=1.0), torch.stack([INPUTS[0], 2 * INPUTS[0], -INPUTS[0]]))
    assert found.vertex is not None
    scale = torch.tensor([1.0, 2.0, 1.0]).double()
    sizes = (scale[found.pairs[:, 0]] * scale[found.pairs[:, 1]]).reshape(-1, 1)
    expected = float(found.vertex[2, 0, 0]) * sizes @ sizes.T
    assert_close(found.vertex[2], expected, 1e-6)


@pytest.mark.parametrize("name", ["erf", "sin", "gelu"])
def test_two_routes_to_one_flow_agree_within_the_errors_they_report(name: str) -> None:
    rule = activation(name)
    closed, summed = (
        flow(MLP([4, 30, 40, 20, 1], one, weight_variance=1.6, bias_variance=0.1), INPUTS)
        for one in (rule, replace(rule, family=""))
    )
    for part in ("kernel", "correction", "vertex"):
        one, other = getattr(closed, part), getattr(summed, part)
        allowed = getattr(closed, f"{part}_error") + getattr(summed, f"{part}_error") + ROUNDING
        gap = (one - other).abs().flatten(1).amax(1)
        assert bool((gap <= allowed).all()), (part, gap, allowed)


def test_a_linear_network_has_the_vertex_of_products_of_wishart_matrices() -> None:
    widths, weight, bias = [4, 30, 50, 20, 1], 1.3, 0.2
    found = flow(MLP(widths, "identity", weight_variance=weight, bias_variance=bias), INPUTS)
    assert found.vertex is not None
    assert found.vertex_error is not None
    a, b = found.pairs.T
    vertex = torch.zeros(6, 6, dtype=torch.float64)
    for layer in range(1, 4):
        kernel = found.kernel[layer - 1]
        wick = kernel[a][:, a] * kernel[b][:, b] + kernel[a][:, b] * kernel[b][:, a]
        ratio = widths[layer] / widths[layer - 1]
        vertex = weight**2 * (wick + (ratio * vertex if layer > 1 else 0.0))
        assert float((found.vertex[layer] - vertex).abs().max()) <= float(found.vertex_error[layer])
    assert float(found.vertex_error[-1]) < 1e-8


def test_quadruples_are_those_of_the_whole_vertex_for_any_number_of_inputs() -> None:
    tuned = MLP([4, 30, 40, 20, 1], "tanh", weight_variance=1.5, bias_variance=0.1)
    chosen = torch.tensor([[0, 1, 2, 0], [1, 1, 2, 2], [0, 0, 0, 0], [2, 1, 1, 0], [0, 2, 0, 2]])
    whole = flow(tuned, INPUTS)
    generator = torch.Generator().manual_seed(1)
    many = torch.cat([INPUTS, torch.randn(60, 4, generator=generator, dtype=torch.float64)])
    part = flow(tuned, many, quadruples=chosen)
    assert isinstance(part, QuadrupleFlow)
    assert whole.vertex is not None
    place = {tuple(pair): k for k, pair in enumerate(whole.pairs.tolist())}
    for column, (a, b, c, d) in enumerate(chosen.tolist()):
        entry = whole.vertex[:, place[tuple(sorted((a, b)))], place[tuple(sorted((c, d)))]]
        assert_close(part.vertex[:, column], entry, REFERENCE)
    assert part.flow.kernel.shape == (4, 63, 63)
    assert float(part.vertex_error.max()) < 1e-6


def test_four_different_inputs_covary_as_in_drawn_networks() -> None:
    generator = torch.Generator().manual_seed(5)
    inputs = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    tuned, width, networks = MLP([6, 16, 1], "relu", weight_variance=1.8, bias_variance=0.1), 16, 200_000
    found = flow(tuned, inputs, quadruples=[[0, 1, 2, 3], [0, 2, 1, 3]])
    root = torch.linalg.cholesky(found.flow.kernel[0])
    z = torch.randn(networks, width, 4, generator=generator, dtype=torch.float64) @ root.T
    s = z.clamp_min(0.0)
    kernel = 1.8 * torch.einsum("nja,njb->nab", s, s) / width
    for column, (a, b, c, d) in enumerate(((0, 1, 2, 3), (0, 2, 1, 3))):
        left, right = (kernel[:, i, j] - kernel[:, i, j].mean() for i, j in ((a, b), (c, d)))
        product = left * right
        error = float(product.std()) / math.sqrt(networks)
        z_score = (float(product.mean()) - float(found.vertex[1, column]) / width) / error
        assert abs(z_score) <= z_limit(2)


def test_variances_may_differ_from_layer_to_layer() -> None:
    tuned = MLP([4, 30, 40, 1], "relu", weight_variance=[1.0, 2.0, 1.5], bias_variance=[0.3, 0.0, 0.2])
    found = flow(tuned, INPUTS[:1])
    first = 0.3 + float(INPUTS[0].square().mean())
    assert found.kernel.flatten().tolist() == pytest.approx([first, first, 0.2 + 0.75 * first], rel=ROUNDING)
    assert found.vertex is not None
    # <s^4> - <s^2>^2 = 5 K^2 / 4 of relu; M = C_W / 2.
    second = 4.0 * 1.25 * first**2
    third = 1.5**2 * 1.25 * first**2 + 40 / 30 * 0.75**2 * second
    assert found.vertex.flatten().tolist() == pytest.approx([0.0, second, third], rel=REFERENCE)


def test_order_zero_takes_a_thousand_inputs_and_still_says_how_sure_the_limit_is() -> None:
    generator = torch.Generator().manual_seed(2)
    inputs = torch.randn(1000, 20, generator=generator, dtype=torch.float64)
    found = flow(MLP([20, 200, 200, 1], "relu", weight_variance=2.0), inputs, order=0)
    assert found.kernel.shape == (3, 1000, 1000)
    assert found.vertex is None
    assert found.control.tolist() == pytest.approx([0.0, 0.025, 0.05], abs=REFERENCE)
    assert float(found.kernel_error.max()) < 1e-10


def test_errors_grow_where_a_chaotic_network_amplifies_them() -> None:
    tuned = MLP([4, *[100] * 12, 1], "tanh", weight_variance=9.0)
    errors = flow(tuned, INPUTS[:2], order=0).kernel_error
    assert float(errors[-1]) > 3 * float(errors[1])


@pytest.mark.slow
def test_an_activation_that_jumps_tears_equal_inputs_apart() -> None:
    found = flow(MLP([4, 30, 30, 1], "sign", weight_variance=1.0, bias_variance=0.1), INPUTS[:2])
    assert bool(found.chi_perpendicular.isinf().all())
    assert found.chi_parallel.flatten().tolist() == pytest.approx([0.0] * 6, abs=1e-12)  # <s^2> = 1 at any kernel


def test_the_same_seed_gives_the_same_flow_and_another_seed_another() -> None:
    tuned = MLP([4, 30, 1], "tanh", weight_variance=1.5)
    one, same, other = (flow(tuned, INPUTS[:2], weight_law="uniform", seed=seed).kernel for seed in (3, 3, 4))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_a_network_with_a_skip_is_handed_to_the_theory_that_knows_its_history() -> None:
    skipping = MLP((4, 30, 30, 30), "relu", weight_variance=0.72, skip=0.8)
    found, own = flow(skipping, INPUTS[:1]), residual_flow(skipping, INPUTS[:1])
    assert found.vertex is not None
    assert own.vertex is not None
    assert torch.equal(found.vertex, own.vertex)
    # A recursion closed in V would give S + 4 skip^2 chi K^2 + chi_parallel^2 V in layer 3, which is too small.
    kernel = float(found.kernel[0])
    closed = [5 * 0.36**2 * kernel**2 + 4 * 0.64 * 0.36 * kernel**2 * (0 if layer == 0 else 1) for layer in range(2)]
    assert float(found.vertex[2]) > 1.05 * sum(closed)


RELU = MLP([4, 30, 30, 1], "relu", weight_variance=2.0)
SKIP = MLP([4, 30, 30, 30], "relu", weight_variance=0.72, bias_variance=0.1, skip=0.8)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: flow(RELU, INPUTS[:, :3]), "the network's first width"),
        (lambda: flow(RELU, [[math.nan, 0.0, 0.0, 0.0]]), "not finite"),
        (lambda: flow(RELU, "data"), "cannot be read"),
        (lambda: flow("relu", INPUTS), "rgflow.MLP"),  # type: ignore[arg-type]
        (lambda: flow(RELU, INPUTS, order=3), "must be 0"),
        (lambda: flow(RELU, INPUTS, order=2), "takes one input"),
        (lambda: flow(RELU, torch.randn(70, 4)), "give quadruples="),
        (lambda: flow(RELU, INPUTS, quadruples=[[0, 1, 2, 3]]), "there are 0 to 2"),
        (lambda: flow(RELU, INPUTS, quadruples=[[0.5, 1, 2, 3]]), "integers of shape"),
        (lambda: flow(RELU, INPUTS, weight_law="orthogonal"), "independent entries"),
        (lambda: flow(RELU, INPUTS, bias_law="cauchy"), "give one of"),
        (lambda: flow(RELU, INPUTS, weight_law=["gaussian"] * 2), "one for each weight layer"),
        (lambda: flow(MLP([4, 30, 30, 30, 1], "sinh", weight_variance=2.0), 3 * INPUTS), "grows too fast"),
        (lambda: flow(RELU, INPUTS).index(5), "layers 1 to 3"),
        (lambda: flow(SKIP, INPUTS[:1], order=2), "order 0 or 1"),
        (lambda: flow(SKIP, INPUTS[:1], weight_law="uniform"), "first layer"),
        (lambda: flow(SKIP, INPUTS[:1], bias_law="uniform"), "only Gaussian biases"),
        (lambda: flow(SKIP, INPUTS, quadruples=[[0, 1, 2, 0]]), "not served with a skip"),
        (lambda: metric_covariance(flow(SKIP, INPUTS[:1]), layer=2), "has skip"),
    ],
)
def test_wrong_input_is_refused_in_a_sentence_that_says_what_is_allowed(call: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        call()  # type: ignore[operator]

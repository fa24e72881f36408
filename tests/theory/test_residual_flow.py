"""The flow of residual networks: reference values, exact cases, limits, and the growth law; then drawn networks.

The recursion that closes in the vertex stands here only as a negative control.
"""

import json
from pathlib import Path

import pytest
import torch

from rgflow.errors import NoCriticalPoint, SettingError
from rgflow.numerics import activation, feature_covariance, kernel_curvature, kernel_response
from rgflow.numerics.criticality import criticality
from rgflow.records import MLP, Flow
from rgflow.theory import residual_flow, residual_growth
from tolerances import ROUNDING

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "residual.json").read_text())
PRINTED = 1e-10  # digits that the reference values of one input carry
TWO = torch.tensor([[1.0, 0.4, -0.7], [0.3, -1.2, 0.8]], dtype=torch.float64)
ONE = torch.ones(1, 1, dtype=torch.float64)


def network(name: str, widths: list[int], *, skip: float, weight: float, bias: float = 0.0) -> MLP:
    return MLP(widths, name, weight_variance=weight, bias_variance=bias, skip=skip)


def closed_recursion(net: MLP, inputs: torch.Tensor) -> Flow:
    """What a recursion in kernel, vertex and shift alone would say; wrong for residual networks (equal widths only)."""
    flow = residual_flow(net, inputs, order=0)
    pairs, share = flow.pairs, net.skip**2 * torch.eye(len(flow.pairs), dtype=torch.float64)
    a, b = pairs.unbind(1)
    vertex, shift = torch.zeros(len(a), len(a), dtype=torch.float64), torch.zeros(len(a), dtype=torch.float64)
    vertices, shifts = [vertex], [shift]
    for kernel, scale in zip(flow.kernel, net.weight_variance[1:], strict=False):
        response = kernel_response(net.activation, kernel).matrix(scale)
        bent = kernel_curvature(net.activation, kernel).contract(vertex, weight_variance=scale).value
        shift = (share + response) @ shift + bent
        first, second = kernel[a], kernel[b]
        own = net.skip**2 * (first[:, a] * second[:, b] + first[:, b] * second[:, a]) @ response.T
        fresh = scale**2 * feature_covariance(net.activation, kernel).covariance
        vertex = fresh + own + own.T + (share + response) @ vertex @ (share + response).T
        vertices.append(vertex)
        shifts.append(shift)
    correction = torch.zeros_like(flow.kernel)
    correction[:, a, b] = correction[:, b, a] = torch.stack(shifts)
    return Flow(**{**vars(flow), "vertex": torch.stack(vertices), "correction": correction})


@pytest.mark.parametrize("case", GOLDEN["single"], ids=lambda case: case["id"])
def test_one_input_gives_the_published_kernel_and_vertex_in_every_layer(case: dict) -> None:
    depth = len(case["K"])
    net = network(case["activation"], [1] + [50] * depth, skip=case["gamma"], weight=case["C_W"], bias=case["C_b"])
    flow = residual_flow(net, ONE * case["x2_over_n0"] ** 0.5)
    assert torch.allclose(flow.kernel.flatten(), torch.tensor(case["K"], dtype=torch.float64), rtol=PRINTED)
    expected = torch.tensor(case["V_exact_order_1_over_n"], dtype=torch.float64)
    assert torch.allclose(flow.vertex[:, 0, 0], expected, rtol=PRINTED, atol=0.0)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_vertex_and_correction_equal_the_reference_for_projections_and_two_inputs(case: dict) -> None:
    given, unit = case["input"], 100
    widths = [unit * part for part in given["relative_widths"]]
    inputs = torch.tensor(given["inputs"], dtype=torch.float64)
    net = network(
        given["activation"], [inputs.shape[1], *widths], skip=given["skip"], weight=given["C_W"], bias=given["C_b"]
    )
    flow = residual_flow(net, inputs)
    a, b = flow.pairs.unbind(1)
    share = unit / widths[-2]  # the reference carries the unit width, the flow that of the layer before
    for name, got, error in (
        ("K", flow.kernel[-1][a, b], 0.0),
        ("V", flow.vertex[-1] * share, flow.vertex_error[-1] * share),
        ("G1", flow.correction[-1][a, b] * share, flow.correction_error[-1] * share),
    ):
        expected = torch.tensor(case["expected"][name], dtype=torch.float64)
        allowed = case["tolerance"] * expected.abs().max() + error
        assert float((got - expected).abs().max()) <= allowed, (name, got, expected)


@pytest.mark.parametrize("inputs", [ONE, TWO], ids=["one input", "two inputs"])
def test_linear_networks_agree_with_the_recursion_that_is_exact_for_them(inputs: torch.Tensor) -> None:
    net = network("identity", [inputs.shape[1]] + [20] * 5, skip=0.7, weight=0.6, bias=0.1)
    flow, exact = residual_flow(net, inputs), closed_recursion(net, inputs)
    assert bool(((flow.vertex - exact.vertex).abs().amax((1, 2)) <= flow.vertex_error).all())
    assert bool((flow.correction.abs().amax((1, 2)) <= flow.correction_error + ROUNDING).all())


def test_without_a_skip_relu_networks_have_the_vertex_of_plain_chains() -> None:
    flow = residual_flow(network("relu", [1] + [30] * 5, skip=0.0, weight=2.0), ONE)
    expected = 5.0 * torch.arange(5, dtype=torch.float64) * flow.kernel[:, 0, 0] ** 2  # V = (l - 1) nu K^2, nu = 5
    assert bool(((flow.vertex[:, 0, 0] - expected).abs() <= flow.vertex_error).all())
    assert bool((flow.correction[:, 0, 0].abs() <= flow.correction_error).all())


@pytest.mark.parametrize("name", [pytest.param("gelu", marks=pytest.mark.slow), "relu"])
def test_a_vanishing_skip_gives_the_plain_chain_for_two_inputs(name: str) -> None:
    net = network(name, [3] + [20] * 4, skip=0.0, weight=1.5, bias=0.1)
    flow, chain = residual_flow(net, TWO), closed_recursion(net, TWO)
    assert bool(((flow.vertex - chain.vertex).abs().amax((1, 2)) <= flow.vertex_error).all())
    assert bool(((flow.correction - chain.correction).abs().amax((1, 2)) <= flow.correction_error).all())


@pytest.mark.parametrize(("name", "skip"), [("relu", 0.8), ("gelu", 0.5), ("gelu", -0.5), ("leaky_relu(0.2)", 0.3)])
def test_the_scaled_critical_point_keeps_chi_at_one_and_grows_as_the_law_says(name: str, skip: float) -> None:
    depth = 20
    net = network(name, [1] + [10] * depth, skip=skip, weight=1.0).critical()
    point = criticality(net.activation)
    start = ((point.kernel or 1.0) - net.bias_variance[0]) / net.weight_variance[0]
    flow = residual_flow(net, ONE * start**0.5)
    ones = torch.ones(depth, 1, dtype=torch.float64)
    assert torch.allclose(flow.chi_parallel, ones, atol=PRINTED)
    assert torch.allclose(flow.chi_perpendicular, ones, atol=PRINTED)
    relative = flow.vertex[:, 0, 0] / flow.kernel[:, 0, 0] ** 2
    growth = float(relative[-1] - relative[-2])
    # Steps of the random walk correlate as skip^distance: what so many layers have not seen yet.
    assert abs(growth - residual_growth(name, skip)) <= 10.0 * abs(skip) ** (depth - 2) + PRINTED, growth


@pytest.mark.parametrize("skip", GOLDEN["growth"])
def test_growth_of_relu_networks_is_the_published_one(skip: str) -> None:
    assert residual_growth("relu", float(skip)) == pytest.approx(GOLDEN["growth"][skip], rel=ROUNDING)


def test_growth_without_skip_is_that_of_the_critical_point_for_every_class() -> None:
    for name in ("relu", "tanh", "gelu", "silu", "selu", "elu", "identity", "leaky_relu(0.2)"):
        assert residual_growth(name, 0.0) == pytest.approx(criticality(activation(name)).growth, rel=1e-9)


def test_several_inputs_give_what_each_gives_alone_within_the_reported_errors() -> None:
    net = network("relu", [3, 40, 40, 80, 80, 80], skip=0.8, weight=0.7, bias=0.05)
    both = residual_flow(net, TWO)
    for index, pair in ((0, 0), (1, 2)):
        alone = residual_flow(net, TWO[index : index + 1])
        assert torch.allclose(both.kernel[:, index, index], alone.kernel[:, 0, 0], rtol=ROUNDING)
        bound = both.vertex_error + alone.vertex_error
        assert bool(((both.vertex[:, pair, pair] - alone.vertex[:, 0, 0]).abs() <= bound).all())
        bound = both.correction_error + alone.correction_error
        assert bool(((both.correction[:, index, index] - alone.correction[:, 0, 0]).abs() <= bound).all())


@pytest.mark.parametrize("seed", range(3))
def test_reported_errors_cover_sampled_values_and_do_not_exceed_them_by_far(seed: int) -> None:
    net = network("tanh", [3] + [30] * 4, skip=0.9, weight=0.6, bias=0.05)
    flow = residual_flow(net, TWO, seed=seed, trajectories=2**12)
    alone = residual_flow(net, TWO[:1])
    off = (flow.vertex[:, 0, 0] - alone.vertex[:, 0, 0]).abs()[1:] / flow.vertex_error[1:]
    assert float(off.max()) <= 1.0
    assert float(flow.vertex_error[-1]) <= 0.2 * float(flow.vertex[-1].max())


def test_an_input_given_twice_is_carried_once_and_returned_twice() -> None:
    net = network("relu", [3, 16, 16, 16], skip=0.8, weight=0.7, bias=0.1)
    twice = residual_flow(net, torch.stack([TWO[1], TWO[0], TWO[1]]))
    once = residual_flow(net, TWO.flip(0))
    keep = [0, 1, 3]  # pairs (0,0), (0,1), (1,1) of three inputs
    assert torch.equal(twice.vertex[:, keep][:, :, keep], once.vertex)
    assert torch.equal(twice.kernel[:, 0, 2], twice.kernel[:, 0, 0])
    assert torch.equal(twice.correction[:, 1, 2], once.correction[:, 0, 1])


def test_same_seed_same_flow_and_two_seeds_two_flows() -> None:
    net = network("tanh", [3, 16, 16, 16], skip=0.8, weight=0.7)
    flows = [residual_flow(net, TWO, seed=seed, trajectories=2**10).vertex for seed in (1, 1, 2)]
    assert torch.equal(flows[0], flows[1])
    assert not torch.equal(flows[0], flows[2])


def test_order_zero_holds_the_kernel_and_no_fluctuations() -> None:
    net = network("gelu", [3, 8, 8, 4], skip=0.5, weight=1.0, bias=0.1)
    flow = residual_flow(net, TWO, order=0)
    assert flow.vertex is None
    assert flow.correction is None
    assert torch.equal(flow.kernel, residual_flow(net, TWO).kernel)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"order": 2}, "order is 2"),
        ({"trajectories": 3}, "trajectories is 3"),
        ({"inputs": torch.ones(2, 5)}, "takes (N, 3)"),
        ({"inputs": torch.zeros(1, 3)}, "drop inputs that are zero"),
        ({"network": network("sign", [3, 4, 4], skip=0.5, weight=1.0)}, "continuous"),
        ({"network": network("relu", [3, 4, 4], skip=0.5, weight=0.0, bias=1.0)}, "positive"),
        ({"inputs": torch.randn(60, 3)}, "residual_functional_deviation"),
    ],
)
def test_what_the_theory_cannot_do_is_refused_in_one_sentence(change: dict, words: str) -> None:
    settings = {"network": network("relu", [3] + [4] * 4, skip=0.5, weight=1.0), "inputs": TWO, **change}
    with pytest.raises(SettingError) as caught:
        residual_flow(settings.pop("network"), settings.pop("inputs"), **settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_growth_refuses_what_is_not_critical() -> None:
    with pytest.raises(SettingError, match="skip is 1"):
        residual_growth("relu", 1.0)
    with pytest.raises(NoCriticalPoint, match="sigmoid"):
        residual_growth("sigmoid", 0.5)

"""The flow of pairs against exact reference values, exact laws, and the limit of coinciding inputs."""

import json
import math
from pathlib import Path

import pytest
import torch

from rgflow.numerics.activations import activation
from rgflow.theory.first_layer import first_layer, second_state
from rgflow.theory.input_flow import input_flow
from rgflow.theory.laws import LayerLaw, bias_mixture
from rgflow.theory.pair_flow import PairState, pair_flow

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "pair_flow.json").read_text())
QUADRATURE = 2e-7  # order 18, corrections weigh Hermite polynomials of order four
TO_DISTANCE = torch.tensor(
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.5, -1.0, 0.5]], dtype=torch.float64
)  # from (aa, ab, bb)
SPAN = torch.tensor([0]), torch.tensor([1])


def flow(
    inputs: torch.Tensor, *, name: str, widths: list[int], laws: list[LayerLaw], order: int = 18
) -> list[PairState]:
    """States of layers 2..L for the first two inputs."""
    rule = activation(name)
    start = first_layer(inputs, law=laws[0], seed=3)
    rules = [rule] * (len(laws) - 1)
    states = input_flow(start, laws=laws, activations=rules)
    mixtures = [bias_mixture(law, kernel=float(state.kernel.min())) for law, state in zip(laws, states, strict=True)]
    second = second_state(
        start,
        first=SPAN[0],
        second=SPAN[1],
        activation=rule,
        width=widths[1],
        law=laws[1],
        mixtures=mixtures[:2],
        order=order,
    )
    return list(pair_flow(second, widths=widths, laws=laws, activations=rules, mixtures=mixtures, order=order))


def assert_matches(state: PairState, expected: dict, *, width: int, tolerance: float, sampling: float = 0.0) -> None:
    """`sampling` allows for virtual neurons: that much in corrections, a tenth of it in kernels."""
    kernel = torch.stack([state.kernel.first, state.kernel.second, state.kernel.distance]).T[0]
    for got, want, power in (
        (kernel, TO_DISTANCE @ torch.tensor(expected["K"], dtype=torch.float64), 0),
        (state.kernel_shift()[0] * width, TO_DISTANCE @ torch.tensor(expected["G1"], dtype=torch.float64), 1),
        (
            state.kernel_covariance()[0] * width,
            TO_DISTANCE @ torch.tensor(expected["V"], dtype=torch.float64) @ TO_DISTANCE.T,
            1,
        ),
    ):
        scale = float(want.abs().max()) or 1.0
        assert float((got - want).abs().max()) <= max(tolerance, sampling * (1.0 if power else 0.1)) * scale, (
            got,
            want,
            power,
        )


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["id"])
def test_kernel_shift_and_vertex_equal_the_reference_in_every_layer(case: dict) -> None:
    inputs = torch.tensor(case["inputs"], dtype=torch.float64)
    laws = [LayerLaw(case["weight_variance"], case["bias_variance"])] * (len(case["widths"]) - 1)
    states = flow(inputs, name=case["activation"], widths=case["widths"], laws=laws)
    for layer, state in enumerate(states, start=2):
        assert_matches(state, case["layers"][layer - 1], width=case["widths"][layer - 1], tolerance=QUADRATURE)


@pytest.mark.parametrize("case", GOLDEN["kurtosis"], ids=lambda case: case["id"])
def test_kurtosis_of_weights_and_biases_moves_the_mean_as_the_reference_says(
    case: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rgflow.theory.first_layer.VIRTUAL_NEURONS", 2**18)
    width, depth = 40, case["layer"]
    weights = {"gauss": 0.0, "uniform": -1.2, "rademacher": -2.0, "sign": -2.0}[case["weights"]]
    biases = {"gauss": 0.0, "uniform": -1.2}[case["biases"]]
    first = weights if case.get("first_layer", case["weights"]) == case["weights"] else 0.0
    hidden = LayerLaw(case["C_W"], case["C_b"], weights, biases)
    laws = [LayerLaw(case["C_W"], case["C_b"], first, biases)] + [hidden] * (depth - 1)
    inputs = torch.tensor(case["inputs"], dtype=torch.float64)
    states = flow(inputs, name=case["activation"], widths=[4] + [width] * (depth - 1) + [1], laws=laws)
    sampling = 0.01 if first else 0.0  # three standard errors of 2^18 virtual first-layer neurons
    tolerance = max(case["tolerance"], 2e-5)
    assert_matches(states[-1], case["expected"], width=width, tolerance=tolerance, sampling=sampling)


@pytest.mark.parametrize(("name", "growth"), [("relu", 5.0), ("identity", 2.0), ("abs", 2.0)])
def test_scale_invariant_networks_gain_relative_variance_nu_over_n_in_each_layer(name: str, growth: float) -> None:
    widths = [3, 30, 60, 20, 45, 1]
    weight_variance = 2.0 if name == "relu" else 1.0
    inputs = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 0.3]], dtype=torch.float64)
    for layer, state in enumerate(
        flow(inputs, name=name, widths=widths, laws=[LayerLaw(weight_variance)] * 5), start=2
    ):
        relative = float(state.kernel_covariance()[0, 0, 0] / state.kernel.first[0] ** 2)
        assert relative == pytest.approx(growth * sum(1 / n for n in widths[1:layer]), rel=1e-6)


@pytest.mark.parametrize("gap", [1e-2, 1e-5, 1e-9])
@pytest.mark.parametrize("name", ["tanh", "gelu", "relu", "selu"])
def test_a_small_distance_grows_by_chi_perpendicular_down_to_rounding(name: str, gap: float) -> None:
    inputs = torch.tensor([[1.0, -0.5, 0.25], [1.0, -0.5, 0.25]], dtype=torch.float64)
    inputs[1] += gap * torch.tensor([0.3, 1.0, 0.2], dtype=torch.float64)
    law = LayerLaw(1.7, 0.1)
    state = flow(inputs, name=name, widths=[3, 64, 1], laws=[law, law])[0]
    start = first_layer(inputs, law=law, seed=0)
    nodes = torch.linspace(-9, 9, 200_001, dtype=torch.float64)
    density = torch.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi) * (nodes[1] - nodes[0])
    slope = activation(name).derivative(start.kernel[0].sqrt() * nodes)
    chi = law.weight_variance * float((slope**2 * density).sum())
    distance = law.weight_variance * float((inputs[0] - inputs[1]).square().mean()) / 2
    curvature = 3 * gap  # the next order, proportional to the separation
    assert float(state.kernel.distance[0]) == pytest.approx(chi * distance, rel=max(curvature, 2e-5))


def test_parallel_inputs_and_a_single_feature_stay_finite() -> None:
    inputs = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    for state in flow(inputs, name="relu", widths=[1, 20, 20, 20, 1], laws=[LayerLaw(2.0)] * 4):
        assert bool(state.kernel_covariance().isfinite().all())
        assert bool(state.kernel_shift().isfinite().all())
        assert float(state.kernel.second[0] / state.kernel.first[0]) == pytest.approx(4.0, rel=1e-6)

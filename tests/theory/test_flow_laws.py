"""Weights and biases of any law: reference values, moments of the laws, and drawn networks."""

import json
import math
from pathlib import Path

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.records import MLP
from rgflow.theory import EntryLaw, flow, truncated_normal
from rgflow.theory.parameter_laws import entry_law
from tolerances import ROUNDING, z_limit

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "effective_flow.json").read_text())["kurtosis"]
NAMES = {"gauss": "gaussian", "uniform": "uniform", "rademacher": "rademacher"}
INPUTS = torch.tensor([[1.0, 0.5, -0.3, 0.8], [0.2, -1.1, 0.7, 0.4]], dtype=torch.float64)
LAWS = ["gaussian", "uniform", "rademacher", "truncated_normal", "truncated_normal(1)", -1.6, -0.4, 2.5]


def law_of(spec: str | float) -> EntryLaw:
    return entry_law(spec) if isinstance(spec, str) else EntryLaw.of_kurtosis(spec)


# The widest quadrature over the values of a bias takes half a minute.
LONG = {"kurtosis-all-uniform-007", "kurtosis-all-uniform-009"}
QUICK_FIRST = [pytest.param(c, marks=pytest.mark.slow) if c["id"] in LONG else c for c in GOLDEN]


@pytest.mark.parametrize("case", QUICK_FIRST, ids=[case["id"] for case in GOLDEN])
def test_kernel_correction_and_vertex_equal_the_reference(case: dict) -> None:
    layers = case["layer"]
    weights, first = NAMES[case["weights"]], NAMES[case.get("first_layer", case["weights"])]
    tuned = MLP(
        [4, *[100] * (layers - 1), 1], case["activation"], weight_variance=case["C_W"], bias_variance=case["C_b"]
    )
    found = flow(tuned, case["inputs"], weight_law=[first, *[weights] * (layers - 1)], bias_law=NAMES[case["biases"]])
    assert found.correction is not None
    assert found.vertex is not None
    a, b = found.pairs.T
    # Nine printed digits; where the first layer is sampled, the reference's own sampling as well.
    own = {2e-3: 1e-3, 1e-6: 1e-9}[case["tolerance"]]
    for name, got in (("K", found.kernel[-1][a, b]), ("G1", found.correction[-1][a, b]), ("V", found.vertex[-1])):
        want = torch.tensor(case["expected"][name], dtype=torch.float64)
        assert float((got - want).abs().max()) <= 5 * own * max(1.0, float(want.abs().max())), name


@pytest.mark.parametrize("spec", LAWS, ids=str)
def test_quantiles_and_mixture_nodes_of_a_law_have_its_moments(spec: str | float) -> None:
    law = law_of(spec)
    u = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    drawn = law.quantile(u)
    values, shares, variances = (
        torch.tensor(part, dtype=torch.float64)
        for part in (law.nodes.values, law.nodes.probabilities, law.nodes.variances)
    )
    for power, moment in ((2, 1.0), (4, law.kurtosis + 3.0)):
        gaussian = {2: values**2 + variances, 4: values**4 + 6 * values**2 * variances + 3 * variances**2}[power]
        assert float((shares * gaussian).sum()) == pytest.approx(moment, rel=1e-12)
        assert float((drawn**power).mean()) == pytest.approx(moment, rel=2e-3)  # midpoint rule in the tails
    assert float(drawn.mean()) == pytest.approx(0.0, abs=1e-12)
    assert float((shares * values).sum()) == pytest.approx(0.0, abs=1e-15)


def test_the_truncated_normal_law_is_that_of_pytorch() -> None:
    draws = torch.empty(400_000, dtype=torch.float64)
    torch.nn.init.trunc_normal_(draws, std=0.5, a=-0.75, b=0.75, generator=torch.Generator().manual_seed(0))
    law = truncated_normal(1.5)
    scaled = draws / draws.std()
    assert float(scaled.abs().max()) == pytest.approx(
        float(law.quantile(torch.tensor([1.0 - 1e-13]).double())), rel=1e-2
    )
    error = float((scaled**4).std()) / math.sqrt(len(draws))
    assert abs(float((scaled**4).mean()) - 3.0 - law.kurtosis) <= z_limit(1) * error


@pytest.mark.parametrize("spec", ["uniform", "rademacher", "truncated_normal", 2.5], ids=str)
def test_drawn_networks_have_the_means_and_vertices_of_the_second_layer_whatever_the_law(spec: str | float) -> None:
    law, networks, n = law_of(spec), 40_000, 8
    tuned = MLP((4, n, 1), "gelu", weight_variance=1.4, bias_variance=0.5)
    found = flow(tuned, INPUTS, weight_law=law, bias_law=law)
    generator = torch.Generator().manual_seed(7)
    draw = torch.rand(networks, 5, n, generator=generator, dtype=torch.float64).clamp(1e-12, 1 - 1e-12)
    entries = law.quantile(draw)
    z = INPUTS @ entries[:, :4] * math.sqrt(1.4 / 4) + math.sqrt(0.5) * entries[:, 4:]
    s = torch.nn.functional.gelu(z)
    kernel = (0.5 + 1.4 * s @ s.mT / n)[:, [0, 0, 1], [0, 1, 1]]
    assert found.vertex is not None
    assert found.vertex_error is not None
    gap = kernel.mean(0) - found.kernel[1][[0, 0, 1], [0, 1, 1]]
    allowed = z_limit(36) * kernel.std(0) / math.sqrt(networks) + float(found.kernel_error[1])
    assert bool((gap.abs() <= allowed).all())
    centred = kernel - kernel.mean(0)
    products = n * centred.unsqueeze(2) * centred.unsqueeze(1)
    gap = products.mean(0) - found.vertex[1]
    allowed = z_limit(36) * products.std(0) / math.sqrt(networks) + float(found.vertex_error[1])
    assert bool((gap.abs() <= allowed).all())
    if spec == "rademacher":  # a Gaussian treatment is refuted by the same networks
        plain = flow(tuned, INPUTS).vertex
        assert plain is not None
        assert bool(((products.mean(0) - plain[1]).abs() > allowed).any())


def test_hidden_weights_change_the_correction_alone() -> None:
    tuned = MLP([4, 40, 40, 40, 1], "tanh", weight_variance=1.5, bias_variance=0.1)
    plain = flow(tuned, INPUTS)
    heavy = flow(tuned, INPUTS, weight_law=["gaussian", *[EntryLaw.of_kurtosis(3.0)] * 3])
    assert torch.equal(plain.kernel, heavy.kernel)
    assert plain.vertex is not None
    assert heavy.vertex is not None
    assert torch.equal(plain.vertex, heavy.vertex)
    assert plain.correction is not None
    assert heavy.correction is not None
    assert torch.equal(plain.correction[:2], heavy.correction[:2])
    assert float((plain.correction[3] - heavy.correction[3]).abs().max()) > 1e-3
    assert heavy.neuron_cumulant is not None
    assert plain.neuron_cumulant is None


def test_the_shape_of_biases_is_not_washed_out_by_width() -> None:
    signs = MLP([4, 40, 1], "relu", weight_variance=1.0, bias_variance=2.0)
    found = flow(signs, torch.zeros(1, 4), bias_law="rademacher")
    # z = sqrt(2) or -sqrt(2) exactly: <s^2> = 1, Var s^2 = 1.
    assert float(found.kernel[1]) == pytest.approx(3.0, rel=ROUNDING)
    assert found.vertex is not None
    assert float(found.vertex[1]) == pytest.approx(1.0, rel=ROUNDING)


@pytest.mark.slow
def test_a_bias_of_gaussian_law_by_mixture_is_the_gaussian_flow() -> None:
    tuned = MLP([4, 40, 40, 1], "tanh", weight_variance=1.5, bias_variance=0.4)
    near = flow(tuned, INPUTS[:1], bias_law=truncated_normal(6.0))
    plain = flow(tuned, INPUTS[:1])
    assert near.vertex is not None
    assert plain.vertex is not None
    assert torch.allclose(near.kernel, plain.kernel, rtol=1e-8)
    assert torch.allclose(near.vertex, plain.vertex, rtol=1e-7, atol=1e-9)


def test_a_wide_first_layer_law_reports_its_sampling_error() -> None:
    tuned = MLP([4, 40, 40, 1], "tanh", weight_variance=1.5)
    found = flow(tuned, INPUTS, weight_law="rademacher", order=0)
    assert 0 < float(found.kernel_error[1]) < 0.02
    assert float(found.kernel_error[2]) > 0


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: EntryLaw.of_kurtosis(-2.5), ">= -2"),
        (lambda: truncated_normal(0.0), "positive number"),
        (lambda: entry_law("levy"), "give one of"),
        (lambda: entry_law("orthogonal"), "independent entries"),
    ],
)
def test_laws_that_do_not_exist_are_refused(call: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        call()  # type: ignore[operator]

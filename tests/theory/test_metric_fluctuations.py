"""The covariance of a layer's metric over seeds against exact products and drawn networks."""

import math

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.records import MLP
from rgflow.theory import EntryLaw, flow, metric_covariance, scale_invariant_relative_variance
from tolerances import ROUNDING, z_limit

INPUTS = torch.tensor([[1.0, 0.5, -0.3, 0.8], [0.2, -1.1, 0.7, 0.4]], dtype=torch.float64)


@pytest.mark.parametrize(("name", "weight_variance", "growth"), [("relu", 2.0, 5.0), ("identity", 1.0, 2.0)])
def test_layers_one_and_two_have_the_exact_product_at_every_width(
    name: str, weight_variance: float, growth: float
) -> None:
    found = flow(MLP((4, 7, 3), name, weight_variance=weight_variance), INPUTS[:1])
    kernel = float(found.kernel[0])
    assert float(metric_covariance(found, layer=1)) == pytest.approx(2 / 7 * kernel**2, rel=ROUNDING)
    second = (1 + 2 / 3) * (1 + growth / 7) - 1
    assert float(metric_covariance(found, layer=2)) == pytest.approx(second * kernel**2, rel=1e-9)
    assert scale_invariant_relative_variance(found, layer=2) == pytest.approx(second, rel=ROUNDING)


def test_deep_scale_invariant_networks_follow_the_product_and_the_flow_its_first_order() -> None:
    n = 1000
    found = flow(MLP((4, *[n] * 5, n), "relu", weight_variance=2.0), INPUTS[:1])
    exact = scale_invariant_relative_variance(found, layer=6)
    assert exact == pytest.approx((1 + 2 / n) * (1 + 5 / n) ** 5 - 1, rel=1e-9)
    first = float(metric_covariance(found, layer=6)) / float(found.kernel[0]) ** 2
    assert first == pytest.approx(exact, rel=exact / 2)


@pytest.mark.parametrize("law", ["gaussian", "uniform", "rademacher"])
def test_two_inputs_covary_as_in_drawn_networks_whatever_the_law(law: str) -> None:
    tuned, networks, n = MLP((4, 6, 5), "tanh", weight_variance=1.5, bias_variance=0.3), 60_000, 6
    found = flow(tuned, INPUTS, weight_law=law, bias_law=law)
    generator = torch.Generator().manual_seed(11)
    draw = {
        "gaussian": lambda *s: torch.randn(*s, generator=generator, dtype=torch.float64),
        "uniform": lambda *s: math.sqrt(3) * (2 * torch.rand(*s, generator=generator, dtype=torch.float64) - 1),
        "rademacher": lambda *s: 2.0 * torch.randint(0, 2, s, generator=generator).double() - 1,
    }[law]
    first = INPUTS @ draw(networks, 4, n) * math.sqrt(1.5 / 4) + math.sqrt(0.3) * draw(networks, 1, n)
    second = torch.tanh(first) @ draw(networks, n, 5) * math.sqrt(1.5 / n) + math.sqrt(0.3) * draw(networks, 1, 5)
    for layer, z in ((1, first), (2, second)):
        q = (z @ z.mT / z.shape[2])[:, [0, 0, 1], [0, 1, 1]]
        centred = q - q.mean(0)
        products = centred.unsqueeze(2) * centred.unsqueeze(1)
        error = products.std(0) / math.sqrt(networks)
        gap = products.mean(0) - metric_covariance(found, layer=layer)
        assert found.vertex_error is not None
        slack = 2 * float(found.vertex_error[layer - 1]) / n
        assert bool((gap.abs() <= z_limit(36) * error + slack).all()), (layer, gap / error)


def test_an_explicit_law_counts_by_its_kurtosis_alone_in_hidden_layers() -> None:
    tuned = MLP((4, 30, 20, 10), "tanh", weight_variance=1.5)
    named, explicit = (
        flow(tuned, INPUTS, weight_law=["gaussian", law, law]) for law in ("uniform", EntryLaw.of_kurtosis(-1.2))
    )
    assert torch.allclose(metric_covariance(named, layer=3), metric_covariance(explicit, layer=3), rtol=ROUNDING)


RELU = MLP((4, 7, 3), "relu", weight_variance=2.0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: metric_covariance(flow(RELU, INPUTS), layer=0), "layers 1 to 2"),
        (lambda: metric_covariance(flow(RELU, INPUTS, order=0), layer=1), "order=1"),
        (
            lambda: scale_invariant_relative_variance(
                flow(MLP((4, 7, 3), "tanh", weight_variance=2.0), INPUTS), layer=1
            ),
            "use metric_covariance",
        ),
    ],
)
def test_what_has_no_covariance_is_refused(call: object, sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        call()  # type: ignore[operator]

"""The deviation of functionals on a batch: against the vertex, against drawn networks, and its own error."""

import pytest
import torch

from rgflow.ensembles import sample_residual
from rgflow.errors import SettingError
from rgflow.records import MLP
from rgflow.theory import residual_flow, residual_functional_deviation
from theory.test_residual_flow import TWO
from tolerances import z_limit

GRADIENT = torch.tensor([[1.0, -0.5], [-0.5, 0.3]], dtype=torch.float64)
OVER_PAIRS = torch.tensor([1.0, -1.0, 0.3], dtype=torch.float64)  # the same over (aa), (ab), (bb)


def contracted(kernel: torch.Tensor) -> torch.Tensor:
    return (GRADIENT * kernel).sum()


@pytest.mark.parametrize(
    ("name", "widths", "skip"),
    [
        ("relu", [3, 40, 40, 40, 40], 0.8),
        ("tanh", [3, 40, 40, 80, 80, 20], 0.9),
        ("gelu", [3, 40, 40, 40], -0.5),
        ("gelu", [3, 40, 50, 60], 0.0),
    ],
)
def test_the_deviation_is_gradient_times_vertex_times_gradient_plus_the_layers_own_sampling(
    name: str, widths: list[int], skip: float
) -> None:
    net = MLP(widths, name, weight_variance=0.7, bias_variance=0.05, skip=skip)
    flow = residual_flow(net, TWO, trajectories=2**16)
    kernel = flow.kernel[-1]
    own = 2.0 * torch.trace(GRADIENT @ kernel @ GRADIENT @ kernel) / widths[-1]
    expected = float((OVER_PAIRS @ flow.vertex[-1] @ OVER_PAIRS / widths[-2] + own).sqrt())
    found = residual_functional_deviation(net, TWO, functional=contracted, trajectories=2**15)
    slack = float(flow.vertex_error[-1]) * float(OVER_PAIRS.abs().sum()) ** 2 / widths[-2] / (2 * expected)
    # Eight nets of trajectories give a Student's t of 7 degrees of freedom: |t| > 8 once in 10000.
    assert abs(found.deviation.value - expected) <= 8.0 * found.deviation.error + slack
    assert found.deviation.error <= 0.02 * expected


def test_a_batch_of_eighty_inputs_has_the_deviation_of_drawn_networks() -> None:
    inputs = torch.randn(80, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    net = MLP([3, 200, 200, 200, 200], "gelu", weight_variance=0.6, bias_variance=0.05, skip=0.8)
    found = residual_functional_deviation(net, inputs, functional=signal, layer=3)
    drawn = sample_residual(
        MLP(net.widths[:4], "gelu", weight_variance=0.6, bias_variance=0.05, skip=0.8), inputs, networks=160, seed=1
    )
    signals = torch.stack([signal(kernel) for kernel in drawn[:, -1]])
    measured, count = float(signals.std()), len(signals)
    error = measured / (2.0 * count) ** 0.5
    assert abs(measured - found.deviation.value) <= z_limit(1, false_alarm=1e-4) * error
    assert found.value == pytest.approx(float(signals.mean()), rel=0.05)


def signal(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.diagonal().mean()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": 9}, "layers 1 to 3"),
        ({"trajectories": 4}, "trajectories is 4"),
        ({"functional": lambda kernel: kernel}, "one number"),
        ({"functional": lambda kernel: torch.tensor(1.0)}, "differentiable"),
    ],
)
def test_bad_settings_are_refused_in_one_sentence(change: dict, words: str) -> None:
    net = MLP([3, 4, 4, 4], "relu", weight_variance=0.7, skip=0.8)
    with pytest.raises(SettingError, match=words):
        residual_functional_deviation(net, TWO, **{"functional": signal, **change})

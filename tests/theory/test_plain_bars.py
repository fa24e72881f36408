"""Bars of the plain expansion in 1/n cover the truth on networks that did not calibrate them (docs/theory.md)."""

import math

import pytest
import torch

from rgflow.ensembles import sample_kernels
from rgflow.records import MLP
from rgflow.theory import flow, kernel_estimate
from rgflow.theory.truncation import plain_deviation_bar, plain_mean_bar
from tolerances import z_limit

PAIR = torch.tensor([[1.1, 0.3, -0.4], [0.2, -0.9, 0.8]], dtype=torch.float64)


def check_coverage(name: str, weight_variance: float, bias_variance: float) -> None:
    """Every entry of every layer: |measured - forecast| <= bar + noise; and the bars are not needlessly wide."""
    network = MLP((3, 28, 40, 28, 40, 28, 1), name, weight_variance=weight_variance, bias_variance=bias_variance)
    theory, sample = flow(network, PAIR), sample_kernels(network, PAIR, networks=20_000, seed=77)
    limit = z_limit(24)
    for layer in range(3, network.depth + 1):
        for pair, (a, b) in enumerate(((0, 0), (0, 1), (1, 1))):
            found = kernel_estimate(theory, layer=layer, first=a, second=b)
            mean, variance = sample.mean[layer - 1, a, b], sample.covariance[layer - 1, pair, pair]
            noise = float(sample.mean_error[layer - 1, a, b])
            assert abs(float(mean) - found.mean.value) <= found.mean.error + limit * noise
            deviation = float(variance.sqrt())
            noise = float(sample.covariance_error[layer - 1, pair, pair]) / (2 * deviation)
            assert abs(math.log(deviation / found.deviation.value)) <= (
                found.deviation.error / found.deviation.value + limit * noise / deviation
            )


@pytest.mark.parametrize(
    ("name", "weight_variance", "bias_variance"),
    [("mish", 1.8, 0.1), ("erf", 1.4, 0.05), ("leaky_relu(0.2)", 1.8, 0.1)],
)
def test_plain_bars_cover_kernels_of_fresh_networks(name: str, weight_variance: float, bias_variance: float) -> None:
    check_coverage(name, weight_variance, bias_variance)


def test_plain_bars_vanish_with_the_corrections_and_grow_with_them() -> None:
    assert plain_mean_bar(control=0.0, own=0.0, shift=0.3) == 0.0
    assert plain_mean_bar(control=0.2, own=0.1, shift=-0.1) == pytest.approx(0.6 * 0.02 + 0.03 * 0.04)
    assert plain_deviation_bar(control=0.2, own=0.3, shift=-0.1) == pytest.approx(0.46)

"""Averages of a flow over its inputs: exact linear algebra on the vertex, and agreement with drawn networks."""

import pytest
import torch

from rgflow.ensembles import sample_kernels
from rgflow.errors import SettingError
from rgflow.numerics import statistics
from rgflow.records import MLP
from rgflow.theory import flow
from rgflow.theory.flow_averages import distance_weights, flow_average, kernel_weights
from tests.tolerances import ROUNDING, z_limit

ROWS = torch.tensor([[1.0, 0.3, -0.4], [0.2, -1.1, 0.5], [0.9, 0.4, -0.2]], dtype=torch.float64)
NETWORK = MLP((3, 40, 60, 30, 2), "gelu", weight_variance=1.8, bias_variance=0.1)


def by_hand(kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean kernel and mean distance of (..., 3, 3) kernels, written out."""
    size = kernel.diagonal(dim1=-2, dim2=-1)
    pairs = [(0, 1), (0, 2), (1, 2)]
    distances = [(size[..., a] + size[..., b]) / 2 - kernel[..., a, b] for a, b in pairs]
    return size.mean(-1), torch.stack(distances, -1).mean(-1)


def test_the_weights_are_those_of_the_written_out_averages():
    kernel = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    kernel = kernel @ kernel.T
    for weights, value in zip((kernel_weights(3), distance_weights(3)), by_hand(kernel), strict=True):
        assert float((weights * kernel).sum()) == pytest.approx(float(value), rel=ROUNDING)


def test_means_and_deviations_agree_with_drawn_networks_in_every_layer():
    found = flow(NETWORK, ROWS, order=1)
    drawn = sample_kernels(NETWORK, ROWS, networks=40_000, seed=11, keep_kernels=True)
    averages = by_hand(drawn.kernels)
    limit = z_limit(12)
    for layer in range(2, 5):
        for weights, samples in zip((kernel_weights(3), distance_weights(3)), averages, strict=True):
            forecast = flow_average(found, weights, layer=layer)
            mean = statistics.mean(samples[:, layer - 1])
            deviation = statistics.standard_deviation(samples[:, layer - 1])
            for value, estimate in ((mean, forecast.mean), (deviation, forecast.deviation)):
                assert abs(float(value.value) - estimate.value) < limit * float(value.error) + 2 * estimate.error
            assert forecast.control == pytest.approx((forecast.deviation.value / forecast.infinite) ** 2)


def test_the_deviation_is_seen_by_a_test_that_would_miss_neither_a_factor_of_two_nor_a_lost_cross_term():
    found = flow(NETWORK, ROWS, order=1)
    assert found.vertex is not None
    own = [k for k, (a, b) in enumerate(found.pairs.tolist()) if a == b]
    without_cross = sum(float(found.vertex[2, k, k]) for k in own) / 9 / 60
    assert flow_average(found, kernel_weights(3), layer=3).deviation.value ** 2 > 1.5 * without_cross


def test_what_is_not_there_is_refused_in_one_sentence():
    with pytest.raises(SettingError, match="order 0"):
        flow_average(flow(NETWORK, ROWS, order=0), kernel_weights(3), layer=2)
    with pytest.raises(SettingError, match="layers 1 to 4"):
        flow_average(flow(NETWORK, ROWS, order=1), kernel_weights(3), layer=5)
    with pytest.raises(SettingError, match="at least two"):
        distance_weights(1)

"""Seed-to-seed spread of signal, spread and rms on real batches against networks with explicit weights.

STATISTICAL: 300 networks show a bias of a third of a seed-to-seed deviation at the limit of the family.
"""

import math

import pytest
import torch
from torch import Tensor

from rgflow.datasets import load
from rgflow.errors import SettingError
from rgflow.numerics.statistics import mean, standard_deviation
from rgflow.records import MLP, Estimate
from rgflow.theory import batch_statistics
from rgflow.theory.laws import LayerLaw
from theory.ensembles import explicit_batch
from tolerances import z_limit

UNIFORM = -1.2
NETWORKS = 300


def rows(name: str, count: int) -> Tensor:
    data = load(name).inputs.reshape(len(load(name).inputs), -1).double()
    data = (data - data.mean(0)) / data.std(0).clamp_min(1e-9)
    return data[torch.randperm(len(data), generator=torch.Generator().manual_seed(0))[:count]]


CASES = {
    "digits, tanh, uniform": ("digits", "tanh", (48, 48, 48, 10), 1.0, 0.0, UNIFORM),
    "breast_cancer, relu, Gaussian": ("breast_cancer", "relu", (40, 60, 40, 2), 2.0, 0.05, 0.0),
}


def agrees(forecast: Estimate, measured: float, error: float, *, limit: float) -> bool:
    return abs(measured - forecast.value) < limit * math.hypot(error, forecast.error / 2)  # a bar is two deviations


@pytest.mark.parametrize("case", CASES)
def test_every_layer_agrees_with_explicit_networks(case: str) -> None:
    data, name, hidden, weight, bias, kurtosis = CASES[case]
    x = rows(data, 40)
    network = MLP([x.shape[1], *hidden], name, weight_variance=weight, bias_variance=bias)
    found = batch_statistics(network, x, weight_kurtosis=kurtosis, bias_kurtosis=kurtosis, seed=1)
    laws = [LayerLaw(weight, bias, kurtosis, kurtosis)] * network.depth
    drawn = explicit_batch(x, name=name, widths=list(network.widths), laws=laws, networks=NETWORKS, seed=2)
    limit = z_limit(6 * network.depth * len(CASES))
    columns = {"signal": drawn[..., 0], "spread": drawn[..., 1], "rms": drawn[..., 0].sqrt()}
    for quantity, values in columns.items():
        average, deviation = mean(values), standard_deviation(values)
        for layer, statistics in enumerate(found.layers):
            cell = (case, quantity, layer)
            forecast, spread = getattr(statistics, quantity), getattr(statistics, f"{quantity}_deviation")
            assert agrees(forecast, float(average.value[layer]), float(average.error[layer]), limit=limit), cell
            assert agrees(spread, float(deviation.value[layer]), float(deviation.error[layer]), limit=limit), cell


def test_kurtosis_of_the_weights_is_seen() -> None:
    """Negative control: uniform weights spread the first layer's signal less than Gaussian ones."""
    x = rows("digits", 32)
    network = MLP([x.shape[1], 32, 1], "tanh", weight_variance=1.0)
    gaussian, uniform = (
        batch_statistics(network, x, weight_kurtosis=k, seed=1).layers[0].signal_deviation for k in (0.0, UNIFORM)
    )
    assert uniform.value < gaussian.value - 2 * math.hypot(gaussian.error, uniform.error)


def test_the_same_seed_gives_the_same_result_and_another_one_another() -> None:
    x = rows("breast_cancer", 24)
    network = MLP([x.shape[1], 32, 1], "relu", weight_variance=2.0)
    first, again, other = (batch_statistics(network, x, seed=seed).layers[-1] for seed in (1, 1, 2))
    assert first.spread_deviation == again.spread_deviation
    assert first.spread_deviation != other.spread_deviation


@pytest.mark.parametrize(
    ("skip", "x", "message"),
    [
        (0.5, torch.eye(3), "skip is 0.5"),
        (0.0, torch.ones(4, 3), "no two different rows"),
        (0.0, torch.ones(4, 2), r"shape \(4, 2\)"),
    ],
)
def test_unusable_batches_are_refused_in_one_sentence(skip: float, x: Tensor, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        batch_statistics(MLP([3, 8, 1], "relu", weight_variance=2.0, skip=skip), x, seed=0)

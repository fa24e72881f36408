"""Rates per layer by the equivalence principle, against closed forms of the infinite-width recursion."""

import math

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.records import MLP
from rgflow.theory.scaling import learning_rates, tangent_shares
from tests.tolerances import ROUNDING

DEEP = (64,) * 64 + (10,)
# Shares of deep layers are compared from layer 4 on, where the powers of l hold; the flatness below is the rule's own
# error of relative order log(l) / l there.
LATE = slice(3, None)


def flatness(shares: torch.Tensor) -> float:
    """Largest over smallest share, minus 1."""
    return float(shares.max() / shares.min()) - 1.0


def erf_shares(rates, *, kernel: float, widths: tuple[int, ...], weight_variance: float):
    """Shares of an erf network from the closed forms <s s> = (2/pi) asin(2K/(1+2K)), <s' s'> = (4/pi)/sqrt(1+4K)."""
    squares, slopes, value = [kernel / weight_variance], [], kernel
    for _ in widths[1:-1]:
        squares.append(2 / math.pi * math.asin(2 * value / (1 + 2 * value)))
        slopes.append(weight_variance * 4 / math.pi / math.sqrt(1 + 4 * value))
        value = weight_variance * squares[-1]
    weight, bias = [], []
    for layer, (square, fan) in enumerate(zip(squares, widths[:-1], strict=True)):
        behind = math.prod(slopes[layer:])
        weight.append(rates.weight[layer] * fan * square * behind)
        bias.append(rates.bias[layer] * behind)
    return torch.tensor(weight, dtype=torch.float64), torch.tensor(bias, dtype=torch.float64)


def test_shares_of_an_erf_network_equal_the_closed_form():
    widths = (20, 30, 40, 50, 60, 3)
    network = MLP(widths, "erf", weight_variance=math.pi / 4)
    rates = learning_rates(network)
    shares = tangent_shares(network, rates, kernel=0.7)
    weight, bias = erf_shares(rates, kernel=0.7, widths=widths, weight_variance=math.pi / 4)
    torch.testing.assert_close(shares.weight, weight, rtol=ROUNDING, atol=0)
    torch.testing.assert_close(shares.bias, bias, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize("widths", [DEEP, (7, 100, 20, 300, 50, 1)])
def test_relu_shares_are_exactly_flat_and_do_not_grow_with_depth(widths):
    network = MLP(widths, "relu", weight_variance=2.0)
    shares = tangent_shares(network, learning_rates(network), kernel=0.6)
    torch.testing.assert_close(
        shares.weight, torch.full_like(shares.weight, 0.3 / network.depth), rtol=ROUNDING, atol=0
    )
    torch.testing.assert_close(shares.bias, torch.full_like(shares.bias, 1 / network.depth), rtol=ROUNDING, atol=0)


@pytest.mark.parametrize(
    ("activation", "weights_within", "biases_within"),
    [("tanh", 0.08, 0.03), ("sin", 0.08, 0.4), ("softsign", 0.11, 0.11), ("gelu", 1e-9, 1e-9)],
)
def test_shares_of_deep_layers_are_flat_where_the_kernel_flows(activation, weights_within, biases_within):
    network = MLP(DEEP, activation, weight_variance=1.0).critical()
    kernel = 3.5615528128 if activation == "gelu" else 0.5  # GELU's K* = (3 + sqrt 17) / 2
    shares = tangent_shares(network, learning_rates(network), kernel=kernel)
    assert flatness(shares.weight[LATE]) < weights_within
    assert flatness(shares.bias[LATE]) < biases_within


def test_without_depth_factors_the_bias_shares_of_a_tanh_network_grow_linearly():
    network = MLP(DEEP, "tanh", weight_variance=1.0)
    shares = tangent_shares(network, learning_rates(network, scheme="ntk"), kernel=0.5)
    assert float(shares.bias[63] / shares.bias[15]) == pytest.approx(4.0, rel=0.05)  # 64 / 16
    assert flatness(shares.bias[LATE]) > 10


def test_the_total_tangent_kernel_does_not_grow_with_depth():
    totals = []
    for depth in (32, 64):
        network = MLP((64,) * depth + (10,), "tanh", weight_variance=1.0)
        shares = tangent_shares(network, learning_rates(network), kernel=0.5)
        totals.append(float(shares.bias.sum()))
    assert totals[1] == pytest.approx(totals[0], rel=0.02)


@pytest.mark.parametrize(("scheme", "power"), [("critical", 0.0), ("ntk", 0.0), ("maximal-update", 1.0)])
def test_sgd_rates_follow_the_one_parameter_family_in_width(scheme, power):
    small, large = (learning_rates(MLP((10, n, n, 2), "relu", weight_variance=2.0), scheme=scheme) for n in (64, 256))
    ratios = [b / a for a, b in zip(small.weight, large.weight, strict=True)]
    # Input n^s / n_0, hidden n^s / n, output 1 / n, at four times the width.
    assert ratios == pytest.approx([4.0**power, 4.0 ** (power - 1), 0.25])
    assert large.head_variance / small.head_variance == pytest.approx(4.0**-power)


@pytest.mark.parametrize(("scheme", "power"), [("critical", -0.5), ("maximal-update", 0.0)])
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_rates_follow_the_one_parameter_family_in_width(optimizer, scheme, power):
    small, large = (
        learning_rates(MLP((10, n, n, 2), "relu", weight_variance=2.0), optimizer=optimizer, scheme=scheme)
        for n in (64, 256)
    )
    ratios = [b / a for a, b in zip(small.weight, large.weight, strict=True)]
    assert ratios == pytest.approx([4.0**power, 4.0 ** (power - 1), 0.25])
    assert [b / a for a, b in zip(small.bias, large.bias, strict=True)] == pytest.approx([4.0**power] * 3)


def test_relative_rates_give_the_median_hidden_weight_the_base_rate():
    rates = learning_rates(MLP((784, 128, 128, 128, 10), "relu", weight_variance=2.0)).relative()
    assert rates.weight == pytest.approx((128 / 784, 1.0, 1.0, 1.0))
    assert rates.bias == pytest.approx((128.0,) * 4)


@pytest.mark.parametrize("wrong", [{"optimizer": "lion"}, {"scheme": "none"}, {"bias_ratio": -1.0}])
def test_a_wrong_setting_is_refused_with_its_value(wrong):
    with pytest.raises(SettingError, match=str(next(iter(wrong.values())))):
        learning_rates(MLP((2, 2), weight_variance=1.0), **wrong)

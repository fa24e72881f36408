"""Weights of a law that is not symmetric shift the mean kernel at order n^{-1/2}: exact cases and explicit weights."""

import math

import pytest
import torch

from rgflow.ensembles import sample_networks
from rgflow.errors import SettingError
from rgflow.numerics import two_point
from rgflow.records import MLP
from rgflow.theory import flow, skewness_shift
from tolerances import z_limit

BASE = torch.tensor([[1.0, 0.2, -0.5, 0.9], [0.4, 1.0, 0.1, -0.6]], dtype=torch.float64)


def balanced(n: int) -> torch.Tensor:
    """Two inputs of n features whose third powers sum to 0: the first layer is not skewed."""
    return torch.cat([BASE, -BASE], 1).repeat(1, n // 8)


def check_relu_of_one_input() -> None:
    """kappa = gamma C_W^(3/2) <s^3> / sqrt n, <s^3> = sqrt(2 / pi) K^(3/2), <(s^2)'''> = sqrt(2 / (pi K))."""
    network = MLP((8, 50, 32, 1), "relu", weight_variance=2.0)
    found = skewness_shift(network, balanced(8)[:1], skewness=0.7)
    kernel = float((BASE[0] ** 2).mean() * 2)
    step = 2.0 / 6.0 * 0.7 * 2.0**1.5 * math.sqrt(2 / math.pi) * kernel**1.5 * math.sqrt(2 / (math.pi * kernel))
    assert found[:, 0, 0].tolist() == pytest.approx([0.0, 0.0, step / math.sqrt(50)], rel=1e-9, abs=1e-12)


def test_one_relu_neuron_shifts_the_kernel_as_the_closed_form_says() -> None:
    check_relu_of_one_input()


def check_quadratic_pair() -> None:
    """s = z + z^2: of <s_a s_b> the third cumulants make kappa_aab + kappa_abb, exactly."""
    network = MLP((4, 50, 1), lambda z: z + z * z, weight_variance=1.7)
    a, b = BASE
    third = 0.7 * (1.7 / 4) ** 1.5 * float((a * a * b + a * b * b).sum())
    found = skewness_shift(network, BASE, skewness=0.7)
    assert float(found[1, 0, 1]) == pytest.approx(1.7 * third, rel=1e-8)


def test_two_inputs_of_a_quadratic_layer_are_shifted_as_the_closed_form_says() -> None:
    check_quadratic_pair()


@pytest.mark.parametrize("name", ["tanh", "abs"])
def test_odd_and_even_activations_are_not_shifted(name: str) -> None:
    network = MLP((8, 30, 30, 1), name, weight_variance=1.3, bias_variance=0.1)
    assert float(skewness_shift(network, balanced(8), skewness=1.0).abs().max()) < 1e-9


def check_explicit_weights() -> None:
    law, values, errors = two_point(0.3), [], []
    for n, networks in ((16, 12_000), (64, 6_000)):
        network = MLP((n, n, n, 1), "gelu", weight_variance=1.9, bias_variance=0.17)
        theory = skewness_shift(network, balanced(n), skewness=law.skewness) * math.sqrt(n)
        plain = flow(network, balanced(n), order=0).kernel
        sample = sample_networks(network, balanced(n), networks=networks, seed=n, weight_law=law)
        values.append(math.sqrt(n) * (sample.mean - plain))
        errors.append(math.sqrt(n) * sample.mean_error)
    value, error = 2 * values[1] - values[0], torch.hypot(2 * errors[1], errors[0]) + 1e-9  # drops the order 1/n
    z = ((value - theory) / error).flatten()
    assert float(z.abs().max()) < z_limit(len(z))
    assert float((theory / error)[2].abs().max()) > z_limit(len(z))  # without the shift the check would fail


def test_two_inputs_of_explicit_networks_are_shifted_as_predicted() -> None:
    check_explicit_weights()


def test_parallel_inputs_are_refused() -> None:
    network = MLP((8, 30, 1), "relu", weight_variance=2.0)
    with pytest.raises(SettingError, match="multiples"):
        skewness_shift(network, torch.stack([balanced(8)[0], 2 * balanced(8)[0]]), skewness=1.0)

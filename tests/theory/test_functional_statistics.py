"""Matrix-free shift and deviation of functionals against pair recursions, exact ensembles and explicit networks."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.statistics import mean, variance
from rgflow.records import MLP
from rgflow.theory import (
    GaussianProcessPrediction,
    LogMarginalLikelihood,
    batch_signal,
    batch_spread,
    functional_statistics,
)
from rgflow.theory.expansion import gradient_at
from rgflow.theory.functional_dimension import turning_dimension
from rgflow.theory.functionals import effective_dimension
from rgflow.theory.infinite_width import infinite_width_kernels
from theory.ensembles import explicit_kernels, kernels_exact_in_law
from tolerances import ROUNDING, z_limit

GOLDEN = json.loads((Path(__file__).parents[1] / "reference" / "adjoint.json").read_text())["cases"]
PRINTED = 1e-7  # digits of the reference
FINE = 1e-3  # asked of the deterministic variant, whose own error is smaller


def cosine(kernel: Tensor) -> Tensor:
    return kernel[0, 1] / (kernel[0, 0] * kernel[1, 1]).sqrt()


def logarithmic(kernel: Tensor) -> Tensor:
    return torch.linalg.slogdet(kernel + 0.1 * torch.eye(len(kernel), dtype=kernel.dtype)).logabsdet


def inputs(samples: int, features: int, *, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    return x / x.square().mean(1, keepdim=True).sqrt()


@pytest.mark.parametrize("case", GOLDEN, ids=[case["id"] for case in GOLDEN])
def test_prediction_shift_and_variance_equal_the_reference_on_pair_space(case: dict) -> None:
    given, expected = case["input"], case["expected"]
    network = MLP(
        [5, *given["hidden"], 1], given["activation"], weight_variance=given["C_W"], bias_variance=given["C_b"]
    )
    functional = GaussianProcessPrediction(given["targets"], ridge=given["ridge"])
    found = functional_statistics(network, given["inputs"], functional, seed=1, neurons=2**15)
    kernel = infinite_width_kernels(network, torch.tensor(given["inputs"], dtype=torch.float64))[-1]
    gap = (gradient_at(functional, kernel) - torch.tensor(expected["gradient"], dtype=torch.float64)).abs().max()
    assert abs(found.value - expected["value"]) < PRINTED
    assert float(gap) < PRINTED
    layers = torch.tensor(expected["variance_by_layer"], dtype=torch.float64)
    assert torch.allclose(found.variance_by_layer, layers, rtol=0.05)  # each layer to its sampling error, about 1 %
    limit = z_limit(2 * len(GOLDEN))
    deviation = math.sqrt(expected["variance"])
    assert abs(found.deviation.value - deviation) < limit * found.deviation_sampling
    shift = expected["shift_first"] + expected["shift_second"]
    assert abs(found.shift.value - shift) < limit * found.shift_sampling


def test_many_neurons_equal_the_pair_recursion_by_brute_force_quadrature() -> None:
    """Two inputs, tanh, unequal widths: V and G1 on pair space, derivatives of F by central differences."""
    network = MLP([3, 40, 60, 50, 1], "tanh", weight_variance=1.7, bias_variance=0.2)
    x = inputs(2, 3, seed=3)
    shift, square = quadrature_recursion(network, x, cosine)
    found = functional_statistics(network, x, cosine, seed=4, neurons=2**16, probes=8, effective_dimension=1.0)
    assert abs(found.deviation.value**2 / square - 1) < FINE
    assert abs(found.shift.value / shift - 1) < FINE


def quadrature_recursion(network: MLP, x: Tensor, functional: Callable[[Tensor], Tensor]) -> list[float]:
    """Shift g'G1 + g''V/2 and variance g'Vg' of the last kernel of two inputs, widths inside."""
    axis = torch.arange(-8.0, 8.001, 0.2, dtype=torch.float64)
    u, v = (grid.flatten() for grid in torch.meshgrid(axis, axis, indexing="ij"))
    weight = torch.exp(-(u * u + v * v) / 2) * 0.04 / (2 * math.pi)

    def products(k: Tensor) -> Tensor:
        root = torch.linalg.cholesky(torch.stack([torch.stack([k[0], k[1]]), torch.stack([k[1], k[2]])]))
        a, b = network.activation(root[0, 0] * u), network.activation(root[1, 0] * u + root[1, 1] * v)
        return torch.stack([a * a, a * b, b * b])

    def derivatives(function: Callable[[Tensor], Tensor], k: Tensor) -> list[Tensor]:
        step, basis = 1e-3, torch.eye(3, dtype=torch.float64)
        first = [(function(k + step * e) - function(k - step * e)) / (2 * step) for e in basis]
        rows = []
        for e in basis:
            for f in basis:
                ends = [s * t * function(k + step * (s * e + t * f)) for s in (1, -1) for t in (1, -1)]
                rows.append(sum(ends[1:], ends[0]) / (4 * step**2))
        return [torch.stack(first, -1), torch.stack(rows, -1)]

    gram = network.bias_variance[0] + network.weight_variance[0] * x @ x.T / x.shape[1]
    k, vertex, drift = gram[[0, 0, 1], [0, 1, 1]], torch.zeros(3, 3).double(), torch.zeros(3).double()
    for layer in range(1, network.depth):
        c, b = network.weight_variance[layer], network.bias_variance[layer]

        def step(state: Tensor, c: float = c, b: float = b) -> Tensor:
            return b + c * products(state) @ weight

        jacobian, hessian = derivatives(step, k)
        features = products(k)
        centred = features - (features @ weight).unsqueeze(1)
        drift = jacobian @ drift + hessian @ vertex.flatten() / 2
        vertex = c**2 * (centred * weight) @ centred.T / network.widths[layer] + jacobian @ vertex @ jacobian.T
        k = step(k)
    slope, bend = derivatives(lambda k: functional(k[[0, 1, 1, 2]].reshape(2, 2)).reshape(()), k)
    return [float(slope @ drift + bend @ vertex.flatten() / 2), float(slope @ vertex @ slope)]


@pytest.mark.parametrize(("name", "functional"), [("tanh", logarithmic), ("relu", logarithmic), ("gelu", cosine)])
def test_shift_and_variance_agree_with_ensembles_that_are_exact_in_law(name: str, functional: Callable) -> None:
    network = MLP([4, 250, 200, 300, 1], name, weight_variance=1.6, bias_variance=0.1)
    x = inputs(3, 4, seed=5)
    found = functional_statistics(network, x, functional, seed=6, neurons=2**15, effective_dimension=3.0)
    kernels = kernels_exact_in_law(network, x, networks=12_000, seed=7)  # the gelu shift is then 6 standard errors
    values = torch.vmap(functional)(kernels)
    average, square = mean(values), variance(values)
    limit = z_limit(6)
    missing = found.shift.error - found.shift_sampling + abs(found.shift.value) * 0.02
    gap = float(average.value) - found.value - found.shift.value
    assert abs(gap) < limit * math.hypot(float(average.error), found.shift_sampling) + missing
    spread = math.sqrt(float(square.value))
    error = math.hypot(float(square.error) / (2 * spread), found.deviation_sampling)
    assert abs(spread - found.deviation.value) < limit * error + 0.02 * spread  # order 1/n^2 at widths above 200
    assert abs(gap + found.shift.value) > 4 * float(average.error)  # the shift is seen


@pytest.mark.parametrize(("name", "ridge"), [("relu", 20.0), pytest.param("tanh", 5.0, marks=pytest.mark.slow)])
def test_a_regression_of_few_directions_varies_over_explicit_networks_as_forecast(name: str, ridge: float) -> None:
    x = inputs(61, 20, seed=8)
    functional = GaussianProcessPrediction(torch.tanh(x[:-1, 0]) + 0.3 * x[:-1, 1] * x[:-1, 2], ridge=ridge)
    network = MLP([20, 128, 160, 128, 1], name, weight_variance=1.7, bias_variance=0.05)
    found = functional_statistics(network, x, functional, seed=9)
    values = torch.stack([functional(kernel) for kernel in explicit_kernels(network, x, networks=400, seed=10)])
    average, square = mean(values), variance(values)
    limit, spread = z_limit(4), math.sqrt(float(square.value))
    error = float(square.error) / (2 * spread)
    assert 0 < found.control < 0.2
    assert found.reason == ""
    assert abs(spread - found.deviation.value) < limit * error + found.deviation.error
    gap = float(average.value) - found.value - found.shift.value
    assert abs(gap) < limit * float(average.error) + found.shift.error
    assert found.deviation.error < 0.4 * found.deviation.value


def test_too_many_directions_are_refused_with_their_number() -> None:
    x = inputs(61, 20, seed=8)
    functional = GaussianProcessPrediction(x[:-1, 0], ridge=1e-3)
    network = MLP([20, 128, 128, 1], "relu", weight_variance=2.0)
    with pytest.raises(
        SettingError, match=r"effective dimension 5\d.* is more than 0.2 of the narrowest hidden width 128"
    ):
        functional_statistics(network, x, functional, seed=0)


def test_a_shift_beyond_the_deviation_is_said() -> None:
    x = inputs(41, 20, seed=8)
    functional = LogMarginalLikelihood(torch.zeros(41), ridge=1.0)
    network = MLP([20, 200, 200, 1], "gelu", weight_variance=1.9, bias_variance=0.1)
    found = functional_statistics(network, x, functional, seed=0, neurons=1024, effective_dimension=5.0)
    assert abs(found.shift.value) > found.deviation.value
    assert "mean shift" in found.reason


def test_the_dimension_of_a_plain_callable_is_near_that_of_the_regression_it_is() -> None:
    x = inputs(61, 20, seed=8)
    network = MLP([20, 256, 256, 256, 1], "relu", weight_variance=1.9, bias_variance=0.05)
    kernels = infinite_width_kernels(network, x)
    for ridge in (3.0, 10.0):
        functional = GaussianProcessPrediction(x[:-1, 0], ridge=ridge)
        stated = effective_dimension(kernels[-1][:-1, :-1], ridge=ridge)
        found = turning_dimension(
            network, x, functional, gradient=gradient_at(functional, kernels[-1]), hidden_kernel=kernels[-2], seed=1
        )
        assert stated / 2.5 < found < 2.5 * stated


def test_a_linear_functional_of_relu_diagonals_has_the_exact_variance_and_no_shift() -> None:
    network = MLP([4, 50, 70, 1], "relu", weight_variance=2.0)
    x = inputs(3, 4, seed=1)
    found = functional_statistics(
        network, x, lambda kernel: kernel[0, 0], seed=2, neurons=2**16, effective_dimension=1.0
    )
    assert abs(found.shift.value) < ROUNDING
    exact = found.value**2 * (5 / 50 + 5 / 70)  # <s^4> / <s^2>^2 - 1 = 5 for relu, over n, in each hidden layer
    assert abs(found.deviation.value - math.sqrt(exact)) < z_limit(1) * found.deviation_sampling


def test_the_second_kernel_has_no_shift_and_a_single_layer_no_deviation() -> None:
    x = inputs(6, 4, seed=1)
    shallow = MLP([4, 50, 1], "tanh", weight_variance=1.5)
    assert functional_statistics(shallow, x, batch_spread, seed=1).shift.value == 0.0
    linear = MLP([4, 1], "tanh", weight_variance=1.5)
    assert functional_statistics(linear, x, batch_spread, seed=1).deviation.value == 0.0


def test_random_directions_agree_with_all_directions() -> None:
    """The square of a mean bends along the mean itself, which centred directions must not see."""
    network = MLP([4, 60, 60, 60, 1], "relu", weight_variance=2.0)
    x = inputs(23, 4, seed=5)

    def square(kernel: Tensor) -> Tensor:
        return kernel[:4, :4].diagonal().mean() ** 2

    spanning = functional_statistics(network, x[:4], square, seed=1, neurons=2**14, effective_dimension=2.0)
    signed = functional_statistics(network, x, square, seed=2, probes=256, effective_dimension=2.0)
    error = math.hypot(spanning.shift_sampling, signed.shift_sampling)
    assert spanning.shift_sampling < 0.5 * signed.shift_sampling
    assert abs(spanning.shift.value - signed.shift.value) < z_limit(1) * error


def test_reordering_the_inputs_changes_nothing_but_the_sample() -> None:
    network = MLP([6, 64, 64, 64, 1], "gelu", weight_variance=1.8, bias_variance=0.1)
    x = inputs(40, 6, seed=5)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    weight = torch.linspace(0, 1, 40, dtype=torch.float64)

    def weighted(kernel: Tensor, by: Tensor) -> Tensor:
        return (by @ kernel @ by) / kernel.diagonal().sum()

    there = functional_statistics(network, x, lambda k: weighted(k, weight), seed=1, effective_dimension=1.0)
    here = functional_statistics(
        network, x[order], lambda k: weighted(k, weight[order]), seed=1, effective_dimension=1.0
    )
    assert math.isclose(there.value, here.value, rel_tol=ROUNDING)
    error = math.hypot(there.deviation_sampling, here.deviation_sampling)
    assert abs(there.deviation.value - here.deviation.value) < z_limit(2) * error
    error = math.hypot(there.shift_sampling, here.shift_sampling)
    assert abs(there.shift.value - here.shift.value) < z_limit(2) * error


def test_the_same_seed_gives_the_same_result_another_one_another_and_leaves_the_global_state() -> None:
    network, x = MLP([6, 64, 64, 1], "relu", weight_variance=2.0), inputs(12, 6, seed=1)
    state = torch.random.get_rng_state()
    first, again, other = (functional_statistics(network, x, batch_signal, seed=s, neurons=512) for s in (1, 1, 2))
    assert first.deviation == again.deviation
    assert first.deviation != other.deviation
    assert torch.equal(state, torch.random.get_rng_state())


def test_coincident_inputs_are_no_trouble() -> None:
    network, x = MLP([6, 64, 64, 64, 1], "relu", weight_variance=2.0), inputs(12, 6, seed=1)
    doubled = torch.cat([x, x, x[:3] * (1 + 1e-12)])
    single = functional_statistics(network, x, lambda k: k[:12, :12].mean(), seed=1, effective_dimension=1.0)
    found = functional_statistics(network, doubled, lambda k: k[:12, :12].mean(), seed=2, effective_dimension=1.0)
    error = math.hypot(single.deviation_sampling, found.deviation_sampling)
    assert abs(single.deviation.value - found.deviation.value) < z_limit(2) * error
    assert abs(single.shift.value - found.shift.value) < z_limit(2) * math.hypot(
        single.shift_sampling, found.shift_sampling
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"functional": lambda k: k}, r"returns a tensor of shape \(5, 5\)"),
        ({"functional": lambda k: 1.0}, "returns 'float'"),
        ({"functional": lambda k: k.detach().sum()}, "does not depend on the kernel"),
        ({"functional": lambda k: (k[0, 0] - k[0, 0]).abs().sqrt()}, "gradient is not finite"),
        ({"inputs": torch.ones(5, 3)}, r"shape \(5, 3\); finite numbers of shape \(inputs, 4\)"),
        ({"inputs": torch.zeros(5, 4)}, "all zero"),
        ({"network": MLP([4, 8, 1], "relu", weight_variance=1.0, skip=0.5)}, "skip is 0.5"),
        ({"neurons": 8}, "neurons is 8"),
        ({"effective_dimension": -1.0}, "effective_dimension is -1"),
        ({"functional": GaussianProcessPrediction([1.0] * 5, ridge=1.0)}, "there are 5 inputs for 5 targets"),
    ],
)
def test_unusable_questions_are_refused_in_one_sentence(change: dict, message: str) -> None:
    asked = {
        "network": MLP([4, 64, 64, 1], "relu", weight_variance=2.0),
        "inputs": inputs(5, 4, seed=1),
        "functional": batch_signal,
        "neurons": 64,
        "effective_dimension": None,
    }
    asked.update(change)
    with pytest.raises(SettingError, match=message):
        functional_statistics(
            asked["network"],
            asked["inputs"],
            asked["functional"],
            seed=0,
            neurons=asked["neurons"],
            effective_dimension=asked["effective_dimension"],
        )


def test_regression_settings_are_checked() -> None:
    for targets, ridge, test in (([math.nan], 1.0, 0), ([1.0], 0.0, 0), ([1.0], 1.0, -1)):
        with pytest.raises(SettingError):
            GaussianProcessPrediction(targets, ridge=ridge, test=test)

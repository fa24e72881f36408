"""Kernels drawn exactly in law: exact moments, explicit weights, seeds, threads, errors that are honest, dead networks."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rgflow.ensembles import kernel_sampling, sample_kernels, sample_networks
from rgflow.ensembles.explicit_networks import orthogonal_matrices
from rgflow.errors import DataError, SettingError
from rgflow.records import MLP
from tolerances import ROUNDING, z_limit

PAIR = torch.tensor([[1.0, 0.2, -0.5, 0.3], [0.4, 1.0, 0.1, -0.6]], dtype=torch.float64)
# Rounding of sums over 1e5 networks beside the statistical error, for cells whose error is zero (layer 1).
TINY = 1e-12


def tanh_network(*hidden: int) -> MLP:
    return MLP((4, *hidden, 1), "tanh", weight_variance=1.5, bias_variance=0.1)


def scores(value: Tensor, error: Tensor, truth: Tensor) -> Tensor:
    return ((value - truth) / (error + TINY)).flatten()


def assert_within(value: Tensor, error: Tensor, truth: Tensor) -> None:
    z = scores(value, error, truth)
    assert float(z.abs().max()) < z_limit(len(z))


def relu_moment(order: int, width: int) -> float:
    """E (mean of y)^order over `width` neurons, y = 2 relu(eta)^2: E y = 1, E y^2 = 6, E y^3 = 60."""
    if order == 2:
        return 1 + 5 / width
    return (60 * width + 18 * width * (width - 1) + width * (width - 1) * (width - 2)) / width**3


def check_relu_moments() -> None:
    widths = (24, 40, 30)
    network = MLP((3, *widths, 1), "relu", weight_variance=2.0)
    sample = sample_kernels(network, torch.tensor([[1.0, -0.5, 0.7]]), networks=60_000, seed=11)
    kernel = float(sample.mean[0, 0, 0])
    second, third = 1.0, 1.0
    for layer in range(1, 4):
        second, third = second * relu_moment(2, widths[layer - 1]), third * relu_moment(3, widths[layer - 1])
        variance = kernel**2 * (second - 1)
        cumulant = kernel**3 * (third - 3 * second + 2)
        assert_within(sample.mean[layer], sample.mean_error[layer], torch.tensor(kernel))
        assert_within(sample.covariance[layer], sample.covariance_error[layer], torch.tensor(variance))
        assert_within(sample.third_cumulant[layer], sample.third_cumulant_error[layer], torch.tensor(cumulant))


def test_one_input_of_a_relu_network_has_its_exact_moments() -> None:
    check_relu_moments()


def linear_covariance(network: MLP, first: Tensor) -> Tensor:
    """Cov(Khat_ab, Khat_cd) (L, N, N, N, N) of a linear network with C_W = 1, C_b = 0: Wishart steps, exactly."""
    square = torch.einsum("ab,cd->abcd", first, first)
    result = [square - square]
    for width in network.widths[1:-1]:
        mixed = torch.einsum("acbd->abcd", square) + torch.einsum("adbc->abcd", square)
        square = square + mixed / width
        result.append(square - torch.einsum("ab,cd->abcd", first, first))
    return torch.stack(result)


def check_linear_moments() -> None:
    network = MLP((4, 12, 30, 7, 1), "identity", weight_variance=1.0)
    sample = sample_kernels(network, PAIR, networks=40_000, seed=3)
    exact = linear_covariance(network, PAIR @ PAIR.T / 4)
    a, b = sample.pairs.T
    truth = exact[:, a[:, None], b[:, None], a[None], b[None]]
    assert_within(sample.mean, sample.mean_error, PAIR @ PAIR.T / 4)
    assert_within(sample.covariance, sample.covariance_error, truth)


def test_two_inputs_of_a_linear_network_have_their_exact_moments() -> None:
    check_linear_moments()


@pytest.mark.parametrize(
    ("name", "weight_variance", "bias_variance"), [("tanh", 1.5, 0.1), ("relu", 2.0, 0.05), ("gelu", 1.98, 0.17)]
)
def test_networks_without_weights_agree_with_explicit_weights(
    name: str, weight_variance: float, bias_variance: float
) -> None:
    network = MLP((4, 16, 12, 20, 1), name, weight_variance=weight_variance, bias_variance=bias_variance)
    drawn = sample_kernels(network, PAIR, networks=30_000, seed=5)
    explicit = sample_networks(network, PAIR, networks=30_000, seed=6)
    for quantity in ("mean", "covariance", "third_cumulant"):
        error = torch.hypot(getattr(drawn, f"{quantity}_error"), getattr(explicit, f"{quantity}_error"))
        assert_within(getattr(drawn, quantity), error, getattr(explicit, quantity))


def test_control_variates_cut_the_error_of_mean_and_covariance_at_moderate_width() -> None:
    sample = sample_kernels(tanh_network(64, 64), PAIR, networks=10_000, seed=1)
    plain = (sample.covariance[2, 0, 0] / 10_000).sqrt()
    assert float(sample.mean_error[2, 0, 0]) < 0.3 * float(plain)
    assert float(sample.covariance_error[2, 0, 0] / sample.covariance[2, 0, 0]) < 0.5 * math.sqrt(2 / 10_000)


def test_wrong_control_coefficients_cost_precision_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Controls have known mean and covariance whatever their coefficients: random ones must not move the result."""
    network = tanh_network(10, 14)
    sound = sample_kernels(network, PAIR, networks=40_000, seed=8)
    monkeypatch.setattr("rgflow.ensembles.kernel_controls._NEURONS", 60)  # coefficients off by 30 %
    rough = sample_kernels(network, PAIR, networks=40_000, seed=9)
    assert float(rough.mean_error[2, 0, 0]) > 1.2 * float(sound.mean_error[2, 0, 0])
    for quantity in ("mean", "covariance"):
        error = torch.hypot(getattr(sound, f"{quantity}_error"), getattr(rough, f"{quantity}_error"))
        assert_within(getattr(rough, quantity), error, getattr(sound, quantity))


def check_honest_errors() -> None:
    """100 small ensembles: mean squares of z are 1 within five standard errors; heavier tails of small samples allowed for."""
    network, repeats = tanh_network(64, 64), 100
    long = sample_kernels(network, PAIR, networks=40_000, seed=0)
    samples = [sample_kernels(network, PAIR, networks=400, seed=100 + i) for i in range(repeats)]
    for quantity, slack in (("mean", 0.05), ("covariance", 0.15)):
        values = torch.stack([getattr(sample, quantity)[2, 0] for sample in samples])
        errors = torch.stack([getattr(sample, f"{quantity}_error")[2, 0] for sample in samples])
        z = (values - getattr(long, quantity)[2, 0]) / errors
        inside = (z.abs() < 1.96).double().mean(0)
        assert bool(((inside - 0.95).abs() < 5 * math.sqrt(0.95 * 0.05 / repeats)).all()), inside
        assert bool(((z.square().mean(0) - 1).abs() < slack + 5 * math.sqrt(2 / repeats)).all()), z.square().mean(0)


def test_standard_errors_cover_the_truth_as_often_as_they_say() -> None:
    check_honest_errors()


def test_the_same_seed_gives_the_same_numbers_on_one_thread_and_on_three() -> None:
    network, found = tanh_network(40, 50), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = sample_kernels(network, PAIR, networks=5_000, seed=2)
        torch.set_num_threads(3)
        three = sample_kernels(network, PAIR, networks=5_000, seed=2)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(found)
    for quantity in ("mean", "mean_error", "covariance", "covariance_error", "third_cumulant", "third_cumulant_error"):
        assert torch.equal(getattr(one, quantity), getattr(three, quantity))


def test_the_first_networks_do_not_depend_on_how_many_are_drawn() -> None:
    network = tanh_network(40, 50)
    few = sample_kernels(network, PAIR, networks=700, seed=2, keep_kernels=True)
    many = sample_kernels(network, PAIR, networks=2_500, seed=2, keep_kernels=True)
    assert few.kernels is not None
    assert many.kernels is not None
    assert few.kernels.shape == (700, 3, 2, 2)
    assert torch.equal(few.kernels, many.kernels[:700])
    other = sample_kernels(network, PAIR, networks=700, seed=3, keep_kernels=True)
    assert other.kernels is not None
    assert not torch.equal(few.kernels[:, 1:], other.kernels[:, 1:])


def check_moments_of_kept_kernels() -> None:
    """The streamed sums equal moments of the kernels themselves, once the controls are added back."""
    network = tanh_network(12, 15)
    sample = sample_networks(network, PAIR, networks=3_000, seed=4, keep_kernels=True)
    assert sample.kernels is not None
    q = sample.kernels[:, :, [0, 0, 1], [0, 1, 1]]
    centred = q - q.mean(0)
    products = centred.unsqueeze(-1) * centred.unsqueeze(-2)
    assert torch.allclose(sample.mean[:, [0, 0, 1], [0, 1, 1]], q.mean(0), rtol=ROUNDING, atol=TINY)
    assert torch.allclose(sample.covariance, products.sum(0) / 2_999, rtol=1e-9, atol=TINY)
    spread = products.std(0, unbiased=False) / math.sqrt(2_999)
    assert torch.allclose(sample.covariance_error, spread, rtol=1e-6, atol=TINY)
    third = (centred[:, :, [0, 2]] ** 3).mean(0)
    assert torch.allclose(sample.third_cumulant, third * 3_000**2 / (2_999 * 2_998), rtol=1e-6, atol=TINY)


def test_streamed_moments_equal_those_of_the_kept_kernels() -> None:
    check_moments_of_kept_kernels()


def test_dead_layers_and_equal_and_opposite_inputs_are_drawn_as_they_are() -> None:
    inputs = torch.stack([PAIR[0], PAIR[0], -PAIR[0], torch.zeros(4)])
    network = MLP((4, 2, 2, 2, 2, 1), "relu", weight_variance=2.0)
    sample = sample_kernels(network, inputs, networks=8_000, seed=7, keep_kernels=True)
    kernels = sample.kernels
    assert kernels is not None
    assert bool(kernels.isfinite().all())
    assert bool((kernels[:, :, 3] == 0).all())  # the zero input stays zero
    assert torch.allclose(kernels[:, :, 0], kernels[:, :, 1], rtol=1e-7, atol=TINY)
    # dead at layer 2 exactly where both neurons of layer 1 are negative: probability 1/4
    dead = (kernels[:, 1, 0, 0] == 0).double().mean()
    assert abs(float(dead) - 0.25) < z_limit(1) * math.sqrt(0.25 * 0.75 / 8_000)
    assert_within(sample.mean[:, 0, 0], sample.mean_error[:, 0, 0], sample.mean[0, 0, 0].expand(5))


def test_a_network_of_one_layer_has_a_kernel_that_does_not_fluctuate() -> None:
    sample = sample_kernels(MLP((4, 3), "tanh", weight_variance=1.0), PAIR, networks=10, seed=0)
    assert torch.allclose(sample.mean[0], PAIR @ PAIR.T / 4, rtol=ROUNDING)
    assert float(sample.covariance.abs().max()) < TINY


def test_vertex_is_the_covariance_times_the_width_before() -> None:
    sample = sample_kernels(tanh_network(20, 30), PAIR, networks=100, seed=0)
    assert torch.allclose(sample.vertex[2], 30 * sample.covariance[2], rtol=ROUNDING)
    assert torch.allclose(sample.vertex_error[1], 20 * sample.covariance_error[1], rtol=ROUNDING)


def test_progress_counts_every_network_once() -> None:
    seen: list[int] = []
    sample_kernels(tanh_network(64), PAIR, networks=3_001, seed=0, progress=seen.append)
    assert sum(seen) == 3_001


def test_an_interrupt_leaves_torch_as_it_was() -> None:
    def interrupt(done: int) -> None:
        raise KeyboardInterrupt

    found = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with pytest.raises(KeyboardInterrupt):
                sample_kernels(tanh_network(64), PAIR, networks=5_000, seed=0, progress=interrupt)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(found)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"networks": 3}, SettingError, "at least 4"),
        ({"seed": -1}, SettingError, "integer >= 0"),
        ({"inputs": PAIR[:, :2]}, DataError, "(N, 4)"),
        ({"inputs": PAIR / 0}, DataError, "finite"),
        ({"inputs": torch.ones(100, 4)}, SettingError, "fewer inputs"),
        ({"network": MLP((4, 8, 8), "tanh", weight_variance=1.0, skip=0.5)}, SettingError, "skip is 0.5"),
    ],
)
@pytest.mark.parametrize("function", [sample_kernels, sample_networks])
def test_what_cannot_be_drawn_is_refused_with_a_sentence(function, change: dict, error: type, words: str) -> None:
    settings = {"network": tanh_network(8, 8), "inputs": PAIR, "networks": 10, "seed": 0, **change}
    with pytest.raises(error, match=words.replace("(", r"\(").replace(")", r"\)")):
        function(settings.pop("network"), settings.pop("inputs"), **settings)


def test_memory_does_not_grow_with_the_number_of_networks() -> None:
    """A block holds a fixed number of networks, whatever number is asked for."""
    network = tanh_network(64, 64)
    assert kernel_sampling._block_size(network, 2) * 2 * 64 <= 2**16
    assert kernel_sampling._block_size(MLP((4, 4096, 1), "tanh", weight_variance=1.0), 64) == 1


def check_orthogonal_matrices() -> None:
    generator = np.random.default_rng(3)
    for fan_in, width in ((6, 6), (6, 4), (4, 6)):
        matrices = orthogonal_matrices(5, fan_in=fan_in, width=width, generator=generator)
        gram = matrices @ matrices.mT if width <= fan_in else matrices.mT @ matrices
        unit = torch.eye(min(fan_in, width), dtype=torch.float64) * max(fan_in, width) / fan_in
        assert torch.allclose(gram, unit.expand_as(gram), atol=TINY)
    many = orthogonal_matrices(20_000, fan_in=3, width=2, generator=generator)
    square = many[:, 0, 0] ** 2  # mean 1 / 3; E x^4 = 3 / (n (n + 2)) = 1 / 5 on the sphere
    assert abs(float(square.mean()) - 1 / 3) < z_limit(1) * math.sqrt((1 / 5 - 1 / 9) / 20_000)
    assert abs(float(many[:, 0, 0].mean())) < z_limit(1) * math.sqrt(1 / 3 / 20_000)  # signs are random


def test_orthogonal_matrices_are_orthogonal_and_have_the_variance_of_their_fan_in() -> None:
    check_orthogonal_matrices()

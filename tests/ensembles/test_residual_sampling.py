"""Kernels of drawn residual networks against explicit weight matrices, exact laws, and degenerate layers."""

import pytest
import torch

from rgflow.ensembles import sample_residual
from rgflow.errors import SettingError
from rgflow.records import MLP
from tolerances import ROUNDING, z_limit

TWO = torch.tensor([[1.0, 0.4, -0.7], [0.3, -1.2, 0.8]], dtype=torch.float64)


def explicit(network: MLP, inputs: torch.Tensor, *, networks: int, seed: int) -> torch.Tensor:
    """The same kernels with every weight, bias and projection drawn."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(networks, *shape, generator=generator, dtype=torch.float64)

    z, found = None, []
    for layer, (fan_in, width) in enumerate(zip(network.widths, network.widths[1:], strict=False)):
        out = inputs.T.expand(networks, -1, -1) if z is None else network.activation.function(z)
        weights = normal(width, fan_in) * (network.weight_variance[layer] / fan_in) ** 0.5
        fresh = weights @ out + normal(width, 1) * network.bias_variance[layer] ** 0.5
        if z is not None and width == fan_in:
            fresh = fresh + network.skip * z
        elif z is not None:
            fresh = fresh + network.skip * normal(width, fan_in) @ z / fan_in**0.5
        z = fresh
        found.append(z.mT @ z / width)
    return torch.stack(found, dim=1)


@pytest.mark.parametrize(
    ("name", "widths", "skip"), [("tanh", [3, 6, 6, 6], 0.8), ("relu", [3, 6, 6, 4, 4], 0.7), ("relu", [3, 5, 7], 0.0)]
)
def test_first_and_second_moments_are_those_of_explicit_weights(name: str, widths: list[int], skip: float) -> None:
    network, count = MLP(widths, name, weight_variance=0.9, bias_variance=0.1, skip=skip), 30_000
    drawn = (sample_residual(network, TWO, networks=count, seed=1), explicit(network, TWO, networks=count, seed=2))
    a, b = torch.triu_indices(2, 2)
    scores = []
    for power in (1, 2):
        flat = [part[:, :, a, b].flatten(1) ** power for part in drawn]
        error = (flat[0].var(0) + flat[1].var(0)).sqrt() / count**0.5
        scores.append((flat[0].mean(0) - flat[1].mean(0)) / error)
    across = [(part[:, :1, 0, 0] * part[:, 1:, 0, 1]) for part in drawn]  # one layer with another
    error = (across[0].var(0) + across[1].var(0)).sqrt() / count**0.5
    scores.append((across[0].mean(0) - across[1].mean(0)) / error)
    joined = torch.cat(scores)
    assert float(joined.abs().max()) <= z_limit(len(joined))


def test_a_linear_network_with_unit_skip_keeps_the_exact_mean() -> None:
    network, count = MLP([1, 8, 8, 8], "identity", weight_variance=0.5, skip=1.0), 20_000
    drawn = sample_residual(network, torch.ones(1, 1), networks=count, seed=3)[:, :, 0, 0]
    expected = 0.5 * 1.5 ** torch.arange(3, dtype=torch.float64)  # K' = (skip^2 + C_W) K at every width
    scores = (drawn.mean(0) - expected) / (drawn.std(0) / count**0.5)
    assert float(scores.abs().max()) <= z_limit(3)


def test_equal_inputs_and_dead_layers_stay_finite_and_equal() -> None:
    network = MLP([3, 2, 2, 3, 3], "relu", weight_variance=1.0, skip=0.5)
    drawn = sample_residual(network, torch.stack([TWO[0], TWO[0], TWO[1]]), networks=500, seed=4)
    assert bool(torch.isfinite(drawn).all())
    scale = drawn.diagonal(dim1=2, dim2=3).amax()
    assert float((drawn[:, :, 0, 0] - drawn[:, :, 0, 1]).abs().max()) <= 1e-6 * float(scale)  # root of rounding
    assert torch.allclose(drawn, drawn.mT, rtol=ROUNDING)


def test_same_seed_same_networks_and_two_seeds_two() -> None:
    network = MLP([3, 4, 4], "tanh", weight_variance=1.0, skip=0.5)
    first, again, other = (sample_residual(network, TWO, networks=3, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_does_not_fit_is_refused_in_one_sentence() -> None:
    network = MLP([3, 4, 4], "tanh", weight_variance=1.0, skip=0.5)
    with pytest.raises(SettingError, match=r"takes \(N, 3\)"):
        sample_residual(network, torch.ones(2, 4), networks=2, seed=0)
    with pytest.raises(SettingError, match="networks is 0"):
        sample_residual(network, TWO, networks=0, seed=0)

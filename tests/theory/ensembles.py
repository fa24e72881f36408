"""Explicit ensembles of fully connected networks with independent weights: the oracle of the batch forecasts."""

import math

import torch

from rgflow.numerics.activations import activation
from rgflow.records import MLP
from rgflow.theory.laws import LayerLaw, standard_draw

__all__ = ["explicit_batch", "explicit_kernels", "kernels_exact_in_law"]


def explicit_batch(
    inputs: torch.Tensor, *, name: str, widths: list[int], laws: list[LayerLaw], networks: int, seed: int
) -> torch.Tensor:
    """Signal and spread (networks, layers, 2) of drawn networks, all weights explicit."""
    generator = torch.Generator().manual_seed(seed)
    rule, hidden = activation(name), inputs.expand(networks, *inputs.shape)
    found = []
    for law, fan_in, width in zip(laws, widths[:-1], widths[1:], strict=True):
        weights = standard_draw(law.weight_kurtosis, (networks, fan_in, width), generator=generator)
        biases = standard_draw(law.bias_kurtosis, (networks, 1, width), generator=generator)
        z = hidden @ weights * math.sqrt(law.weight_variance / fan_in) + biases * math.sqrt(law.bias_variance)
        found.append(torch.stack([z.square().mean((1, 2)), z.var(1).mean(1)], dim=1))
        hidden = rule.function(z)
    return torch.stack(found, dim=1)


def explicit_kernels(network: MLP, inputs: torch.Tensor, *, networks: int, seed: int) -> torch.Tensor:
    """Last kernels (networks, N, N) of drawn networks, all weights explicit."""
    generator = torch.Generator().manual_seed(seed)
    kernels = []
    for _ in range(networks):
        hidden = inputs
        for layer in range(1, network.depth):
            weight, bias = network.weight_variance[layer - 1], network.bias_variance[layer - 1]
            shape = (hidden.shape[1], network.widths[layer])
            z = hidden @ torch.randn(shape, generator=generator, dtype=torch.float64) * math.sqrt(weight / shape[0])
            hidden = network.activation(
                z + math.sqrt(bias) * torch.randn(1, shape[1], generator=generator, dtype=torch.float64)
            )
        kernels.append(network.bias_variance[-1] + network.weight_variance[-1] * hidden @ hidden.T / hidden.shape[1])
    return torch.stack(kernels)


def kernels_exact_in_law(network: MLP, inputs: torch.Tensor, *, networks: int, seed: int) -> torch.Tensor:
    """Last kernels (networks, N, N): the neurons of a layer are independent N(0, Khat), no weights are drawn."""
    generator = torch.Generator().manual_seed(seed)
    first = network.bias_variance[0] + network.weight_variance[0] * inputs @ inputs.T / inputs.shape[1]
    found = []
    for kernels in first.expand(networks, *first.shape).split(1000):
        for layer in range(1, network.depth):
            roots = torch.linalg.cholesky(kernels)
            shape = (len(kernels), len(inputs), network.widths[layer])
            hidden = network.activation(roots @ torch.randn(shape, generator=generator, dtype=torch.float64))
            weight, bias = network.weight_variance[layer], network.bias_variance[layer]
            kernels = bias + weight * hidden @ hidden.mT / network.widths[layer]
        found.append(kernels)
    return torch.cat(found)

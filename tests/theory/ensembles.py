"""Explicit ensembles of fully connected networks with independent weights: the oracle of the batch forecasts."""

import math

import torch

from rgflow.numerics.activations import activation
from rgflow.theory.laws import LayerLaw, standard_draw

__all__ = ["explicit_batch"]


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

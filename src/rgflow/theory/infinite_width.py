"""Kernels of a fully connected network at infinite width, and kernels of drawn networks, for a batch of inputs.

Convention: K^(1) = C_b + C_W x x^T / n_0, K' = C_b + C_W <s s>_K; a drawn network has C_b + (C_W / n) sum_j s_j s_j^T instead.
"""

import math

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.second_moments import second_moment
from rgflow.records import MLP

__all__ = ["drawn_neurons", "first_kernel", "infinite_width_kernels", "kernel_of"]


def first_kernel(network: MLP, inputs: Tensor) -> Tensor:
    """Return K^(1) (N, N) of the rows of `inputs` (N, n_0).

    Raises: SettingError for a skip connection, inputs of another shape or not finite, or a row whose kernel is 0.
    """
    if network.skip != 0.0:
        raise SettingError(f"skip is {network.skip}; only networks without skip connections (skip 0) are covered here")
    x = torch.as_tensor(inputs, dtype=torch.float64)
    if x.ndim != 2 or x.shape[1] != network.widths[0] or not bool(torch.isfinite(x).all()):
        raise SettingError(
            f"the inputs have shape {tuple(x.shape)}; finite numbers of shape (inputs, {network.widths[0]}) are needed"
        )
    kernel = network.bias_variance[0] + network.weight_variance[0] * (x @ x.T) / x.shape[1]
    if len(x) == 0 or float(kernel.diagonal().min()) <= 0.0:
        raise SettingError("an input is all zero and the first layer has no bias variance; drop it or give a bias")
    return kernel


def infinite_width_kernels(network: MLP, inputs: Tensor) -> tuple[Tensor, ...]:
    """Return K^(1), ..., K^(L), each (N, N). Raises: SettingError as `first_kernel`."""
    kernels = [first_kernel(network, inputs)]
    for weight, bias in zip(network.weight_variance[1:], network.bias_variance[1:], strict=True):
        kernels.append(bias + weight * second_moment(network.activation, kernels[-1]))
    return tuple(kernels)


def drawn_neurons(network: MLP, hidden: Tensor, *, layer: int, count: int, generator: torch.Generator) -> Tensor:
    """Return preactivations (N, count) of `layer` (1..L) on top of `hidden` (N, n_{layer-1})."""
    fan_in = hidden.shape[1]
    scale = math.sqrt(network.weight_variance[layer - 1] / fan_in)
    z = hidden @ (scale * torch.randn((fan_in, count), generator=generator, dtype=torch.float64))
    bias = torch.randn((1, count), generator=generator, dtype=torch.float64)
    return z + math.sqrt(network.bias_variance[layer - 1]) * bias


def kernel_of(network: MLP, hidden: Tensor, *, layer: int) -> Tensor:
    """Return the kernel (N, N) of `layer` (2..L) of the network whose layer before has activities `hidden` (N, n)."""
    weight, bias = network.weight_variance[layer - 1], network.bias_variance[layer - 1]
    return bias + (weight / hidden.shape[1]) * (hidden @ hidden.T)

"""Kernels on which integrals are hard: singular, nearly coincident, opposite, zero, tiny and wide; and exact oracles."""

import itertools
import math

import torch
from torch import Tensor

__all__ = ["CATALOGUE", "PAIRS", "isserlis", "kernel_of_rank", "pair_kernel", "polynomial_moment"]

# Every activation with its own formula or its own trouble: smooth, kinked, stepped, even, odd, entire, with poles.
CATALOGUE = (
    *("identity", "relu", "abs", "leaky_relu(0.3)", "tanh", "sigmoid", "softplus", "silu", "gelu", "gelu_tanh"),
    *("mish", "erf", "sin", "cos", "arctan", "tanhshrink", "logsigmoid", "softsign", "elu", "celu(0.5)", "selu"),
    *("hardtanh", "hardswish", "hardsigmoid", "relu6", "softshrink", "squared_relu", "sign", "hardshrink"),
    "threshold(0.3,-1)",
)


def pair_kernel(first: float, second: float, angle: float) -> Tensor:
    """Return the covariance of two variables at the angle acos(correlation)."""
    covariance = math.cos(angle) * math.sqrt(first * second)
    return torch.tensor([[first, covariance], [covariance, second]], dtype=torch.float64)


PAIRS = {
    "plain": pair_kernel(1.3, 0.7, 1.1),
    "tiny": pair_kernel(1.3e-6, 0.7e-6, 1.1),
    "small": pair_kernel(1.3e-3, 0.7e-3, 1.1),
    "large": pair_kernel(39.0, 21.0, 1.1),
    "wide": pair_kernel(1170.0, 630.0, 1.1),
    **{f"angle {angle:g}": pair_kernel(1.0, 1.44, angle) for angle in (1e-3, 1e-5, 1e-7, 1e-9)},
    "proportional": pair_kernel(1.0, 1.44, 0.0),
    "opposite": pair_kernel(1.0, 1.44, math.pi),
    "nearly opposite": pair_kernel(1.0, 1.44, math.pi - 1e-4),
    "one zero": torch.diag(torch.tensor([0.0, 1.2], dtype=torch.float64)),
}


def kernel_of_rank(rank: int, *, inputs: int = 4, scale: float = 1.0, seed: int = 0) -> Tensor:
    """Return a covariance of that rank with variances about `scale`."""
    generator = torch.Generator().manual_seed(1000 * rank + seed)
    factor = torch.randn(inputs, rank, dtype=torch.float64, generator=generator)
    return scale / rank * factor @ factor.T


def isserlis(kernel: Tensor, indices: tuple[int, ...]) -> float:
    """Return <z_i z_j ...> as the sum over pairings."""
    if not indices:
        return 1.0
    first, rest = indices[0], indices[1:]
    return sum(float(kernel[first, other]) * isserlis(kernel, rest[:k] + rest[k + 1 :]) for k, other in enumerate(rest))


def polynomial_moment(kernel: Tensor, quadruple: tuple[int, ...], *, power: int) -> float:
    """Return <prod z_i^power> over the quadruple."""
    return isserlis(kernel, tuple(itertools.chain.from_iterable((i,) * power for i in quadruple)))

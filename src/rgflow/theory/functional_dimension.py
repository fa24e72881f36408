"""How many directions of kernel space a functional weighs, and how strongly the kernel itself fluctuates.

The expansion in 1/n of a functional g is one in (effective dimension) / n. Two dimensions count.
Turning: the gradient Gamma(Khat) of a drawn network against Gamma(K), in the metric |Gamma|^2 = Var[s^T Gamma s] of one layer's
fluctuations. Each hidden layer's fluctuation is that of a sample covariance, so a resolvent's gradient turns by
d sum_l 1/n_l to leading order and by more where the expansion breaks down; a linear functional's does not turn, d = 0.
Participation: (tr Gamma K)^2 / tr(Gamma K Gamma K), by which over n the variance of z^T Gamma z grows when the neurons
below are drawn too; for the mean signal of a batch it is the number of different inputs, for a regression at most a few.
"""

import math

import torch
from torch import Tensor

from rgflow.numerics.gaussian import moments
from rgflow.numerics.gaussian_draws import covariance_root, gaussian_draws
from rgflow.records import MLP
from rgflow.theory.expansion import Functional, gradient_at
from rgflow.theory.infinite_width import drawn_neurons, kernel_of

__all__ = ["kernel_control", "participation", "turning_dimension"]

NETWORKS = 6  # drawn networks: the turning is a sum over many directions, its scatter between networks about a third
NEURONS = 512


def turning_dimension(
    network: MLP, inputs: Tensor, functional: Functional, *, gradient: Tensor, hidden_kernel: Tensor, seed: int
) -> float:
    """Return |Gamma(Khat) - Gamma|^2 / (|Gamma|^2 sum_l 1/n_l), averaged over drawn networks; infinite where not finite.

    Shapes: `gradient` = Gamma at infinite width and `hidden_kernel` = K^(L-1), (N, N).
    Errors: about 15 % from six networks. For kernel regression it lies near tr K (K + ridge)^-1 while that is below n / 5,
    above it beyond, and near the smaller tr [K (K + ridge)^-1]^2 where the ridge exceeds most of the spectrum (measured).
    """
    generator = torch.Generator().manual_seed(seed)
    s = network.activation.function(gaussian_draws(covariance_root(hidden_kernel), NEURONS, seed=seed))
    size = _variance(s, gradient)
    turned = 0.0
    for _ in range(NETWORKS):
        hidden = inputs
        for layer in range(1, network.depth):
            z = drawn_neurons(network, hidden, layer=layer, count=network.widths[layer], generator=generator)
            hidden = network.activation.function(z)
        there = gradient_at(functional, kernel_of(network, hidden, layer=network.depth))
        turned += _variance(s, there - gradient) / NETWORKS
    if not math.isfinite(turned):
        return math.inf
    return turned / size / sum(1 / n for n in network.widths[1:-1]) if size > 0 else 0.0


def _variance(activities: Tensor, gradient: Tensor) -> float:
    return float((activities * (gradient @ activities)).sum(0).var())


def participation(gradient: Tensor, kernel: Tensor) -> float:
    """Return (tr Gamma K)^2 / tr(Gamma K Gamma K), between 0 and the rank of K for any symmetric Gamma, (N, N) both."""
    product = gradient @ kernel
    square = float((product * product.T).sum())
    return float(product.trace()) ** 2 / square if square > 0 else 0.0


def kernel_control(network: MLP, kernels: tuple[Tensor, ...]) -> float:
    """Return the largest Var(Khat_aa) / K_aa^2 over inputs of the last layer, to leading order in 1/n.

    V' = C_W^2 (<s^4> - <s^2>^2) / n + chi_parallel^2 V from V = 0 in the first layer.
    """
    variance = torch.zeros(len(kernels[0]), dtype=torch.float64)
    for layer in range(1, network.depth):
        weight = network.weight_variance[layer]
        kernel = kernels[layer - 1].diagonal()
        found = moments(network.activation, kernel)
        growth = weight * found.response / kernel
        fresh = weight**2 * (found.fourth - found.square**2) / network.widths[layer]
        variance = fresh + growth**2 * variance
    return float((variance / kernels[-1].diagonal() ** 2).max())

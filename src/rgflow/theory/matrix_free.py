"""Mean shift and seed-to-seed deviation at order 1/n of any scalar functional of the last kernel, without pair matrices.

With Gamma^(L) = dg/dK, Gamma^(l) = M^T Gamma^(l+1) and neurons z ~ N(0, K^(l)) of layer l,
    Var g = sum_l Var[C_W s^T Gamma^(l+1) s] / n_l,
    E g - g(K) = sum_l E[d^2/dt^2 Phi_{l+1}(K^(l+1) + t u)] / (2 n_l),
where Phi_l = g o F o ... o F from layer l on and u is a random symmetric matrix with the covariance of C_W s s^T. Its second
derivative is g''[u, u] + sum_m Gamma^(m+1) . F''[u, u] with u pushed on by u' = M u. Averages over neurons are sampled,
in independent groups whose scatter is the stated sampling error.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from rgflow.numerics.gaussian_draws import covariance_root, gaussian_draws
from rgflow.records import MLP
from rgflow.theory.expansion import Expansion
from rgflow.theory.kernel_step import KernelStep, kernel_step

__all__ = ["GROUPS", "OrderOne", "order_one"]

GROUPS = 8  # independent groups of neurons: their scatter gives the sampling error to 27 %, 1 / sqrt(2 (GROUPS - 1))
SIGNED = 64  # neurons behind one random-sign direction: their kurtosis adds about 1 / SIGNED to its variance


@dataclass(frozen=True)
class OrderOne:
    """Variance over seeds by hidden layer (L - 1,), widths included, and mean shift, with sampling errors."""

    variance: Tensor
    variance_error: float
    shift: float
    shift_error: float


def order_one(
    network: MLP, kernels: tuple[Tensor, ...], *, expanded: Expansion, seed: int, neurons: int, probes: int
) -> OrderOne:
    """Return variance and shift at order 1/n of the functional `expanded` at the last of `kernels` (of layers 1..L).

    `neurons` sample each layer's variance, `probes` random directions its curvature; where there are no more pairs of
    inputs than probes, the directions span all pairs and only the sampling error of the neurons is left.
    Errors: truncation at order 1/n^2; sampling errors are one standard error.
    """
    if network.depth == 1:  # the kernel of the first layer is the same in every network
        return OrderOne(torch.zeros(0, dtype=torch.float64), 0.0, 0.0, 0.0)
    steps = _steps(network, kernels, expanded.gradient)
    gradients = [*(step.earlier for step in steps), expanded.gradient]
    variances = torch.zeros(GROUPS, len(gradients), dtype=torch.float64)
    shifts = torch.zeros_like(variances)
    for layer, gradient in enumerate(gradients):
        source = _source(network, kernels, layer=layer + 1)
        response = _Response(expanded, tuple(steps[layer:]))
        for group in range(GROUPS):
            activities = source.activities(neurons // GROUPS, seed=_derived(seed, layer, group, 0))
            variances[group, layer] = source.variance(activities, gradient)
            pairs = len(gradient) * (len(gradient) + 1) // 2
            if pairs <= probes:
                curvature = sum(response.along(u) for u in source.spanning(activities))
            else:
                signed = source.signed(max(probes // GROUPS, 1), seed=_derived(seed, layer, group, 1))
                curvature = fmean(response.along(u) for u in signed)
            shifts[group, layer] = curvature / (2 * source.width)
    error = (variances.std(0) / math.sqrt(GROUPS)).norm()
    shift_error = (shifts.std(0) / math.sqrt(GROUPS)).norm()
    return OrderOne(variances.mean(0), float(error), float(shifts.mean(0).sum()), float(shift_error))


def _steps(network: MLP, kernels: tuple[Tensor, ...], gradient: Tensor) -> list[KernelStep]:
    """Return the steps out of layers 2..L-1, made backwards from the gradient at the last kernel."""
    steps: list[KernelStep] = []
    for layer in range(network.depth - 1, 1, -1):
        weight = network.weight_variance[layer]
        steps.insert(0, kernel_step(network.activation, kernels[layer - 1], weight_variance=weight, gradient=gradient))
        gradient = steps[0].earlier
    return steps


@dataclass(frozen=True)
class _Response:
    """Second derivative of the functional along a change of some layer's kernel, through all layers behind it."""

    expanded: Expansion
    steps: tuple[KernelStep, ...]

    def along(self, change: Tensor) -> float:
        total = 0.0
        for step in self.steps:
            total += step.curvature(change)
            change = step.pushed(change)
        return total + self.expanded.second(change)


@dataclass(frozen=True)
class _Source:
    """One hidden layer's neurons as the source of fluctuations of the next kernel: C_W (s s^T - <s s^T>) each."""

    network: MLP
    width: int
    weight_variance: float
    root: Tensor
    product: Tensor

    def activities(self, count: int, *, seed: int) -> Tensor:
        """Return s(z) (N, count) of drawn neurons."""
        return self.network.activation.function(gaussian_draws(self.root, count, seed=seed))

    def variance(self, activities: Tensor, gradient: Tensor) -> float:
        """Return Var[C_W s^T Gamma s] / n about its exact mean."""
        each = (activities * (gradient @ activities)).sum(0) - (gradient * self.product).sum()
        return float(self.weight_variance**2 * each.square().mean()) / self.width

    def spanning(self, activities: Tensor) -> Iterator[Tensor]:
        """Yield directions u, one for each pair of inputs, with sum u u^T the covariance over `activities`."""
        rows, columns = torch.triu_indices(len(activities), len(activities))
        features = activities[rows] * activities[columns] - self.product[rows, columns].unsqueeze(1)
        left, sizes, _ = torch.linalg.svd(features / math.sqrt(activities.shape[1]), full_matrices=False)
        for direction in (left * (self.weight_variance * sizes)).unbind(1):
            change = torch.zeros_like(self.product)
            change[rows, columns] = direction
            change[columns, rows] = direction
            yield change

    def signed(self, count: int, *, seed: int) -> Iterator[Tensor]:
        """Yield `count` independent random directions u whose covariance is that of C_W s s^T."""
        generator = torch.Generator().manual_seed(seed)
        s = self.activities(count * SIGNED, seed=seed)
        signs = torch.randint(0, 2, (s.shape[1],), generator=generator).double() * 2 - 1
        scale = self.weight_variance / math.sqrt(SIGNED)
        for part, sign in zip(s.split(SIGNED, 1), signs.split(SIGNED), strict=True):
            yield ((part * sign) @ part.T).sub_(self.product, alpha=float(sign.sum())).mul_(scale)


def _source(network: MLP, kernels: tuple[Tensor, ...], *, layer: int) -> _Source:
    """Return hidden `layer` (1..L-1) as a source, with <s s> read back from the next kernel."""
    weight, bias = network.weight_variance[layer], network.bias_variance[layer]
    product = (kernels[layer] - bias) / (weight or 1.0)  # a weight variance of 0 lets nothing through anyway
    return _Source(network, network.widths[layer], weight, covariance_root(kernels[layer - 1]), product)


def _derived(*numbers: int) -> int:
    """Return a seed made of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])

"""Covariances across the layers of a residual network for one neuron and many inputs, from sampled trajectories.

Convention: phi^(l) = C_W s s over pairs a <= b (plus skip^2 z z where the step out of layer l is a projection), the
echo its halved second derivatives; see `residual_history`. Second derivatives at kinks are averaged over the last
layer's noise: given z^(l-1), z_b - (F_ab / F_aa) (z_a - t) with F = fresh^(l) is what z_b would be had z_a been t.
"""

import math

import torch
from torch import Tensor

from rgflow.theory.residual_history import HistoryAverages
from rgflow.theory.residual_kernels import ResidualKernels
from rgflow.theory.residual_trajectories import Step, trajectory

__all__ = ["sampled_averages"]


def sampled_averages(kernels: ResidualKernels, *, count: int, seed: int) -> HistoryAverages:
    """Return the averages over `count` trajectories; unbiased, since the means of phi are exact."""
    depth, inputs = len(kernels.start), kernels.kernel.shape[1]
    pairs = inputs * (inputs + 1) // 2
    noise = torch.zeros(depth, depth, pairs, pairs, dtype=torch.float64)
    echo = torch.zeros(depth, depth, 3, pairs, pairs, dtype=torch.float64)
    fourth = torch.zeros(depth, pairs, pairs, dtype=torch.float64)
    for stage in kernels.stages():
        before: list[Tensor] = []
        for step in trajectory(kernels, stage, count=count, seed=seed + stage.start):
            layer, phi = step.layer, _features(kernels, step)
            fourth[layer] = phi.T @ phi / count
            if before and layer + 1 < depth:
                second = _second_derivatives(kernels, step)
                for position, other in enumerate(before):
                    echo[layer, stage.start + position] = (
                        (second.T @ other / count).reshape(pairs, 3, pairs).transpose(0, 1)
                    )
            if kernels.projected(layer):
                phi = phi + kernels.network.skip**2 * _products(step.z)
            before.append(phi - _means(kernels, layer))
            for position, other in enumerate(before):
                shared = before[-1].T @ other / count
                noise[layer, stage.start + position] = shared
                noise[stage.start + position, layer] = shared.T
    return HistoryAverages(noise, echo, fourth)


def _products(values: Tensor) -> Tensor:
    """Products over pairs a <= b, (S, N) to (S, P)."""
    a, b = torch.triu_indices(values.shape[1], values.shape[1])
    return values[:, a] * values[:, b]


def _scale(kernels: ResidualKernels, layer: int) -> float:
    """Weight variance of the step out of `layer`; 0 for the last layer, which sends nothing."""
    following = kernels.network.weight_variance[layer + 1 :]
    return following[0] if following else 0.0


def _features(kernels: ResidualKernels, step: Step) -> Tensor:
    return _scale(kernels, step.layer) * _products(kernels.network.activation.function(step.z))


def _means(kernels: ResidualKernels, layer: int) -> Tensor:
    """Exact mean of phi^(layer), (P,)."""
    a, b = torch.triu_indices(kernels.kernel.shape[1], kernels.kernel.shape[1])
    if layer + 1 == len(kernels.start):
        return torch.zeros(len(a), dtype=torch.float64)
    carried = kernels.network.skip**2 * kernels.kernel[layer]
    mean = kernels.kernel[layer + 1] - kernels.network.bias_variance[layer + 1]
    return (mean if kernels.projected(layer) else mean - carried)[a, b]


def _second_derivatives(kernels: ResidualKernels, step: Step) -> Tensor:
    """The three parts of C_W d d (s_a s_b) / 2, (S, P * 3); their sum in the second place where a = b."""
    rule, scale = kernels.network.activation, _scale(kernels, step.layer)
    a, b = torch.triu_indices(step.z.shape[1], step.z.shape[1])
    slope = rule.derivative(step.z)
    bend = _bend(kernels, step)
    mixed = scale * slope[:, a] * slope[:, b]
    first, last = scale / 2.0 * bend[:, a, b], scale / 2.0 * bend[:, b, a]
    same = (a == b).double()
    parts = [first * (1 - same), mixed + same * (first + last), last * (1 - same)]
    return torch.stack(parts, dim=2).flatten(1)


def _bend(kernels: ResidualKernels, step: Step) -> Tensor:
    """Unbiased s''_a s_b given the layer before, (S, N, N): the smooth part as it is, kinks averaged over the noise."""
    rule, fresh = kernels.network.activation, kernels.fresh[step.layer]
    found = rule.second_derivative(step.z).unsqueeze(2) * rule.function(step.z).unsqueeze(1)
    variance = fresh.diagonal()
    for kink, jump in zip(rule.kinks, rule.jumps, strict=True):
        if jump != 0.0:
            density = torch.exp(-((kink - step.mean) ** 2) / (2.0 * variance)) / (2.0 * math.pi * variance).sqrt()
            moved = step.z.unsqueeze(1) + (fresh / variance.unsqueeze(1)) * (kink - step.z).unsqueeze(2)
            found = found + jump * density.unsqueeze(2) * rule.function(moved)
    return found

"""Seed-to-seed standard deviation of a batch's signal and spread, by conditional variances ("virtual neurons").

    Var f = sum_m E[ Var( E[f | layer m] | layer m - 1 ) ]      (martingale identity)
Along a few drawn networks, every layer m gets extra neurons from its own law on top of that network's layer m - 1;
the variance of one neuron's contribution to f, over n_m, is the m-th term. How f responds to layer m + 1's kernel is the
infinite-width response of `batch_flow`, in logarithms: exact products for scale-invariant activations.
Plain 1/n variances fail on batches, where off-diagonal kernels are smaller than their own fluctuations.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.batch_flow import BatchFlow
from rgflow.theory.laws import LayerLaw, standard_draw

__all__ = ["Deviation", "seed_deviation"]

PATHS = 32  # drawn networks: they average slowly varying factors, not the variance itself
GROUPS = 8  # of pairs, whose scatter tells the error from sampling pairs
NEURONS = 192  # virtual neurons in each layer of each path


@dataclass(frozen=True)
class Deviation:
    """Standard deviations over seeds, layers 1..L, and their standard errors from the finite number of paths."""

    signal: Tensor
    spread: Tensor
    signal_error: Tensor
    spread_error: Tensor


def seed_deviation(flow: BatchFlow, *, seed: int, paths: int = PATHS, neurons: int = NEURONS) -> Deviation:
    """Return the standard deviation over seeds of every layer's signal and spread, each (L,).

    Errors: the response is linear around each path (order 1/n beyond it); `*_error` is the standard error from the
    finite numbers of paths and of sampled pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    responses = _responses(flow)
    layers = len(flow.laws)
    variance = torch.zeros(paths, 2, layers, dtype=torch.float64)
    groups = torch.zeros(GROUPS, layers, dtype=torch.float64)
    for path in range(paths):
        hidden = flow.first.inputs
        for layer in range(layers):
            law, width = flow.laws[layer], flow.widths[layer + 1]
            z = _neurons(hidden, law, neurons, generator)
            variance[path, 0, layer] += z.square().mean(0).var() / width
            variance[path, 1, layer] += z.var(0).var() / width
            if layer + 1 == layers:
                break
            of_signal, of_spread = _contributions(flow, responses, z, layer=layer)
            variance[path, 0] += of_signal / width
            variance[path, 1] += of_spread[0] / width
            groups += of_spread[1:] / width / paths
            hidden = flow.activations[layer].function(_neurons(hidden, law, width, generator))
    mean = variance.mean(0).clamp_min(0)
    deviation = mean.sqrt()
    error = variance.std(0) / math.sqrt(paths)
    error[1] = torch.hypot(error[1], groups.std(0) / math.sqrt(GROUPS))
    error = error / (2 * deviation).clamp_min(torch.finfo(torch.float64).tiny)
    return Deviation(deviation[0], deviation[1], error[0], error[1])


def _neurons(hidden: Tensor, law: LayerLaw, count: int, generator: torch.Generator) -> Tensor:
    """Return `count` neurons (B, count) of a layer with `law` on top of `hidden` (B, n)."""
    scale = math.sqrt(law.weight_variance / hidden.shape[1])
    z = hidden @ (scale * standard_draw(law.weight_kurtosis, (hidden.shape[1], count), generator=generator))
    if law.bias_variance:
        z = z + math.sqrt(law.bias_variance) * standard_draw(law.bias_kurtosis, (1, count), generator=generator)
    return z


@dataclass(frozen=True)
class _Responses:
    """Elasticities: `signal[l, k]` (B,) of K_aa in layer l to layer k; `spread[l, k]` (P, 3) of D to (K_aa, K_bb, D)."""

    signal: dict[tuple[int, int], Tensor]
    spread: dict[tuple[int, int], Tensor]


def _responses(flow: BatchFlow) -> _Responses:
    signal: dict[tuple[int, int], Tensor] = {}
    spread: dict[tuple[int, int], Tensor] = {}
    for target in range(1, len(flow.laws)):
        elasticity = torch.ones_like(flow.first.kernel)
        row = flow.pairs[target - 1].gaussian.unwhiten()[:, 2:3] / flow.pairs[target - 1].kernel.distance[:, None, None]
        for layer in range(target, 0, -1):
            signal[target, layer] = elasticity
            state = flow.pairs[layer - 1]
            absolute = torch.linalg.solve(state.gaussian.unwhiten().mT, row.mT)[:, :, 0]
            kernel = state.kernel
            spread[target, layer] = absolute * torch.stack([kernel.first, kernel.second, kernel.distance], dim=1)
            step = flow.inputs[layer].elasticity
            assert step is not None
            elasticity = elasticity * step
            if state.propagator is not None:
                row = row @ state.propagator
    return _Responses(signal, spread)


def _contributions(flow: BatchFlow, responses: _Responses, z: Tensor, *, layer: int) -> tuple[Tensor, Tensor]:
    """Return the variances over one neuron of `layer` of its contributions to every later layer.

    Shapes: signal (L,); spread (1 + GROUPS, L), from all sampled pairs and from each group of them.
    """
    law = flow.laws[layer + 1]
    out = flow.activations[layer].function(z)
    a, b = flow.pair_index
    square = law.weight_variance * out.square()
    kernel = law.bias_variance + square.mean(1)
    separation = law.weight_variance * (out[a] - out[b]).square() / 2
    distance = separation.mean(1).clamp_min(torch.finfo(z.dtype).tiny)  # a saturated layer may lose a pair altogether
    log_kernel = (kernel / flow.inputs[layer + 1].kernel).log()
    log_distance = (distance / flow.pairs[layer].kernel.distance).log()
    of_signal, of_spread = z.new_zeros(len(flow.laws)), z.new_zeros(1 + GROUPS, len(flow.laws))
    for target in range(layer + 1, len(flow.laws)):
        elasticity = responses.signal[target, layer + 1]
        continued = flow.inputs[target].kernel * (elasticity * log_kernel).exp()
        of_signal[target] = ((continued * elasticity / kernel / len(z)) @ square).var()
        to_first, to_second, to_distance = responses.spread[target, layer + 1].unbind(1)
        weighted, mean = flow.pair_weight * flow.pairs[target - 1].kernel.distance, flow.means[target].spread
        exponent = to_first * log_kernel[a] + to_second * log_kernel[b] + to_distance * log_distance
        continued = mean * weighted / weighted.mean() * exponent.exp()
        parts = (
            (continued * to_first / kernel[a]).unsqueeze(1) * square[a]
            + (continued * to_second / kernel[b]).unsqueeze(1) * square[b]
            + (continued * to_distance / distance).unsqueeze(1) * separation
        )
        of_spread[:, target] = _variances_of_mean(parts)
    return of_signal, of_spread


def _variances_of_mean(parts: Tensor) -> Tensor:
    """Return the variance over neurons of the mean over all pairs, from `parts` (P, S) of sampled pairs: (1 + GROUPS,).

    Pairs are a sample with replacement, so the mean over different members of the sample is unbiased; the groups give
    the same from fewer pairs each.
    """
    centred = parts - parts.mean(1, keepdim=True)
    size = len(parts) // GROUPS
    grouped = centred[: size * GROUPS].reshape(GROUPS, size, -1)
    sums, squares = grouped.sum(1), grouped.square().sum((1, 2))
    every = (centred.sum(0).square().sum() - centred.square().sum()) / (len(parts) * (len(parts) - 1))
    each = (sums.square().sum(1) - squares) / (size * max(size - 1, 1))
    return torch.cat([every.reshape(1), each]) / (parts.shape[1] - 1)

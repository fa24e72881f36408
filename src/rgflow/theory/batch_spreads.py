"""What different seeds make of one batch, layer by layer: mean signal, mean pairwise spread and rms output.

Signal: mean over inputs and neurons of z^2. Spread: variance of z over the batch, averaged over neurons. Means carry their
1/n shift (`batch_flow`), deviations come from virtual neurons (`seed_deviation`), for weights and biases of any kurtosis.
Units: signal and spread of z^2, rms of z.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records import MLP, Estimate
from rgflow.theory.batch_estimates import deviation_estimate, signal_estimate, spread_estimate
from rgflow.theory.batch_flow import batch_flow
from rgflow.theory.laws import LayerLaw
from rgflow.theory.seed_deviation import seed_deviation

__all__ = ["BatchStatistics", "LayerStatistics", "batch_statistics"]


@dataclass(frozen=True)
class LayerStatistics:
    """One layer: means over seeds, standard deviations over seeds, and the relative variances that control the expansion.

    `rms` is the root of the signal of one network: for the last layer the size of a logit.
    """

    signal: Estimate
    signal_deviation: Estimate
    spread: Estimate
    spread_deviation: Estimate
    rms: Estimate
    rms_deviation: Estimate
    control_signal: float
    control_spread: float


@dataclass(frozen=True)
class BatchStatistics:
    """Layers 1..L of a network on a batch of `inputs` rows, and the seed of the virtual neurons."""

    network: MLP
    layers: tuple[LayerStatistics, ...]
    inputs: int
    seed: int


def batch_statistics(
    network: MLP, inputs: Tensor, *, weight_kurtosis: float = 0.0, bias_kurtosis: float = 0.0, seed: int
) -> BatchStatistics:
    """Return mean and seed-to-seed deviation of signal, spread and rms of every layer on the rows of `inputs` (N, n_0).

    Excess kurtoses: 0 Gaussian, -6/5 uniform (PyTorch's nn.Linear), -2 random signs.
    Errors: truncation bars of `truncation` (95 of 100 cases) with the sampling errors of pairs and neurons inside.
    Raises: SettingError for skip connections, inputs of another shape, or a batch without two different rows.
    Source: the martingale identity Var f = sum_m E[Var(E[f | layer m] | layer m - 1)], see docs/theory.md.

    Example:
    >>> network = MLP((3, 64, 64, 1), "relu", weight_variance=2.0)
    >>> found = batch_statistics(network, torch.eye(3, dtype=torch.float64), seed=0)
    >>> round(found.layers[-1].signal.value, 2)  # |x|^2 C_W / n_0, conserved by He's initialisation
    0.67
    """
    x = _checked(network, inputs)
    laws = [
        LayerLaw(weight, bias, weight_kurtosis, bias_kurtosis)
        for weight, bias in zip(network.weight_variance, network.bias_variance, strict=True)
    ]
    activations = [network.activation] * (network.depth - 1)
    flow = batch_flow(x, widths=network.widths, laws=laws, activations=activations, seed=seed)
    deviation = seed_deviation(flow, seed=seed + 1)
    layers = []
    for index, mean in enumerate(flow.means):
        signal, spread = signal_estimate(mean), spread_estimate(mean)
        of_signal = deviation_estimate(
            deviation.signal[index], deviation.signal_error[index], mean=signal, control=mean.control_signal
        )
        of_spread = deviation_estimate(
            deviation.spread[index], deviation.spread_error[index], mean=spread, control=mean.control_spread
        )
        rms, of_rms = _rms(signal, of_signal)
        layers.append(
            LayerStatistics(signal, of_signal, spread, of_spread, rms, of_rms, mean.control_signal, mean.control_spread)
        )
    return BatchStatistics(network, tuple(layers), len(x), seed)


def _checked(network: MLP, inputs: Tensor) -> Tensor:
    if network.skip != 0.0:
        raise SettingError(f"skip is {network.skip}; only networks without skip connections (skip 0) are covered here")
    x = torch.as_tensor(inputs, dtype=torch.float64)
    if x.ndim != 2 or x.shape[1] != network.widths[0] or not bool(torch.isfinite(x).all()):
        raise SettingError(
            f"the inputs have shape {tuple(x.shape)}; finite numbers of shape (inputs, {network.widths[0]}) are needed"
        )
    return x


def _rms(signal: Estimate, deviation: Estimate) -> tuple[Estimate, Estimate]:
    """Return mean and deviation of the root of a signal S: sqrt(S) (1 - v / 8) and sd / (2 sqrt S), v = Var S / S^2.

    Bars: the next order of both, v^2 / 4 and v / 4, bounds what a log-normal and a normal S make of it (v < 1).
    """
    root = math.sqrt(max(signal.value, 0.0))
    if root == 0.0:
        return Estimate(0.0, math.sqrt(signal.error), "truncation"), deviation
    variance = (deviation.value / signal.value) ** 2
    mean = root * (1 - variance / 8)
    spread = deviation.value / (2 * root)
    return (
        Estimate(mean, math.hypot(signal.error / (2 * root), root * variance**2 / 4), "truncation"),
        Estimate(spread, math.hypot(deviation.error / (2 * root), spread * variance / 4), "truncation"),
    )

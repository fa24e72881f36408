"""Mean, error and mixing of several Markov chains that sample one quantity: joint autocorrelation and split R-hat.

Convention: a series has the shape (chains, records), records equally far apart. The autocorrelation time is the integrated
one, 1 + 2 sum of autocorrelations, in records: records / autocorrelation time = effective samples.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.statistics import effective_samples

__all__ = ["ChainStatistics", "chain_statistics", "split_r_hat"]

_FEWEST_RECORDS = 4  # two halves of two records: the least that has a variance within and between halves


@dataclass(frozen=True)
class ChainStatistics:
    """Mean and standard error of a quantity over all chains, and how well they mix.

    `effective_samples` counts all chains together; `autocorrelation_time` is in records (NaN where a chain has fewer than
    4 of them); `split_r_hat` is 1 for chains that agree, infinite for constant chains at different values, NaN where unknown;
    `constant` says that the quantity never changed.
    """

    mean: float
    error: float
    effective_samples: float
    autocorrelation_time: float
    split_r_hat: float
    constant: bool


def chain_statistics(series: Tensor) -> ChainStatistics:
    """Return mean, error sqrt(variance / effective samples), autocorrelation time and split R-hat of a series.

    Shapes: `series` (chains, records). The variance and the autocorrelations are those of all chains jointly, so that chains
    which disagree have few effective samples; chains of fewer than 4 records count one effective sample each.
    Errors: the standard error is itself estimated; it is too small for chains shorter than some 20 autocorrelation times.
    Source: Vehtari, Gelman, Simpson, Carpenter and Buerkner 2021, arXiv:1903.08008, eqs. 1-4 and 10; Geyer 1992,
    Statistical Science 7, 473 (initial monotone positive sequence).

    Example:
    >>> found = chain_statistics(torch.tensor([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0]]))
    >>> found.mean, found.effective_samples
    (0.5, 8.0)
    """
    values = _checked(series)
    count, records = values.shape
    mean = float(values.mean())
    if bool((values == values[0, 0]).all()):
        return ChainStatistics(mean, 0.0, float(values.numel()), 1.0, 1.0, True)
    if records < _FEWEST_RECORDS:
        spread = float(values.mean(1).std()) if count > 1 else math.inf
        return ChainStatistics(mean, spread / math.sqrt(count), float(count), math.nan, math.nan, False)
    variance = _pooled_variance(values)
    effective = _joint_effective_samples(values) if count > 1 else effective_samples(values[0])
    error = math.sqrt(variance / effective)
    return ChainStatistics(mean, error, effective, values.numel() / effective, split_r_hat(values), False)


def split_r_hat(series: Tensor) -> float:
    """Return sqrt(pooled variance / mean variance within), every chain cut into its two halves.

    Shapes: (chains, records), at least 4 records; an odd record in the middle is left out.
    Source: Vehtari et al. 2021, arXiv:1903.08008, eqs. 1-4; 1 for chains in one stationary state, infinite for constant
    chains that differ.
    """
    values = _checked(series)
    if values.shape[1] < _FEWEST_RECORDS:
        raise SettingError(f"chains of {values.shape[1]} records given; split R-hat needs at least {_FEWEST_RECORDS}")
    half = values.shape[1] // 2
    halves = torch.cat([values[:, :half], values[:, -half:]])
    within, pooled = float(halves.var(1).mean()), _pooled_variance(halves)
    if within <= 0.0:
        return math.inf if pooled > 0.0 else 1.0
    return math.sqrt(pooled / within)


def _pooled_variance(values: Tensor) -> float:
    """Return (n - 1)/n W + B/n: variance within chains and between their means together."""
    count, records = values.shape
    between = float(values.mean(1).var()) if count > 1 else 0.0
    return (records - 1) / records * float(values.var(1).mean()) + between


def _joint_effective_samples(values: Tensor) -> float:
    records = values.shape[1]
    centred = values - values.mean(1, keepdim=True)
    spectrum = torch.fft.rfft(centred, n=2 * records)
    covariance = torch.fft.irfft(spectrum.abs() ** 2, n=2 * records)[:, :records].mean(0) / records
    within = float(values.var(1).mean())
    correlation = 1.0 - (within - covariance) / _pooled_variance(values)
    correlation[0] = 1.0
    pairs = correlation[: records // 2 * 2].reshape(-1, 2).sum(1)
    stops = (pairs <= 0.0).nonzero()
    kept = pairs[: int(stops[0])] if len(stops) else pairs
    time = 2.0 * float(kept.cummin(0).values.sum()) - 1.0
    return values.numel() / max(time, 1.0)


def _checked(series: Tensor) -> Tensor:
    values = torch.as_tensor(series, dtype=torch.float64)
    if values.ndim != 2 or 0 in values.shape:
        raise SettingError(
            f"the series has shape {tuple(values.shape)}; (chains, records) is needed, neither of them 0"
        )
    return values

"""Averages over independent samples with their standard errors, and the threshold that a family of z-scores may reach.

Convention: the first axis of `samples` counts independent samples (networks); all other axes are kept.
Errors are one standard error.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from scipy.special import log1p, ndtri
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["Statistic", "effective_samples", "jackknife", "mean", "standard_deviation", "variance", "z_threshold"]


@dataclass(frozen=True)
class Statistic:
    """A statistic of a sample and its standard error, elementwise; `samples` is the number behind it."""

    value: Tensor
    error: Tensor
    samples: int


def mean(samples: Tensor) -> Statistic:
    """Return the sample mean and s / sqrt(n).

    Shapes: (n, ...) to (...). Raises: SettingError for fewer than two samples.
    """
    values = _checked(samples, least=2)
    return Statistic(values.mean(0), values.std(0) / math.sqrt(len(values)), len(values))


def variance(samples: Tensor) -> Statistic:
    """Return the unbiased variance s^2 and its error sqrt((m4 - s^4 (n-3)/(n-1)) / n), m4 the fourth central moment.

    Errors: the standard error is itself estimated; heavy tails need many samples.
    Source: Kendall and Stuart, The advanced theory of statistics, vol. 1, ch. 10.
    """
    values = _checked(samples, least=4)
    n = len(values)
    square = values.var(0)
    fourth = ((values - values.mean(0)) ** 4).mean(0)
    error = ((fourth - square**2 * (n - 3) / (n - 1)).clamp(min=0.0) / n).sqrt()
    return Statistic(square, error, n)


def standard_deviation(samples: Tensor) -> Statistic:
    """Return s and its standard error, (error of s^2) / (2 s); 0 +- 0 for constant samples."""
    square = variance(samples)
    value = square.value.sqrt()
    error = torch.where(value > 0, square.error / (2 * value).clamp(min=torch.finfo(value.dtype).tiny), 0.0)
    return Statistic(value, error, square.samples)


def jackknife(function: Callable[..., Tensor], samples: Sequence[Tensor]) -> Statistic:
    """Return f(mean of samples[0], mean of samples[1], ...) with its jackknife standard error.

    `function` receives one tensor per entry of `samples`, and must act elementwise so that it can take all n
    leave-one-out means (n, ...) at once: sqrt of a mean, ratio of two means, and so on.
    Source: Efron 1982, "The jackknife, the bootstrap and other resampling plans", ch. 3.
    """
    columns = [_checked(column, least=2) for column in samples]
    n = len(columns[0])
    if any(len(column) != n for column in columns):
        raise SettingError(
            f"the columns have {[len(column) for column in columns]} samples; they must have equally many"
        )
    means = [column.mean(0) for column in columns]
    without = [average + (average - column) / (n - 1) for average, column in zip(means, columns, strict=True)]
    replicas = function(*without)
    error = ((n - 1) / n * ((replicas - replicas.mean(0)) ** 2).sum(0)).sqrt()
    return Statistic(function(*means), error, n)


def effective_samples(chain: Tensor) -> float:
    """Return n / (1 + 2 sum of autocorrelations) of one series, summed to the first non-positive pair.

    Source: Geyer 1992, Statistical Science 7, 473 (initial positive sequence).
    """
    series = _checked(chain, least=4).flatten()
    n = len(series)
    centred = series - series.mean()
    spectrum = torch.fft.rfft(centred, n=2 * n)
    covariance = torch.fft.irfft(spectrum.abs() ** 2, n=2 * n)[:n] / n
    if float(covariance[0]) <= 0.0:
        return float(n)
    correlation = covariance / covariance[0]
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(1)
    stops = (pairs <= 0).nonzero()
    last = int(stops[0]) if len(stops) else len(pairs)
    return min(float(n), n / max(2.0 * float(pairs[:last].sum()) - 1.0, 1.0 / n))


def z_threshold(family_size: int, false_alarm: float = 1e-6) -> float:
    """Return z such that `family_size` independent normal scores all stay below z in modulus but for `false_alarm`.

    Two-sided, Sidak: P(|z| > threshold) = 1 - (1 - false_alarm)^(1/family_size) for each score.
    """
    if family_size < 1 or not 0.0 < false_alarm < 1.0:
        raise SettingError(
            f"family size {family_size} and false-alarm rate {false_alarm} given; need at least 1 and a rate in (0, 1)"
        )
    single = -math.expm1(float(log1p(-false_alarm)) / family_size)
    return -float(ndtri(single / 2.0))


def _checked(samples: Tensor, *, least: int) -> Tensor:
    values = torch.as_tensor(samples, dtype=torch.float64)
    if values.ndim == 0 or len(values) < least:
        count = 0 if values.ndim == 0 else len(values)
        raise SettingError(f"{count} samples given; at least {least} are needed for a standard error")
    return values

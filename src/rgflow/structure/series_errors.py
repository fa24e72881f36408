"""How far autocorrelation inflates the variance of an average over samples in the order in which they were recorded.

Convention: a series has the mean 0; the variance of its mean over M samples is inflation * (mean square) / M with
inflation = 1 + 2 sum_l rho(l), rho(l) the autocorrelation at lag l. Chains stand one after the other, equally long.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len

from rgflow.errors import SettingError

__all__ = ["Inflation", "checked_chains", "inflation"]

_LARGEST_SHARE = 4  # lags up to a quarter of a chain: beyond, one chain holds too few independent stretches
_LEAST = 0.25  # a smaller factor (strongly alternating samples) is not believed
_DIRECT = 16  # lags tried by direct sums before a Fourier transform gives all of them
_CHUNK = 2**22  # entries of a Fourier transform at a time: 64 MB in complex128


@dataclass(frozen=True, eq=False)
class Inflation:
    """Factor (series,) of every variance, the last lag that was summed, and whether the sum ended on its own."""

    factors: np.ndarray
    window: int
    settled: bool


def checked_chains(chains: int, *, samples: int) -> int:
    """Return the number of chains. Raises: SettingError where the samples do not split into that many of equal length."""
    if chains < 1 or samples % chains:
        raise SettingError(
            f"chains is {chains} for {samples} samples; it must divide them, chains standing one after the other"
        )
    return int(chains)


def inflation(series: np.ndarray, *, groups: np.ndarray, chains: int = 1) -> Inflation:
    """Return the inflation of every row of `series` (series, samples), rows of mean 0.

    One window serves each group: the group's average autocorrelation ends it before the first pair of lags whose sum is not
    positive. Averages have little noise, so that independent samples get factors whose expectation is 1. `groups` (series,)
    numbers the groups.
    Errors: a factor has the relative standard error sqrt(2 (2 window + 1) / samples) (Madras and Sokal 1988).
    Source: Geyer 1992, Statistical Science 7, 473 (initial positive sequence).
    """
    lags = max(1, series.shape[1] // chains // _LARGEST_SHARE)
    factors, longest, settled = np.empty(len(series)), 0, True
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        part = series if len(rows) == len(series) else series[rows]
        correlations = _first_correlations(part, chains=chains, lags=min(lags, _DIRECT))
        window = _window(correlations.mean(0))
        if window >= _DIRECT - 1 and lags > _DIRECT:
            correlations = _autocorrelations(part, chains=chains, lags=lags)
            window = _window(correlations.mean(0))
        factors[rows] = 2.0 * correlations[:, : window + 1].sum(1) - 1.0
        longest, settled = max(longest, window), settled and (window < lags - 1 or lags < 4)
    return Inflation(np.maximum(factors, _LEAST), longest, settled)


def _first_correlations(series: np.ndarray, *, chains: int, lags: int) -> np.ndarray:
    """Return rho at the lags 0 .. lags - 1 by direct sums, or up to the first pair of lags whose average is not positive."""
    length = series.shape[1] // chains
    part = series.reshape(-1, chains, length)
    found = []
    for lag in range(lags):
        found.append(np.einsum("pcm,pcm->p", part[..., lag:], part[..., : length - lag]).astype(np.float64))
        if lag % 2 and float((_normalised(np.stack(found, axis=1))[:, -2:]).sum(1).mean()) <= 0.0:
            break
    return _normalised(np.stack(found, axis=1))


def _autocorrelations(series: np.ndarray, *, chains: int, lags: int) -> np.ndarray:
    """Return rho at the lags 0 .. lags - 1, (series, lags)."""
    rows, samples = series.shape
    length = samples // chains
    size = int(next_fast_len(length + lags, real=True) or 0)
    found = np.empty((rows, lags))
    step = max(1, _CHUNK // (size * chains))
    for low in range(0, rows, step):
        part = series[low : low + step].reshape(-1, chains, length).astype(np.float64)
        spectrum = np.fft.rfft(part, n=size)
        found[low : low + step] = np.fft.irfft((spectrum.real**2 + spectrum.imag**2).sum(1), n=size)[:, :lags]
    return _normalised(found)


def _normalised(products: np.ndarray) -> np.ndarray:
    power = products[:, :1].copy()
    products /= np.where(power > 0.0, power, 1.0)
    products[:, 0] = 1.0
    return products


def _window(mean: np.ndarray) -> int:
    """Return the last lag before the first pair (2 j, 2 j + 1) whose sum is not positive."""
    pairs = mean[: len(mean) // 2 * 2].reshape(-1, 2).sum(1)
    stops = np.flatnonzero(pairs <= 0.0)
    return max(0, 2 * (int(stops[0]) if len(stops) else len(pairs)) - 1)

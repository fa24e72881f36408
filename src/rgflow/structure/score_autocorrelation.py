"""How many samples a series of correlated ones needs for one independent, for many series at once.

Convention: series are (rows, samples), in the order in which the samples were drawn; times are in samples.
"""

import numpy as np

from rgflow.errors import SettingError

__all__ = ["autocorrelation_times", "evenly"]


def autocorrelation_times(series: np.ndarray, *, kinds: np.ndarray, chains: int = 1) -> np.ndarray:
    """Return 1 + 2 sum of autocorrelations of each row of `series` (rows, samples), at least 1."""
    samples = series.shape[1]
    if samples % chains:
        raise SettingError(f"chains is {chains}, which does not divide {samples} samples; give chains of equal length")
    del kinds
    n = samples
    if n < 4:
        return np.ones(len(series))
    centred = series - series.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * n, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, n=2 * n, axis=1)[:, :n]
    variance = covariance[:, :1]
    correlation = covariance / np.where(variance > 0.0, variance, 1.0)
    pairs = correlation[:, : n // 2 * 2].reshape(len(series), -1, 2).sum(axis=2)
    pairs[np.maximum.accumulate(pairs <= 0.0, axis=1)] = 0.0
    return np.maximum(2.0 * pairs.sum(axis=1) - 1.0, 1.0)


def evenly(count: int, *, at_most: int) -> np.ndarray:
    """Return at most `at_most` whole numbers spread evenly over 0 .. count - 1."""
    if count <= at_most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, at_most).astype(np.int64))

"""Interleaved Markov chains in a data set: found by the lag at which samples resemble each other.

Convention: values (variables, samples). Samples of c chains recorded in turn resemble each other at the lag c more than at any
other; they must be put chain by chain before neighbouring samples can be joined into blocks.
"""

import math

import numpy as np

from rgflow.numerics.statistics import z_threshold

__all__ = ["interleaved_chains"]

_SERIES = 8  # random linear combinations, each also squared: enough that one of them sees a slow mode
_FALSE_ALARM = 1e-4  # of independent samples to be taken for chains; harmless, they are then only put in another order
_LONGEST = 4  # lags up to a quarter of the samples: at least four samples a chain


def interleaved_chains(values: np.ndarray, *, seed: int) -> int:
    """Return the lag with the largest autocorrelation of random projections, 1 if none is significant.

    Errors: sees correlations above some 5.5 / sqrt(samples).
    """
    samples = values.shape[1]
    lags = samples // _LONGEST
    weights = np.random.default_rng(seed).standard_normal((_SERIES, len(values)))
    series = weights @ (values - values.mean(1, keepdims=True))
    series = np.concatenate([series, series**2])
    series -= series.mean(1, keepdims=True)
    scale = np.sqrt((series**2).sum(1, keepdims=True))
    series = series / np.where(scale > 0, scale, 1.0)
    spectrum = np.fft.rfft(series, n=2 * samples, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, n=2 * samples, axis=1)[:, 1 : lags + 1]
    level = z_threshold(correlation.size, _FALSE_ALARM) / math.sqrt(samples)
    best = correlation.max(axis=0)
    # The largest, not the first above the level: the level is that of independent samples, which chains are not.
    return int(best.argmax()) + 1 if best.max() > level else 1

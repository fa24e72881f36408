"""Which samples are scored by which fit: blocks of neighbouring samples, dealt to folds at random.

A sample that a fit has not seen may still have a close relative that it has: the one before it in a Markov chain. Blocks many
autocorrelation times long keep relatives together, so that memory of them does not pass for understanding. Times are counted in
samples.
"""

import math

import numpy as np
import torch

from rgflow.numerics.statistics import effective_samples

__all__ = ["autocorrelation", "dealt"]

BLOCK = 20  # autocorrelation times in a block: the two ends, one time each, are then a tenth of it
CHANCE = 25.0  # the longest time of 10 series of n independent samples is below 1 + 25/sqrt(n) in 98 of 100 cases (simulated)
PROJECTIONS = 4  # random directions whose series are looked at, besides the mean


def autocorrelation(samples: np.ndarray, *, seed: int) -> float:
    """Return the longest integrated autocorrelation time seen in the mean, random projections, and their squares; >= 1.

    Squares catch chains in which a global sign is drawn afresh. Exactly 1 where no time exceeds what independent samples show.
    """
    values = np.asarray(samples, dtype=np.float64)
    values = values - values.mean(0)
    directions = np.random.default_rng([seed, 0]).normal(size=(values.shape[1], PROJECTIONS))
    series = np.concatenate([values.mean(1, keepdims=True), values @ directions], axis=1)
    series = np.concatenate([series, series**2], axis=1)
    time = max(len(values) / effective_samples(torch.as_tensor(column.copy())) for column in series.T)
    return time if time > 1.0 + CHANCE / math.sqrt(len(values)) else 1.0


def dealt(samples: int, *, folds: int, time: float, seed: int) -> tuple[np.ndarray, ...]:
    """Return the samples of each fold, rising: blocks of 20 autocorrelation times, dealt out at random in equal numbers.

    Blocks are never longer than one fold; a fold of a chain that slow is one contiguous part of it.
    """
    length = min(math.ceil(BLOCK * time), math.ceil(samples / folds))
    blocks = max(samples // length // folds, 1) * folds
    owner = np.random.default_rng([seed, 1]).permutation(np.arange(blocks) % folds)
    block = np.arange(samples) * blocks // samples
    return tuple(np.flatnonzero(owner[block] == fold) for fold in range(folds))

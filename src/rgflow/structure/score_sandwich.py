"""Standard errors of an estimate that makes the average of a score vanish: the sandwich, for autocorrelated samples too.

theta - truth = inverse @ mean of scores to first order, so that the covariance is inverse S inverse / samples, S the
covariance of the scores over samples, times the inflation by autocorrelation of each parameter's own series.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgflow.structure.series_errors import checked_chains, inflation

__all__ = ["FOLLOWED", "Sandwich", "evenly", "inflations", "sandwich", "times_for_all"]

FOLLOWED = 64  # parameters whose autocorrelation stands for that of their like, where there are more than _ALL
_ALL = 256  # parameters that are all followed
_COVARIANCE_AT_MOST = 2_000  # parameters: a covariance of 32 MB
_NUMBERS = 20_000_000  # in a block of scores: 160 MB
_WORK = 2e10  # multiplications, about a second; beyond it S rests on evenly spaced samples, 1,000 or more


@dataclass(frozen=True, eq=False)
class Sandwich:
    """`errors`, `times` (parameters,): standard errors, autocorrelation times in samples; `covariance` or None if large."""

    errors: np.ndarray
    covariance: np.ndarray | None
    times: np.ndarray


def sandwich(
    inverse: np.ndarray, scores: Callable[[slice], np.ndarray], *, samples: int, kinds: np.ndarray, chains: int = 1
) -> Sandwich:
    """Return the errors for `inverse` (parameters, parameters) and `scores`, which gives (parameters, samples of a slice).

    `kinds` (parameters,) numbers parameters that are alike. The slices asked for follow each other and cover all samples.
    Raises: SettingError where `chains` does not divide `samples`.
    """
    checked_chains(chains, samples=samples)
    count = len(inverse)
    followed = evenly(count, at_most=count if count <= _ALL else FOLLOWED)
    kept = evenly(samples, at_most=min(samples, max(1_000, int(_WORK / count**2))))
    series = np.zeros((len(followed), samples))
    sampled = np.zeros((count, len(kept)))
    step = max(1, _NUMBERS // count)
    for start in range(0, samples, step):
        here = slice(start, min(start + step, samples))
        block = scores(here)
        series[:, here] = inverse[followed] @ block
        inside = (kept >= here.start) & (kept < here.stop)
        sampled[:, inside] = block[:, kept[inside] - start]
    times = times_for_all(kinds, followed, inflations(series, kinds=kinds[followed], chains=chains))
    influence = inverse @ sampled
    influence -= influence.mean(axis=1, keepdims=True)
    scale = np.sqrt(times / samples)
    covariance = None
    if count <= _COVARIANCE_AT_MOST:
        covariance = scale[:, None] * (influence @ influence.T / len(kept)) * scale
    return Sandwich(np.sqrt((influence**2).mean(axis=1)) * scale, covariance, times)


def times_for_all(kinds: np.ndarray, followed: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the time of every parameter: its own where followed, else the mean over those of its kind, or over all."""
    times = np.full(len(kinds), found.mean())
    for kind in np.unique(kinds[followed]):
        times[kinds == kind] = found[kinds[followed] == kind].mean()
    times[followed] = found
    return times


def inflations(series: np.ndarray, *, kinds: np.ndarray, chains: int) -> np.ndarray:
    """Return the autocorrelation time of each row of `series` (rows, samples), means taken out."""
    return inflation(series - series.mean(axis=1, keepdims=True), groups=kinds, chains=chains).factors


def evenly(count: int, *, at_most: int) -> np.ndarray:
    """Return at most `at_most` whole numbers spread evenly over 0 .. count - 1."""
    if count <= at_most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, at_most).astype(np.int64))

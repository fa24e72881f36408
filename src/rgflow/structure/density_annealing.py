"""The logarithm of a partition function by annealed importance sampling, with an error from the weights.

Chains start as independent draws of a simple law p_0 and move through p_k ~ p_0^(1 - b_k) exp(-b_k H); the average of
their weights exp(sum_k (b_k - b_(k-1)) (-H - ln p_0)) is Z without bias, whatever the moves, as long as move k leaves p_k
as it is.
Source: Neal 2001, Statistics and Computing 11, 125.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from rgflow.records.estimate import Estimate

__all__ = ["Annealing", "annealed_log_partition"]

CHAINS = 128  # weights behind one estimate; their scatter then has a relative error of 6 %
_FIRST_STEPS, _LAST_STEPS = 50, 1_600
_WANTED = 0.05  # nats a sample of all variables: below what held-out data can tell apart of two models
_FEWEST = 0.25  # effective share of the weights, below which their scatter is not trusted and the steps are doubled


@dataclass(frozen=True, eq=False)
class Annealing:
    """What to anneal: `start(chains)` draws states of p_0, `gain(states)` = -H - ln p_0, `move(states, share)` one move."""

    start: Callable[[int], np.ndarray]
    gain: Callable[[np.ndarray], np.ndarray]
    move: Callable[[np.ndarray, float], np.ndarray]


def annealed_log_partition(annealing: Annealing) -> Estimate:
    """Return ln Z with one standard error; steps are doubled until it is at most 0.05 nats, from 50 to at most 1,600.

    Errors: from the scatter of 128 weights (delta method). Laws whose modes are far apart and not reached from p_0 can
    fool it: the scatter then misses them, and ln Z comes out too small.
    """
    steps = _FIRST_STEPS
    while True:
        weights = _log_weights(annealing, steps=steps)
        value = float(logsumexp(weights) - np.log(len(weights)))
        ratio = np.exp(weights - value)  # of mean 1
        error = float(ratio.std(ddof=1) / np.sqrt(len(weights)))
        effective = len(weights) / float((ratio**2).mean())
        if (error <= _WANTED and effective >= _FEWEST * len(weights)) or steps >= _LAST_STEPS:
            return Estimate(value, error, "statistical")
        steps *= 2


def _log_weights(annealing: Annealing, *, steps: int) -> np.ndarray:
    states = annealing.start(CHAINS)
    weights = np.zeros(CHAINS)
    shares = np.linspace(0.0, 1.0, steps + 1)
    for before, share in itertools.pairwise(shares.tolist()):
        weights += (share - before) * annealing.gain(states)
        states = annealing.move(states, share)
    return weights

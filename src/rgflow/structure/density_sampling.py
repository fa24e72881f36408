"""Draws from a law by annealed Markov chains, with the number of independent ones they are worth.

Chains start as independent draws of a simple law, move to the full one in equal steps, and are kept every few moves
after as many moves again; the chains stand one after the other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgflow.structure.density_annealing import Annealing
from rgflow.structure.series_errors import inflation

__all__ = ["Draws", "annealed_draws"]

_CHAINS = 64  # run side by side, so that a move costs little more than that of one chain
_APPROACH = 200  # moves to the full law, and as many there before the first draw
_APART = 5  # moves between draws of one chain


@dataclass(frozen=True, eq=False)
class Draws:
    """`values` (draws, variables); `effective` independent draws among them; `disagreement` is R-hat of the chains.

    R-hat is 1 for exact draws, and nan where there are too few draws a chain to tell.
    """

    values: np.ndarray
    effective: float
    disagreement: float


def annealed_draws(
    annealing: Annealing, *, count: int, statistics: Callable[[np.ndarray], np.ndarray], generator: np.random.Generator
) -> Draws:
    """Return `count` draws; `statistics` (states to (k, states)) is what the effective number is measured on.

    Errors: the effective number is the smallest over the statistics; R-hat the largest (Gelman and Rubin 1992).
    """
    chains = min(_CHAINS, count)
    states = annealing.start(chains)
    for move in range(2 * _APPROACH):
        states = annealing.move(states, min(1.0, (move + 1) / _APPROACH))
    length = -(-count // chains)
    kept, series = [], []
    for _ in range(length):
        for _ in range(_APART):
            states = annealing.move(states, 1.0)
        kept.append(states)
        series.append(statistics(states))
    values = np.stack(kept, axis=1).reshape(chains * length, -1)
    traces = np.stack(series, axis=2)  # (statistics, chains, draws)
    order = generator.permutation(chains * length)[:count] if chains * length > count else np.arange(count)
    if length < 8:  # too short to tell an autocorrelation
        return Draws(values[order], float(chains), float("nan"))
    centred = traces - traces.mean(axis=(1, 2), keepdims=True)
    factors = inflation(centred.reshape(len(traces), -1), groups=np.arange(len(traces)), chains=chains).factors
    return Draws(values[order], count / max(1.0, float(factors.max())), _disagreement(traces))


def _disagreement(traces: np.ndarray) -> float:
    half = traces.shape[2] // 2
    parts = np.concatenate([traces[:, :, :half], traces[:, :, half : 2 * half]], axis=1)
    within = parts.var(axis=2, ddof=1).mean(axis=1)
    between = parts.mean(axis=2).var(axis=1, ddof=1)
    known = within > 0.0
    ratio = np.sqrt(1.0 - 1.0 / half + between[known] / within[known])
    return float(ratio.max(initial=1.0))

"""Chains of sweeps for models of several states or real values: run, tuned while the start is forgotten, recorded.

Convention: a chain is a state that its own sweeps move on. Steps are tuned during the discarded sweeps alone, so that the
recorded ones keep the law; every `every`-th of those is a record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rgflow.lattice.chain_running import run_side_by_side
from rgflow.lattice.methods import SamplingPlan
from rgflow.lattice.random_streams import streams

__all__ = ["Chain", "TunedStep", "recorded"]

_ACCEPTED = 0.5  # of single moves of one number; the optimum lies between 0.4 and 0.6 and is flat
_GAIN = 0.3  # of log step for each sweep: some 20 sweeps reach a step ten times larger or smaller


class Chain(Protocol):
    """One chain in progress."""

    def sweep(self, *, tuning: bool) -> None:
        """Move the state on by one sweep; steps may change where `tuning` is set."""

    def state(self) -> np.ndarray:
        """Return the state (sites,) as it is recorded."""
        ...


@dataclass
class TunedStep:
    """The size of a Metropolis step, between 0 and `largest`."""

    size: float
    largest: float

    def tune(self, accepted: float) -> None:
        """Grow or shrink after a sweep in which this fraction of the moves was accepted."""
        self.size = min(self.largest, self.size * float(np.exp(_GAIN * (accepted - _ACCEPTED))))


def recorded(plan: SamplingPlan, *, begin: Callable[[int, np.ndarray], Chain], dtype: Any) -> np.ndarray:
    """Return the records (chains, records, sites) of chains that `begin` starts from their number and random words."""
    words = streams(plan.seed, count=plan.chains)
    out = np.empty((plan.chains, plan.records, int(np.prod(plan.shape))), dtype=dtype)

    def run(number: int) -> None:
        chain = begin(number, words[number])
        for _ in range(plan.discard):
            chain.sweep(tuning=True)
        for record in range(plan.records):
            for _ in range(plan.every):
                chain.sweep(tuning=False)
            out[number, record] = chain.state()

    run_side_by_side(run, count=plan.chains)
    return out

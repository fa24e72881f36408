"""What a sampling method is: a plan in, states and the series that judge them out.

Convention: a sweep visits every site once (or makes one update of all clusters); every `every`-th sweep after the first
`discard` is a record. A new method is a `Method` in the tuple of its model's class in `sampling.MODEL_METHODS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Draw", "Method", "Observable", "SamplingPlan", "valid_always"]


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """What to sample: a model on `shape`, `chains` independent chains of `sweeps` sweeps after `discard` discarded ones."""

    model: Any
    shape: tuple[int, ...]
    chains: int
    sweeps: int
    discard: int
    every: int
    seed: int

    @property
    def records(self) -> int:
        """Records of one chain."""
        return self.sweeps // self.every


@dataclass(frozen=True, eq=False)
class Observable:
    """A number of every record, (chains, records), whose mixing is judged."""

    name: str
    series: np.ndarray


@dataclass(frozen=True, eq=False)
class Draw:
    """What a method returns: states (chains, records, *shape) of any dtype, and the observables to judge.

    The first observable is "energy", H / sites in nats.
    """

    states: np.ndarray
    observables: tuple[Observable, ...]


@dataclass(frozen=True)
class Method:
    """A way to sample a model: `run` draws; `refusal(model, shape)` is "" where it is valid, else the reason in a clause."""

    name: str
    run: Callable[[SamplingPlan], Draw]
    refusal: Callable[[Any, tuple[int, ...]], str]


def valid_always(_model: Any, _shape: tuple[int, ...]) -> str:
    """Return "": the method suits every model of its class."""
    return ""

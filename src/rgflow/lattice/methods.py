"""What a sampling method is: a plan in, states and the series that judge them out.

Convention: a sweep visits every site once (or makes one update of all clusters); every `every`-th sweep after the first
`discard` is a record. A new method is a `Method` in the tuple of its model's class in `sampling.MODEL_METHODS`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rgflow.errors import SettingError

__all__ = ["Draw", "Method", "Observable", "SamplingPlan", "planned", "valid_always"]

_MOST_NUMBERS = 2**31  # states kept at most: 2 GiB of spins
_LEAST_DISCARDED = 20


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


def planned(
    model: Any,
    *,
    shape: int | tuple[int, ...],
    chains: int,
    sweeps: int,
    seed: int,
    discard: int | None = None,
    every: int = 1,
) -> SamplingPlan:
    """Return the checked plan; `discard` None is a quarter of `sweeps`, at least 20.

    Raises: SettingError for numbers out of range, or more than 2^31 numbers to keep.
    """
    sides = (int(shape),) if isinstance(shape, int) else tuple(int(side) for side in shape)
    if not sides or min(sides) < 1:
        raise SettingError(f"shape is {sides}; every side must be >= 1")
    given = max(_LEAST_DISCARDED, int(sweeps) // 4) if discard is None else discard
    plan = SamplingPlan(model, sides, int(chains), int(sweeps), int(given), int(every), int(seed))
    for name, least in (("chains", 1), ("every", 1), ("discard", 0), ("seed", 0)):
        if getattr(plan, name) < least:
            raise SettingError(f"{name} is {getattr(plan, name)}; it must be >= {least}")
    if plan.sweeps < plan.every:
        raise SettingError(f"sweeps is {plan.sweeps} and every {plan.every}; sweeps >= every is needed for one record")
    numbers = plan.chains * plan.records * math.prod(sides)
    if numbers > _MOST_NUMBERS:
        raise SettingError(f"{numbers:.3g} numbers would be kept; at most {_MOST_NUMBERS:,} are, so raise `every`")
    return plan


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

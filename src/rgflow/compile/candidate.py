"""One way to arrange a network, judged before it is built: how many neurons, how large an error."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgflow.compile.assembly import Block
from rgflow.compile.plan import Output

__all__ = ["Candidate"]


@dataclass(frozen=True)
class Candidate:
    """An arrangement: `errors` bounds every output's error, `blocks` makes the layers, `gates` names the kind of product."""

    gates: str
    neurons: int
    products: int
    errors: np.ndarray
    outputs: tuple[Output, ...]
    scales: tuple[float, ...]
    blocks: Callable[[], tuple[tuple[Block, ...], ...]]

    @property
    def error(self) -> float:
        """The largest bound of all outputs."""
        return float(self.errors.max(initial=0.0))

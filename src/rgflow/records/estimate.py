"""A number with its error, and a forecast standing beside its measurement."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from rgflow.errors import SettingError

__all__ = ["ErrorKind", "Estimate", "Quantity"]

ErrorKind = Literal["statistical", "truncation", "rounding", "bound"]


@dataclass(frozen=True)
class Estimate:
    """A value with its absolute error, in the value's own unit.

    `kind` says what the error is: "statistical" (one standard error), "truncation" (a bar that covers the neglected
    orders in 95 of 100 cases), "rounding", or "bound" (never exceeded).
    """

    value: float
    error: float
    kind: ErrorKind

    def __post_init__(self) -> None:
        if self.kind not in get_args(ErrorKind):
            raise SettingError(f"kind of an Estimate is {self.kind!r}; it must be one of {get_args(ErrorKind)}")
        if self.error < 0:
            raise SettingError(f"error of an Estimate is {self.error}; it must be >= 0")


@dataclass(frozen=True)
class Quantity:
    """One number of one layer: what was forecast, what was measured, and why one of them may be missing."""

    predicted: Estimate | None = None
    measured: Estimate | None = None
    reason: str = ""

    @property
    def z(self) -> float | None:
        """(measured - predicted) / combined error, or None where one of them is missing or no error is known."""
        if self.predicted is None or self.measured is None:
            return None
        combined = math.hypot(self.predicted.error, self.measured.error)
        if not math.isfinite(combined) or combined == 0.0:
            return 0.0 if self.measured.value == self.predicted.value else None
        return (self.measured.value - self.predicted.value) / combined

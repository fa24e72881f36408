"""What an ensemble of drawn networks shows, row by row, before anything is compared with a forecast.

A row is one call of one leaf module (or of one linear map on a bare parameter), in order of execution. Rows carry
the module's dotted name; the second call of the same module is `name#2`.
"""

from dataclasses import dataclass

from torch import Tensor

from rgflow.records.estimate import Estimate
from rgflow.records.layer import Source

__all__ = ["EnsembleMeasurement", "RowForecast", "RowIdentity"]


@dataclass(frozen=True)
class RowIdentity:
    """Name, kind and parameters of one row; `parameters` are dotted names that belong to this call alone or shared."""

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: tuple[str, ...] = ()
    linear: bool = False

    @property
    def parametric(self) -> bool:
        """Whether the row owns or uses parameters."""
        return bool(self.parameters)


@dataclass(frozen=True)
class EnsembleMeasurement:
    """Per network and row: mean squares of outputs and of gradients.

    Shapes: `signal`, `spread`, `dead`, `gradient_square`, `backward_square` (networks, rows), float64, NaN where a row
    has no such number; `loss` (networks,); `output_square` (networks,) the mean squared model output.
    `dead` = fraction of this row's channels that are exactly 0 (or exactly constant) on the whole batch.
    `gradient_square` = |dL/d(weights and biases of the row)|^2; `backward_square` = |dL/d(row output)|^2 summed.
    `error` = what the model raised midway, else "".
    """

    rows: tuple[RowIdentity, ...]
    signal: Tensor
    spread: Tensor
    dead: Tensor
    gradient_square: Tensor
    backward_square: Tensor
    loss: Tensor
    output_square: Tensor
    error: str = ""


@dataclass(frozen=True)
class RowForecast:
    """What a forecaster says of one row; None where it says nothing, with the reason.

    `gradient_square` and `backward_square` as in `EnsembleMeasurement` (means over seeds); `tangent_trace` = the sum
    over batch, positions and outputs of |d(output)/d(parameters of the row)|^2.
    """

    name: str
    source: Source
    reason: str = ""
    signal: Estimate | None = None
    spread: Estimate | None = None
    signal_deviation: Estimate | None = None
    spread_deviation: Estimate | None = None
    gradient_square: Estimate | None = None
    backward_square: Estimate | None = None
    tangent_trace: Estimate | None = None
    chi_parallel: float | None = None
    chi_perpendicular: float | None = None
    control: float | None = None

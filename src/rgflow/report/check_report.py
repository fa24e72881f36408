"""The report of one check: everything that the table, the JSON and the page show, and nothing they would compute."""

from dataclasses import dataclass
from typing import Literal

from rgflow.records.estimate import Quantity
from rgflow.records.layer import Finding, LayerReport

__all__ = ["CheckData", "CheckModel", "CheckReport", "LearningRateLimit", "Tally"]


@dataclass(frozen=True)
class CheckModel:
    """What was checked: name, a one-line description, size, control parameter nu * sum(1/n_l), activation classes.

    `architecture` is a one-line summary such as "MLP 64-[64 x 12]-10 relu"; `activation_classes` maps an activation's
    name to its universality class and critical point in words; `control` is None outside fully connected chains.
    """

    name: str
    architecture: str
    parameters: int
    depth: int
    control: float | None
    activation_classes: dict[str, str]


@dataclass(frozen=True)
class CheckData:
    """What it was checked on: name, shape (samples, *features), batch used, task, loss."""

    name: str
    shape: tuple[int, ...]
    batch: int
    task: str
    loss: str
    classes: int | None = None


@dataclass(frozen=True)
class LearningRateLimit:
    """Largest stable SGD step on the batch, 2 / (top curvature), and the tangent kernel behind it.

    `stable_limit`, `tangent_trace` (mean diagonal of the tangent kernel per input and output) and `tangent_top` (top
    eigenvalue of the loss's Gauss-Newton matrix) are forecast and measured; `given` is the user's rate or None.
    """

    stable_limit: Quantity
    tangent_trace: Quantity
    tangent_top: Quantity
    optimizer: str
    given: float | None = None


@dataclass(frozen=True)
class Tally:
    """How many forecast cells lie within 4 combined standard errors of the measurement, of how many."""

    within: int
    cells: int


@dataclass(frozen=True)
class CheckReport:
    """The result of `rgflow.check`.

    `verdict` is "healthy" or "findings" (at least one finding of severity "problem"); `output_deviation` is the
    relative seed-to-seed standard deviation of the model's mean squared output; `error` is what the model raised
    midway, else "".
    `notes` are sentences about the run as a whole (one draw only, batch capped, budget reached, ...).
    `timing` maps a stage to its seconds.
    """

    version: str
    seed: int
    networks: int
    verdict: Literal["healthy", "findings"]
    model: CheckModel
    data: CheckData
    findings: tuple[Finding, ...]
    layers: tuple[LayerReport, ...]
    learning_rate: LearningRateLimit
    output_deviation: Quantity
    tally: Tally
    timing: dict[str, float]
    notes: tuple[str, ...] = ()
    error: str = ""

    def table(self, width: int = 120) -> str:
        """Return the report as text of at most `width` columns, without colour."""
        from rgflow.report.text import to_text

        return to_text(self, width)

    def to_json(self) -> str:
        """Return the report as JSON, schema `rgflow.check/1`."""
        from rgflow.report.schema import to_json

        return to_json(self)

    def to_html(self, path: str) -> None:
        """Write the report as one self-contained HTML page; it appears under `path` only when complete."""
        from rgflow.report.page import write_html

        write_html(self, path)

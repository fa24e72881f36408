"""One layer of a checked model, and a finding about it.

Units: signal and spread are mean squares of a layer's output; gradient is the root mean square over seeds of the
norm of the layer's parameter gradient under the task's loss; backward gain and tangent share are pure numbers.
"""

from dataclasses import dataclass, field
from typing import Literal

from rgflow.records.estimate import Estimate, Quantity

__all__ = ["Finding", "LayerReport", "Severity", "Source"]

Source = Literal["theory", "mean field", "exact op", "simulated", "measured"]
Severity = Literal["problem", "note"]


@dataclass(frozen=True)
class Finding:
    """Something wrong (severity "problem") or worth knowing ("note"): code, layer, one sentence, evidence, remedy.

    `layer` is the name of the first layer concerned, or "" for the model or the data as a whole.
    `evidence` holds the numbers that led to it; a threshold stands beside the number it judges.
    """

    code: str
    layer: str
    message: str
    evidence: dict[str, float | int | str]
    remedy: str
    severity: Severity = "problem"


@dataclass(frozen=True)
class LayerReport:
    """One row of a report: a layer's identity, its drawn initialisation, and forecast against measurement.

    `source` says how the forecast was obtained and `reason` why it is not a better one.
    `signal` = mean over batch, positions and channels of z**2; `spread` = mean over pairs of inputs of K_aa - K_ab
    (the unbiased variance of z over the batch, averaged over positions and channels); `gradient` = rms over seeds of
    the norm of the parameter gradient; `backward_gain` = E|dL/dz|^2 of this row over that of the next parametric row;
    `tangent_share` = this layer's part of the tangent kernel's trace on the batch. `*_deviation` = the seed-to-seed
    standard deviation of the same quantity. `control` = relative variance of this layer's kernel over seeds.
    `chi_*` belong to the step into this layer; `dead` = measured fraction of channels that are constant on the batch.
    """

    name: str
    kind: str
    source: Source
    reason: str = ""
    parametric: bool = False
    shape: tuple[int, ...] = ()
    fan_in: int | None = None
    width: int | None = None
    weight_variance: Estimate | None = None
    bias_variance: Estimate | None = None
    weight_kurtosis: Estimate | None = None
    signal: Quantity = field(default_factory=Quantity)
    signal_deviation: Quantity = field(default_factory=Quantity)
    spread: Quantity = field(default_factory=Quantity)
    spread_deviation: Quantity = field(default_factory=Quantity)
    gradient: Quantity = field(default_factory=Quantity)
    gradient_deviation: Quantity = field(default_factory=Quantity)
    backward_gain: Quantity = field(default_factory=Quantity)
    tangent_share: Quantity = field(default_factory=Quantity)
    chi_parallel: float | None = None
    chi_perpendicular: float | None = None
    depth_scale: float | None = None
    control: float | None = None
    dead: float | None = None
    verdict: str = "ok"

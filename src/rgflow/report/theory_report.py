"""The report of the effective theory of one network: everything that its text, JSON and page show.

Units: kernels and distances are mean squares of preactivations; chi, control, growth and aspect ratios pure numbers;
depth scales count layers. Deviations are standard deviations over drawn networks.
"""

from dataclasses import dataclass, field
from itertools import groupby

from rgflow.records.estimate import Estimate, Quantity

__all__ = ["Collapse", "Diagram", "DiagramLine", "TheoryCouplings", "TheoryLayer", "TheoryNetwork", "TheoryReport"]


@dataclass(frozen=True)
class TheoryNetwork:
    """The network: widths (n_0..n_L), activation with its class in words, critical point, growth nu, where its flow ends.

    `critical_*` and `growth` are None where the activation has no critical point. `settles` is the sentence on the end
    of the kernel flow at the variances of the last layer; `depth_*` the scales there, infinite at criticality.
    """

    widths: tuple[int, ...]
    activation: str
    universality: str
    skip: float
    weight_law: str
    bias_law: str
    critical_weight_variance: float | None
    critical_bias_variance: float | None
    critical_kernel: float | None
    growth: float | None
    settles: str
    depth_parallel: float
    depth_perpendicular: float

    @property
    def shape(self) -> str:
        """Return the widths in short, such as "784-[128 x 10]-10"."""
        runs = [(width, len(list(group))) for width, group in groupby(self.widths)]
        return "-".join(str(width) if count == 1 else f"[{width} x {count}]" for width, count in runs)


@dataclass(frozen=True)
class TheoryLayer:
    """One layer: kernel and distance averaged over the inputs, forecast and measured, with deviations over networks.

    `infinite_*` are the values at infinite width. `vertex_ratio` is V/(n K^2), the relative variance of one input's
    kernel, averaged over inputs, and `control` its largest. `distance` quantities are empty for a single input.
    """

    layer: int
    width: int
    weight_variance: float
    bias_variance: float
    infinite_kernel: float
    infinite_distance: float | None
    kernel: Quantity
    kernel_deviation: Quantity
    distance: Quantity
    distance_deviation: Quantity
    chi_parallel: float
    chi_perpendicular: float
    vertex_ratio: float
    control: float


@dataclass(frozen=True)
class TheoryCouplings:
    """How many independent couplings the output distribution of N inputs has: quadratic, quartic, and for one neuron."""

    inputs: int
    neurons: int
    quadratic: int
    quartic: int
    quartic_one_neuron: int


@dataclass(frozen=True)
class Collapse:
    """Relative variance of one input's kernel at one width against depth/width: theory and ensemble, by layer."""

    width: int
    aspect: tuple[float, ...]
    predicted: tuple[float, ...]
    measured: tuple[Estimate, ...]


@dataclass(frozen=True)
class DiagramLine:
    """A line of equal chi_perpendicular in the plane of variances; None interrupts it."""

    level: float
    weight_variance: tuple[float | None, ...]
    bias_variance: tuple[float | None, ...]


@dataclass(frozen=True)
class Diagram:
    """The phase diagram: its lines, and the variances of the network's layers as points."""

    lines: tuple[DiagramLine, ...]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class TheoryReport:
    """The effective theory of one network on some inputs, beside an ensemble of `networks` networks of the same law.

    `optimal_aspect` is r* = 4 / ((20 + 3 n_L) nu), where the information between output neurons peaks if it is cut at
    third order in depth/width; `aspect_warning` says what the exact curve says of it.
    """

    version: str
    seed: int
    networks: int
    inputs: str
    network: TheoryNetwork
    layers: tuple[TheoryLayer, ...]
    couplings: TheoryCouplings
    collapse: tuple[Collapse, ...]
    collapse_title: str
    diagram: Diagram | None
    optimal_aspect: float | None
    aspect: float
    aspect_warning: str
    control: float
    notes: tuple[str, ...] = ()
    timing: dict[str, float] = field(default_factory=dict)

    @property
    def scored(self) -> tuple[Quantity, ...]:
        """Every quantity of the table that has a forecast and a measurement."""
        cells = (
            q for row in self.layers for q in (row.kernel, row.kernel_deviation, row.distance, row.distance_deviation)
        )
        return tuple(q for q in cells if q.z is not None)

    @property
    def within(self) -> int:
        """How many of the scored forecasts lie within 4 combined standard errors."""
        return sum(abs(q.z or 0.0) < 4.0 for q in self.scored)

    def table(self, width: int = 120) -> str:
        """Return the report as text of at most `width` columns."""
        from rgflow.report.theory_text import theory_text

        return theory_text(self, width)

    def to_json(self) -> str:
        """Return the report as JSON of schema `rgflow.theory/1`."""
        from rgflow.report.schema import theory_json

        return theory_json(self)

    def to_html(self, path: str) -> None:
        """Write the report as one self-contained HTML page."""
        from rgflow.report.theory_page import write_theory_page

        write_theory_page(self, path)

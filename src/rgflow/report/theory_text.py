"""The effective theory of a network as text for a terminal: class, inputs, one row per layer, couplings, aspect ratio.

Every number is a record's own. Kernels and distances are averages over the inputs; `±sd` is the forecast standard
deviation over networks in percent of the forecast.
"""

import math
import textwrap

from rgflow.records.estimate import Estimate, Quantity
from rgflow.report.digits import MISSING, relative, seconds, short, z_score
from rgflow.report.plain_table import Column, fitting_table
from rgflow.report.theory_report import TheoryLayer, TheoryReport

__all__ = ["theory_text"]

_LEAST_WIDTH = 60
_FOLD_ABOVE, _KEEP = 40, 15  # as the table of check: more rows than fit on a screen keep their ends
_LEGEND = (
    "kernel: mean over inputs of the preactivations' mean square; distance: half the mean squared difference of two"
    " inputs' preactivations; both to order 1/width. ±sd: standard deviation over networks. z = (measured - forecast) /"
    " combined error, ! where |z| >= 4. chi: growth per layer of a change of the kernel (par) and of a small distance"
    " (perp). V/nK^2: relative variance of one input's kernel over networks; control: its largest over inputs."
)


def theory_text(report: TheoryReport, width: int = 120) -> str:
    """Return `report` as plain text of at most `width` columns (never below 60)."""
    width = max(_LEAST_WIDTH, width)
    parts = [*_head(report), "", *_table(report, width=width), *_foot(report)]
    return "\n".join(_wrapped(line, width=width) for line in parts) + "\n"


def _head(report: TheoryReport) -> list[str]:
    net = report.network
    skip = f"   skip {short(net.skip)}" if net.skip else ""
    laws = (
        "" if {net.weight_law, net.bias_law} == {"gaussian"} else f"   weights {net.weight_law}, biases {net.bias_law}"
    )
    growth = "" if net.growth is None else f"   nu {short(net.growth)}"
    drawn = f"{report.networks} networks drawn, seed {report.seed}" if report.networks else "no networks drawn"
    return [
        f"network {net.shape} {net.activation}{skip}{laws}   control {short(report.control)}",
        f"class   {net.universality}{growth}",
        f"flow    {net.settles}",
        f"inputs  {report.inputs}   {drawn}",
    ]


def _table(report: TheoryReport, *, width: int) -> list[str]:
    columns = [c for c in _columns() if any(c.show(row) != MISSING for row in report.layers)]
    lines = fitting_table(columns, report.layers, width=width)
    if len(report.layers) > _FOLD_ABOVE:
        hidden = len(report.layers) - 2 * _KEEP
        lines = [*lines[: _KEEP + 2], f"... {hidden} layers like these: in --json and --html", *lines[-_KEEP:]]
    return [*lines, _LEGEND, ""]


def _columns() -> tuple[Column[TheoryLayer], ...]:
    return (
        Column("\nl", lambda row: str(row.layer)),
        Column("\nwidth", lambda row: str(row.width)),
        Column("\nC_W", lambda row: short(row.weight_variance), level=1),
        Column("\nC_b", lambda row: short(row.bias_variance), level=1),
        *_group("kernel"),
        *_group("distance"),
        Column("chi\npar", lambda row: short(row.chi_parallel), level=3),
        Column("\nperp", lambda row: short(row.chi_perpendicular), level=3),
        Column("\nV/nK^2", lambda row: short(row.vertex_ratio), level=2),
        Column("\ncontrol", lambda row: short(row.control)),
    )


def _group(name: str) -> tuple[Column[TheoryLayer], ...]:
    def of(row: TheoryLayer) -> Quantity:
        return getattr(row, name)

    def deviation(row: TheoryLayer) -> Quantity:
        return getattr(row, f"{name}_deviation")

    return (
        Column(f"{name}\nforecast", lambda row: _value(of(row).predicted)),
        Column("\n±sd", lambda row: _share(deviation(row).predicted, of(row).predicted)),
        Column("\nmeasured", lambda row: _value(of(row).measured)),
        Column("\nz", lambda row: z_score(of(row).z)),
        Column("\n±sd", lambda row: _share(deviation(row).measured, of(row).measured)),
        Column("\nz", lambda row: z_score(deviation(row).z)),
    )


def _value(estimate: Estimate | None) -> str:
    return MISSING if estimate is None else short(estimate.value)


def _share(deviation: Estimate | None, of: Estimate | None) -> str:
    return MISSING if deviation is None or of is None else relative(deviation.value, of.value)


def _foot(report: TheoryReport) -> list[str]:
    counts = report.couplings
    lines = [
        f"couplings of {counts.inputs} inputs: {counts.quadratic} quadratic, {counts.quartic} quartic"
        f" ({counts.quartic_one_neuron} of them seen by one neuron alone)"
    ]
    if report.optimal_aspect is not None:
        lines.append(
            f"aspect ratio: depth/width {short(report.aspect)}; r* = {short(report.optimal_aspect)}. {report.aspect_warning}"
        )
    lines += [f"note  {note}" for note in report.notes]
    if report.scored:
        tally = f"{report.within} of {len(report.scored)}"
        lines.append(f"forecasts within 4 standard errors: {tally}   {_total(report)}")
    return lines


def _total(report: TheoryReport) -> str:
    total = sum(report.timing.values())
    return seconds(total) if math.isfinite(total) else ""


def _wrapped(line: str, *, width: int) -> str:
    return line if len(line) <= width else textwrap.fill(line, width, subsequent_indent="  ", break_on_hyphens=False)

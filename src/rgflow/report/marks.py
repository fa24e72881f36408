"""The marks of the plots: bands, forecast lines, measured points with bars, and what hovering over them says.

Colours are names of the page's style sheet ("var(--ink)"), which the page's script resolves for light, dark and
print; meaning is carried by the shape of a mark, the dash of a line and the hatch of a bar. Error bars are two
standard errors.
"""

import html
import math
from collections.abc import Sequence

import plotly.graph_objects as go

from rgflow.records.estimate import Estimate, Quantity
from rgflow.report.digits import error_of, percent, short, z_score
from rgflow.report.layer_rows import Row
from rgflow.report.log_axis import LogAxis

__all__ = [
    "ACCENT",
    "BAND",
    "INK",
    "PAPER",
    "RULE",
    "SOFT",
    "arrows",
    "bars",
    "dots",
    "edges_of",
    "equal_line",
    "forecast_band",
    "forecast_line",
    "hollow_dots",
    "name_of",
    "numbered_dots",
    "positive",
    "value_of",
]

ACCENT, BAND, INK, PAPER, RULE, SOFT = (f"var(--{name})" for name in ("accent", "band", "ink", "paper", "rule", "soft"))


def forecast_band(
    rows: Sequence[Row], edges: Sequence[tuple[float, float] | None], *, axis: LogAxis
) -> list[go.Scatter]:
    """Return the forecast's band, one polygon per run of layers that have one; it is cut at the foot of the axis."""
    traces = []
    run: list[tuple[float, float, float]] = []
    for row, pair in [*zip(rows, edges, strict=True), (None, None)]:
        if row is not None and pair is not None:
            run.append((row.number, max(pair[0], axis.low), pair[1]))
            continue
        if run:
            wide = run if len(run) > 1 else [(run[0][0] + dx, *run[0][1:]) for dx in (-0.25, 0.25)]
            xs = [x for x, _, _ in wide] + [x for x, _, _ in reversed(wide)]
            ys = [high for _, _, high in wide] + [low for _, low, _ in reversed(wide)]
            line = {"width": 0.5, "color": ACCENT}
            traces.append(
                go.Scatter(x=xs, y=ys, fill="toself", fillcolor=BAND, mode="lines", line=line, hoverinfo="skip")
            )
        run = []
    return traces


def _size(rows: Sequence[Row], full: float) -> float:
    """Return the size of a mark in pixels: `full` for few layers, half of it where they would touch on a phone."""
    return full if len(rows) <= 24 else full / 2


def forecast_line(rows: Sequence[Row], quantities: Sequence[Quantity], *, name: str) -> go.Scatter:
    """Return the forecasts of a quantity as a line with a tick at every layer."""
    return go.Scatter(
        x=[row.number for row in rows],
        y=[_drawable(value_of(q.predicted)) for q in quantities],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"symbol": "line-ew-open", "size": _size(rows, 12), "color": ACCENT, "line": {"width": 2}},
        hovertext=[_hover(row, q, name=name) for row, q in zip(rows, quantities, strict=True)],
        hoverinfo="text",
    )


def dots(rows: Sequence[Row], quantities: Sequence[Quantity], *, name: str) -> go.Scatter:
    """Return what was measured and forecast, as dots with error bars."""
    return _measured(rows, quantities, name=name, symbol="circle", forecast=True)


def hollow_dots(rows: Sequence[Row], quantities: Sequence[Quantity], *, name: str) -> go.Scatter:
    """Return what was measured but not forecast, as hollow squares with error bars."""
    return _measured(rows, quantities, name=name, symbol="square-open", forecast=False)


def _measured(
    rows: Sequence[Row], quantities: Sequence[Quantity], *, name: str, symbol: str, forecast: bool
) -> go.Scatter:
    found = [
        (row, q, q.measured)
        for row, q in zip(rows, quantities, strict=True)
        if q.measured is not None and value_of(q.measured) is not None and (q.predicted is not None) == forecast
    ]
    return go.Scatter(
        x=[row.number for row, _, _ in found],
        y=[measured.value for _, _, measured in found],
        mode="markers",
        marker={"symbol": symbol, "size": _size(rows, 8), "color": INK, "line": {"color": INK, "width": 1.5}},
        error_y=_bars([measured for _, _, measured in found], cap=_size(rows, 4)),
        hovertext=[_hover(row, q, name=name) for row, q, _ in found],
        hoverinfo="text",
    )


def bars(rows: Sequence[Row], quantities: Sequence[Quantity], *, name: str) -> go.Bar:
    """Return the forecasts of a quantity as hatched bars."""
    hatch = {"shape": "/", "fgcolor": ACCENT, "size": 6}
    return go.Bar(
        x=[row.number for row in rows],
        y=[value_of(q.predicted) for q in quantities],
        marker={"color": BAND, "line": {"color": ACCENT, "width": 1}, "pattern": hatch},
        hovertext=[_hover(row, q, name=name) for row, q in zip(rows, quantities, strict=True)],
        hoverinfo="text",
    )


def equal_line(across: LogAxis, up: LogAxis) -> go.Scatter:
    """Return the dotted line on which spread and signal are equal."""
    ends = [min(across.low, up.low), max(across.high, up.high)]
    return go.Scatter(x=ends, y=ends, mode="lines", line={"color": SOFT, "width": 1, "dash": "dot"}, hoverinfo="skip")


def arrows(rows: Sequence[Row]) -> go.Scatter:
    """Return the forecast path through the plane, an arrow to every layer."""
    return go.Scatter(
        x=[value_of(row.layer.signal.predicted) for row in rows],
        y=[value_of(row.layer.spread.predicted) for row in rows],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"symbol": "arrow", "angleref": "previous", "size": _size(rows, 13), "color": ACCENT},
        hovertext=[_plane_hover(row) for row in rows],
        hoverinfo="text",
    )


def numbered_dots(rows: Sequence[Row], *, above: bool) -> go.Scatter:
    """Return the measured points of the plane with error bars both ways; about eight carry their layer's number.

    The number stands above its point, or to the right of it.
    """
    every = max(1, math.ceil(len(rows) / 8))  # eight numbers are legible on a phone
    labelled = [i % every == 0 or i == len(rows) - 1 for i in range(len(rows))]
    indent = "" if above else "   "
    signal = [row.layer.signal.measured for row in rows if row.layer.signal.measured is not None]
    spread = [row.layer.spread.measured for row in rows if row.layer.spread.measured is not None]
    return go.Scatter(
        x=[estimate.value for estimate in signal],
        y=[estimate.value for estimate in spread],
        error_x=_bars(signal, cap=_size(rows, 4)),
        error_y=_bars(spread, cap=_size(rows, 4)),
        mode="markers+text",
        marker={"symbol": "circle", "size": _size(rows, 7), "color": INK},
        text=[f"{indent}{row.number}" if shown else "" for row, shown in zip(rows, labelled, strict=True)],
        textposition="top center" if above else "middle right",
        textfont={"size": 12, "color": INK},
        hovertext=[_plane_hover(row) for row in rows],
        hoverinfo="text",
    )


def _bars(estimates: Sequence[Estimate], *, cap: float) -> dict[str, object]:  # a patch of plotly's error bars
    lengths = [2.0 * e.error if math.isfinite(e.error) else None for e in estimates]
    return {"type": "data", "array": lengths, "color": INK, "thickness": 1.2, "width": cap}


def value_of(estimate: Estimate | None) -> float | None:
    """Return the value of an estimate, or None where it is missing or not finite."""
    return estimate.value if estimate is not None and math.isfinite(estimate.value) else None


def positive(value: float | None) -> bool:
    """Return whether a logarithmic axis can show `value`."""
    return value is not None and value > 0


def _drawable(value: float | None) -> float | None:
    """Return what a logarithmic axis can show; a zero is left out (the table has it)."""
    return value if positive(value) else None


def edges_of(value: float | None, deviation: float | None) -> tuple[float, float] | None:
    """Return the band's edges; where it reaches zero its lower edge is 0, which the axis cuts off."""
    if value is None or deviation is None or not value > 0:
        return None
    return max(0.0, value - deviation), value + deviation


def name_of(row: Row) -> str:
    """Return the number, name, kind and source of a layer, escaped for plotly's own markup."""
    name = row.layer.name if len(row.layer.name) <= 60 else "…" + row.layer.name[-59:]
    printable = "".join(c if c.isprintable() else "�" for c in name)
    return f"<b>{row.number} {html.escape(printable)}</b> ({html.escape(row.layer.kind)}, {row.layer.source})"


def _hover(row: Row, quantity: Quantity, *, name: str) -> str:
    write = percent if name == "tangent share" else short
    lines = [name_of(row)]
    for side, estimate in (("forecast", quantity.predicted), ("measured", quantity.measured)):
        if estimate is not None:
            error = percent(estimate.error) if write is percent else error_of(estimate.error)
            lines.append(f"{name} {side}: {write(estimate.value)} ± {error} ({estimate.kind})")
    lines += [f"z = {z_score(quantity.z)}"] if quantity.z is not None else []
    lines += [html.escape(quantity.reason[:100])] if quantity.reason else []
    return "<br>".join(lines)


def _plane_hover(row: Row) -> str:
    signal, spread = (_hover(row, getattr(row.layer, name), name=name).split("<br>") for name in ("signal", "spread"))
    return "<br>".join([*signal, *spread[1:]])

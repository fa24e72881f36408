"""The plots of the effective theory: phase diagram, flows of kernel and vertex, collapse on depth over width.

Units: as in the records; every axis names its own. Measured points carry bars of two standard errors.
"""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from rgflow.records.estimate import Estimate, Quantity
from rgflow.report.digits import error_of, short, z_score
from rgflow.report.log_axis import log_axis
from rgflow.report.marks import ACCENT, BAND, INK, SOFT
from rgflow.report.plot_frame import Key, Plot, framed, logarithmic
from rgflow.report.theory_report import Collapse, Diagram, TheoryLayer, TheoryReport

__all__ = ["theory_plots"]

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_MEASURED = "measured, ± 2 standard errors"


def theory_plots(report: TheoryReport) -> tuple[Plot, ...]:
    """Return the plots of the page in order; one without numbers is left out."""
    candidates = (
        _diagram_plot(report.diagram, critical=_critical_point(report)) if report.diagram else None,
        _flow_plot(report, "kernel", "The mean square of the preactivations, averaged over the inputs. "),
        _flow_plot(report, "distance", "Half the mean squared difference of two inputs: where it falls they merge. "),
        _vertex_plot(report),
        _collapse_plot(report),
    )
    return tuple(plot for plot in candidates if plot is not None)


def _critical_point(report: TheoryReport) -> tuple[float, float] | None:
    weight, bias = report.network.critical_weight_variance, report.network.critical_bias_variance
    return None if weight is None or bias is None else (weight, bias)


def _diagram_plot(diagram: Diagram, *, critical: tuple[float, float] | None) -> Plot | None:
    marks = [*diagram.points, *([critical] if critical else [])]
    right = 1.6 * max(weight for weight, _ in marks)
    top = max(1.0, 2.0 * max(bias for _, bias in marks))
    traces = [_level(line.level, line.weight_variance, line.bias_variance) for line in diagram.lines]
    figure = framed([*traces, *_points(diagram, critical)], across="weight variance C_W", up="bias variance C_b, z²")
    figure.update_xaxes(range=[0.0, right])
    figure.update_yaxes(range=[-0.04 * top, top])
    for number, line in enumerate(diagram.lines):
        height = (0.93 - 0.07 * (number % 3)) * top  # neighbours' labels at different heights
        place = _inside(line.weight_variance, line.bias_variance, right=right, low=0.02 * top, high=height)
        if place is not None:
            figure.add_annotation(
                x=place[0], y=place[1], text=f"χ⊥ = {line.level:g}", showarrow=False, font={"size": 11, "color": SOFT}
            )
    caption = (
        "Each point of the plane is a choice of variances, each line joins those whose kernel settles where small "
        "distances grow by the same factor χ⊥ per layer. Below 1 inputs merge, above 1 they are torn apart; "
        "on the line χ⊥ = 1 differences between inputs live longest. Where no line passes, no kernel is stable."
    )
    legend = (
        Key("line", "critical line, χ⊥ = 1"),
        Key("dots", "other lines of equal χ⊥"),
        Key("circle", "this network's layers"),
        *([Key("square", "critical point of the activation")] if critical else []),
    )
    return Plot("phase", "Phase diagram", caption, legend, figure, tall=True)


def _level(level: float, weight: Sequence[float | None], bias: Sequence[float | None]) -> go.Scatter:
    critical = level == 1.0
    line = {"color": ACCENT if critical else SOFT, "width": 2.5 if critical else 1}
    return go.Scatter(
        x=list(weight),
        y=list(bias),
        mode="lines",
        line=line if critical else line | {"dash": "dot"},
        hoverinfo="text",
        hovertext=f"χ⊥ = {level:g}",
    )


def _points(diagram: Diagram, critical: tuple[float, float] | None) -> list[go.Scatter]:
    def marks(points: Sequence[tuple[float, float]], name: str, **marker: object) -> go.Scatter:
        text = [f"{name}<br>C_W = {short(weight)}, C_b = {short(bias)}" for weight, bias in points]
        xs, ys = [weight for weight, _ in points], [bias for _, bias in points]
        return go.Scatter(x=xs, y=ys, mode="markers", marker=marker, hovertext=text, hoverinfo="text")

    traces = [marks(diagram.points, "this network", symbol="circle", size=11, color=ACCENT)]
    if critical:
        line = {"color": INK, "width": 1.5}
        traces.append(marks([critical], "critical point", symbol="square-open", size=13, color=INK, line=line))
    return traces


def _inside(
    weight: Sequence[float | None], bias: Sequence[float | None], *, right: float, low: float, high: float
) -> tuple[float, float] | None:
    """Return the place of a line's label: its last point between the heights `low` and `high`."""
    there = [
        (w, b)
        for w, b in zip(weight, bias, strict=True)
        if w is not None and b is not None and w <= 0.93 * right and low <= b <= high
    ]
    return there[-1] if there else None


def _flow_plot(report: TheoryReport, name: str, caption: str) -> Plot | None:
    rows = [row for row in report.layers if _positive(getattr(row, name).predicted)]
    if not rows:
        return None
    forecast: list[Quantity] = [getattr(row, name) for row in rows]
    deviations = [_value(getattr(row, f"{name}_deviation").predicted) for row in rows]
    infinite = [getattr(row, f"infinite_{name}") for row in rows]
    middle = [_value(q.predicted) for q in forecast]
    high = [m + d for m, d in zip(middle, deviations, strict=True)]
    low = [max(m - d, 0.0) for m, d in zip(middle, deviations, strict=True)]
    axis = log_axis([*middle, *high, *[x for x in low if x > 0], *infinite, *[_value(q.measured) for q in forecast]])
    layers = [row.layer for row in rows]
    band = go.Scatter(
        x=[*layers, *reversed(layers)],
        y=[*high, *(max(x, axis.low) for x in reversed(low))],
        fill="toself",
        fillcolor=BAND,
        mode="lines",
        line={"width": 0.5, "color": ACCENT},
        hoverinfo="skip",
    )
    wide = {"mode": "lines", "line": {"color": INK, "width": 1.2, "dash": "dash"}, "hoverinfo": "skip"}
    traces = [band, go.Scatter(x=layers, y=infinite, **wide), _line(rows, forecast, name), _dots(rows, forecast, name)]
    figure = framed(traces, across="layer", up=f"{name}, z²")
    _layer_axis(figure, last=report.layers[-1].layer)
    figure.update_yaxes(logarithmic(axis))
    legend = (
        Key("line", "forecast to order 1/width"),
        Key("band", "± standard deviation over networks"),
        Key("dash", "infinite width"),
        *([Key("dot", _MEASURED)] if any(q.measured for q in forecast) else []),
    )
    return Plot(name, f"Flow of the {name}", caption, legend, figure)


def _line(rows: Sequence[TheoryLayer], quantities: Sequence[Quantity], name: str) -> go.Scatter:
    return go.Scatter(
        x=[row.layer for row in rows],
        y=[_value(q.predicted) for q in quantities],
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"symbol": "line-ew-open", "size": 10, "color": ACCENT, "line": {"width": 2}},
        hovertext=[_hover(row, q, name) for row, q in zip(rows, quantities, strict=True)],
        hoverinfo="text",
    )


def _dots(rows: Sequence[TheoryLayer], quantities: Sequence[Quantity], name: str) -> go.Scatter:
    found = [(row, q, q.measured) for row, q in zip(rows, quantities, strict=True) if q.measured is not None]
    return go.Scatter(
        x=[row.layer for row, _, _ in found],
        y=[measured.value for _, _, measured in found],
        mode="markers",
        marker={"symbol": "circle", "size": 7, "color": INK},
        error_y=_bars([measured for _, _, measured in found]),
        hovertext=[_hover(row, q, name) for row, q, _ in found],
        hoverinfo="text",
    )


def _vertex_plot(report: TheoryReport) -> Plot | None:
    rows = [row for row in report.layers if row.vertex_ratio > 0]
    if not rows:
        return None
    layers, ratios = [row.layer for row in rows], [row.vertex_ratio for row in rows]
    line = go.Scatter(
        x=layers,
        y=ratios,
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"symbol": "circle", "size": 6, "color": ACCENT},
        hovertext=[f"layer {layer}<br>V/(n K²) = {short(ratio)}" for layer, ratio in zip(layers, ratios, strict=True)],
        hoverinfo="text",
    )
    figure = framed([line], across="layer", up="V / (n K²), pure number")
    _layer_axis(figure, last=report.layers[-1].layer)
    figure.update_yaxes(rangemode="tozero")
    figure.add_hline(y=1.0, line={"color": INK, "width": 1, "dash": "dash"})
    top = max(1.15, 1.1 * max(ratios)) if max(ratios) > 0.3 else 1.2 * max(ratios)
    figure.update_yaxes(range=[0.0, top])
    caption = (
        "The relative variance over networks of one input's kernel, averaged over the inputs: "
        "the interaction between neurons, which runs with depth. At 1 the expansion in 1/width has failed."
    )
    legend = (Key("line", "four-point vertex over width and kernel²"), Key("dash", "strong coupling"))
    return Plot("vertex", "Flow of the four-point vertex", caption, legend, figure)


def _collapse_plot(report: TheoryReport) -> Plot | None:
    if not report.collapse:
        return None
    values = [x for curve in report.collapse for x in (*curve.predicted, *(m.value for m in curve.measured))]
    axis = log_axis([value for value in values if value > 0])
    across = log_axis([aspect for curve in report.collapse for aspect in curve.aspect])
    traces = [trace for number, curve in enumerate(report.collapse) for trace in _collapsed(number, curve)]
    figure = framed(traces, across="depth / width", up="relative variance of the kernel")
    figure.update_xaxes(logarithmic(across))
    figure.update_yaxes(logarithmic(axis))
    for number, curve in enumerate(report.collapse):
        figure.add_annotation(
            x=math.log10(curve.aspect[-1]),
            y=math.log10(curve.predicted[-1]),
            text=f"n = {curve.width}",
            xanchor="left",
            yanchor="middle" if number % 2 else "top",
            xshift=6,
            showarrow=False,
            font={"size": 11, "color": SOFT},
        )
    caption = (
        f"{report.collapse_title}. Networks of different widths fall on one curve when their depth is counted in "
        "widths: depth over width is the scale on which fluctuations run."
    )
    legend = (
        Key("line", "theory, leading order, one line per width"),
        Key("dot", f"{_MEASURED}; one symbol per width"),
    )
    return Plot("collapse", "Collapse on depth over width", caption, legend, figure)


def _collapsed(number: int, curve: Collapse) -> list[go.Scatter]:
    dash, symbol = _DASHES[number % len(_DASHES)], _SYMBOLS[number % len(_SYMBOLS)]
    theory = go.Scatter(
        x=list(curve.aspect),
        y=list(curve.predicted),
        mode="lines",
        line={"color": ACCENT, "width": 1.5, "dash": dash},
        hoverinfo="skip",
    )
    hover = [
        f"n = {curve.width}, l/n = {short(aspect)}<br>measured {short(m.value)} ± {error_of(m.error)}"
        for aspect, m in zip(curve.aspect, curve.measured, strict=True)
    ]
    dots = go.Scatter(
        x=list(curve.aspect),
        y=[m.value for m in curve.measured],
        mode="markers",
        marker={"symbol": symbol, "size": 6, "color": INK},
        error_y=_bars(curve.measured),
        hovertext=hover,
        hoverinfo="text",
    )
    return [theory, dots]


def _layer_axis(figure: go.Figure, *, last: int) -> None:
    figure.update_xaxes({"dtick": 1} if last <= 16 else {"nticks": 12}, range=[0.4, last + 0.6])  # 16 fit on a phone


def _bars(estimates: Sequence[Estimate]) -> dict[str, object]:  # a patch of plotly's error bars
    lengths = [2.0 * e.error if math.isfinite(e.error) else None for e in estimates]
    return {"type": "data", "array": lengths, "color": INK, "thickness": 1.2, "width": 3}


def _hover(row: TheoryLayer, quantity: Quantity, name: str) -> str:
    lines = [f"<b>layer {row.layer}</b>, width {row.width}"]
    for side, estimate in (("forecast", quantity.predicted), ("measured", quantity.measured)):
        if estimate is not None:
            lines.append(f"{name} {side}: {short(estimate.value)} ± {error_of(estimate.error)} ({estimate.kind})")
    return "<br>".join([*lines, *([f"z = {z_score(quantity.z)}"] if quantity.z is not None else [])])


def _value(estimate: Estimate | None) -> float:
    return 0.0 if estimate is None else estimate.value


def _positive(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.value > 0

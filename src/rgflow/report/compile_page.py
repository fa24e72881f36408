"""A compilation as one self-contained HTML page: summary, error against scale, neurons against factors, the wiring.

Built like the page of `check`: everything inside the file, a policy that forbids loading, all texts escaped.
"""

import os
from collections import defaultdict
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from rgflow.report.compile_report import CompileReport, Neuron
from rgflow.report.compile_text import compile_lines
from rgflow.report.files import check_writable, write_complete
from rgflow.report.log_axis import log_axis
from rgflow.report.marks import ACCENT, INK, SOFT
from rgflow.report.page_frame import page_environment, page_frame
from rgflow.report.plot_frame import Key, Plot, framed, logarithmic

__all__ = ["compile_page", "compile_plots", "write_compile_page"]

_LABELLED = 30  # marks whose monomials are written beside them; more would overlap
_LISTED = 400  # blocks in the table and neurons in the drawing; a page of thousands would not open


def write_compile_page(report: CompileReport, path: str | os.PathLike[str]) -> None:
    """Write the page; the file appears under `path` only when it is complete.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    check_writable(path)
    write_complete(path, compile_page(report))


def compile_page(report: CompileReport) -> str:
    """Return the page as text."""
    environment = page_environment()
    return environment.get_template("compile.html.j2").render(
        report=report,
        lines=compile_lines(report),
        plots=compile_plots(report),
        blocks=_blocks(report)[:_LISTED],
        hidden=max(0, len(_blocks(report)) - _LISTED),
        frame=page_frame(environment),
    )


def compile_plots(report: CompileReport) -> tuple[Plot, ...]:
    """Return the plots of the page; error against scale only where a scale matters, a drawing only where neurons are few."""
    candidates = (_scale_plot(report), _count_plot(report), _wiring_plot(report))
    return tuple(plot for plot in candidates if plot is not None)


def _scale_plot(report: CompileReport) -> Plot | None:
    if not report.curve:
        return None
    scales = [point.scale for point in report.curve]
    series = (
        ("bound", [p.bound for p in report.curve], "lines", {"color": ACCENT, "width": 2}),
        (
            "truncation alone",
            [p.truncation for p in report.curve],
            "lines",
            {"color": SOFT, "width": 1.5, "dash": "dot"},
        ),
    )
    traces = [go.Scatter(x=scales, y=y, mode=mode, line=line, name=name) for name, y, mode, line in series]
    measured = [p.measured if p.measured > 0 else None for p in report.curve]
    traces.append(go.Scatter(x=scales, y=measured, mode="markers", marker={"color": INK, "size": 7}, name="measured"))
    figure = framed(traces, across="scale", up="error of a product of two numbers <= 1")
    across = log_axis(scales)
    up = log_axis([v for p in report.curve for v in (p.bound, p.measured)])
    figure.update_xaxes(logarithmic(across))
    figure.update_yaxes(logarithmic(up))
    for scale in sorted(set(report.scales)):
        figure.add_vline(x=scale, line={"color": INK, "width": 1, "dash": "dash"})
    caption = (
        "Large scales lose to the terms of the Taylor series that are left out, small ones to rounding. The scale is chosen "
        "where the bound of both is smallest."
    )
    legend = (
        Key("line", "bound: truncation and rounding"),
        Key("dots", "truncation alone"),
        Key("circle", "measured on a grid"),
        Key("dash", "scales of this network"),
    )
    return Plot("scale", "Error against scale", caption, legend, figure)


def _count_plot(report: CompileReport) -> Plot:
    factors = [count.factors for count in report.counts]
    series = (
        ("tree", [c.tree for c in report.counts], {"color": ACCENT, "width": 2}),
        ("one hidden layer", [c.one_layer for c in report.counts], {"color": INK, "width": 1.2, "dash": "dash"}),
        ("two hidden layers", [c.two_layers for c in report.counts], {"color": SOFT, "width": 1.5, "dash": "dot"}),
    )
    traces = [
        go.Scatter(
            x=factors, y=y, mode="lines", line=line, name=name, hovertemplate=f"{name}: %{{y}} neurons<extra></extra>"
        )
        for name, y, line in series
    ]
    figure = framed(traces, across="factors of a product", up="neurons")
    figure.update_yaxes(logarithmic(log_axis([v for c in report.counts for v in (c.tree, c.one_layer)])))
    caption = "A product of n numbers: 4 (n - 1) neurons in a tree, 2^n in one hidden layer, in between with two."
    legend = (Key("line", "tree"), Key("dash", "one hidden layer"), Key("dots", "at most two hidden layers"))
    return Plot("counts", "Neurons, deep against shallow", caption, legend, figure)


@dataclass(frozen=True)
class _Block:
    """Neurons that form one value: their layer, the value, the first and last of them (from 1), what they read and give."""

    layer: int
    label: str
    kind: str
    first: int
    last: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def _blocks(report: CompileReport) -> list[_Block]:
    """Return the groups of neurons that form one value each, layer after layer."""
    groups: dict[tuple[int, tuple[int, ...]], list[Neuron]] = defaultdict(list)
    for neuron in report.wiring:
        groups[neuron.layer, neuron.outputs].append(neuron)
    return [
        _Block(layer, n[0].label, n[0].kind, n[0].neuron + 1, n[-1].neuron + 1, n[0].inputs, outputs)
        for (layer, outputs), n in groups.items()
    ]


def _wiring_plot(report: CompileReport) -> Plot | None:
    """Draw inputs, groups of neurons and what they read; left out for networks too large to be seen."""
    blocks = _blocks(report)
    if not blocks or len(report.wiring) > _LISTED:
        return None
    heights = {(0, i): _height(i, len(report.variables)) for i in range(len(report.variables))}
    labels = {(0, i): name for i, name in enumerate(report.variables)}
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    marks: list[tuple[float, float, str, bool]] = [(0.0, heights[0, i], labels[0, i], True) for i in range(len(labels))]
    for layer in range(1, report.layers + 1):
        row = [block for block in blocks if block.layer == layer]
        for place, block in enumerate(row):
            height = _height(place, len(row))
            for value in block.outputs:
                heights[layer, value] = height
            for value in block.inputs:
                lines_x += [layer - 1.0, float(layer), None]
                lines_y += [heights[layer - 1, value], height, None]
            count = block.last - block.first + 1
            text = f"{block.label} ({count} neuron{'s' if count > 1 else ''})"
            marks.append((float(layer), height, text, block.kind == "product"))
    wires = go.Scatter(x=lines_x, y=lines_y, mode="lines", line={"color": SOFT, "width": 1}, hoverinfo="skip")
    points = [
        go.Scatter(
            x=[m[0] for m in marks if m[3] is product],
            y=[m[1] for m in marks if m[3] is product],
            mode="markers+text" if len(marks) <= _LABELLED else "markers",
            text=[escape(m[2].split(" (")[0]) for m in marks if m[3] is product],
            textposition="top center",
            textfont={"size": 12, "color": INK},
            marker={"color": ACCENT if product else INK, "symbol": "circle" if product else "square-open", "size": 11},
            hovertext=[escape(m[2]) for m in marks if m[3] is product],
            hoverinfo="text",
        )
        for product in (True, False)
    ]
    figure = framed([wires, *points], across="hidden layer (0: inputs)", up="")
    figure.update_yaxes(visible=False, range=[-0.08, 1.16])
    figure.update_xaxes(dtick=1 if report.layers <= 16 else None, range=[-0.4, report.layers + 0.4], showgrid=False)
    caption = "Every mark is a group of neurons that forms one value; hovering names its monomial and its neurons."
    legend = (Key("circle", "input or product"), Key("square", "value carried through the layer"))
    return Plot("wires", "Wiring", caption, legend, figure, tall=True)


def _height(place: int, count: int) -> float:
    return 0.5 if count == 1 else 1.0 - place / (count - 1)

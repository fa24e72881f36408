"""The frame of every plot: fonts, colours, axes and legend entries in the page's own style.

Colours are names of the page's style sheet, which its script resolves for light, dark and print.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from rgflow.report.log_axis import LogAxis
from rgflow.report.marks import INK, PAPER, RULE, SOFT

__all__ = ["Key", "Plot", "framed", "logarithmic"]


@dataclass(frozen=True)
class Key:
    """One entry of a plot's legend: the sign (drawn by the page) and what it means."""

    sign: str
    meaning: str


@dataclass(frozen=True)
class Plot:
    """One plot: an identifier, a title, a sentence on how to read it, its legend and its figure.

    `tall` ones are planes; `height` in pixels overrides the usual ones where a plot has rows to hold.
    """

    name: str
    title: str
    caption: str
    legend: tuple[Key, ...]
    figure: go.Figure
    tall: bool = False
    height: int = 0


def framed(traces: Sequence[go.Scatter | go.Bar | go.Heatmap], *, across: str, up: str) -> go.Figure:
    """Return a figure of `traces` with titled axes in the page's style."""
    figure = go.Figure(data=list(traces), layout={"template": "none"})
    clear = "rgba(0,0,0,0)"
    figure.update_layout(
        showlegend=False,
        paper_bgcolor=clear,
        plot_bgcolor=clear,
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        margin={"l": 12, "r": 12, "t": 8, "b": 12},
        hoverlabel={"bgcolor": PAPER, "bordercolor": SOFT, "font": {"color": INK}, "align": "left"},
        bargap=0.35,
    )
    axis = {"showgrid": True, "gridcolor": RULE, "zeroline": False, "linecolor": SOFT, "showline": True}
    axis |= {"automargin": True, "ticks": "outside", "tickcolor": SOFT, "title_font_size": 13, "title_standoff": 10}
    figure.update_xaxes(axis, title_text=across)
    figure.update_yaxes(axis, title_text=up)
    return figure


def logarithmic(axis: LogAxis) -> dict[str, object]:  # in plotly's own words
    """Return the settings of a plotly axis that shows `axis`."""
    ends = [math.log10(axis.low), math.log10(axis.high)]
    ticks = {"tickmode": "array", "tickvals": list(axis.ticks), "ticktext": list(axis.labels)}
    return {"type": "log", "range": ends, "dtick": None, "nticks": None, **ticks}

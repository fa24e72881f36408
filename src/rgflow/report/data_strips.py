"""Every index of a structure card as a strip: the data's number with its interval, and beneath it the bands of its nulls.

Units: each index in its own. The data's bar is two standard errors each way; a null's band holds 95 of 100 draws.
"""

import math

import plotly.graph_objects as go

from rgflow.records.structure_card import Index, NullValue
from rgflow.report.digits import error_of, probability, short, with_error
from rgflow.report.marks import ACCENT, BAND, INK
from rgflow.report.plot_frame import Plot, framed

__all__ = ["index_strips"]

_THICKNESS = 0.3  # half the height of a band, in rows


def index_strips(indices: tuple[Index, ...]) -> tuple[Plot, ...]:
    """Return one strip for each index that has a number and at least one null."""
    return tuple(_strip(index) for index in indices if _value(index) is not None and index.nulls)


def _value(index: Index) -> float | None:
    estimate = index.estimate
    return estimate.value if estimate is not None and math.isfinite(estimate.value) else None


def _strip(index: Index) -> Plot:
    rows = len(index.nulls)
    traces = [_band(null, rows - 1 - number) for number, null in enumerate(index.nulls)]
    traces += [_middle(null, rows - 1 - number) for number, null in enumerate(index.nulls)]
    figure = framed([*traces, _data(index, rows)], across=index.unit or "pure number", up="")
    labels = ["data", *(null.name for null in index.nulls)]
    figure.update_yaxes(
        tickmode="array", tickvals=list(range(rows, -1, -1)), ticktext=labels, range=[-0.6, rows + 0.6], showgrid=False
    )
    low, high = _ends(index)
    figure.update_xaxes(range=[low, high], nticks=6)
    p = probability(index.p_value)
    caption = "" if index.p_value is None else f"p {p if p.startswith('<') else '= ' + p} for the strongest null"
    return Plot(f"index-{index.key}", f"{index.title}: {index.verdict}", caption, (), figure, height=84 + 30 * rows)


def _ends(index: Index) -> tuple[float, float]:
    assert index.estimate is not None
    bar = 2.0 * index.estimate.error if math.isfinite(index.estimate.error) else 0.0
    values = [index.estimate.value - bar, index.estimate.value + bar]
    values += [end for null in index.nulls for end in (null.low, null.high, null.mean) if math.isfinite(end)]
    low, high = min(values), max(values)
    room = 0.08 * (high - low) if high > low else 0.5 * abs(high) + 0.5  # a single number sits in the middle
    return low - room, high + room


def _band(null: NullValue, row: int) -> go.Scatter:
    foot, head = row - _THICKNESS, row + _THICKNESS
    return go.Scatter(
        x=[null.low, null.high, null.high, null.low, null.low],
        y=[foot, foot, head, head, foot],
        fill="toself",
        fillcolor=BAND,
        mode="lines",
        line={"width": 1, "color": ACCENT},
        hoverinfo="skip",
    )


def _middle(null: NullValue, row: int) -> go.Scatter:
    span = f"{error_of(null.low)} to {error_of(null.high)}"
    text = f"{null.name}: {short(null.mean)}<br>95 of 100 of {null.draws} draws in {span}"
    return go.Scatter(
        x=[null.mean],
        y=[row],
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 14, "color": ACCENT, "line": {"width": 2}},
        hovertext=[text],
        hoverinfo="text",
    )


def _data(index: Index, row: int) -> go.Scatter:
    assert index.estimate is not None
    value, error = index.estimate.value, index.estimate.error
    bar = 2.0 * error if math.isfinite(error) else None
    return go.Scatter(
        x=[value],
        y=[row],
        mode="markers",
        marker={"symbol": "circle", "size": 9, "color": INK},
        error_x={"type": "data", "array": [bar], "color": INK, "thickness": 1.4, "width": 5},
        hovertext=[f"data: {with_error(value, error)} {index.unit}"],
        hoverinfo="text",
    )

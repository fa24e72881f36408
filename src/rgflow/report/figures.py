"""The plots of a report's page as plotly figures: flows over layers, the plane of signal and spread, z, tangent share.

Units: as in the records; every axis names its own. A plot for which no layer has a number is left out.
"""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from rgflow.records.estimate import Quantity
from rgflow.report.digits import z_score
from rgflow.report.layer_rows import Row
from rgflow.report.log_axis import LogAxis, log_axis
from rgflow.report.marks import (
    ACCENT,
    INK,
    SOFT,
    arrows,
    bars,
    dots,
    edges_of,
    equal_line,
    forecast_band,
    forecast_line,
    hollow_dots,
    name_of,
    numbered_dots,
    positive,
    value_of,
)
from rgflow.report.plot_frame import Key, Plot, framed, logarithmic

__all__ = ["plots"]

# z beyond this is drawn on a compressed (asinh) axis, so that one large value does not flatten the rest.
_Z_LINEAR = 12.0

_MEASURED = "measured, ± 2 standard errors"


def plots(rows: Sequence[Row]) -> tuple[Plot, ...]:
    """Return the plots of a page in order; a plot for which no layer has a number is left out."""
    if not rows:
        return ()
    flows = [_flow_plot(name, rows) for name in ("signal", "spread", "gradient")]
    candidates = (*flows, _plane_plot(rows), _z_plot(rows), _share_plot(rows))
    return tuple(plot for plot in candidates if plot is not None)


_TITLES = {"signal": "Signal per layer", "spread": "Spread per layer", "gradient": "Gradient per layer"}
_UNITS = {"signal": "signal, z²", "spread": "spread, z²", "gradient": "gradient, loss per parameter"}
_CAPTIONS = {
    "signal": "The mean square of each layer's output over the batch and its channels. A healthy signal stays level.",
    "spread": "How far two inputs are told apart: the variance of a layer's output from input to input. "
    "Where it falls, outputs stop depending on the input.",
    "gradient": "The root mean square over seeds of the norm of the layer's parameter gradient under the task's loss. "
    "It shows at which speed layers with equal rates start to train.",
}


def _flow_plot(name: str, rows: Sequence[Row]) -> Plot | None:
    quantities = [getattr(row.layer, name) for row in rows]
    deviations = [value_of(getattr(row.layer, f"{name}_deviation").predicted) for row in rows]
    values = [value_of(estimate) for q in quantities for estimate in (q.predicted, q.measured)]
    if not any(positive(value) for value in values):
        return None
    edges = [edges_of(value_of(q.predicted), d) for q, d in zip(quantities, deviations, strict=True)]
    axis = log_axis([*values, *(edge for pair in edges if pair for edge in pair)])
    line, measured = (draw(rows, quantities, name=name) for draw in (forecast_line, dots))
    hollow = hollow_dots(rows, quantities, name=name)
    figure = _figure([*forecast_band(rows, edges, axis=axis), line, measured, hollow], rows=rows, title=_UNITS[name])
    figure.update_yaxes(logarithmic(axis))
    return Plot(
        name=name,
        title=_TITLES[name],
        caption=_CAPTIONS[name],
        legend=_flow_legend(quantities, edges),
        figure=figure,
    )


def _flow_legend(quantities: Sequence[Quantity], edges: Sequence[tuple[float, float] | None]) -> tuple[Key, ...]:
    """Return the keys of those marks that are there."""
    zero = any(pair and pair[0] == 0.0 for pair in edges)
    band = "± its seed-to-seed standard deviation" + (" (down to zero where it meets the foot)" if zero else "")
    candidates = (
        (Key("line", "forecast"), any(q.predicted for q in quantities)),
        (Key("band", band), any(edges)),
        (Key("dot", _MEASURED), any(q.predicted and q.measured for q in quantities)),
        (Key("square", "measured, not predicted"), any(q.measured and not q.predicted for q in quantities)),
    )
    return tuple(key for key, there in candidates if there)


def _plane_plot(rows: Sequence[Row]) -> Plot | None:
    """Return the flow as a path through the (signal, spread) plane, layer after layer."""
    forecast, measured = (_in_plane(rows, side) for side in ("predicted", "measured"))
    if len(forecast) < 2 and len(measured) < 2:
        return None
    across, up = (_plane_axis(name, forecast=forecast, measured=measured) for name in ("signal", "spread"))
    sideways = across.high / across.low > up.high / up.low  # numbers stand beside the path, not on it
    traces = [equal_line(across, up), arrows(forecast), numbered_dots(measured, above=sideways)]
    figure = _figure(traces, rows=rows, title="spread, z²")
    figure.update_xaxes(logarithmic(across), title_text="signal, z²")
    figure.update_yaxes(logarithmic(up))
    legend = (
        *((Key("arrow", "forecast, from layer to layer"),) if forecast else ()),
        Key("dot", f"{_MEASURED}, with the layer's number"),
        Key("dots", "spread = signal: different inputs share nothing"),
    )
    caption = (
        "Every layer is one point. Downwards inputs become alike, to the left the signal fades; "
        "a critical network stays where it is."
    )
    return Plot("plane", "The flow of signal and spread", caption, legend, figure, tall=True)


def _in_plane(rows: Sequence[Row], side: str) -> list[Row]:
    def there(quantity: Quantity) -> bool:
        return positive(value_of(getattr(quantity, side)))

    return [row for row in rows if there(row.layer.signal) and there(row.layer.spread)]


def _plane_axis(name: str, *, forecast: Sequence[Row], measured: Sequence[Row]) -> LogAxis:
    values = [value_of(getattr(row.layer, name).predicted) for row in forecast]
    return log_axis([*values, *(value_of(getattr(row.layer, name).measured) for row in measured)])


# Sign on the page, sign of plotly, colour and place beside the layer's number.
_SCORED = {
    "signal": ("circle", "circle", ACCENT, -0.2),
    "spread": ("square-filled", "square", INK, 0.0),
    "gradient": ("triangle", "triangle-up", SOFT, 0.2),
}


def _z_plot(rows: Sequence[Row]) -> Plot | None:
    found = {name: [row for row in rows if getattr(row.layer, name).z is not None] for name in _SCORED}
    reach = max((abs(getattr(row.layer, name).z) for name, there in found.items() for row in there), default=None)
    if reach is None:
        return None
    squeezed = reach > _Z_LINEAR
    traces = [_scores(name, there, squeezed=squeezed) for name, there in found.items()]
    title = "z, combined standard errors" + (" (asinh scale)" if squeezed else "")
    figure = _figure(traces, rows=rows, title=title)
    _scale_scores(figure, reach=max(5.0, reach), squeezed=squeezed)
    legend = (*(Key(_SCORED[name][0], name) for name, there in found.items() if there), Key("dash", "|z| = 4"))
    caption = "z = (measured − forecast) / combined error. A sound forecast stays between the dashes."
    return Plot(name="z", title="How well the forecasts hold", caption=caption, legend=legend, figure=figure)


def _scores(name: str, rows: Sequence[Row], *, squeezed: bool) -> go.Scatter:
    _, symbol, colour, shift = _SCORED[name]
    scores = [getattr(row.layer, name).z for row in rows]
    return go.Scatter(
        x=[row.number + shift for row in rows],
        y=[math.asinh(z) if squeezed else z for z in scores],
        mode="markers",
        marker={"symbol": symbol, "size": 9 if len(rows) <= 24 else 6, "color": colour},
        hovertext=[f"{name_of(row)}<br>{name}: z = {z_score(z)}" for row, z in zip(rows, scores, strict=True)],
        hoverinfo="text",
    )


def _scale_scores(figure: go.Figure, *, reach: float, squeezed: bool) -> None:
    """Set the z axis with its ticks and the dashes at |z| = 4."""
    decades = [m * 10.0**e for e in range(1, math.ceil(math.log10(reach)) + 1) for m in (1, 3)] if squeezed else [8, 12]
    ticks = [0.0, *(sign * tick for tick in (2, 4, *decades) for sign in (-1, 1) if tick <= reach * 1.1)]
    place = [math.asinh(tick) if squeezed else tick for tick in ticks]
    end = 1.1 * (math.asinh(reach) if squeezed else reach)
    labels = [f"{tick:g}".replace("-", "−") for tick in ticks]
    figure.update_yaxes(tickmode="array", tickvals=place, ticktext=labels, range=[-end, end])
    figure.update_yaxes(zeroline=True, zerolinecolor=SOFT)
    for level in (-4.0, 4.0):
        line = {"color": INK, "width": 1, "dash": "dash"}
        figure.add_hline(y=math.asinh(level) if squeezed else level, line=line)


def _share_plot(rows: Sequence[Row]) -> Plot | None:
    shares = [row.layer.tangent_share for row in rows]
    if all(value_of(q.predicted) is None and value_of(q.measured) is None for q in shares):
        return None
    traces = [draw(rows, shares, name="tangent share") for draw in (bars, dots, hollow_dots)]
    figure = _figure(traces, rows=rows, title="share of the kernel's trace")
    figure.update_yaxes(tickformat="~%", rangemode="tozero")
    caption = (
        "Which part of the network's first reaction to training comes from each layer: "
        "its part of the tangent kernel's trace on the batch. The shares of all layers sum to 100 %."
    )
    candidates = (
        (Key("bar", "forecast"), any(q.predicted for q in shares)),
        (Key("dot", _MEASURED), any(q.predicted and q.measured for q in shares)),
        (Key("square", "measured, not predicted"), any(q.measured and not q.predicted for q in shares)),
    )
    legend = tuple(key for key, there in candidates if there)
    return Plot(name="share", title="Tangent share per layer", caption=caption, legend=legend, figure=figure)


def _figure(traces: Sequence[go.Scatter | go.Bar], *, rows: Sequence[Row], title: str) -> go.Figure:
    """Return a figure over the layers' numbers."""
    figure = framed(traces, across="layer (number as in the table)", up=title)
    last = rows[-1].number
    figure.update_xaxes({"dtick": 1} if last <= 16 else {"nticks": 12}, range=[0.4, last + 0.6])  # 16 fit on a phone
    return figure

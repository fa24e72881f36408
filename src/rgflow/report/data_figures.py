"""The plots of a structure card: ladder, couplings against distance, spectrum; matrix and strips lie beside this module.

Units: as in the records; every axis names its own. Bars are two standard errors.
"""

import html
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder, Rung
from rgflow.records.structure_card import CouplingRange, StructureCard
from rgflow.report.data_matrix import graph_plot, matrix_plot
from rgflow.report.data_report import sentence
from rgflow.report.data_strips import index_strips
from rgflow.report.digits import count, short, with_error
from rgflow.report.log_axis import LogAxis, log_axis
from rgflow.report.marks import ACCENT, BAND, INK
from rgflow.report.plot_frame import Key, Plot, framed, logarithmic

__all__ = ["DataPlots", "data_plots"]

_LINE, _LINES = 26, 2  # characters and lines of a rung's name that stand beside its bar on a phone


@dataclass(frozen=True)
class DataPlots:
    """The plots of the page, section by section; a plot without numbers is left out."""

    strips: tuple[Plot, ...]
    ladder: tuple[Plot, ...]
    couplings: tuple[Plot, ...]
    scales: tuple[Plot, ...]

    @property
    def all(self) -> tuple[Plot, ...]:
        """Every plot in the order of the page."""
        return (*self.strips, *self.ladder, *self.couplings, *self.scales)


def data_plots(card: StructureCard) -> DataPlots:
    """Return the plots of `card`."""
    ladder = ladder_plot(card.ladder)
    reach = range_plot(card.coupling_range) if card.coupling_range is not None else None
    couplings = (reach, matrix_plot(card), graph_plot(card))
    spectrum = spectrum_plot(card.spectrum)
    return DataPlots(
        strips=index_strips(card.indices),
        ladder=() if ladder is None else (ladder,),
        couplings=tuple(plot for plot in couplings if plot is not None),
        scales=() if spectrum is None else (spectrum,),
    )


def ladder_plot(ladder: Ladder) -> Plot | None:
    """Return the deficits of the rungs to the best, simplest on top, on an axis that is linear around 0 only."""
    rungs = [rung for rung in ladder.rungs if rung.deficit is not None and math.isfinite(rung.deficit.value)]
    if not rungs:
        return None
    unit = _squeeze([rung.deficit for rung in rungs if rung.deficit is not None])
    rows = list(range(len(rungs) - 1, -1, -1))
    chosen = [rung.name == ladder.chosen for rung in rungs]
    traces = [
        _rungs([r for r, c in zip(rungs, chosen, strict=True) if c == which], rungs, rows, unit=unit, chosen=which)
        for which in (False, True)
    ]
    figure = framed(traces, across="deficit to the best rung", up="")
    labels = [_beside(rung.name) for rung in rungs]
    figure.update_yaxes(
        tickmode="array", tickvals=rows, ticktext=labels, range=[-0.6, len(rungs) - 0.4], showgrid=False
    )
    _deficit_axis(figure, rungs, unit=unit)
    caption = (
        f"How much worse each model predicts held-out data than the best of them, in {ladder.unit}, paired over samples;"
        " simplest on top. The simplest whose bar reaches zero is chosen. The axis is linear close to zero and"
        " logarithmic beyond."
    )
    marks = (Key("circle", "chosen"),) if any(chosen) else ()
    legend = (Key("dot", "deficit, ± 2 standard errors"), *marks)
    figure.update_yaxes(tickfont={"size": 11})
    return Plot("ladder", f"The ladder: {ladder.verdict}", caption, legend, figure, height=90 + 30 * len(rungs))


def _squeeze(deficits: Sequence[Estimate]) -> float:
    """Return the size below which the axis is linear: two of the smallest standard errors."""
    errors = [2.0 * e.error for e in deficits if 0.0 < e.error < math.inf]
    values = [abs(e.value) for e in deficits if e.value != 0.0]
    return min(errors or values or [1.0])


def _rungs(
    own: Sequence[Rung], everyone: Sequence[Rung], rows: Sequence[int], *, unit: float, chosen: bool
) -> go.Scatter:
    place = {rung.name: row for rung, row in zip(everyone, rows, strict=True)}
    found = [(rung, rung.deficit) for rung in own if rung.deficit is not None]

    def squeezed(value: float) -> float:
        return math.asinh(value / unit)

    middle = [squeezed(deficit.value) for _, deficit in found]
    high = [squeezed(d.value + 2 * d.error) - squeezed(d.value) if math.isfinite(d.error) else None for _, d in found]
    low = [squeezed(d.value) - squeezed(d.value - 2 * d.error) if math.isfinite(d.error) else None for _, d in found]
    colour = ACCENT if chosen else INK
    bars = {"type": "data", "symmetric": False, "array": high, "arrayminus": low, "color": colour, "thickness": 1.4}
    return go.Scatter(
        x=middle,
        y=[place[rung.name] for rung, _ in found],
        mode="markers",
        marker={"symbol": "circle", "size": 12 if chosen else 7, "color": colour},
        error_x=bars,
        hovertext=[_rung_hover(rung, deficit) for rung, deficit in found],
        hoverinfo="text",
    )


def _rung_hover(rung: Rung, deficit: Estimate) -> str:
    lines = [f"<b>{html.escape(_flat(rung.name))}</b>", f"{count(rung.parameters)} parameters"]
    if rung.score is not None:
        lines.append(f"score {with_error(rung.score.value, rung.score.error)}")
    return "<br>".join([*lines, f"deficit {with_error(deficit.value, deficit.error)}"])


def _deficit_axis(figure: go.Figure, rungs: Sequence[Rung], *, unit: float) -> None:
    """Set ticks at zero and at powers of ten, and the line at zero."""
    ends = [d.value + s * 2.0 * d.error for r in rungs if (d := r.deficit) and math.isfinite(d.error) for s in (-1, 1)]
    ends += [d.value for r in rungs if (d := r.deficit)]
    low, high = min(*ends, -unit), max(*ends, unit)
    powers = [10.0**e for e in range(math.ceil(math.log10(unit)), math.floor(math.log10(max(high, -low))) + 1)]
    both = low < -powers[0] if powers else False
    every = max(1, math.ceil(len(powers) * (1 + both) / 6))  # six labels and zero fit on a phone
    ticks = [0.0, *(sign * power for power in powers[::-1][::every] for sign in (-1, 1) if low <= sign * power <= high)]
    room = 0.06 * (math.asinh(high / unit) - math.asinh(low / unit))
    figure.update_xaxes(
        tickmode="array",
        tickvals=[math.asinh(tick / unit) for tick in ticks],
        ticktext=[_tick(tick) for tick in ticks],
        tickangle=0,
        range=[math.asinh(low / unit) - room, math.asinh(high / unit) + room],
    )
    figure.add_vline(x=0.0, line={"color": INK, "width": 1, "dash": "dash"})


def _tick(value: float) -> str:
    """Return 0, ±0.01, or a smaller power of ten as such."""
    if value == 0.0 or abs(value) >= 1e-2:  # shorter than a power
        return f"{value:g}".replace("-", "−")
    sign = "−" if value < 0 else ""
    return f"{sign}10<sup>−{-round(math.log10(abs(value)))}</sup>"


def range_plot(found: CouplingRange) -> Plot | None:
    """Return the size of couplings against distance on a logarithmic axis, above the band of noise.

    A shell whose estimate is zero or less stands at the foot as a hollow triangle, with the upper half of its bar.
    """
    shells = [k for k, e in enumerate(found.strengths) if math.isfinite(e.value) and math.isfinite(e.error)]
    above = [k for k in shells if found.strengths[k].value > 0]
    if not above:
        return None
    axis = log_axis([*(found.strengths[k].value for k in above), *(noise for noise in found.noise if noise > 0)])
    distances = list(found.distances)
    band = go.Scatter(
        x=[*distances, *reversed(distances)],
        y=[*(max(noise, axis.low) for noise in found.noise), *[axis.low] * len(distances)],
        fill="toself",
        fillcolor=BAND,
        mode="lines",
        line={"width": 0.5, "color": ACCENT},
        hoverinfo="skip",
    )
    zero = [k for k in shells if k not in above]
    traces = [band, _shells(found, above, axis=axis, symbol="circle")]
    traces += [_shells(found, zero, axis=axis, symbol="triangle-down-open")] if zero else []
    figure = framed(traces, across="distance, lattice spacings", up="root mean square coupling")
    figure.update_xaxes(range=[0.0, max(distances) + 0.5], nticks=10)
    figure.update_yaxes(logarithmic(axis))
    legend = (
        Key("dot", "couplings, ± 2 standard errors"),
        *((Key("hollow", "estimate zero or less"),) if zero else ()),
        Key("band", "noise: 95 of 100 draws without coupling lie below"),
    )
    return Plot("range", "Couplings against distance", sentence(found.sentence), legend, figure)


def _shells(found: CouplingRange, shells: Sequence[int], *, axis: LogAxis, symbol: str) -> go.Scatter:
    values = [max(found.strengths[k].value, axis.low) for k in shells]
    upper = [max(found.strengths[k].value, 0.0) + 2.0 * found.strengths[k].error for k in shells]
    above = [max(end - value, 0.0) for end, value in zip(upper, values, strict=True)]
    below = [min(2.0 * found.strengths[k].error, value - axis.low) for k, value in zip(shells, values, strict=True)]
    bars = {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "color": INK, "thickness": 1.2}
    return go.Scatter(
        x=[found.distances[k] for k in shells],
        y=values,
        mode="markers",
        marker={"symbol": symbol, "size": 7, "color": INK, "line": {"color": INK, "width": 1.2}},
        error_y=bars,
        cliponaxis=False,
        hovertext=[_shell_hover(found, k) for k in shells],
        hoverinfo="text",
    )


def _shell_hover(found: CouplingRange, k: int) -> str:
    strength = found.strengths[k]
    return (
        f"distance {short(found.distances[k])}, {found.pairs[k]:,} pairs<br>coupling"
        f" {with_error(strength.value, strength.error)}<br>noise {short(found.noise[k])}"
    )


def spectrum_plot(spectrum: Sequence[float]) -> Plot | None:
    """Return the variances of the principal components, largest first."""
    values = [value for value in spectrum if math.isfinite(value) and value > 0]
    if len(values) < 2:
        return None
    numbers = list(range(1, len(values) + 1))
    share = [sum(values[: k + 1]) / sum(values) for k in range(len(values))]
    line = go.Scatter(
        x=numbers,
        y=values,
        mode="lines+markers",
        line={"color": ACCENT, "width": 1.5},
        marker={"symbol": "circle", "size": 6 if len(values) <= 40 else 3, "color": ACCENT},
        hovertext=[
            f"component {k}: {short(v)}<br>{s:.1%} with those before"
            for k, v, s in zip(numbers, values, share, strict=True)
        ],
        hoverinfo="text",
    )
    figure = framed([line], across="principal component", up="variance")
    figure.update_xaxes(logarithmic(log_axis(numbers)))
    figure.update_yaxes(logarithmic(log_axis(values)))
    half = next(k for k, s in zip(numbers, share, strict=True) if s >= 0.5)
    caption = (
        f"The first {half} of {len(values)} components carry half of the variance. A straight line is a power law: no"
        " scale of its own."
    )
    legend = (Key("line", "variance of each principal component"),)
    return Plot("spectrum", "Spectrum", caption, legend, figure)


def _beside(name: str) -> str:
    """Return a name on at most two short lines, the middle left out where it is longer."""
    lines = textwrap.wrap(_flat(name), _LINE) or [""]
    lines = lines if len(lines) <= _LINES else [lines[0], "… " + lines[-1]]
    return "<br>".join(html.escape(line) for line in lines)


def _flat(text: str) -> str:
    return "".join(c if c.isprintable() else "�" for c in text)

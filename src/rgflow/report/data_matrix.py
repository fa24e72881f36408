"""The coupling matrix of a structure card as a heat map, and the graph of its resolved couplings as a drawing.

Units: those of the couplings. Colour says the sign, its strength the size; hovering gives the number. Matrices of many
variables are shown coarse: of every block of pairs the coupling of largest size.
"""

import html
import math

import numpy as np
import plotly.graph_objects as go

from rgflow.records.structure_card import StructureCard
from rgflow.report.data_report import sentence
from rgflow.report.digits import short
from rgflow.report.marks import ACCENT, INK, PAPER, SOFT
from rgflow.report.plot_frame import Key, Plot, framed

__all__ = ["graph_plot", "matrix_plot"]

CONTRAST = "var(--contrast)"
_MOST_CELLS = 128  # cells a side: a page carries 16,384 numbers, and a phone has no more pixels to show them
_MOST_NAMES = 24  # names a side that stay legible
_MOST_NODES, _MOST_EDGES = 1024, 4096  # what a phone draws without waiting
_LONGEST_NAME = 18  # characters of a name on an axis


def matrix_plot(card: StructureCard) -> Plot | None:
    """Return the heat map of the pair couplings, or None where there are none."""
    if card.coupling_matrix is None or len(card.coupling_matrix) < 2:
        return None
    matrix = card.coupling_matrix.detach().double().numpy().copy()
    np.fill_diagonal(matrix, np.nan)
    step = math.ceil(len(matrix) / _MOST_CELLS)
    cells = _coarse(matrix, step)
    size = float(np.nanmax(np.abs(cells))) if np.isfinite(cells).any() else 0.0
    figure = framed([_heat(cells, card, step=step, size=size or 1.0)], across="variable", up="variable")
    figure.update_xaxes(showgrid=False, constrain="domain")
    figure.update_yaxes(showgrid=False, autorange="reversed", scaleanchor="x", constrain="domain")
    names = _names(card)
    if step == 1 and 0 < len(names) <= _MOST_NAMES:
        figure.update_xaxes(
            tickmode="array", tickvals=list(range(len(names))), ticktext=names, tickangle=-60, title_text=""
        )
        figure.update_yaxes(tickmode="array", tickvals=list(range(len(names))), ticktext=names, title_text="")
    coarse = f" Each cell stands for {step} x {step} pairs and shows the largest of them." if step > 1 else ""
    caption = f"The coupling of every pair of variables; the paler, the smaller.{coarse}"
    legend = (
        Key("positive", f"positive, {short(size)}: the two favour equal signs"),
        Key("negative", f"negative, −{short(size)}: they favour opposite signs"),
    )
    return Plot("matrix", "Couplings of all pairs", caption, legend, figure, tall=True)


def _coarse(matrix: np.ndarray, step: int) -> np.ndarray:
    """Return of every block of `step` x `step` entries the one of largest size, NaN where a block has none."""
    side = math.ceil(len(matrix) / step)
    padded = np.full((side * step, side * step), np.nan)
    padded[: len(matrix), : len(matrix)] = matrix
    blocks = padded.reshape(side, step, side, step).transpose(0, 2, 1, 3).reshape(side, side, step * step)
    largest = np.abs(np.nan_to_num(blocks)).argmax(-1)
    filled = np.isfinite(blocks).any(-1)
    return np.where(filled, np.take_along_axis(np.nan_to_num(blocks), largest[..., None], -1)[..., 0], np.nan)


def _heat(cells: np.ndarray, card: StructureCard, *, step: int, size: float) -> go.Heatmap:
    values = [[None if math.isnan(v) else float(f"{v:.3g}") for v in row] for row in cells.tolist()]
    places = (np.arange(len(cells)) * step).tolist()
    names = _names(card) if step == 1 else []
    shown = {"customdata": [[f"{a} and {b}" for b in names] for a in names]} if 0 < len(names) <= _MOST_NAMES else {}
    pair = "%{customdata}" if shown else "%{y} and %{x}"
    return go.Heatmap(
        x=places,
        y=places,
        z=values,
        zmin=-size,
        zmax=size,
        colorscale=[[0.0, CONTRAST], [0.5, PAPER], [1.0, ACCENT]],
        showscale=False,
        hovertemplate=f"variables {pair}<br>coupling %{{z}}<extra></extra>",
        hoverongaps=False,
        **shown,
    )


def _names(card: StructureCard) -> list[str]:
    flat = ("".join(c if c.isprintable() else "�" for c in name) for name in card.variable_names)
    return [html.escape(name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…") for name in flat]


def graph_plot(card: StructureCard) -> Plot | None:
    """Return the couplings that stand out as lines, on the known lattice or, for few variables, on a circle."""
    edges = card.geometry.edges.detach().numpy()
    if not 0 < len(edges) <= _MOST_EDGES or card.variables > _MOST_NODES:
        return None
    flat = len(card.grid) == 2 and math.prod(card.grid) == card.variables
    if not flat and card.variables > 2 * _MOST_NAMES:
        return None
    places = _on_lattice(card.grid) if flat else _on_circle(card.variables)
    sides = np.array(card.grid[::-1], dtype=np.float64) if flat and card.periodic else None
    traces = [_lines(edges, card, places=places, sides=sides, positive=sign) for sign in (True, False)]
    figure = framed(
        [*traces, _nodes(card, places, named=not flat)], across="column" if flat else "", up="row" if flat else ""
    )
    figure.update_xaxes(showgrid=False, constrain="domain")
    figure.update_yaxes(showgrid=False, scaleanchor="x", constrain="domain")
    if flat:
        figure.update_xaxes(range=[-1, card.grid[1]])
        figure.update_yaxes(range=[card.grid[0], -1])  # row 0 on top
    else:
        figure.update_xaxes(visible=False, range=[-1.9, 1.9])
        figure.update_yaxes(visible=False, range=[-1.35, 1.35])
    where = "Drawn on the known lattice" if flat else "The variables are drawn on a circle"
    caption = f"{sentence(card.geometry.sentence)} {where}."
    legend = (
        Key("line", "positive coupling that stands out"),
        *((Key("contrast", "negative"),) if bool((card.geometry.strengths < 0).any()) else ()),
    )
    return Plot("graph", f"Geometry: {card.geometry.verdict}", caption, legend, figure, tall=True)


def _on_lattice(grid: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.unravel_index(np.arange(math.prod(grid)), grid)
    return np.stack([columns, rows], axis=1).astype(np.float64)


def _on_circle(count: int) -> np.ndarray:
    angles = 2.0 * math.pi * np.arange(count) / count
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def _lines(
    edges: np.ndarray, card: StructureCard, *, places: np.ndarray, sides: np.ndarray | None, positive: bool
) -> go.Scatter:
    kept = edges[(card.geometry.strengths.numpy() >= 0) == positive]
    start, end = places[kept[:, 0]], places[kept[:, 1]]
    step = end - start
    if sides is not None:
        step -= sides * np.round(step / sides)
    around = (np.abs(start + step - end) > 1e-9).any(1)  # places are whole numbers: 1e-9 absorbs rounding
    pieces = [(start[~around], end[~around]), (start[around], (start + 0.5 * step)[around])]
    pieces.append((end[around], (end - 0.5 * step)[around]))  # a bond around the edge: half of it on either side
    xs, ys = [], []
    for first, second in pieces:
        for (x0, y0), (x1, y1) in zip(first.tolist(), second.tolist(), strict=True):
            xs += [round(x0, 4), round(x1, 4), None]
            ys += [round(y0, 4), round(y1, 4), None]
    line = {"color": ACCENT, "width": 1.6} if positive else {"color": CONTRAST, "width": 1.6, "dash": "dot"}
    return go.Scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip")


def _nodes(card: StructureCard, places: np.ndarray, *, named: bool) -> go.Scatter:
    names = _names(card) or [str(number) for number in range(card.variables)]
    names = names if len(names) == card.variables else [str(number) for number in range(card.variables)]
    sideways = ["middle right" if x > 0.1 else "middle left" if x < -0.1 else "" for x in places[:, 0]]
    upright = ["top center" if y > 0 else "bottom center" for y in places[:, 1]]
    around = [a or b for a, b in zip(sideways, upright, strict=True)]
    return go.Scatter(
        x=places[:, 0].round(4).tolist(),
        y=places[:, 1].round(4).tolist(),
        mode="markers+text" if named else "markers",
        marker={"symbol": "circle", "size": 7 if named else 3, "color": INK if named else SOFT},
        text=names if named else None,
        textposition=around if named else None,
        textfont={"size": 11, "color": INK},
        hovertext=names,
        hoverinfo="text",
    )

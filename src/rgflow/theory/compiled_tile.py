"""Handing one tile of a Gram matrix to the compiled loops of `gram_loops`, as NumPy arrays of the working dtype."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor

from rgflow.theory import gram_loops
from rgflow.theory.arc_polynomials import arcsine_powers, arctangent_powers
from rgflow.theory.gram_planning import GramPlan, SeparableProgramme
from rgflow.theory.layer_programme import InputLayers, LayerProgramme
from rgflow.theory.separable_form import SeparableForm
from rgflow.theory.tile_formulas import GramTile

__all__ = ["compiled_tile"]

_EIGHT = 8  # coefficients that one pass of the loops takes


def compiled_tile(plan: GramPlan, rows: slice, columns: slice) -> GramTile:
    """Return the tile of `rows` and `columns` (both with start and stop)."""
    first, second = plan.rows[rows], plan.columns[columns]
    cosine = first @ second.T
    if isinstance(plan.programme, SeparableProgramme):
        return _separable(plan, plan.programme, cosine, rows, columns)
    assert isinstance(plan.programme, LayerProgramme)
    return _layered(plan, plan.programme, cosine, rows, columns)


def _separable(plan: GramPlan, programme: SeparableProgramme, cosine: Tensor, rows: slice, columns: slice) -> GramTile:
    kind = _type(plan.dtype)
    variable, v = programme.variable, cosine.numpy()
    segment = np.zeros(v.shape if len(programme.edges) > 2 else (len(v), 1), np.int32)
    if variable.stretch is not None:
        arcsine, terms = _arcsine(plan.dtype)
        gram_loops.places(
            v,
            plan.rows[rows].numpy(),
            plan.columns[columns].numpy(),
            kind(plan.near),
            np.array([variable.gain, variable.stretch], kind),
            np.array(programme.edges, kind),
            arcsine,
            terms,
            _constants(plan.dtype, (0.0, 0.0, 0.0), 1.0),
            segment,
        )
    parts = []
    for form in (programme.kernel, programme.tangent):
        out = None if form is None else torch.empty_like(cosine)
        if form is not None and out is not None:
            factors = form.row[rows].numpy(), form.column[:, columns].to(plan.dtype).contiguous().numpy()
            gram_loops.separable(v, segment, *factors, _padded(form), np.array(form.terms), out.numpy())
        parts.append(out)
    return GramTile(*parts)


def _layered(plan: GramPlan, programme: LayerProgramme, cosine: Tensor, rows: slice, columns: slice) -> GramTile:
    kind = _type(plan.dtype)
    steps = programme.steps.numpy().astype(kind)
    row, column = programme.row.part(rows), programme.column.part(columns)
    of_row, row_ends = _numbers(row, plan.dtype)
    of_column, column_ends = _numbers(column, plan.dtype)
    kernel, tangent = torch.empty_like(cosine), torch.empty_like(cosine)
    constants = _constants(plan.dtype, programme.start, programme.largest)
    if programme.family == "scale-invariant":
        arcsine, terms = _arcsine(plan.dtype)
        gram_loops.angle_layers(
            cosine.numpy(),
            plan.rows[rows].numpy(),
            plan.columns[columns].numpy(),
            kind(plan.near),
            arcsine,
            terms,
            constants,
            steps,
            of_row,
            row_ends,
            of_column,
            column_ends,
            kernel.numpy(),
            tangent.numpy(),
        )
    else:
        powers, terms = _arctangent(plan.dtype, programme.largest)
        gram_loops.arc_layers(
            cosine.numpy(),
            programme.family == "gelu",
            powers,
            terms,
            constants,
            steps,
            of_row,
            row_ends,
            of_column,
            column_ends,
            kernel.numpy(),
            tangent.numpy(),
        )
    return GramTile(kernel, tangent)


def _numbers(layers: InputLayers, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    return layers.factors.to(dtype).contiguous().numpy(), layers.ends.to(dtype).contiguous().numpy()


def _type(dtype: torch.dtype) -> type[np.floating]:
    return np.float32 if dtype == torch.float32 else np.float64


@cache
def _constants(dtype: torch.dtype, start: tuple[float, float, float], largest: float) -> np.ndarray:
    """Numbers that the loops use, in the order in which they index them."""
    z = 2.0 / max(largest, 1e-150) ** 2
    shares = (0.25, 0.5 / math.pi, 2.0 / math.pi)
    return np.array([1.0, 0.5, 2.0, 4.0, math.pi, 0.5 * math.pi, *start, z, *shares], _type(dtype))


def _ready(powers: np.ndarray, dtype: torch.dtype) -> tuple[np.ndarray, int]:
    missing = -len(powers) % _EIGHT
    return np.pad(powers, (0, missing)).astype(_type(dtype)), len(powers)


@cache
def _arcsine(dtype: torch.dtype) -> tuple[np.ndarray, int]:
    return _ready(arcsine_powers(torch.finfo(dtype).eps), dtype)


@cache
def _arctangent(dtype: torch.dtype, largest: float) -> tuple[np.ndarray, int]:
    return _ready(arctangent_powers(max(largest, 1e-3), torch.finfo(dtype).eps), dtype)


def _padded(form: SeparableForm) -> np.ndarray:
    core = form.core.numpy()
    return np.pad(core, ((0, 0),) * 3 + ((0, -core.shape[-1] % _EIGHT),))

"""Handing one tile of a Gram matrix to the compiled loops of `gram_loops`, as NumPy arrays of the working dtype."""

import math
from dataclasses import dataclass
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

__all__ = ["compiled_tile", "reflect_tile"]

_EIGHT = 8  # coefficients that one pass of the loops takes
_ARCTANGENT = 16  # powers of the arctangent: 1e-14 on all of [-1, 1]


@dataclass(frozen=True)
class _Work:
    """One tile: its spans, its cosines, where it stands in the `results` (row, column, 1 if on the diagonal)."""

    rows: slice
    columns: slice
    cosine: Tensor
    place: np.ndarray
    results: GramTile


def compiled_tile(plan: GramPlan, rows: slice, columns: slice, *, into: GramTile | None = None) -> GramTile:
    """Return the tile of `rows` and `columns` (both with start and stop), as views of whole matrices `into` if given.

    On the diagonal of a symmetric plan (rows == columns) the entries below the diagonal are left alone.
    """
    cosine = plan.rows[rows] @ plan.columns[columns].T
    upper = int(plan.symmetric and rows == columns)
    separable = isinstance(plan.programme, SeparableProgramme)
    wanted = [separable is False or name in plan.kind for name in ("kernel", "tangent")]
    whole = into if into is not None and (separable or len(plan.kind) == 2) else None
    # Layers make both matrices; one that was not asked for must not take the room of a whole matrix.
    results = whole or GramTile(*(torch.empty_like(cosine) if w else None for w in wanted))
    place = np.array([rows.start, columns.start, upper] if whole else [0, 0, upper])
    work = _Work(rows, columns, cosine, place, results)
    if isinstance(plan.programme, SeparableProgramme):
        _separable(plan, plan.programme, work)
    else:
        assert isinstance(plan.programme, LayerProgramme)
        _layered(plan, plan.programme, work)
    if into is None:
        return results
    views = GramTile(*(None if m is None else m[rows, columns] for m in (into.kernel, into.tangent)))
    if whole is None:
        for view, part in ((views.kernel, results.kernel), (views.tangent, results.tangent)):
            if view is not None and part is not None:
                view.copy_(part)
    return views


def reflect_tile(matrix: Tensor, rows: slice, columns: slice) -> None:
    """Copy a finished tile above the diagonal of a symmetric matrix to its place below."""
    gram_loops.reflect(matrix.numpy(), rows.start, rows.stop, columns.start, columns.stop)


def _separable(plan: GramPlan, programme: SeparableProgramme, work: _Work) -> None:
    kind = _type(plan.dtype)
    variable, v = programme.variable, work.cosine.numpy()
    segment = np.zeros(v.shape if len(programme.edges) > 2 else (len(v), 1), np.int32)
    if variable.stretch is not None:
        arcsine, terms = _arcsine(plan.dtype)
        gram_loops.places(
            v,
            plan.rows[work.rows].numpy(),
            plan.columns[work.columns].numpy(),
            work.place,
            kind(plan.near),
            np.array([variable.gain, variable.stretch], kind),
            np.array(programme.edges, kind),
            arcsine,
            terms,
            _constants(plan.dtype, (0.0, 0.0, 0.0), 1.0),
            segment,
        )
    for form, out in ((programme.kernel, work.results.kernel), (programme.tangent, work.results.tangent)):
        if form is not None and out is not None:
            factors = form.row[work.rows].numpy(), form.column[:, work.columns].to(plan.dtype).contiguous().numpy()
            terms = np.array(form.terms)
            gram_loops.separable(v, segment, *factors, _padded(form), terms, work.place, out.numpy())


def _layered(plan: GramPlan, programme: LayerProgramme, work: _Work) -> None:
    kind = _type(plan.dtype)
    steps = programme.steps.numpy().astype(kind)
    of_row = _numbers(programme.row.part(work.rows), plan.dtype)
    of_column = _numbers(programme.column.part(work.columns), plan.dtype)
    kernel, tangent = work.results.kernel, work.results.tangent
    assert kernel is not None
    assert tangent is not None
    ends = (*of_row, *of_column, kernel.numpy(), tangent.numpy())
    constants = _constants(plan.dtype, programme.start, programme.largest)
    if programme.family == "scale-invariant":
        vectors = (plan.rows[work.rows].numpy(), plan.columns[work.columns].numpy(), work.place, kind(plan.near))
        gram_loops.angle_layers(work.cosine.numpy(), *vectors, *_arcsine(plan.dtype), constants, steps, *ends)
    else:
        powers = _arctangent(plan.dtype, programme.largest)
        gelu = programme.family == "gelu"
        gram_loops.arc_layers(work.cosine.numpy(), work.place, gelu, powers, tuple(constants), steps, *ends)


def _numbers(layers: InputLayers, dtype: torch.dtype) -> tuple[np.ndarray, np.ndarray]:
    return layers.factors.to(dtype).contiguous().numpy(), layers.ends.to(dtype).contiguous().numpy()


def _type(dtype: torch.dtype) -> type[np.floating]:
    return np.float32 if dtype == torch.float32 else np.float64


@cache
def _constants(dtype: torch.dtype, start: tuple[float, float, float], largest: float) -> np.ndarray:
    """Numbers that the loops use, in the order in which they index them."""
    z = 2.0 / max(largest, 1e-150) ** 2
    shares = (0.25, 0.5 / math.pi, 1.0 / math.pi, 2.0 / math.pi, 4.0 / math.pi)
    return np.array([1.0, 0.5, 2.0, 4.0, math.pi, 0.5 * math.pi, *start, z, *shares], _type(dtype))


def _ready(powers: np.ndarray, dtype: torch.dtype) -> tuple[np.ndarray, int]:
    missing = -len(powers) % _EIGHT
    return np.pad(powers, (0, missing)).astype(_type(dtype)), len(powers)


@cache
def _arcsine(dtype: torch.dtype) -> tuple[np.ndarray, int]:
    return _ready(arcsine_powers(torch.finfo(dtype).eps), dtype)


@cache
def _arctangent(dtype: torch.dtype, largest: float) -> tuple[np.floating, ...]:
    powers = arctangent_powers(max(largest, 1e-3), torch.finfo(dtype).eps)[:_ARCTANGENT]
    return tuple(np.pad(powers, (0, _ARCTANGENT - len(powers))).astype(_type(dtype)))


def _padded(form: SeparableForm) -> np.ndarray:
    core = form.core.numpy()
    return np.pad(core, ((0, 0),) * 3 + ((0, -core.shape[-1] % _EIGHT),))

"""One tile of a planned Gram matrix: some rows against some columns, all layers, in one pass.

On a CPU with numba the loops of `gram_loops` run; elsewhere the torch operations of `tile_formulas`. Both follow the same
formulas and are compared in the tests.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from rgflow.theory.depth_function import DepthLaw
from rgflow.theory.gram_planning import GramPlan, SeparableProgramme
from rgflow.theory.layer_programme import LayerProgramme
from rgflow.theory.separable_form import SeparableForm
from rgflow.theory.tile_formulas import GramTile, angle_tile, arc_tile, half_cosine, separable_tile

__all__ = ["GramTile", "gram_tile", "mirror_tile", "torch_tile"]

_Evaluation = Callable[[GramPlan, slice, slice, GramTile | None], GramTile]


def gram_tile(plan: GramPlan, rows: slice, columns: slice, *, into: GramTile | None = None) -> GramTile:
    """Return the entries of `rows` and `columns` of both matrices, as views of whole matrices `into` if they are given.

    On the diagonal of a symmetric plan (rows == columns) the tile is symmetric and its diagonal is that of the one-input
    theory. Shapes: (rows, columns) each, in the plan's dtype and on its device. Errors: `plan.error`.
    """
    return _tile(plan, rows, columns, _compiled if _is_compiled(plan) else _plain, into)


def torch_tile(plan: GramPlan, rows: slice, columns: slice) -> GramTile:
    """Return the same tile through torch operations alone: the oracle of the compiled loops."""
    return _tile(plan, rows, columns, _plain, None)


def mirror_tile(plan: GramPlan, rows: slice, columns: slice, *, into: GramTile) -> None:
    """Copy a finished tile of a symmetric matrix from above the diagonal to its place below, in whole matrices."""
    for matrix in (into.kernel, into.tangent):
        if matrix is None:
            continue
        if _is_compiled(plan):
            _loops().reflect_tile(matrix, rows, columns)
        else:
            matrix[columns, rows] = matrix[rows, columns].T


def _is_compiled(plan: GramPlan) -> bool:
    return plan.device == "cpu" and _has_numba() and not isinstance(plan.programme, DepthLaw)


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def _tile(plan: GramPlan, rows: slice, columns: slice, evaluate: _Evaluation, into: GramTile | None) -> GramTile:
    count1, count2 = plan.shape
    rows, columns = slice(*rows.indices(count1)[:2]), slice(*columns.indices(count2)[:2])
    found = evaluate(plan, rows, columns, into)
    for name in ("kernel", "tangent"):
        value = getattr(found, name) if name in plan.kind else None
        if value is not None:
            _complete(plan, value, name, rows, columns)
    wanted = (found.kernel if "kernel" in plan.kind else None, found.tangent if "tangent" in plan.kind else None)
    return GramTile(*wanted)


def _complete(plan: GramPlan, value: Tensor, name: str, rows: slice, columns: slice) -> None:
    """Write entries with a vanishing input and exact diagonals; make symmetric where rows are columns."""
    for axis, (deviation, span, other, across) in enumerate(
        (
            (plan.row_deviation, rows, plan.column_values, columns),
            (plan.column_deviation, columns, plan.row_values, rows),
        )
    ):
        zero = (deviation[span] == 0.0).nonzero().flatten()
        if len(zero):
            lone = getattr(other, name)[across].to(value.dtype).to(value.device)
            where = zero.to(value.device)
            if axis == 0:
                value[where] = lone
            else:
                value[:, where] = lone.unsqueeze(1)
    if plan.symmetric:
        _write_diagonal(plan, value, name, rows, columns)


def _write_diagonal(plan: GramPlan, value: Tensor, name: str, rows: slice, columns: slice) -> None:
    low, high = max(rows.start, columns.start), min(rows.stop, columns.stop)
    if high <= low:
        return
    if rows == columns:
        a, b = torch.triu_indices(len(value), len(value), 1, device=value.device)
        value[b, a] = value[a, b]
    own = getattr(plan.row_values, f"{name}_diagonal")[low:high].to(value.dtype).to(value.device)
    a = torch.arange(low - rows.start, high - rows.start, device=value.device)
    value[a, a + rows.start - columns.start] = own


def _plain(plan: GramPlan, rows: slice, columns: slice, into: GramTile | None) -> GramTile:
    found = _by_operations(plan, rows, columns)
    if into is None:
        return found
    views = []
    for matrix, part in ((into.kernel, found.kernel), (into.tangent, found.tangent)):
        views.append(None if matrix is None or part is None else matrix[rows, columns].copy_(part))
    return GramTile(*views)


def _by_operations(plan: GramPlan, rows: slice, columns: slice) -> GramTile:
    programme = plan.programme
    if isinstance(programme, DepthLaw):
        return _by_quadrature(plan, programme, rows, columns)
    first, second = plan.rows[rows], plan.columns[columns]
    cosine = (first @ second.T).clamp(-1.0, 1.0)
    if isinstance(programme, SeparableProgramme):
        needed = programme.variable.stretch is not None
        half = half_cosine(cosine, first, second, near=plan.near) if needed else cosine
        forms = (_cut(programme.kernel, plan, rows, columns), _cut(programme.tangent, plan, rows, columns))
        return separable_tile(forms, half, cosine, variable=programme.variable, edges=programme.edges)
    part = _moved(programme, plan)
    row, column = part.row.part(rows), part.column.part(columns)
    if programme.family == "scale-invariant":
        return angle_tile(part, half_cosine(cosine, first, second, near=plan.near), cosine, row=row, column=column)
    return arc_tile(part, cosine, row=row, column=column)


def _cut(form: SeparableForm | None, plan: GramPlan, rows: slice, columns: slice) -> SeparableForm | None:
    if form is None:
        return None
    return replace(
        form,
        row=form.row[rows].to(plan.device),
        column=form.column[:, columns].to(plan.device, plan.dtype),
        core=form.core.to(plan.device),
    )


def _moved(programme: LayerProgramme, plan: GramPlan) -> LayerProgramme:
    return programme.moved(plan.device, plan.dtype)


def _by_quadrature(plan: GramPlan, law: DepthLaw, rows: slice, columns: slice) -> GramTile:
    """Every pair by itself; slow, exact to the averages."""
    from rgflow.theory.gram_check import exact_block

    first, second = plan.rows[rows].double().cpu(), plan.columns[columns].double().cpu()
    found = exact_block(
        law, first, second, row_deviation=plan.row_deviation[rows], column_deviation=plan.column_deviation[columns]
    )
    return GramTile(found.kernel.to(plan.device, plan.dtype), found.tangent.to(plan.device, plan.dtype))


def _compiled(plan: GramPlan, rows: slice, columns: slice, into: GramTile | None) -> GramTile:
    return _loops().compiled_tile(plan, rows, columns, into=into)


def _loops() -> ModuleType:
    # Imported here: numba takes a second, and is not needed on other devices.
    from rgflow.theory import compiled_tile

    return compiled_tile

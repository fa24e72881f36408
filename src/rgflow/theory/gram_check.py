"""The error of a planned Gram matrix, found by computing sampled entries again, exactly, by the layers' own averages.

The sample holds blocks of the matrix itself, through the very code that will fill it, and pairs at angles from far below
to far above those that occur, through the polynomials. Four times the largest deviation is stated: the sample sees the
typical worst case, the factor covers the tail. Deviations are relative to sqrt(F_aa F_bb).
"""

import math

import torch
from torch import Tensor

from rgflow.theory.depth_function import DepthLaw, DepthValues, depth_values
from rgflow.theory.gram_planning import GramError, GramPlan, SeparableProgramme
from rgflow.theory.gram_tiles import gram_tile
from rgflow.theory.tile_formulas import angle_of, form_values, half_cosine, place_of

__all__ = ["exact_block", "observed_error"]

_SIDE = 16  # rows and columns of a sampled block
_ANGLES = 128  # synthetic angles, of random pairs of inputs
_SAFETY = 4.0
# What averages by series and quadrature are worth, relative, per layer (see `pair_averages`).
_AVERAGES = 1e-12


def observed_error(plan: GramPlan, law: DepthLaw, *, rows: Tensor, columns: Tensor) -> GramError:
    """Return four times the largest deviation among sampled entries, at least the rounding of the dtype in every layer.

    Shapes: `rows`, `columns` the unit vectors in float64, before they were rounded to the working dtype.
    """
    layers = len(law.weight_variance)
    floor = torch.finfo(plan.dtype).eps * (4.0 + layers)
    if not law.activation.family:
        floor += _AVERAGES * layers
    found = {name: [floor] for name in plan.kind}
    deviations = [] if isinstance(plan.programme, DepthLaw) else _on_blocks(plan, law, rows, columns)
    if isinstance(plan.programme, SeparableProgramme):
        deviations.append(_at_all_angles(plan, law, plan.programme))
    for deviation in deviations:
        for name in plan.kind:
            found[name].append(_SAFETY * getattr(deviation, name))
    return GramError(*(max(found[name]) if name in found else None for name in ("kernel", "tangent")))


def exact_block(
    law: DepthLaw, rows: Tensor, columns: Tensor, *, row_deviation: Tensor, column_deviation: Tensor
) -> DepthValues:
    """Return kernel and tangent kernel, (rows, columns) each, pair by pair through every layer's own averages."""
    cosine = (rows @ columns.T).clamp(-1.0, 1.0)
    angle = angle_of(half_cosine(cosine, rows, columns, near=1e-2), cosine)
    deviation = torch.cat([row_deviation, column_deviation])
    a, b = torch.meshgrid(torch.arange(len(rows)), len(rows) + torch.arange(len(columns)), indexing="ij")
    found = depth_values(law, deviation, angle.flatten(), first=a.flatten(), second=b.flatten())
    kernel, tangent = found.kernel.reshape(angle.shape), found.tangent.reshape(angle.shape)
    return DepthValues(found.kernel_diagonal, found.tangent_diagonal, kernel, tangent)


def _on_blocks(plan: GramPlan, law: DepthLaw, rows: Tensor, columns: Tensor) -> list[GramError]:
    """Largest deviation on blocks of the matrix, between inputs whose first layer does not vanish."""
    count1, count2 = plan.shape
    found = []
    for a, b in ((0, 0), (count1 // 3, max(count2 - _SIDE, 0))):
        first, second = slice(a, min(a + _SIDE, count1)), slice(b, min(b + _SIDE, count2))
        own = (plan.row_deviation[first], plan.column_deviation[second])
        present = torch.outer(own[0], own[1]) > 0
        if not present.any():
            continue
        tile, true = (
            gram_tile(plan, first, second),
            exact_block(law, rows[first], columns[second], row_deviation=own[0], column_deviation=own[1]),
        )
        worst = []
        for name in ("kernel", "tangent"):
            scale = _scale(plan, name, first).unsqueeze(1) * _scale(plan, name, second, columns=True)
            value = getattr(tile, name)
            off = None if value is None else (value.cpu() - getattr(true, name)) / scale
            worst.append(None if off is None else float(off[present].abs().max()))
        found.append(GramError(*worst))
    return found


def _scale(plan: GramPlan, name: str, index: slice | Tensor, *, columns: bool = False) -> Tensor:
    values = plan.column_values if columns else plan.row_values
    return getattr(values, f"{name}_diagonal")[index].sqrt().clamp(min=1e-150)


def _at_all_angles(plan: GramPlan, law: DepthLaw, programme: SeparableProgramme) -> GramError:
    generator = torch.Generator().manual_seed(0)
    present = [(d > 0).nonzero().flatten() for d in (plan.row_deviation, plan.column_deviation)]
    if not (len(present[0]) and len(present[1])):
        return GramError(0.0, 0.0)
    a, b = (index[torch.randint(len(index), (_ANGLES,), generator=generator)] for index in present)
    near = torch.logspace(-8, math.log10(0.5 * math.pi), _ANGLES // 2, dtype=torch.float64)
    angle = torch.cat([near, math.pi - near])
    deviation, order = torch.cat([plan.row_deviation[a], plan.column_deviation[b]]), torch.arange(_ANGLES)
    true = depth_values(law, deviation, angle, first=order, second=_ANGLES + order)
    segment, v = place_of(angle, programme.variable, programme.edges)
    worst = []
    for name in ("kernel", "tangent"):
        form = getattr(programme, name)
        scale = _scale(plan, name, a) * _scale(plan, name, b, columns=True)
        off = None if form is None else (form_values(form, v, segment=segment, a=a, b=b) - getattr(true, name)) / scale
        worst.append(None if off is None else float(off.abs().max()))
    return GramError(*worst)

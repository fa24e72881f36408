"""The error of a planned Gram matrix, found by computing sampled entries again, exactly, by the layers' own averages.

The sample holds blocks of the matrix itself, through the very code that will fill it, and pairs at angles from far below
to far above those that occur, through the polynomials. Four times the largest deviation is stated: the sample sees the
typical worst case, the factor covers the tail. Deviations are relative to sqrt(F_aa F_bb).
"""

import math
from dataclasses import dataclass, replace

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
    samples = [] if isinstance(plan.programme, DepthLaw) else _blocks(plan, rows, columns)
    if isinstance(plan.programme, SeparableProgramme):
        samples += _all_angles(plan, plan.programme)
    worst = dict.fromkeys(plan.kind, floor)
    if samples:
        a, b, angle = (torch.cat([getattr(sample, name) for sample in samples]) for name in ("a", "b", "angle"))
        order = torch.arange(len(a))
        deviation = torch.cat([plan.row_deviation[a], plan.column_deviation[b]])
        true = depth_values(law, deviation, angle, first=order, second=len(a) + order)
        for name in plan.kind:
            value = torch.cat([getattr(sample, name) for sample in samples])
            scale = _scale(plan, name, a) * _scale(plan, name, b, columns=True)
            off = ((value - getattr(true, name)) / scale).abs()
            worst[name] = max(floor, _SAFETY * float(off.max()))
    return GramError(worst.get("kernel"), worst.get("tangent"))


@dataclass(frozen=True)
class _Sample:
    """Pairs (row a, column b) at an angle, (P,) each, and what the plan makes of them; all in float64."""

    a: Tensor
    b: Tensor
    angle: Tensor
    kernel: Tensor | None
    tangent: Tensor | None


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
    return replace(found, kernel=kernel, tangent=tangent)


def _blocks(plan: GramPlan, rows: Tensor, columns: Tensor) -> list[_Sample]:
    """Blocks of the matrix, between inputs whose first layer does not vanish."""
    count1, count2 = plan.shape
    found = []
    for top, left in ((0, 0), (count1 // 3, max(count2 - _SIDE, 0))):
        first, second = slice(top, min(top + _SIDE, count1)), slice(left, min(left + _SIDE, count2))
        present = torch.outer(plan.row_deviation[first], plan.column_deviation[second]) > 0
        if not present.any():
            continue
        cosine = (rows[first] @ columns[second].T).clamp(-1.0, 1.0)
        angle = angle_of(half_cosine(cosine, rows[first], columns[second], near=1e-2), cosine)
        tile = gram_tile(plan, first, second)
        parts = [None if part is None else part.cpu().double()[present] for part in (tile.kernel, tile.tangent)]
        a, b = present.nonzero(as_tuple=True)
        found.append(_Sample(top + a, left + b, angle[present], *parts))
    return found


def _scale(plan: GramPlan, name: str, index: slice | Tensor, *, columns: bool = False) -> Tensor:
    values = plan.column_values if columns else plan.row_values
    return getattr(values, f"{name}_diagonal")[index].sqrt().clamp(min=1e-150)


def _all_angles(plan: GramPlan, programme: SeparableProgramme) -> list[_Sample]:
    """Random pairs at angles from far below to far above those that occur, through the polynomials."""
    generator = torch.Generator().manual_seed(0)
    present = [(d > 0).nonzero().flatten() for d in (plan.row_deviation, plan.column_deviation)]
    if not (len(present[0]) and len(present[1])):
        return []
    a, b = (index[torch.randint(len(index), (_ANGLES,), generator=generator)] for index in present)
    near = torch.logspace(-8, math.log10(0.5 * math.pi), _ANGLES // 2, dtype=torch.float64)
    angle = torch.cat([near, math.pi - near])
    segment, v = place_of(angle, programme.variable, programme.edges)
    forms = (programme.kernel, programme.tangent)
    parts = [None if form is None else form_values(form, v, segment=segment, a=a, b=b) for form in forms]
    return [_Sample(a, b, angle, *parts)]

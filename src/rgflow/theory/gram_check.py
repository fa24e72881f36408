"""The error of a planned Gram matrix, found by computing sampled entries again, exactly, by the layers' own averages.

The sample holds blocks of the matrix itself, through the very code that will fill it, and pairs at angles from far below
to far above those that occur, through the polynomials. Four times the largest deviation is stated: the sample sees the
typical worst case, the factor covers the tail. Deviations are relative to sqrt(F_aa F_bb).
"""

import math

import torch
from torch import Tensor

from rgflow.theory.depth_function import DepthLaw, DepthValues, depth_values
from rgflow.theory.gram_plan import GramError, GramPlan, SeparableProgramme
from rgflow.theory.gram_tile import gram_tile
from rgflow.theory.separable_form import SeparableForm
from rgflow.theory.tile_formulas import form_values, half_cosine, place_of

__all__ = ["exact_block", "observed_error"]

_SIDE = 16  # rows and columns of a sampled block
_ANGLES = 128  # synthetic angles, of random pairs of inputs
_SAFETY = 4.0
# What averages by series and quadrature are worth, relative, per layer (see `pair_averages`).
_AVERAGES = 1e-12


def observed_error(plan: GramPlan, law: DepthLaw, rows: Tensor, columns: Tensor) -> GramError:
    """Return four times the largest deviation among sampled entries, at least the rounding of the dtype in every layer.

    Shapes: `rows`, `columns` the unit vectors in float64, before they were rounded to the working dtype.
    """
    layers = len(law.weight_variance)
    floor = torch.finfo(plan.dtype).eps * (4.0 + layers)
    if not law.activation.family:
        floor += _AVERAGES * layers
    found = {name: [floor] for name in plan.kind}
    if not isinstance(plan.programme, DepthLaw):
        for name in plan.kind:
            found[name] += [_SAFETY * value for value in _on_blocks(plan, law, rows, columns, name)]
    if isinstance(plan.programme, SeparableProgramme):
        for name in plan.kind:
            found[name].append(_SAFETY * _at_all_angles(plan, law, plan.programme, name))
    return GramError(*(max(found[name]) if name in found else None for name in ("kernel", "tangent")))


def exact_block(
    law: DepthLaw, rows: Tensor, columns: Tensor, row_deviation: Tensor, column_deviation: Tensor
) -> DepthValues:
    """Return kernel and tangent kernel, (rows, columns) each, pair by pair through every layer's own averages."""
    half = half_cosine((rows @ columns.T).clamp(-1.0, 1.0), rows, columns, near=1e-2).clamp(0.0, 1.0)
    angle = 2.0 * torch.atan2(half.sqrt(), (1.0 - half).sqrt())
    deviation = torch.cat([row_deviation, column_deviation])
    a, b = torch.meshgrid(torch.arange(len(rows)), len(rows) + torch.arange(len(columns)), indexing="ij")
    found = depth_values(law, deviation, angle.flatten(), first=a.flatten(), second=b.flatten())
    kernel, tangent = found.kernel.reshape(half.shape), found.tangent.reshape(half.shape)
    return DepthValues(found.kernel_diagonal, found.tangent_diagonal, kernel, tangent)


def _on_blocks(plan: GramPlan, law: DepthLaw, rows: Tensor, columns: Tensor, name: str) -> list[float]:
    count1, count2 = plan.shape
    deviations = []
    for a, b in ((0, 0), (count1 // 2, 0), (0, max(count2 - _SIDE, 0)), (count1 // 3, count2 // 3)):
        first, second = slice(a, min(a + _SIDE, count1)), slice(b, min(b + _SIDE, count2))
        tile = getattr(gram_tile(plan, first, second), name).cpu().double()
        own = (plan.row_deviation[first], plan.column_deviation[second])
        true = getattr(exact_block(law, rows[first], columns[second], *own), name)
        scale = _scale(plan, name, first, second)
        deviations.append(
            float(((tile - true).abs() / scale)[_present(plan, first, second)].amax())
            if _present(plan, first, second).any()
            else 0.0
        )
    return deviations


def _present(plan: GramPlan, rows: slice, columns: slice) -> Tensor:
    """Entries between inputs whose first layer does not vanish; the others are exact by construction."""
    return (plan.row_deviation[rows] > 0).unsqueeze(1) & (plan.column_deviation[columns] > 0)


def _scale(plan: GramPlan, name: str, rows: slice | Tensor, columns: slice | Tensor) -> Tensor:
    first = getattr(plan.row_values, f"{name}_diagonal")[rows]
    second = getattr(plan.column_values, f"{name}_diagonal")[columns]
    return torch.outer(first, second).sqrt().clamp(min=1e-300)


def _at_all_angles(plan: GramPlan, law: DepthLaw, programme: SeparableProgramme, name: str) -> float:
    form = getattr(programme, name)
    assert isinstance(form, SeparableForm)
    generator = torch.Generator().manual_seed(0)
    present = [(d > 0).nonzero().flatten() for d in (plan.row_deviation, plan.column_deviation)]
    if not (len(present[0]) and len(present[1])):
        return 0.0
    a, b = (index[torch.randint(len(index), (_ANGLES,), generator=generator)] for index in present)
    near = torch.logspace(-8, math.log10(0.5 * math.pi), _ANGLES // 2, dtype=torch.float64)
    angle = torch.cat([near, math.pi - near])
    deviation = torch.cat([plan.row_deviation[a], plan.column_deviation[b]])
    order = torch.arange(_ANGLES)
    true = getattr(depth_values(law, deviation, angle, first=order, second=_ANGLES + order), name)
    segment, v = place_of(angle, programme.variable, programme.edges)
    values = form_values(form, v, segment, a, b)
    scale = (
        getattr(plan.row_values, f"{name}_diagonal")[a] * getattr(plan.column_values, f"{name}_diagonal")[b]
    ).sqrt()
    return float(((values - true).abs() / scale.clamp(min=1e-300)).max())

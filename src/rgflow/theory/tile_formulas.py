"""One tile of a Gram matrix in plain torch operations: the route of every device, and the oracle of the compiled loops.

`cosine` (a, b) is the product of unit vectors; formulas are those of `separable_form` and `layer_programme`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.angle_variable import AngleVariable
from rgflow.theory.layer_programme import InputLayers, LayerProgramme
from rgflow.theory.separable_form import SeparableForm

__all__ = ["GramTile", "angle_of", "angle_tile", "arc_tile", "form_values", "half_cosine", "place_of", "separable_tile"]


@dataclass(frozen=True)
class GramTile:
    """Kernel and tangent kernel of some rows and columns, (rows, columns) each; None where not asked for."""

    kernel: Tensor | None
    tangent: Tensor | None


def half_cosine(cosine: Tensor, rows: Tensor, columns: Tensor, *, near: float) -> Tensor:
    """Return (1 - |cos t|) / 2, from the distance |u_a -+ u_b|^2 / 4 of the unit vectors where it is below `near`."""
    half = (0.5 - 0.5 * cosine.abs()).clamp(min=0.0)
    a, b = (half < near).nonzero(as_tuple=True)
    for some, other in zip(a.split(_PAIRS), b.split(_PAIRS), strict=True):
        sign = torch.where(cosine[some, other] >= 0.0, 1.0, -1.0).double().unsqueeze(1)
        distance = (rows[some].double() - sign * columns[other].double()).square().sum(-1)
        half[some, other] = (0.25 * distance).to(half.dtype)
    return half


_PAIRS = 65_536  # close pairs handled at once: two copies of their inputs


def angle_of(half: Tensor, sign: Tensor) -> Tensor:
    """Return the angle t from (1 - |cos t|) / 2 and the sign of its cosine."""
    near = 2.0 * torch.asin(half.sqrt())
    return torch.where(sign >= 0.0, near, math.pi - near)


def place_of(angle: Tensor, variable: AngleVariable, edges: tuple[float, ...]) -> tuple[Tensor | None, Tensor]:
    """Return the segment of each angle (None if there is but one) and its place v in [-1, 1] there."""
    if len(edges) == 2:
        return None, variable.of_angle(angle)
    bounds = torch.tensor(edges, dtype=angle.dtype, device=angle.device)
    segment = torch.bucketize(angle, bounds[1:-1])
    low, high = bounds[segment], bounds[segment + 1]
    return segment, ((angle - low) - (high - angle)) / (high - low)


def separable_tile(
    forms: tuple[SeparableForm | None, SeparableForm | None],
    half: Tensor,
    cosine: Tensor,
    *,
    variable: AngleVariable,
    edges: tuple[float, ...],
) -> GramTile:
    """Return the tile of separable forms already cut to its rows and columns."""
    if variable.stretch is None:
        segment, v = None, cosine
    else:
        segment, v = place_of(angle_of(half, cosine), variable, edges)
    return GramTile(*(None if form is None else _form(form, v, segment) for form in forms))


def _form(form: SeparableForm, v: Tensor, segment: Tensor | None) -> Tensor:
    powers = torch.einsum("ap,spjk->sajk", form.row.double(), form.core.double()).to(v.dtype)
    result = torch.zeros_like(v)
    index = torch.arange(len(v), device=v.device).unsqueeze(1)
    for j, terms in enumerate(form.terms):
        if not terms:
            continue
        total = torch.zeros_like(v)
        for k in range(terms - 1, -1, -1):
            own = powers[0, :, j, k].unsqueeze(1) if segment is None else powers[segment, index, j, k]
            total = total * v + own
        result += total * form.column[j]
    return result


def form_values(form: SeparableForm, v: Tensor, *, segment: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
    """Return the form at chosen pairs (a, b), (P,), at places v on the angle; float64."""
    where = torch.zeros_like(a) if segment is None else segment
    powers = torch.einsum("np,npjk->njk", form.row[a], form.core[where])
    total = torch.zeros(len(a), len(form.terms), dtype=torch.float64)
    for k in range(powers.shape[2] - 1, -1, -1):
        total = total * v.unsqueeze(1) + powers[:, :, k]
    return (total * form.column[:, b].T).sum(1)


def angle_tile(
    programme: LayerProgramme, half: Tensor, cosine: Tensor, *, row: InputLayers, column: InputLayers
) -> GramTile:
    """Return the tile of a scale-invariant network, layer by layer."""
    bias, slope, constant = programme.start
    sign = torch.where(cosine >= 0.0, 1.0 - 2.0 * half, 2.0 * half - 1.0)
    theta = bias + slope * (_outer(row.ends[0], column.ends[0]) * sign - constant)
    for layer, step in enumerate(programme.steps.tolist()):
        share, scale, even, odd, rate_b, rate_w = step
        root_a, cos_a, c_a, s_a = row.factors[layer]
        root, cos, c, s = column.factors[layer]
        angle = angle_of(half, sign)
        sine = 2.0 * (half * (1.0 - half)).sqrt()
        inner = torch.where(sign >= 0.0, half, 1.0 - half) - share * (sine - angle * sign)
        activity = _outer(root_a, root) * (1.0 - 2.0 * inner)
        theta = rate_b + rate_w * activity + scale * (even + odd * (0.5 * math.pi - angle)) * theta
        far = (_outer(s_a, c) - _outer(c_a, s)) ** 2 + _outer(cos_a, cos) * inner
        sign = 1.0 - 2.0 * far
        half = torch.minimum(far, 1.0 - far).clamp(min=0.0)
    return GramTile(_outer(row.ends[1], column.ends[1]) * sign, theta)


def arc_tile(programme: LayerProgramme, cosine: Tensor, *, row: InputLayers, column: InputLayers) -> GramTile:
    """Return the tile of an erf or GELU network, layer by layer."""
    bias, slope, constant = programme.start
    y = _outer(row.ends[0], column.ends[0]) * cosine
    theta = bias + slope * (y - constant)
    step_of = _gelu_step if programme.family == "gelu" else _erf_step
    for layer, (scale, shift, rate_b, rate_w) in enumerate(programme.steps.tolist()):
        value, gain = step_of(y, row.factors[layer], column.factors[layer])
        theta = rate_b + rate_w * value + scale * gain * theta
        y = shift + scale * value
    return GramTile(y, theta)


def _outer(first: Tensor, second: Tensor) -> Tensor:
    return first.unsqueeze(1) * second


def _erf_step(y: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    scale = _outer(row[0], column[0])
    t = y * scale
    return 2.0 / math.pi * torch.asin(t), 2.0 / math.pi * scale / (1.0 - t * t).sqrt()


def _gelu_step(y: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    scale = _outer(row[0], column[0])
    t = y * scale
    inverse = scale / (1.0 - t * t).sqrt()
    angle = 0.25 + torch.asin(t) / (2.0 * math.pi)
    ends = row[2].unsqueeze(1) + column[2] - 1.0
    root = inverse / (2.0 * math.pi)
    peak = (_outer(row[1], column[1]) + y * y * ends) * root
    slope = angle + y * root + 2.0 * y * ends * root + peak * y * inverse * inverse
    return y * angle + peak, slope

"""Closed forms of T_pq = <s^(p)_a s^(q)_b> for scale-invariant activations, erf and sin, elementwise over pairs.

Convention: x = K_aa, y = K_ab, w = K_bb; what two delta functions contribute stands apart as `contact`, as in
`pair_derivatives`. Scale-invariant: with g = (a_plus - a_minus) / 2 and D = sqrt(x w - y^2), contact = 2 g^2 / (pi D).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.pointwise import Activation

__all__ = ["ClosedDerivatives", "closed_derivatives"]

# What rounding of K leaves of the determinant x w - y^2 of proportional inputs, relative to x w.
_SINGULAR = 4e-16


@dataclass(frozen=True)
class ClosedDerivatives:
    """T11, T20, T02, T22, T31, T13, T40, T04 without contacts, and the contact, each of the shape of y.

    `blur` (..., 3) is what the rounding of K leaves unknown of T22, T40, T04 where it hides whether two inputs coincide.
    """

    t11: Tensor
    t20: Tensor
    t02: Tensor
    t22: Tensor
    t31: Tensor
    t13: Tensor
    t40: Tensor
    t04: Tensor
    contact: Tensor
    blur: Tensor


def closed_derivatives(activation: Activation, x: Tensor, y: Tensor, *, w: Tensor) -> ClosedDerivatives | None:
    """Return the averages for every pair, or None if the activation has no closed form for all of them.

    Errors: rounding of y. Where x = 0 the averages that multiply changes of x are 0.
    Source: derivatives of the kernels of Cho and Saul 2009 and Williams 1997 with respect to x, y, w (Price's theorem).
    """
    there, back = closed_pair_moments(activation, x, y, w=w), closed_pair_moments(activation, w, y, w=x)
    forms = {"scale-invariant": _scale_invariant, "erf": _erf, "sin": _sin}
    form = forms.get(activation.family)
    if form is None or there is None or back is None or there.bend is None or back.bend is None:
        return None
    higher = form(activation, x, y, w)
    blur = _blur(activation, x, higher[-1], w=w)
    return ClosedDerivatives(there.slope, there.bend, back.bend, *higher, blur=blur)


def _blur(activation: Activation, x: Tensor, contact: Tensor, *, w: Tensor) -> Tensor:
    """Return D's uncertainty sqrt(4e-16 x w) in the terms that are proportional to D, where D itself is lost in rounding."""
    slopes = activation.scale_invariant
    none = torch.zeros_like(x)
    if slopes is None:
        return torch.stack([none, none, none], -1)
    root = (slopes[0] - slopes[1]) ** 2 / (2.0 * math.pi) * (_SINGULAR * x * w).sqrt()
    lost = (contact == 0) & (x > 0) & (w > 0)
    return torch.stack([torch.where(lost, root / scale.clamp_min(1e-300), none) for scale in (x * w, x * x, w * w)], -1)


def _scale_invariant(activation: Activation, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    slopes = activation.scale_invariant
    assert slopes is not None
    factor = (slopes[0] - slopes[1]) ** 2 / (2.0 * math.pi)
    determinant = (x * w - y * y).clamp(min=0.0)
    regular = determinant > _SINGULAR * x * w
    contact = torch.where(regular, factor / torch.where(regular, determinant, 1.0).sqrt(), 0.0)
    zero, root = torch.zeros_like(y), factor * determinant.sqrt()
    t40, t04 = (torch.where(v > 0, -root / torch.where(v > 0, v * v, 1.0), 0.0) for v in (x, w))
    return zero, zero, zero, t40, t04, contact


def _erf(_: Activation, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    p, q = 1.0 + 2.0 * x, 1.0 + 2.0 * w
    e = p * q - 4.0 * y * y
    root = e.sqrt()
    cube = math.pi * e * root
    t40 = 16.0 * y / math.pi * (2.0 / (p * p * root) + q / (p * e * root))
    t04 = 16.0 * y / math.pi * (2.0 / (q * q * root) + p / (q * e * root))
    return 16.0 * y / cube, -8.0 * q / cube, -8.0 * p / cube, t40, t04, torch.zeros_like(y)


def _sin(activation: Activation, x: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    found = closed_pair_moments(activation, x, y, w=w)
    assert found is not None
    value, slope = found.value, found.slope  # every two derivatives of a sine flip its sign
    return value, -slope, -slope, value, value, torch.zeros_like(y)

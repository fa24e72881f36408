"""Exact averages of pairs <s_a s_b>, <s'_a s'_b> and <s''_a s_b> for the activations that have them.

Convention: x = K_aa, y = K_ab, w = K_bb of the Gaussian (z_a, z_b); everything elementwise over tensors of equal shape.
Families: scale-invariant (slopes a_plus, a_minus), erf, sin, gelu (z Phi(z); no closed <s'' s> is kept for it).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.pointwise import Activation

__all__ = ["PairMoments", "closed_pair_moments"]


@dataclass(frozen=True)
class PairMoments:
    """<s_a s_b>, <s'_a s'_b> and <s''_a s_b>; None where no closed form is known."""

    value: Tensor
    slope: Tensor
    bend: Tensor | None


def closed_pair_moments(activation: Activation, x: Tensor, y: Tensor, *, w: Tensor) -> PairMoments | None:
    """Return the exact pair averages of `activation`, or None if its family has no closed form.

    Errors: rounding of y; where K_ab comes within 1e-8 of sqrt(K_aa K_bb) differences such as <(s_a - s_b)^2> need
    the nodes of `pair_nodes` instead.
    Source: Cho and Saul 2009 (scale-invariant); Williams 1997 (erf); Tsuchida et al. 2021, arXiv:2002.08517 (gelu).
    """
    if activation.family == "scale-invariant":
        slopes = activation.scale_invariant
        return None if slopes is None else _scale_invariant(slopes, x, y, w)
    forms = {"erf": _erf, "sin": _sin, "gelu": _gelu}
    form = forms.get(activation.family)
    return None if form is None else form(x, y, w)


def _scale_invariant(slopes: tuple[float, float], x: Tensor, y: Tensor, w: Tensor) -> PairMoments:
    even, odd = 0.5 * (slopes[0] + slopes[1]), 0.5 * (slopes[0] - slopes[1])
    scale = (x * w).sqrt()
    positive = scale > 0
    # Root and angle come from one difference: their errors near correlation 1, eps / angle each, then cancel in the value.
    root = ((scale - y.abs()) * (scale + y.abs())).clamp(min=0.0).sqrt()
    angle = torch.where(positive, torch.atan2(y, root), 0.0)
    factor = 2.0 * odd**2 / math.pi
    bend = factor * torch.where(x > 0, root / torch.where(x > 0, x, 1.0), 0.0)
    # A variable that is constantly 0 has the slope PyTorch gives it at 0, that of the negative side.
    lone = torch.where(x > 0, even, slopes[1]) * torch.where(w > 0, even, slopes[1])
    slope = torch.where(positive, even**2 + factor * angle, lone)
    return PairMoments(even**2 * y + factor * (root + y * angle), slope, bend)


def _erf(x: Tensor, y: Tensor, w: Tensor) -> PairMoments:
    p, q = 1.0 + 2.0 * x, 1.0 + 2.0 * w
    e = p * q - 4.0 * y * y
    value = 2.0 / math.pi * torch.asin(2.0 * y / (p * q).sqrt())
    return PairMoments(value, 4.0 / (math.pi * e.sqrt()), -8.0 * y / (math.pi * p * e.sqrt()))


def _sin(x: Tensor, y: Tensor, w: Tensor) -> PairMoments:
    # e^{-(x+w)/2} sinh(y) written without the overflow of sinh at large kernels.
    plus, minus = torch.exp(y - 0.5 * (x + w)), torch.exp(-y - 0.5 * (x + w))
    value = torch.where(y.abs() < 1.0, torch.exp(-0.5 * (x + w)) * torch.sinh(y.clamp(-1.0, 1.0)), 0.5 * (plus - minus))
    return PairMoments(value, 0.5 * (plus + minus), -value)


def _gelu(x: Tensor, y: Tensor, w: Tensor) -> PairMoments:
    p, q = 1.0 + x, 1.0 + w
    e = p * q - y * y
    angle = torch.asin(y / (p * q).sqrt())
    ends = (x * w + y * y * (1.0 / p + 1.0 / q - 1.0)) / (2.0 * math.pi * e.sqrt())
    value = 0.25 * y + y * angle / (2.0 * math.pi) + ends
    # d<s_a s_b>/dK_ab at fixed K_aa, K_bb (Price): derivative of the line above with respect to y.
    first = 0.25 + angle / (2.0 * math.pi) + y / (2.0 * math.pi * e.sqrt())
    second = 2.0 * y * (1.0 / p + 1.0 / q - 1.0) / (2.0 * math.pi * e.sqrt())
    return PairMoments(value, first + second + ends * y / e, None)

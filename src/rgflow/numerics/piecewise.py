"""Activations made of pieces: linear, polynomial or exponential between knots.

Parameters follow PyTorch's own names and defaults; at a knot a function takes the value of the piece on its left.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.numerics.pointwise import Activation

__all__ = [
    "celu",
    "elu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky",
    "leaky_relu",
    "piecewise_polynomial",
    "relu6",
    "selu",
    "softshrink",
    "threshold",
]

# SELU's published constants (Klambauer et al. 2017, arXiv:1706.02515), as PyTorch rounds them.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def leaky(upper: float, lower: float, *, name: str, module: str) -> Activation:
    """Return s(z) = upper z for z > 0 and lower z for z < 0."""
    kinks = () if upper == lower else (0.0,)
    return Activation(
        name,
        lambda z: torch.where(z > 0, upper * z, lower * z),
        lambda z: torch.where(z > 0, torch.full_like(z, upper), torch.full_like(z, lower)),
        torch.zeros_like,
        kinks=kinks,
        jumps=(upper - lower,) if kinks else (),
        family="scale-invariant",
        module=module,
    )


def piecewise_polynomial(
    knots: tuple[float, ...], pieces: tuple[tuple[float, ...], ...], *, name: str, module: str = ""
) -> Activation:
    """Return the function that equals pieces[i] (ascending coefficients) between knots[i-1] and knots[i]."""
    edges = torch.tensor(knots, dtype=torch.float64)
    order = max(len(piece) for piece in pieces) + 2
    table = torch.tensor([tuple(piece) + (0.0,) * (order - len(piece)) for piece in pieces], dtype=torch.float64)
    tables = [table]
    for _ in range(2):
        powers = torch.arange(1, tables[-1].shape[1], dtype=torch.float64)
        tables.append(tables[-1][:, 1:] * powers)
    functions = [_piecewise(edges, table) for table in tables]
    jumps, steps = (
        tuple(
            float(_horner(tables[which][i + 1], knot) - _horner(tables[which][i], knot)) for i, knot in enumerate(knots)
        )
        for which in (1, 0)
    )
    return Activation(name, *functions, kinks=knots, jumps=jumps, steps=steps, module=module)


def _horner(coefficients: Tensor, z: float) -> float:
    value = 0.0
    for coefficient in coefficients.flip(0).tolist():
        value = value * z + coefficient
    return value


def _piecewise(edges: Tensor, table: Tensor) -> Callable[[Tensor], Tensor]:
    degree = max((int(k) for k in range(table.shape[1]) if bool((table[:, k] != 0).any())), default=0)

    def function(z: Tensor) -> Tensor:
        piece = torch.bucketize(z, edges.to(z.device))
        local = table.to(z.device)
        value = local[:, degree][piece]
        for power in range(degree - 1, -1, -1):
            value = value * z + local[:, power][piece]
        return value

    return function


def _elu_family(alpha: float, length: float, *, scale: float = 1.0, name: str, module: str) -> Activation:
    """Return s(z) = scale z for z > 0 and scale alpha (exp(z / length) - 1) for z < 0."""

    def exponential(z: Tensor, power: int) -> Tensor:
        return scale * alpha / length**power * torch.exp(z.clamp(max=0.0) / length)

    return Activation(
        name,
        lambda z: torch.where(z > 0, scale * z, scale * alpha * torch.expm1(z.clamp(max=0.0) / length)),
        lambda z: torch.where(z > 0, scale, exponential(z, 1)),
        lambda z: torch.where(z > 0, 0.0, exponential(z, 2)),
        kinks=(0.0,),
        jumps=(scale * (1.0 - alpha / length),),
        module=module,
    )


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """Return s(z) = z for z > 0 and negative_slope z for z < 0."""
    name = f"leaky_relu({negative_slope:g})"
    return leaky(1.0, negative_slope, name=name, module=f"nn.LeakyReLU({negative_slope:g})")


def elu(alpha: float = 1.0) -> Activation:
    """Return s(z) = z for z > 0 and alpha (exp(z) - 1) for z < 0 (Clevert et al. 2015, arXiv:1511.07289)."""
    plain = alpha == 1.0
    return _elu_family(
        alpha, 1.0, name="elu" if plain else f"elu({alpha:g})", module=f"nn.ELU({'' if plain else alpha})"
    )


def celu(alpha: float = 1.0) -> Activation:
    """Return s(z) = z for z > 0 and alpha (exp(z / alpha) - 1) for z < 0 (Barron 2017, arXiv:1704.07483)."""
    plain = alpha == 1.0
    name = "celu" if plain else f"celu({alpha:g})"
    return _elu_family(alpha, alpha, name=name, module=f"nn.CELU({'' if plain else alpha})")


def selu() -> Activation:
    """Return the self-normalising exponential linear unit (Klambauer et al. 2017, arXiv:1706.02515)."""
    return _elu_family(_SELU_ALPHA, 1.0, scale=_SELU_SCALE, name="selu", module="nn.SELU()")


def hardtanh(low: float = -1.0, high: float = 1.0) -> Activation:
    """Return s(z) = min(max(z, low), high)."""
    plain = (low, high) == (-1.0, 1.0)
    name = "hardtanh" if plain else f"hardtanh({low:g},{high:g})"
    module = "nn.Hardtanh()" if plain else f"nn.Hardtanh({low:g}, {high:g})"
    return piecewise_polynomial((low, high), ((low,), (0.0, 1.0), (high,)), name=name, module=module)


def relu6() -> Activation:
    """Return s(z) = min(max(z, 0), 6)."""
    return piecewise_polynomial((0.0, 6.0), ((0.0,), (0.0, 1.0), (6.0,)), name="relu6", module="nn.ReLU6()")


def hardshrink(level: float = 0.5) -> Activation:
    """Return s(z) = z for |z| > level and 0 otherwise."""
    pieces = ((0.0, 1.0), (0.0,), (0.0, 1.0))
    name, module = f"hardshrink({level:g})", f"nn.Hardshrink({level:g})"
    return piecewise_polynomial((-level, level), pieces, name=name, module=module)


def softshrink(level: float = 0.5) -> Activation:
    """Return s(z) = z - level for z > level, z + level for z < -level and 0 between."""
    pieces = ((level, 1.0), (0.0,), (-level, 1.0))
    name, module = f"softshrink({level:g})", f"nn.Softshrink({level:g})"
    return piecewise_polynomial((-level, level), pieces, name=name, module=module)


def threshold(level: float, value: float) -> Activation:
    """Return s(z) = z for z > level and `value` otherwise."""
    name = f"threshold({level:g},{value:g})"
    pieces = ((value,), (0.0, 1.0))
    return piecewise_polynomial((level,), pieces, name=name, module=f"nn.Threshold({level:g}, {value:g})")


def hardswish() -> Activation:
    """Return s(z) = z min(max(z + 3, 0), 6) / 6 (Howard et al. 2019, arXiv:1905.02244)."""
    pieces = ((0.0,), (0.0, 0.5, 1.0 / 6.0), (0.0, 1.0))
    return piecewise_polynomial((-3.0, 3.0), pieces, name="hardswish", module="nn.Hardswish()")


def hardsigmoid() -> Activation:
    """Return s(z) = min(max(z + 3, 0), 6) / 6."""
    pieces = ((0.0,), (0.5, 1.0 / 6.0), (1.0,))
    return piecewise_polynomial((-3.0, 3.0), pieces, name="hardsigmoid", module="nn.Hardsigmoid()")

"""The activations that have a name, each with exact derivatives, its kinks and its spelling in PyTorch.

Every builder returns an `Activation` in float64; parameters follow PyTorch's own names and defaults.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.numerics.pointwise import Activation, differentiated

__all__ = [
    "BUILDERS",
    "elu_family",
    "gelu_erf",
    "gelu_tanh",
    "hardsigmoid",
    "hardswish",
    "leaky",
    "piecewise_polynomial",
    "softplus",
]

_ROOT_2 = math.sqrt(2.0)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
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


def elu_family(alpha: float, length: float, scale: float, *, name: str, module: str) -> Activation:
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


def _normal(z: Tensor) -> Tensor:
    return _DENSITY * torch.exp(-0.5 * z * z)


def _cumulative(z: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-z / _ROOT_2)


def gelu_erf() -> Activation:
    """Return s(z) = z Phi(z), Phi the normal distribution function."""
    return Activation(
        "gelu",
        lambda z: z * _cumulative(z),
        lambda z: _cumulative(z) + z * _normal(z),
        lambda z: _normal(z) * (2.0 - z * z),
        family="gelu",
        module="nn.GELU()",
    )


def gelu_tanh() -> Activation:
    """Return s(z) = z (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3))) / 2 (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    scale, cubic = math.sqrt(2.0 / math.pi), 0.044715  # arXiv:1606.08415, section 2

    def parts(z: Tensor) -> tuple[Tensor, Tensor]:
        # |z| is capped where tanh has saturated, so that the cubic cannot overflow.
        capped = z.clamp(-40.0, 40.0)
        return 2.0 * scale * (capped + cubic * capped**3), 2.0 * scale * (1.0 + 3.0 * cubic * capped * capped)

    # (1 + tanh u) / 2 = sigmoid(2 u), which keeps its relative accuracy in the tail.
    def derivative(z: Tensor) -> Tensor:
        argument, slope = parts(z)
        return torch.sigmoid(argument) * (1.0 + z * torch.sigmoid(-argument) * slope)

    def second(z: Tensor) -> Tensor:
        argument, slope = parts(z)
        gate = torch.sigmoid(argument)
        bend = 12.0 * scale * cubic * z + slope * slope * (1.0 - 2.0 * gate)
        return gate * torch.sigmoid(-argument) * (2.0 * slope + z * bend)

    return Activation(
        "gelu_tanh",
        lambda z: z * torch.sigmoid(parts(z)[0]),
        derivative,
        second,
        module='nn.GELU(approximate="tanh")',
    )


def _silu() -> Activation:
    def second(z: Tensor) -> Tensor:
        gate = torch.sigmoid(z)
        return gate * torch.sigmoid(-z) * (2.0 + z * (1.0 - 2.0 * gate))

    return Activation(
        "silu",
        lambda z: z * torch.sigmoid(z),
        lambda z: torch.sigmoid(z) * (1.0 + z * torch.sigmoid(-z)),
        second,
        module="nn.SiLU()",
    )


def _mish() -> Activation:
    def gates(z: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(torch.nn.functional.softplus(z)), torch.sigmoid(z)

    def derivative(z: Tensor) -> Tensor:
        outer, inner = gates(z)
        return outer + z * (1.0 - outer * outer) * inner

    def second(z: Tensor) -> Tensor:
        outer, inner = gates(z)
        fall = (1.0 - outer * outer) * inner
        return fall * (2.0 + z * (1.0 - inner - 2.0 * outer * inner))

    return Activation("mish", lambda z: z * gates(z)[0], derivative, second, module="nn.Mish()")


def softplus(beta: float = 1.0, *, module: str = "nn.Softplus()") -> Activation:
    """Return s(z) = log(1 + exp(beta z)) / beta, evaluated without PyTorch's linear cut."""
    return Activation(
        "softplus" if beta == 1.0 else f"softplus({beta:g})",
        lambda z: torch.logaddexp(beta * z, torch.zeros_like(z)) / beta,
        lambda z: torch.sigmoid(beta * z),
        lambda z: beta * torch.sigmoid(beta * z) * torch.sigmoid(-beta * z),
        module=module,
    )


def _sigmoid() -> Activation:
    def slope(z: Tensor) -> Tensor:
        return torch.sigmoid(z) * torch.sigmoid(-z)

    return Activation(
        "sigmoid", torch.sigmoid, slope, lambda z: slope(z) * (1.0 - 2.0 * torch.sigmoid(z)), module="nn.Sigmoid()"
    )


def _tanh() -> Activation:
    def slope(z: Tensor) -> Tensor:
        # 1 / cosh^2 keeps its relative accuracy where 1 - tanh^2 has cancelled.
        return torch.cosh(z.clamp(-350.0, 350.0)) ** -2

    return Activation("tanh", torch.tanh, slope, lambda z: -2.0 * torch.tanh(z) * slope(z), module="nn.Tanh()")


def _erf() -> Activation:
    def slope(z: Tensor) -> Tensor:
        return 2.0 / math.sqrt(math.pi) * torch.exp(-z * z)

    return Activation("erf", torch.erf, slope, lambda z: -2.0 * z * slope(z), family="erf")


def _softsign() -> Activation:
    return Activation(
        "softsign",
        lambda z: z / (1.0 + z.abs()),
        lambda z: (1.0 + z.abs()) ** -2,
        lambda z: -2.0 * torch.sign(z) * (1.0 + z.abs()) ** -3,
        kinks=(0.0,),
        module="nn.Softsign()",
    )


def hardswish() -> Activation:
    """Return s(z) = z min(max(z + 3, 0), 6) / 6 (Howard et al. 2019, arXiv:1905.02244)."""
    pieces = ((0.0,), (0.0, 0.5, 1.0 / 6.0), (0.0, 1.0))
    return piecewise_polynomial((-3.0, 3.0), pieces, name="hardswish", module="nn.Hardswish()")


def hardsigmoid() -> Activation:
    """Return s(z) = min(max(z + 3, 0), 6) / 6."""
    pieces = ((0.0,), (0.5, 1.0 / 6.0), (1.0,))
    return piecewise_polynomial((-3.0, 3.0), pieces, name="hardsigmoid", module="nn.Hardsigmoid()")


def _clipped(low: float, high: float, *, name: str, module: str) -> Activation:
    return piecewise_polynomial((low, high), ((low,), (0.0, 1.0), (high,)), name=name, module=module)


def _smooth(name: str, *functions: Callable[[Tensor], Tensor], family: str = "", module: str = "") -> Activation:
    missing = list(functions)
    while len(missing) < 3:
        missing.append(differentiated(missing[-1]))
    return Activation(name, missing[0], missing[1], missing[2], family=family, module=module)


def _selu() -> Activation:
    return elu_family(_SELU_ALPHA, 1.0, _SELU_SCALE, name="selu", module="nn.SELU()")


# Name -> builder; a name with an entry in `activations.ALIASES` is spelled more than one way.
BUILDERS: dict[str, Callable[[], Activation]] = {
    "identity": lambda: leaky(1.0, 1.0, name="identity", module="nn.Identity()"),
    "relu": lambda: leaky(1.0, 0.0, name="relu", module="nn.ReLU()"),
    "abs": lambda: leaky(1.0, -1.0, name="abs", module=""),
    "elu": lambda: elu_family(1.0, 1.0, 1.0, name="elu", module="nn.ELU()"),
    "celu": lambda: elu_family(1.0, 1.0, 1.0, name="celu", module="nn.CELU()"),
    "selu": _selu,
    "gelu": gelu_erf,
    "gelu_tanh": gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hardswish": hardswish,
    "hardsigmoid": hardsigmoid,
    "hardtanh": lambda: _clipped(-1.0, 1.0, name="hardtanh", module="nn.Hardtanh()"),
    "relu6": lambda: _clipped(0.0, 6.0, name="relu6", module="nn.ReLU6()"),
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": softplus,
    "softsign": _softsign,
    "erf": _erf,
    "arctan": lambda: _smooth(
        "arctan", torch.atan, lambda z: 1.0 / (1.0 + z * z), lambda z: -2.0 * z / (1.0 + z * z) ** 2
    ),
    "sin": lambda: _smooth("sin", torch.sin, torch.cos, lambda z: -torch.sin(z), family="sin"),
    "cos": lambda: _smooth("cos", torch.cos, lambda z: -torch.sin(z), lambda z: -torch.cos(z)),
    "sinh": lambda: _smooth("sinh", torch.sinh, torch.cosh, torch.sinh),
    "exp": lambda: _smooth("exp", torch.exp, torch.exp, torch.exp),
    "square": lambda: _smooth("square", lambda z: z * z, lambda z: 2.0 * z, lambda z: torch.full_like(z, 2.0)),
    "cube": lambda: _smooth("cube", lambda z: z**3, lambda z: 3.0 * z * z, lambda z: 6.0 * z),
    "tanhshrink": lambda: _smooth(
        "tanhshrink", lambda z: z - torch.tanh(z), lambda z: torch.tanh(z) ** 2, module="nn.Tanhshrink()"
    ),
    "logsigmoid": lambda: _smooth(
        "logsigmoid",
        lambda z: -torch.logaddexp(-z, torch.zeros_like(z)),
        lambda z: torch.sigmoid(-z),
        lambda z: -torch.sigmoid(z) * torch.sigmoid(-z),
        module="nn.LogSigmoid()",
    ),
    "squared_relu": lambda: piecewise_polynomial((0.0,), ((0.0,), (0.0, 0.0, 1.0)), name="squared_relu"),
    "sign": lambda: piecewise_polynomial((0.0,), ((-1.0,), (1.0,)), name="sign"),
}

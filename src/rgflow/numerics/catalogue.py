"""The activations that have a name, each with exact derivatives, its kinks and its spelling in PyTorch.

Every builder returns an `Activation` in float64; parameters follow PyTorch's own names and defaults.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.numerics import piecewise
from rgflow.numerics.piecewise import leaky, piecewise_polynomial
from rgflow.numerics.pointwise import Activation, differentiated

__all__ = ["BUILDERS", "gelu_erf", "gelu_tanh", "softplus"]

_ROOT_2 = math.sqrt(2.0)
_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)


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


def softplus(beta: float = 1.0) -> Activation:
    """Return s(z) = log(1 + exp(beta z)) / beta, evaluated without PyTorch's linear cut."""
    return Activation(
        "softplus" if beta == 1.0 else f"softplus({beta:g})",
        lambda z: torch.logaddexp(beta * z, torch.zeros_like(z)) / beta,
        lambda z: torch.sigmoid(beta * z),
        lambda z: beta * torch.sigmoid(beta * z) * torch.sigmoid(-beta * z),
        module="nn.Softplus()" if beta == 1.0 else f"nn.Softplus(beta={beta:g})",
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


def _smooth(name: str, *functions: Callable[[Tensor], Tensor], family: str = "", module: str = "") -> Activation:
    missing = list(functions)
    while len(missing) < 3:
        missing.append(differentiated(missing[-1]))
    return Activation(name, missing[0], missing[1], missing[2], family=family, module=module)


# Name -> builder without parameters.
BUILDERS: dict[str, Callable[[], Activation]] = {
    "identity": lambda: leaky(1.0, 1.0, name="identity", module="nn.Identity()"),
    "relu": lambda: leaky(1.0, 0.0, name="relu", module="nn.ReLU()"),
    "abs": lambda: leaky(1.0, -1.0, name="abs", module=""),
    "elu": piecewise.elu,
    "celu": piecewise.celu,
    "selu": piecewise.selu,
    "gelu": gelu_erf,
    "gelu_tanh": gelu_tanh,
    "silu": _silu,
    "mish": _mish,
    "hardswish": piecewise.hardswish,
    "hardsigmoid": piecewise.hardsigmoid,
    "hardtanh": piecewise.hardtanh,
    "leaky_relu": piecewise.leaky_relu,
    "relu6": piecewise.relu6,
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

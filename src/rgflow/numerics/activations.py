"""From a name, a PyTorch module or any callable to an `Activation`.

Names follow PyTorch's functional spelling; parameters may follow in brackets, as in "leaky_relu(0.2)".
"""

import re
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.catalogue import BUILDERS, elu_family, leaky, piecewise_polynomial, softplus
from rgflow.numerics.pointwise import Activation, differentiated

__all__ = ["Activation", "activation", "activation_names", "leaky_relu"]

_ALIASES = {
    "linear": "identity",
    "swish": "silu",
    "gelu_erf": "gelu",
    "atan": "arctan",
    "relu_squared": "squared_relu",
    "relu2": "squared_relu",
    "logistic": "sigmoid",
    "cubic": "cube",
    "quadratic": "square",
}


def leaky_relu(negative_slope: float = 0.01) -> Activation:
    """Return s(z) = z for z > 0 and negative_slope z for z < 0."""
    name = f"leaky_relu({negative_slope:g})"
    return leaky(1.0, negative_slope, name=name, module=f"nn.LeakyReLU({negative_slope:g})")


def _elu(alpha: float = 1.0) -> Activation:
    return elu_family(alpha, 1.0, 1.0, name=f"elu({alpha:g})", module=f"nn.ELU({alpha:g})")


def _celu(alpha: float = 1.0) -> Activation:
    return elu_family(alpha, alpha, 1.0, name=f"celu({alpha:g})", module=f"nn.CELU({alpha:g})")


def _hardtanh(low: float = -1.0, high: float = 1.0) -> Activation:
    name = f"hardtanh({low:g},{high:g})"
    pieces = ((low,), (0.0, 1.0), (high,))
    return piecewise_polynomial((low, high), pieces, name=name, module=f"nn.Hardtanh({low:g}, {high:g})")


# Builders that take numbers, and how many they take at least and at most.
_WITH_NUMBERS: dict[str, tuple[Callable[..., Activation], int, int]] = {
    "leaky_relu": (leaky_relu, 0, 1),
    "prelu": (leaky_relu, 1, 1),
    "elu": (_elu, 0, 1),
    "celu": (_celu, 0, 1),
    "hardtanh": (_hardtanh, 0, 2),
    "softplus": (softplus, 0, 1),
}


def activation_names() -> tuple[str, ...]:
    """Return every name that `activation` takes."""
    return tuple(sorted({*BUILDERS, *_ALIASES, *_WITH_NUMBERS}))


def activation(name_or_callable: "str | Activation | Callable[..., Tensor]", *, kinks: Sequence[float] = ()) -> Activation:
    """Return the `Activation` of that name, PyTorch module, PyTorch function, or callable of one tensor.

    Common PyTorch modules are recognised with their parameters. Any other callable must act elementwise; its
    derivatives are found by automatic differentiation and its kinks by a search, to which `kinks` adds.
    Raises: SettingError for an unknown name, or a callable that is not elementwise and finite.

    Example:
    >>> activation("leaky_relu(0.2)").scale_invariant
    (1.0, 0.2)
    """
    if isinstance(name_or_callable, Activation):
        return name_or_callable
    if isinstance(name_or_callable, str):
        return _named(name_or_callable)
    if not callable(name_or_callable):
        raise SettingError(f"the activation is {name_or_callable!r}; give a name, an nn.Module or a callable of a tensor")
    return _custom(name_or_callable, tuple(float(kink) for kink in kinks))


@cache
def _named(spelling: str) -> Activation:
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*", spelling)
    name = match[1].lower() if match else ""
    name = _ALIASES.get(name, name)
    numbers = _numbers(spelling, (match[2] or "") if match else "")
    if not numbers and name in BUILDERS:
        return BUILDERS[name]()
    build, least, most = _WITH_NUMBERS.get(name, (None, 0, 0))
    if build is None or not least <= len(numbers) <= most:
        known = ", ".join(activation_names())
        raise SettingError(f"no activation is called {spelling!r}; the names are {known}")
    return build(*numbers)


def _numbers(spelling: str, arguments: str) -> tuple[float, ...]:
    try:
        return tuple(float(part.split("=")[-1]) for part in arguments.split(",") if part.strip())
    except ValueError:
        raise SettingError(f"the parameters of {spelling!r} must be numbers, as in 'leaky_relu(0.2)'") from None


def _custom(function: Callable[..., Tensor], kinks: tuple[float, ...]) -> Activation:
    name = getattr(function, "__name__", type(function).__name__)
    slope = differentiated(function)
    return Activation(name, function, slope, differentiated(slope), kinks=kinks)

"""From a name, a PyTorch module or any callable to an `Activation`.

Names follow PyTorch's functional spelling; parameters may follow in brackets, as in "leaky_relu(0.2)".
"""

import copy
import re
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

from rgflow.errors import SettingError
from rgflow.numerics import piecewise
from rgflow.numerics.catalogue import BUILDERS, softplus
from rgflow.numerics.kink_search import find_kinks
from rgflow.numerics.piecewise import leaky, leaky_relu
from rgflow.numerics.pointwise import Activation, Pointwise, differentiated
from rgflow.numerics.torch_modules import recognised

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

# Builders that take numbers, and how many they take at least and at most.
_WITH_NUMBERS: dict[str, tuple[Callable[..., Activation], int, int]] = {
    "leaky_relu": (leaky_relu, 0, 1),
    "prelu": (leaky_relu, 1, 1),
    "elu": (piecewise.elu, 0, 1),
    "celu": (piecewise.celu, 0, 1),
    "hardtanh": (piecewise.hardtanh, 0, 2),
    "hardshrink": (piecewise.hardshrink, 0, 1),
    "softshrink": (piecewise.softshrink, 0, 1),
    "threshold": (piecewise.threshold, 2, 2),
    "softplus": (softplus, 0, 1),
}


def activation_names() -> tuple[str, ...]:
    """Return every name that `activation` takes."""
    return tuple(sorted({*BUILDERS, *_ALIASES, *_WITH_NUMBERS}))


def activation(
    name_or_callable: "str | Activation | Callable[..., Tensor]", *, kinks: Sequence[float] = ()
) -> Activation:
    """Return the `Activation` of that name, PyTorch module, PyTorch function, or callable of one tensor.

    PyTorch's own modules are recognised with their parameters. Any other callable must act elementwise; its derivatives
    are found by automatic differentiation and its kinks by a search on |z| <= 40, to which `kinks` adds.
    Raises: SettingError for an unknown name, or a callable that is not elementwise and finite on [-3, 3].

    Example:
    >>> activation("leaky_relu(0.2)").scale_invariant
    (1.0, 0.2)
    """
    if isinstance(name_or_callable, Activation):
        return name_or_callable
    if isinstance(name_or_callable, str):
        return _named(name_or_callable)
    if not callable(name_or_callable):
        raise SettingError(f"the activation is {name_or_callable!r}; give a name, an nn.Module or a callable")
    return recognised(name_or_callable) or _custom(name_or_callable, tuple(float(kink) for kink in kinks))


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
    value = _in_double(function)
    _check_elementwise(value, name)
    slope = differentiated(value)
    _check_slope(value, slope, name)
    bend = differentiated(slope)
    known = find_kinks((value, slope, bend), declared=kinks)
    found = Activation(
        name,
        value,
        slope,
        bend,
        kinks=tuple(kink.position for kink in known),
        jumps=tuple(kink.jump for kink in known),
        steps=tuple(kink.step for kink in known),
    )
    slopes = found.scale_invariant
    # Rounding of the user's own arithmetic is taken out: the closed forms then hold exactly.
    return found if slopes is None else leaky(*slopes, name=name, module="")


def _in_double(function: Callable[..., Tensor]) -> Pointwise:
    """The callable for float64 tensors; a module is copied, so that the user's own stays in its precision and mode."""
    if not isinstance(function, nn.Module):
        return function
    module = copy.deepcopy(function).double().eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module


def _check_elementwise(function: Pointwise, name: str) -> None:
    points = torch.tensor([-2.9, -1.3, -0.4, 0.2, 0.7, 1.9, 2.8], dtype=torch.float64)
    advice = "it must map a float64 tensor elementwise to finite numbers"
    try:
        together = function(points)
        alone = torch.stack([function(point.reshape(1, 1)).reshape(()) for point in points])
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as failure:
        raise SettingError(f"the activation {name} fails on a tensor ({failure}); {advice}") from None
    if together.shape != points.shape or not bool(torch.isfinite(together).all()):
        raise SettingError(
            f"the activation {name} turns 7 numbers into shape {tuple(together.shape)}, or not finite; {advice}"
        )
    if not torch.allclose(together, alone, rtol=1e-12, atol=1e-15):
        raise SettingError(f"the activation {name} mixes the entries of its input; {advice}")


def _check_slope(function: Pointwise, slope: Pointwise, name: str) -> None:
    """Refuse a callable that hides its computation from autograd, or declares another gradient than its own."""
    points = torch.linspace(-2.87, 2.91, 25, dtype=torch.float64)
    step = 1e-5
    secant = (function(points + step) - function(points - step)) / (2.0 * step)
    try:
        found = slope(points)
    except RuntimeError as failure:
        raise SettingError(f"the activation {name} cannot be differentiated by PyTorch: {failure}") from None
    # Kinks and steps may spoil a few points; a wrong gradient spoils most.
    wrong = (found - secant).abs() > 1e-4 * (1.0 + secant.abs())
    if int(wrong.sum()) > len(points) // 2:
        raise SettingError(
            f"the activation {name} has the slope {float(secant[12]):.4g} at z = {float(points[12]):.2g}, but"
            f" PyTorch's autograd says {float(found[12]):.4g}; write it in differentiable torch operations"
        )

"""Pointwise functions found in a running model: a small tree of the operations between two results, replayed at will.

A leaf stands for the source tensor; a node for one call of a torch function whose other arguments are constants.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.activations import Activation, activation

__all__ = ["SOURCE", "Expression", "acts_pointwise", "as_activation", "function_name"]

# Parameters of torch functions in the order in which `rgflow.numerics.activations` takes them, with their defaults.
_PARAMETERS: dict[str, tuple[tuple[str, float], ...]] = {
    "leaky_relu": (("negative_slope", 0.01),),
    "elu": (("alpha", 1.0),),
    "celu": (("alpha", 1.0),),
    "hardtanh": (("min_val", -1.0), ("max_val", 1.0)),
}
_PLAIN = frozenset(
    {"relu", "tanh", "sigmoid", "selu", "silu", "mish", "hardswish", "sin", "erf", "softsign", "relu6", "hardsigmoid"}
)
# Functions that have a kink where their argument is 0; the search for kinks in numerics is told to look there.
_KINKED = frozenset({"relu", "abs", "leaky_relu", "elu", "selu", "celu", "clamp", "prelu"})


@dataclass(frozen=True, eq=False)
class Expression:
    """One call `function(*arguments, **options)`, or the source itself where `function` is None.

    Arguments and options may be expressions. A call that works in place acts on a copy when it is replayed.
    """

    function: Callable[..., Any] | None = None
    arguments: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_source(self) -> bool:
        """Whether nothing has been done to the source."""
        return self.function is None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all functions called, innermost first."""
        if self.function is None:
            return ()
        parts = [a for a in (*self.arguments, *self.options.values()) if isinstance(a, Expression)]
        return (*dict.fromkeys(name for part in parts for name in part.names), function_name(self.function))

    def __call__(self, source: Tensor) -> Tensor:
        """Return the expression's value at `source`."""
        if self.function is None:
            return source.clone()
        arguments = [_value(a, source) for a in self.arguments]
        return self.function(*arguments, **{k: _value(v, source) for k, v in self.options.items()})


SOURCE = Expression()


def _value(argument: Any, source: Tensor) -> Any:
    if isinstance(argument, Expression):
        return argument(source)
    if isinstance(argument, Tensor):
        return argument.detach().to(source.dtype) if argument.is_floating_point() else argument
    return argument


def function_name(function: Callable[..., Any]) -> str:
    """Return the name under which torch calls the function, without leading and trailing double underscores."""
    name = getattr(function, "__name__", str(function))
    if name == "__get__":
        return "attribute"
    return re.fullmatch(r"(?:__)?(.*?)(?:__)?", name)[1]  # type: ignore[index]


def acts_pointwise(expression: Expression, like: Tensor) -> bool:
    """Return whether every output entry is one and the same function of the input entry at its place, and of it alone.

    Tested on random tensors of the shape of `like` (at most two samples): other entries, chance and the place may not
    matter.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (min(2, like.shape[0]), *like.shape[1:]) if like.ndim else ()
    first = torch.randn(shape, generator=generator, dtype=torch.float64)
    changed = torch.rand(shape, generator=generator) < 0.5
    second = torch.where(changed, torch.randn(shape, generator=generator, dtype=torch.float64), first)
    order = torch.randperm(first.numel(), generator=generator)
    third = first.flatten()[order].view(shape)
    try:
        values = [expression(first), expression(second), expression(third)]
    except Exception:
        return False
    if any(not isinstance(v, Tensor) or v.shape != first.shape for v in values):
        return False
    value, other, moved = (value.double() for value in values)
    # Chance would show here too.
    same = torch.equal(value[~changed], other[~changed])
    # Vectorised kernels may round the tail of an array differently, so places are compared to rounding only.
    return same and torch.allclose(value.flatten()[order].view(shape), moved, rtol=1e-9, atol=1e-12)


def as_activation(expression: Expression) -> Activation | None:
    """Return the named activation if the expression is one call of it, else one by quadrature; None for the source.

    Raises: SettingError if the function is not finite on the line.
    """
    if expression.is_source:
        return None
    named = _named(expression)
    if named is not None:
        return named
    function = _Named(expression, name="+".join(expression.names))
    return activation(
        function, kinks=(0.0,) if _KINKED.intersection(name.rstrip("_") for name in expression.names) else ()
    )


def _named(expression: Expression) -> Activation | None:
    name = expression.names[-1].rstrip("_")
    argument = next(iter(expression.arguments), None)
    if not isinstance(argument, Expression) or not argument.is_source:
        return None
    spelling = _spelling(name, expression)
    if spelling is None:
        return None
    try:
        found = activation(spelling)
    except SettingError:
        return None
    # A name is believed only if it computes the same numbers.
    points = torch.linspace(-6.0, 6.0, 97, dtype=torch.float64)
    return found if torch.allclose(expression(points), found(points), rtol=1e-5, atol=1e-6) else None


def _spelling(name: str, expression: Expression) -> str | None:
    if name in _PLAIN:
        return name
    if name == "gelu":
        approximate = expression.options.get("approximate", "none")
        return "gelu_tanh" if "tanh" in (approximate, *expression.arguments[1:]) else "gelu"
    if name in _PARAMETERS:
        given = expression.arguments[1:]
        values = [
            given[i] if i < len(given) and not isinstance(given[i], bool) else expression.options.get(key, default)
            for i, (key, default) in enumerate(_PARAMETERS[name])
        ]
        return f"{name}({','.join(format(float(v), 'g') for v in values)})"
    return None


@dataclass(frozen=True, eq=False)
class _Named:
    """An expression under a name, as `activation` shows it."""

    expression: Expression
    name: str

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, source: Tensor) -> Tensor:
        return self.expression(source)

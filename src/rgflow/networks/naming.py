"""From the functions found in a running model to `Activation`s: by name where the numbers agree, else as they are.

A name is believed only if the function equals the named one to 1e-12 on a grid; closed forms then apply.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.networks.expression import Expression
from rgflow.numerics.activations import Activation, activation, activation_names

__all__ = ["Found", "named_activations"]

# Points of both signs, off every knot of a named activation (those are multiples of 1/2).
_GRID = torch.linspace(-7.03, 7.01, 211, dtype=torch.float64)
_SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Found:
    """A function found between two linear maps; `name` is the user's name for it, or ""."""

    expression: Expression
    name: str = ""

    @property
    def __name__(self) -> str:
        return self.name or "+".join(self.expression.names)

    def __call__(self, z: Tensor) -> Tensor:
        """Return the function at z."""
        return self.expression(z)


def named_activations(functions: Sequence[Found]) -> tuple[Activation, ...]:
    """Return the activation of each function; equal functions share one `Activation`.

    Raises: SettingError if a function is not elementwise, finite and differentiable.
    """
    made: dict[bytes, Activation] = {}
    result = []
    for function in functions:
        values = function(_GRID)
        key = values.numpy().tobytes()
        made[key] = made[key] if key in made else _activation(function, values)
        result.append(made[key])
    return tuple(result)


def _activation(function: Found, values: Tensor) -> Activation:
    known = (candidate for candidate in _candidates(function.expression, values) if _agrees(candidate, values))
    return next(known, None) or activation(function)


def _candidates(expression: Expression, values: Tensor) -> Iterator[Activation]:
    """Named activations, those that were called by their name first, then the leaky ReLU that the values show."""
    called = [name.strip("_") for name in expression.names]
    slope = float(values[0] / _GRID[0])
    for spelling in (*sorted(activation_names(), key=lambda name: name not in called), f"leaky_relu({slope!r})"):
        try:
            yield activation(spelling)
        except ValueError:  # a name that needs parameters
            continue


def _agrees(known: Callable[[Tensor], Tensor], values: Tensor) -> bool:
    return bool(((known(_GRID) - values).abs() <= _SAME * (1 + values.abs())).all())

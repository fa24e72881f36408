"""The shorthand `mlp:64-64x12-10:relu`: a plain PyTorch network with PyTorch's own initialisation.

`64x12` stands for twelve layers of width 64; the activation follows every linear layer but the last.
"""

import re
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from rgflow.errors import ModelError, SettingError
from rgflow.records.width_list import width_list

__all__ = ["is_shorthand", "plain_mlp"]

_FORM = "mlp:WIDTHS:ACTIVATION, for example mlp:64-64x12-10:relu"


class Pointwise(nn.Module):
    """A module that applies a function without parameters to every entry."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, z: Tensor) -> Tensor:
        """Return the function of z."""
        return self.function(z)

    def extra_repr(self) -> str:
        """Return the function's name."""
        return getattr(self.function, "__name__", "")


def _squared_relu(z: Tensor) -> Tensor:
    return torch.relu(z).square()


_MODULES: dict[str, Callable[[], nn.Module]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "erf": lambda: Pointwise(torch.erf),
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "sin": lambda: Pointwise(torch.sin),
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "squared_relu": lambda: Pointwise(_squared_relu),
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}


def is_shorthand(spec: str) -> bool:
    """Return whether `spec` is meant as the shorthand, and not as a module or file called mlp."""
    return re.match(r"mlp:(\s*\d|[^:]*:|$)", spec) is not None


def plain_mlp(spec: str) -> Callable[[], nn.Module]:
    """Return the factory that the shorthand describes.

    Raises: ModelError for widths that cannot be read, fewer than two of them, or an unknown activation.
    """
    parts = spec.split(":")
    if len(parts) != 3:
        raise ModelError(f"{spec!r} has {len(parts) - 1} of the 2 parts that follow 'mlp'; write {_FORM}")
    widths, name = _widths(parts[1], spec=spec), parts[2].strip().lower()
    if name not in _MODULES:
        raise ModelError(f"{spec!r} names the activation {parts[2]!r}; the shorthand knows {', '.join(_MODULES)}")

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, width in pairwise(widths[:-1]):
            layers += [nn.Linear(fan_in, width), _MODULES[name]()]
        return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))

    return build


def _widths(text: str, *, spec: str) -> tuple[int, ...]:
    try:
        return width_list(text)
    except SettingError as error:
        raise ModelError(f"{spec!r} cannot be read: {error}; write {_FORM}") from error

"""Recognise the parametric linear maps among torch functions: F.linear, F.conv*, F.conv_transpose*, x @ W.

Convention: `origin(tensor)` returns the parameter behind a tensor (itself, or the one it is a view of), or None; only
maps whose weight has an origin are recognised. Everything else is left to the user's own operation.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rgflow.networks.rows import LinearCall

__all__ = ["linear_call"]

_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_PRODUCTS = (torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
_CONVOLUTION_ORDER = ("stride", "padding", "dilation", "groups")
_TRANSPOSED_ORDER = ("stride", "padding", "output_padding", "groups", "dilation")


def linear_call(func: Callable, args: tuple, kwargs: dict, *, origin: Callable) -> LinearCall | None:
    """Return the linear map that a torch function is, or None if it is none or its weight is no parameter."""
    if func is F.linear:
        return _dense_call(func, args, kwargs, origin=origin)
    if func in _CONVOLUTIONS:
        return _convolution_call(func, args, kwargs, order=_CONVOLUTION_ORDER, origin=origin)
    if func in _TRANSPOSED:
        return _convolution_call(func, args, kwargs, order=_TRANSPOSED_ORDER, origin=origin)
    if func in _PRODUCTS and len(args) == 2:
        return _product_call(func, args, origin=origin)
    return None


def _argument(args: tuple, kwargs: dict, *, at: int, name: str, default: object = None) -> object:
    return args[at] if len(args) > at else kwargs.get(name, default)


def _bind(func: Callable, args: tuple, kwargs: dict) -> Callable[[Tensor], Tensor]:
    if args:
        return lambda x: func(x, *args[1:], **kwargs)
    return lambda x: func(**{**kwargs, "input": x})


def _dense_call(func: Callable, args: tuple, kwargs: dict, *, origin: Callable) -> LinearCall | None:
    given = _argument(args, kwargs, at=1, name="weight")
    weight, bias = origin(given), _argument(args, kwargs, at=2, name="bias")
    if weight is None or weight.ndim != 2 or not isinstance(given, Tensor):
        return None
    family = "linear" if given.shape == weight.shape else "matmul"
    if family == "matmul" and given.shape != weight.shape[::-1]:
        return None
    return LinearCall(family, "linear", weight, _tensor(bias), _bind(func, args, kwargs))


def _product_call(func: Callable, args: tuple, *, origin: Callable) -> LinearCall | None:
    weight, given = origin(args[1]), args[1]
    if weight is None or weight.ndim != 2 or origin(args[0]) is not None:
        return None
    transposed = given is not weight
    if given.shape != (weight.shape[::-1] if transposed else weight.shape):
        return None
    return LinearCall("linear" if transposed else "matmul", "matmul", weight, None, _bind(func, args, {}))


def _convolution_call(
    func: Callable, args: tuple, kwargs: dict, *, order: Sequence[str], origin: Callable
) -> LinearCall | None:
    given = _argument(args, kwargs, at=1, name="weight")
    weight, bias = origin(given), _argument(args, kwargs, at=2, name="bias")
    if weight is None or given is not weight:
        return None
    settings = {name: _argument(args, kwargs, at=at, name=name) for at, name in enumerate(order, 3)}
    settings = {name: value for name, value in settings.items() if value is not None}
    family = "conv" if func in _CONVOLUTIONS else "transposed"
    function = getattr(func, "__name__", family)
    return LinearCall(family, function, weight, _tensor(bias), _bind(func, args, kwargs), **settings)  # type: ignore[arg-type]


def _tensor(value: object) -> Tensor | None:
    return value if isinstance(value, Tensor) else None

"""A private copy of a drawn module in double precision, with attention made visible, and a context to run it in.

The draws themselves are never touched. Double precision resolves a spread down to 1e-30 of the signal (differences of
outputs are known to 1e-16 of the outputs, and the spread is their square); user code that asks for float32 inside its
forward gets float64 too.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from rgflow.networks.attention import make_attention_visible, original_name
from rgflow.networks.guard import untouched

__all__ = ["double_precision", "parameter_names", "private_copy", "widened"]

_WIDER: dict[Callable, Callable] = {
    Tensor.float: Tensor.double,
    Tensor.half: Tensor.double,
    Tensor.bfloat16: Tensor.double,
}
# Parameters below which two threads gained at most 2x on an idle machine and lost 5x on a busy one (64 images, 2 cores).
_SMALL = 1_000_000
_NARROW = (torch.float32, torch.float16, torch.bfloat16)


def private_copy(draw: nn.Module, inputs: Tensor) -> nn.Module:
    """Return a float64 copy of one draw with visible attention; lazy layers are run once to get their shapes."""
    draw = getattr(draw, "_orig_mod", draw)
    # Tensors that hooks computed (weight_norm's weight) cannot be copied by torch; they are computed again anyway.
    computed = [t for m in draw.modules() for t in vars(m).values() if isinstance(t, Tensor) and not t.is_leaf]
    module = make_attention_visible(copy.deepcopy(draw, {id(t): t.detach().clone() for t in computed}))
    for parameter in module.parameters():
        parameter.grad = None
    if any(is_lazy(parameter) for parameter in module.parameters()):
        with torch.no_grad():
            module(widened(inputs))
    return module.double()


def parameter_names(module: nn.Module) -> dict[str, str]:
    """Return, for each parameter of a private copy, the dotted name it has in the user's module."""
    return {name: original_name(module, name) for name, _ in module.named_parameters()}


def widened(tensor: Tensor | None) -> Tensor | None:
    """Return a float64 clone of a floating-point tensor, or a clone of any other one; None stays None."""
    if tensor is None:
        return None
    return tensor.detach().to(torch.float64, copy=True) if tensor.is_floating_point() else tensor.detach().clone()


@contextmanager
def double_precision(draw: nn.Module | None = None, *, seed: int) -> Iterator[None]:
    """Return a context in which new tensors are float64 and the random state starts from `seed`; all is put back.

    A small `draw`, if given, is run on one thread: on a busy machine the waiting of threads for each other is most of the time.
    """
    with untouched():
        if draw is not None and sum(p.numel() for p in draw.parameters() if not is_lazy(p)) < _SMALL:
            torch.set_num_threads(1)
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(seed)
        with torch.enable_grad(), _Widening():
            yield


class _Widening(TorchFunctionMode):
    """Turns every request for a narrower float into float64."""

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        kwargs = {name: _wide(value) for name, value in (kwargs or {}).items()}
        return _WIDER.get(func, func)(*map(_wide, args), **kwargs)


def _wide(value: object) -> object:
    return torch.float64 if isinstance(value, torch.dtype) and value in _NARROW else value

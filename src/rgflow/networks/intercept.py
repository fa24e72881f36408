"""Run a module unedited and see its rows: forward hooks on leaf modules, and a mode that sees maps on parameters.

One mechanism serves measuring, scouting and forecasting, so that all three name the same rows. Convention: a visitor
may replace what a linear map computes (`linear`) and what a row passes on (`output`). Hooks are always removed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

from rgflow.networks.linear_call import linear_call
from rgflow.networks.rows import (
    LinearCall,
    Row,
    default_channel_axis,
    first_tensor,
    is_leaf,
    with_first_tensor,
)
from rgflow.records.measurement import RowIdentity

__all__ = ["Interception", "Visitor", "watch"]

_PARAMETER_CONTAINERS = (nn.ParameterList, nn.ParameterDict)
_VIEWS = frozenset({"__getitem__", "expand", "expand_as", "unsqueeze", "squeeze", "view", "reshape", "permute"}) | {
    *("transpose", "t", "T", "mT", "to", "type_as")
}


class Visitor(Protocol):
    """What is done at each linear map and at each row."""

    def linear(self, call: LinearCall, x: Tensor, /) -> Tensor:
        """Return the output of one linear map applied to x."""
        ...

    def output(self, row: Row, tensor: Tensor, /) -> Tensor:
        """Return what the row passes on, usually `tensor` itself."""
        ...


@contextmanager
def watch(module: nn.Module, visitor: Visitor, *, names: Mapping[int, str]) -> Iterator["Interception"]:
    """Yield the mode under which `module` shows its rows; `names` maps the id of a parameter tensor to its name."""
    interception = Interception(module, visitor, names=names)
    handles = []
    try:
        for name, leaf in module.named_modules():
            if _is_row(name, leaf):
                # First in line, so that hooks of the user that compute a weight count as part of the leaf.
                handles.append(leaf.register_forward_pre_hook(interception.enter_leaf(name), prepend=True))
                handles.append(leaf.register_forward_hook(interception.leave_leaf(name or "model")))
        with interception:
            yield interception
    finally:
        for handle in handles:
            handle.remove()


class Interception(TorchFunctionMode):
    """The mode inside `watch`: knows which leaf is running, names the rows, and notes foreign uses of parameters."""

    def __init__(self, module: nn.Module, visitor: Visitor, *, names: Mapping[int, str]) -> None:
        super().__init__()
        self.visitor = visitor
        self.names = names
        self.running: list[tuple[str, nn.Module]] = []
        self.foreign: set[int] = set()
        self._bare = _bare_names(module, names)
        self._counts: Counter[str] = Counter()
        self._views: dict[int, tuple[Tensor, Tensor]] = {}
        self._calls: dict[int, LinearCall] = {}
        self._axes: dict[int, int] = {}
        self._last: tuple[Tensor, nn.Module | None] | None = None
        self._inner: set[tuple[int, int]] = set()

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """Pass every torch function on, except parametric linear maps, which the visitor computes."""
        kwargs = kwargs or {}
        call = linear_call(func, args, kwargs, origin=self._origin)
        if call is not None:
            return self._map(call, args[0] if args else kwargs["input"])
        output = func(*args, **kwargs)
        used = [p for p in map(self._origin, _tensors(args, kwargs)) if p is not None]
        if not used or not isinstance(output, Tensor):
            return output
        if _name(func) in _VIEWS:
            self._views[id(output)] = (output, used[0])
            return output
        return self._operation(output, used)

    def enter_leaf(self, name: str) -> Callable[..., None]:
        """Return the hook that notes that leaf `name` starts."""

        def hook(module: nn.Module, _: object) -> None:
            self.running.append((name, module))

        return hook

    def leave_leaf(self, name: str) -> Callable[..., object]:
        """Return the hook that makes a row of what leaf `name` returned."""

        def hook(module: nn.Module, given: object, output: object) -> object:
            self.running.pop()
            with torch._C.DisableTorchFunction():  # what follows is our own arithmetic, no concern of the modes
                return self._leave(name, module, given, output)

        return hook

    def _leave(self, name: str, module: nn.Module, given: object, output: object) -> object:
        """The replaced output of a leaf, or None to keep it."""
        call, tensor = self._calls.pop(id(module), None), first_tensor(output)
        already = call is None and self._last is not None and self._last[0] is tensor and self._last[1] is module
        if tensor is None or already:
            return None
        passed = any(tensor is item for item in given) if isinstance(given, tuple) else False
        # nn.Identity returns its input; a view gives the row a cotangent of its own.
        own = tensor.view_as(tensor) if passed else tensor
        parameters = tuple(
            p for p in module.parameters() if id(p) in self.names and (id(module), id(p)) not in self._inner
        )
        seen = self._row(name, own, kind=type(module).__name__, parameters=parameters, call=call)
        return None if seen is tensor else with_first_tensor(output, seen)

    def _origin(self, tensor: object) -> Tensor | None:
        """The parameter behind a tensor: itself, or the one it is a view of."""
        if id(tensor) in self.names and isinstance(tensor, Tensor):
            return tensor
        return self._views[id(tensor)][1] if id(tensor) in self._views else None

    def _map(self, call: LinearCall, x: Tensor) -> Tensor:
        """A linear map: the row of the running Linear or convolution, or else a row named after its weight."""
        output = self.visitor.linear(call, x)
        owner = self.running[-1][1] if self.running else None
        if isinstance(owner, nn.Linear | _ConvNd) and owner._parameters.get("weight") is call.weight:
            self._calls[id(owner)] = call
            return output
        parameters = tuple(p for p in (call.weight, call.bias) if p is not None and id(p) in self.names)
        name = self.names[id(call.weight)]
        if owner is not None:
            self._inner.update((id(owner), id(p)) for p in parameters)
        return self._row(name, output, kind=call.function, parameters=parameters, call=call)

    def _operation(self, output: Tensor, used: list[Tensor]) -> Tensor:
        """Any other operation on parameters: the first one on a bare parameter is a row."""
        if self.running:
            owned = {id(p) for _, module in self.running for p in module.parameters()}
            self.foreign.update(id(p) for p in used if id(p) not in owned)
            return output
        bare = tuple(p for p in used if self.names[id(p)] in self._bare)
        self.foreign.update(id(p) for p in used if self.names[id(p)] not in self._bare)
        if not bare or not output.is_floating_point() or self._counts[self.names[id(bare[0])]]:
            self.foreign.update(id(p) for p in bare)
            return output
        return self._row(self.names[id(bare[0])], output, kind="Parameter", parameters=bare)

    def _row(
        self, name: str, tensor: Tensor, *, kind: str, parameters: tuple[Tensor, ...], call: LinearCall | None = None
    ) -> Tensor:
        self._counts[name] += 1
        count = self._counts[name]
        if call is not None:
            self._axes[tensor.ndim] = 1 if call.convolution else tensor.ndim - 1
        identity = RowIdentity(
            name=name if count == 1 else f"{name}#{count}",
            kind=kind,
            shape=tuple(tensor.shape[1:]),
            parameters=tuple(dict.fromkeys(self.names[id(p)] for p in parameters)),
            linear=call is not None,
        )
        axis = self._axes.get(tensor.ndim, default_channel_axis(tensor))
        seen = self.visitor.output(Row(identity, parameters, name, axis, call), tensor)
        self._last = (seen, self.running[-1][1] if self.running else None)
        return seen


def _is_row(name: str, module: nn.Module) -> bool:
    return (
        is_leaf(module) and not isinstance(module, _PARAMETER_CONTAINERS) and "parametrizations" not in name.split(".")
    )


def _bare_names(module: nn.Module, names: Mapping[int, str]) -> frozenset[str]:
    """Names of the parameters that no leaf module owns."""
    leaves = [leaf for name, leaf in module.named_modules() if _is_row(name, leaf)]
    owned = {id(p) for leaf in leaves for p in leaf.parameters()}
    return frozenset(names[id(p)] for p in module.parameters() if id(p) not in owned and id(p) in names)


def _name(func: Callable) -> str:
    """The plain name of a torch function; for a property such as .T the name of the property."""
    name = getattr(func, "__name__", "")
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name


def _tensors(args: tuple, kwargs: dict) -> Iterator[Tensor]:
    for item in (*args, *kwargs.values()):
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, list | tuple):
            yield from (inner for inner in item if isinstance(inner, Tensor))

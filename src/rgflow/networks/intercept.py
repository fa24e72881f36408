"""Run a module unedited and see its rows: forward hooks on leaf modules, and a mode that sees maps on parameters.

One mechanism serves measuring, scouting and forecasting, so that all three name the same rows. Convention: a visitor
may replace what a linear map computes (`linear`) and what a row passes on (`output`). Hooks are always removed.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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

_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
_PRODUCTS = (torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)
_CONVOLUTION_ORDER = ("stride", "padding", "dilation", "groups")
_TRANSPOSED_ORDER = ("stride", "padding", "output_padding", "groups", "dilation")
_VIEWS = frozenset(
    "__getitem__ expand expand_as unsqueeze squeeze view reshape permute transpose t T mT to type_as".split()
)


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
            if is_leaf(leaf) and not isinstance(leaf, nn.ParameterList | nn.ParameterDict):
                handles.append(leaf.register_forward_pre_hook(interception.enter_leaf(name or "model")))
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
        self._bare = _bare_parameters(module)
        self._counts: Counter[str] = Counter()
        self._views: dict[int, tuple[Tensor, Tensor]] = {}
        self._calls: dict[int, LinearCall] = {}
        self._axes: dict[int, int] = {}
        self._last: Tensor | None = None
        self._done: set[int] = set()

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """Pass every torch function on, except parametric linear maps, which the visitor computes."""
        kwargs = kwargs or {}
        call = _linear_call(func, args, kwargs, origin=self._origin)
        if call is not None:
            return self._map(call, args[0] if args else kwargs["input"])
        output = func(*args, **kwargs)
        if isinstance(output, Tensor):
            used = [origin for origin in map(self._origin, _tensors(args, kwargs)) if origin is not None]
            if used:
                self._operation(func, output, args=args, used=used)
                output = self._bare_row(used, output) if self._is_bare_operation(func, output, used) else output
        return output

    def enter_leaf(self, name: str) -> Callable[..., None]:
        """Return the hook that notes that leaf `name` starts."""

        def hook(module: nn.Module, _: object) -> None:
            self.running.append((name, module))

        return hook

    def leave_leaf(self, name: str) -> Callable[..., object]:
        """Return the hook that makes a row of what leaf `name` returned."""

        def hook(module: nn.Module, _: object, output: object) -> object:
            self.running.pop()
            tensor = first_tensor(output)
            if tensor is None or (tensor is self._last and id(module) not in self._calls):
                return None
            call = self._calls.pop(id(module), None)
            parameters = tuple(p for p in module.parameters() if id(p) in self.names)
            seen = self._row(name, tensor, kind=type(module).__name__, parameters=parameters, call=call)
            return None if seen is tensor else with_first_tensor(output, seen)

        return hook

    def _origin(self, tensor: object) -> Tensor | None:
        """The parameter behind a tensor: itself, or the one it is a view of."""
        if id(tensor) in self.names and isinstance(tensor, Tensor):
            return tensor
        return self._views[id(tensor)][1] if id(tensor) in self._views else None

    def _map(self, call: LinearCall, x: Tensor) -> Tensor:
        output = self.visitor.linear(call, x)
        owner = self.running[-1][1] if self.running else None
        if isinstance(owner, nn.Linear | nn.modules.conv._ConvNd) and owner._parameters.get("weight") is call.weight:
            self._calls[id(owner)] = call
            return output
        parameters = tuple(p for p in (call.weight, call.bias) if p is not None and id(p) in self.names)
        name = self.names[id(call.weight)]
        return self._row(name, output, kind=call.function, parameters=parameters, call=call)

    def _operation(self, func: Callable, output: Tensor, *, args: tuple, used: list[Tensor]) -> None:
        """Follow views of parameters, and note parameters of leaves that are used outside their own forward."""
        if _name(func) in _VIEWS and self._origin(args[0]) is not None:
            self._views[id(output)] = (output, used[0])
            return
        owner = {id(p) for _, module in self.running for p in module.parameters()}
        self.foreign.update(id(p) for p in used if id(p) not in owner and id(p) not in self._bare)

    def _is_bare_operation(self, func: Callable, output: Tensor, used: list[Tensor]) -> bool:
        fresh = any(id(p) in self._bare_ids() and id(p) not in self._done for p in used)
        return not self.running and output.is_floating_point() and _name(func) not in _VIEWS and fresh

    def _bare_ids(self) -> set[int]:
        return {i for i, name in self.names.items() if name in self._bare.values()}

    def _bare_row(self, used: list[Tensor], output: Tensor) -> Tensor:
        bare = [p for p in used if id(p) in self._bare_ids() and id(p) not in self._done]
        self._done.update(id(p) for p in bare)
        return self._row(self.names[id(bare[0])], output, kind="Parameter", parameters=tuple(bare))

    def _row(
        self,
        name: str,
        tensor: Tensor,
        *,
        kind: str,
        parameters: tuple[Tensor, ...],
        call: LinearCall | None = None,
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
        self._last = self.visitor.output(Row(identity, parameters, name, axis, call), tensor)
        return self._last


def _bare_parameters(module: nn.Module) -> dict[int, str]:
    """Parameters that no leaf module owns, by id."""
    owned = {
        id(p)
        for leaf in module.modules()
        if is_leaf(leaf) and not isinstance(leaf, nn.ParameterList | nn.ParameterDict)
        for p in leaf.parameters()
    }
    return {id(p): name for name, p in module.named_parameters() if id(p) not in owned}


def _name(func: Callable) -> str:
    name = getattr(func, "__name__", "")
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name


def _tensors(args: tuple, kwargs: dict) -> Iterator[Tensor]:
    for item in (*args, *kwargs.values()):
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, list | tuple):
            yield from (inner for inner in item if isinstance(inner, Tensor))


def _linear_call(func: Callable, args: tuple, kwargs: dict, *, origin: Callable) -> LinearCall | None:
    """The linear map that a torch function is, if its weight is a parameter."""
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

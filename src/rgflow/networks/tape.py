"""One run of a model on tape: which linear map feeds which pointwise function, norm, sum or map.

Every result that is not a pointwise function of an earlier one is a *source*; a *value* is a pointwise expression of
a source, possibly rearranged (views, pooling, dropout). Maps are found by the identity of their weight parameter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rgflow.networks.expression import SOURCE, Expression, acts_pointwise, function_name
from rgflow.networks.feed import Feed, bound_arguments, feed_of, leak, measured_profile, resized_profile

__all__ = ["Consumption", "MapCall", "Source", "Tape", "Value"]

_REARRANGING = """view reshape flatten unflatten permute transpose contiguous squeeze unsqueeze clone detach to float
double t movedim swapaxes swapdims expand expand_as getitem chunk split tensor_split unbind roll flip view_as reshape_as
requires_grad_ narrow select index_select pad"""
_DROPPING = """dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout"""
_NORMS = """batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm normalize"""
_SUMS = """add add_ iadd radd sub sub_ isub rsub"""
_PRODUCTS = """matmul rmatmul mm addmm bmm"""
_MAPS = """linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d""" + " " + _PRODUCTS
_POOLING = ("max_pool", "avg_pool", "adaptive_", "lp_pool", "mean", "interpolate", "upsample", "boolean_dispatch")
# Every name that is looked up by itself, with what it does.
_EFFECT = {
    name: effect
    for effect, names in (
        ("rearrange", _REARRANGING),
        ("drop", _DROPPING),
        ("norm", _NORMS),
        ("sum", _SUMS),
        ("map", _MAPS),
        ("embedding", "embedding"),
        ("attention", "multi_head_attention_forward"),
        ("nothing", "attribute"),
    )
    for name in names.split()
}


@dataclass(eq=False)
class Source:
    """A result with a name of its own: `kind` is "data", "map", "norm", "sum", "embedding" or "other"."""

    index: int
    kind: str
    name: str
    shape: tuple[int, ...]
    ancestors: int
    operands: tuple["Value", ...] = ()
    consumed: list["Consumption"] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Value:
    """A pointwise expression of one source; two values of one layout have their entries at the same places."""

    source: Source
    expression: Expression
    layout: int
    profile: Tensor | None = None

    @property
    def lineage(self) -> int:
        """Bits of all sources this value descends from, its own included."""
        return self.source.ancestors | (1 << self.source.index)


@dataclass(frozen=True, eq=False)
class Consumption:
    """One use of a source: by what ("map", "norm", "sum", "output", "other"), as which expression of it."""

    by: str
    name: str
    value: Value


@dataclass(frozen=True, eq=False)
class MapCall:
    """One call of a linear map: names, the call's arguments, its input as a value and in numbers, and its result.

    `boundary` = mean(v in) / mean(v out) of the position variances: what zero padding takes away, 1 without padding.
    """

    weight: str
    bias: str | None
    function: str
    options: Mapping[str, Any]
    argument: Value
    feed: Feed
    result: Source
    boundary: float


@dataclass(frozen=True, eq=False)
class _Operation:
    """One call of a torch function: what went in, what was known of it before, and what came out."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    before: Mapping[int, Value]
    result: Any

    @property
    def name(self) -> str:
        """The function's name."""
        return function_name(self.function)

    @property
    def effect(self) -> str:
        """What functions of this name do, "" if nothing is known."""
        return "rearrange" if self.name.startswith(_POOLING) else _EFFECT.get(self.name, "")

    @property
    def first(self) -> Value | None:
        """What is known of the first argument."""
        return self.before.get(id(self.args[0])) if self.args else None

    @property
    def lineage(self) -> int:
        """Bits of all sources that any argument descends from."""
        bits = 0
        for value in self.before.values():
            bits |= value.lineage
        return bits


class Tape(TorchFunctionMode):
    """A mode that records maps and values while the model runs; `calls` and `sources` hold the result."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.calls: list[MapCall] = []
        self.sources: list[Source] = []
        self._names = {id(p): name for name, p in module.named_parameters()}
        self._values: dict[int, Value] = {}
        self._alive: list[Any] = []
        self._layouts = 0
        self._enter(inputs)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, then note what its result is."""
        options = kwargs or {}
        before = {id(t): self._values[id(t)] for t in _tensors((args, options)) if id(t) in self._values}
        result = func(*args, **options)
        if isinstance(result, Tensor | tuple | list) and not isinstance(result, torch.Size):
            self._note(_Operation(func, tuple(args), options, before, result))
        return result

    def _note(self, call: _Operation) -> None:
        if call.effect == "attention":
            self._note_attention(call)
        elif call.effect == "map" and self._note_map(call):
            return
        elif call.effect == "embedding":
            self._fresh("embedding", call)
        elif call.before and call.effect != "nothing":
            self._note_operation(call)

    def _note_operation(self, call: _Operation) -> None:
        if call.effect == "drop" and call.first is not None:
            self._keep(call.result, call.first)
        elif call.effect == "rearrange" and call.first is not None:
            self._rearranged(call.result, call.first)
        elif call.effect == "norm":
            self._fresh("norm", call)
        elif not self._note_bias(call) and not self._note_pointwise(call):
            self._fresh("sum" if call.effect == "sum" else "other", call)

    def _note_pointwise(self, call: _Operation) -> bool:
        """Extend the expression of the one source all operands share, if the call acts on every entry alone."""
        values = list(call.before.values())
        shared = all(v.source is values[0].source and v.layout == values[0].layout for v in values)
        tensors = _tensors((call.args, call.options))
        others = [t for t in tensors if id(t) not in call.before]
        if not shared or not isinstance(call.result, Tensor) or any(t.numel() != 1 for t in others):
            return False
        shape = next(t.shape for t in tensors if id(t) in call.before)
        options = {k: _as_leaf(v, call.before) for k, v in call.options.items() if k != "out"}
        step = Expression(call.function, tuple(_as_leaf(a, call.before) for a in call.args), options)
        if call.result.shape != shape or not acts_pointwise(step, call.result):
            return False
        self._keep(call.result, replace(values[0], expression=step))
        return True

    def _note_bias(self, call: _Operation) -> bool:
        """Recognise `x @ W + b` with a parameter b: the sum is still the map's own output."""
        if call.effect != "sum" or len(call.args) < 2 or len(call.before) != 1:
            return False
        value = next(iter(call.before.values()))
        added = next((a for a in call.args[:2] if isinstance(a, Tensor) and id(a) in self._names), None)
        open_calls = [c for c in self.calls if c.result is value.source and c.bias is None and c.function != "linear"]
        if added is None or not open_calls or not value.expression.is_source or added.shape != call.result.shape[-1:]:
            return False
        self.calls[self.calls.index(open_calls[0])] = replace(open_calls[0], bias=self._names[id(added)])
        self._keep(call.result, value)
        return True

    def _note_map(self, call: _Operation) -> bool:
        bound = bound_arguments(call.name, call.args, options=call.options)
        weight, entering = bound.get("weight"), bound.get("input")
        if id(weight) not in self._names or not isinstance(call.result, Tensor) or not isinstance(entering, Tensor):
            return False
        value = call.before.get(id(entering)) or self._enter(entering)
        profile, boundary = leak(call.name, bound, profile=value.profile)
        feed = feed_of(entering, axis=1 if call.name.startswith("conv") else -1)
        made = self._record(call, bound, argument=value, feed=feed, boundary=boundary)
        self._keep(call.result, replace(made, profile=profile))
        return True

    def _note_attention(self, call: _Operation) -> None:
        """Note the whole attention as one source, and its output projection as a map that reads it."""
        bound = bound_arguments(call.name, call.args, options=call.options)
        output = call.result[0]
        for value in call.before.values():
            value.source.consumed.append(Consumption("attention", call.name, value))
        inner = self._start("other", "attention", output, ancestors=call.lineage)
        projection = {"weight": bound.get("out_proj_weight"), "bias": bound.get("out_proj_bias")}
        if id(projection["weight"]) in self._names:
            inner = self._record(call, projection, argument=inner, feed=feed_of(output, axis=-1))
        self._keep(output, inner)

    def _record(
        self, call: _Operation, bound: Mapping[str, Any], *, argument: Value, feed: Feed, boundary: float = 1.0
    ) -> Value:
        name = self._names[id(bound["weight"])]
        output = call.result if isinstance(call.result, Tensor) else call.result[0]
        made = self._start("map", name, output, ancestors=argument.lineage)
        argument.source.consumed.append(Consumption("map", name, argument))
        bias = self._names.get(id(bound.get("bias")))
        self.calls.append(MapCall(name, bias, call.name, bound, argument, feed, made.source, boundary))
        return made

    def _enter(self, tensor: Tensor) -> Value:
        """Note a tensor that comes from outside: the data, or a constant the model made itself."""
        value = self._start("data", "", tensor, ancestors=0)
        self._keep(tensor, value)
        return value

    def _fresh(self, kind: str, call: _Operation) -> None:
        """Note results that are no pointwise function of one source."""
        operands = tuple(call.before.values())
        for value in operands:
            value.source.consumed.append(Consumption(kind, call.name, value))
        for tensor in _tensors(call.result):
            made = self._start(kind, call.name, tensor, ancestors=call.lineage)
            made.source.operands = operands
            profile = resized_profile(operands[0].profile, tensor) if operands and kind in ("sum", "norm") else None
            self._keep(tensor, replace(made, profile=profile))

    def _rearranged(self, result: Any, value: Value) -> None:
        for tensor in _tensors(result):
            self._layouts += 1
            self._keep(tensor, replace(value, layout=self._layouts, profile=resized_profile(value.profile, tensor)))

    def _start(self, kind: str, name: str, tensor: Tensor, *, ancestors: int) -> Value:
        source = Source(len(self.sources), kind, name, tuple(tensor.shape), ancestors)
        self.sources.append(source)
        return Value(source, SOURCE, layout=0, profile=measured_profile(tensor) if kind == "data" else None)

    def _keep(self, result: Any, value: Value) -> None:
        for tensor in _tensors(result):
            # The tensor is kept alive so that its id stays its own.
            self._alive.append(tensor)
            self._values[id(tensor)] = value


def _as_leaf(argument: Any, before: Mapping[int, Value]) -> Any:
    return before[id(argument)].expression if id(argument) in before else argument


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [t for part in tree.values() for t in _tensors(part)]
    if isinstance(tree, tuple | list):
        return [t for part in tree for t in _tensors(part)]
    return []

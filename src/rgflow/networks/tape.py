"""One run of a model on tape: which linear map feeds which pointwise function, norm, sum or map.

Every result that is not a pointwise function of an earlier one is a *source*; a *value* is a pointwise expression of
a source, possibly rearranged (views, pooling, dropout). Maps are found by the identity of their weight parameter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from rgflow.networks.expression import SOURCE, Expression, acts_pointwise, function_name

__all__ = ["Consumption", "Feed", "MapCall", "Source", "Tape", "Value"]

_REARRANGING = frozenset(
    "view reshape flatten unflatten permute transpose contiguous squeeze unsqueeze clone detach to float double t "
    "movedim swapaxes swapdims expand expand_as getitem chunk split tensor_split unbind roll flip view_as reshape_as "
    "requires_grad_ narrow select index_select pad".split()
)
_DROPPING = frozenset(
    "dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout".split()
)
_POOLING = ("max_pool", "avg_pool", "adaptive_", "lp_pool", "mean", "interpolate", "upsample", "boolean_dispatch")
_NORMS = frozenset("batch_norm layer_norm group_norm instance_norm rms_norm local_response_norm normalize".split())
_SUMS = frozenset("add add_ iadd radd sub sub_ isub rsub".split())
_MAPS = frozenset(
    "linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d matmul rmatmul mm addmm bmm".split()
)


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


@dataclass(frozen=True)
class Feed:
    """What enters a map, per input feature (or channel), summed over features and averaged over samples and positions.

    `varying` = sum of x^2 over features that vary, `constant` = the same over features that do not, `variance` = the
    summed variance; `features` and `constants` count them.
    """

    varying: float
    constant: float
    variance: float
    features: int
    constants: int


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


class Tape(TorchFunctionMode):
    """A mode that records maps and values while the model runs; `Tape.calls` and `Tape.values_of` hold the result."""

    def __init__(self, module: nn.Module, inputs: Tensor) -> None:
        super().__init__()
        self.names = {id(p): name for name, p in module.named_parameters()}
        self.calls: list[MapCall] = []
        self.sources: list[Source] = []
        self._values: dict[int, Value] = {}
        self._alive: list[Any] = []
        self._layouts = 0
        self._keep(inputs, self._start("data", "", inputs, ancestors=0))

    def value_of(self, tensor: Any) -> Value | None:
        """Return what is known of a tensor, or None if it does not descend from the data or a parameter's map."""
        return self._values.get(id(tensor))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function, then note what its result is."""
        options = kwargs or {}
        before = {id(t): self._values[id(t)] for t in _tensors((args, options)) if id(t) in self._values}
        result = func(*args, **options)
        if isinstance(result, Tensor | tuple | list) and not isinstance(result, torch.Size):
            self._note(func, args, options, result=result, before=before)
        return result

    def _note(self, func: Any, args: Sequence[Any], options: Mapping[str, Any], *, result: Any, before: dict) -> None:
        name = function_name(func)
        if name == "attribute":
            return
        if name == "multi_head_attention_forward":
            self._note_attention(func, args, options, result=result, before=before)
        elif name in _MAPS and self._note_map(name, args, options, result=result, before=before):
            return
        elif name == "embedding":
            self._fresh("embedding", result, before, name=name)
        elif before:
            self._note_operation(name, func, args, options, result=result, before=before)

    def _note_operation(
        self, name: str, func: Any, args: Sequence[Any], options: Mapping[str, Any], *, result: Any, before: dict
    ) -> None:
        first = before.get(id(args[0])) if args else None
        if name in _DROPPING and first is not None:
            self._keep(result, first)
        elif name in _REARRANGING and first is not None:
            self._rearranged(result, first)
        elif name.startswith(_POOLING) and first is not None:
            self._rearranged(result, first)
        elif name in _NORMS:
            self._fresh("norm", result, before, name=name)
        elif self._note_bias(name, args, result=result, before=before):
            return
        elif not self._note_pointwise(func, args, options, result=result, before=before):
            self._fresh("sum" if name in _SUMS else "other", result, before, name=name)

    def _note_pointwise(
        self, func: Any, args: Sequence[Any], options: Mapping[str, Any], *, result: Any, before: dict
    ) -> bool:
        """Extend the expression of the one source all operands share, if the call acts on every entry alone."""
        values = list(before.values())
        shared = all(v.source is values[0].source and v.layout == values[0].layout for v in values)
        others = [t for t in _tensors((args, options)) if id(t) not in before]
        if not shared or not isinstance(result, Tensor) or any(t.numel() != 1 for t in others):
            return False
        shape = next(t.shape for t in _tensors((args, options)) if id(t) in before)
        arguments = tuple(_as_leaf(a, before) for a in args)
        step = Expression(func, arguments, {k: _as_leaf(v, before) for k, v in options.items() if k != "out"})
        if result.shape != shape or not acts_pointwise(step, result):
            return False
        self._keep(result, replace(values[0], expression=step))
        return True

    def _note_bias(self, name: str, args: Sequence[Any], *, result: Any, before: dict) -> bool:
        """Recognise `x @ W + b` with a parameter b: the sum is still the map's own output."""
        if name not in _SUMS or len(args) < 2 or len(before) != 1:
            return False
        value = next(iter(before.values()))
        added = next((a for a in args[:2] if isinstance(a, Tensor) and id(a) in self.names), None)
        calls = [c for c in self.calls if c.result is value.source and c.bias is None and c.function in ("matmul", "mm")]
        if added is None or not calls or not value.expression.is_source or added.shape != result.shape[-1:]:
            return False
        self.calls[self.calls.index(calls[0])] = replace(calls[0], bias=self.names[id(added)])
        self._keep(result, value)
        return True

    def _note_map(self, name: str, args: Sequence[Any], options: Mapping[str, Any], *, result: Any, before: dict) -> bool:
        bound = _bound(name, args, options)
        weight, entering = bound.get("weight"), bound.get("input")
        if id(weight) not in self.names or not isinstance(result, Tensor):
            return False
        value = before.get(id(entering)) or self._outside(entering)
        profile, boundary = _leak(name, bound, value.profile, entering)
        made = self._start("map", self.names[id(weight)], result, ancestors=value.lineage)
        value.source.consumed.append(Consumption("map", self.names[id(weight)], value))
        self.calls.append(
            MapCall(
                weight=self.names[id(weight)],
                bias=self.names.get(id(bound.get("bias"))),
                function=name,
                options=bound,
                argument=value,
                feed=_feed(entering, axis=1 if name.startswith("conv") else -1),
                result=made.source,
                boundary=boundary,
            )
        )
        self._keep(result, replace(made, profile=profile))
        return True

    def _note_attention(self, func: Any, args: Sequence[Any], options: Mapping[str, Any], *, result: Any, before: dict) -> None:
        bound = _attention_arguments(args, options)
        output = result[0]
        projection = bound.get("out_proj_weight")
        name = self.names.get(id(projection), "")
        ancestors = 0
        for value in before.values():
            ancestors |= value.lineage
            value.source.consumed.append(Consumption("attention", name, value))
        inner = self._start("other", "attention", output, ancestors=ancestors)
        made = self._start("map", name, output, ancestors=inner.lineage)
        if name:
            self.calls.append(
                MapCall(
                    weight=name,
                    bias=self.names.get(id(bound.get("out_proj_bias"))),
                    function="attention",
                    options={"weight": projection},
                    argument=inner,
                    feed=_feed(output, axis=-1),
                    result=made.source,
                    boundary=1.0,
                )
            )
        self._keep(output, made)

    def _outside(self, tensor: Tensor) -> Value:
        value = self._start("data", "", tensor, ancestors=0)
        self._keep(tensor, value)
        return value

    def _fresh(self, kind: str, result: Any, before: dict, *, name: str) -> None:
        operands = tuple(before.values())
        ancestors = 0
        for value in operands:
            ancestors |= value.lineage
            value.source.consumed.append(Consumption(kind, name, value))
        for tensor in _tensors(result):
            made = self._start(kind, name, tensor, ancestors=ancestors)
            made.source.operands = operands
            profile = _resized(operands[0].profile, tensor) if operands and kind in ("sum", "norm") else None
            self._keep(tensor, replace(made, profile=profile))

    def _rearranged(self, result: Any, value: Value) -> None:
        for tensor in _tensors(result):
            self._layouts += 1
            self._keep(tensor, replace(value, layout=self._layouts, profile=_resized(value.profile, tensor)))

    def _start(self, kind: str, name: str, tensor: Tensor, *, ancestors: int) -> Value:
        source = Source(len(self.sources), kind, name, tuple(tensor.shape), ancestors)
        self.sources.append(source)
        return Value(source, SOURCE, layout=0, profile=_measured_profile(tensor) if kind == "data" else None)

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


def _feed(entering: Tensor, *, axis: int) -> Feed:
    features = entering.detach().double().movedim(axis, -1).flatten(0, -2)
    varies = (features != features[:1]).any(0)
    squares, means = features.square().mean(0), features.mean(0)
    return Feed(
        varying=float(squares[varies].sum()),
        constant=float(squares[~varies].sum()),
        variance=float((squares - means.square()).clamp(min=0).sum()),
        features=int(varies.numel()),
        constants=int((~varies).sum()),
    )


_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")


def _bound(name: str, args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the call's arguments by name."""
    if name == "linear":
        order: tuple[str, ...] = ("input", "weight", "bias")
    elif name == "addmm":
        order = ("bias", "input", "weight")
    elif name.startswith("conv_transpose"):
        order = _TRANSPOSED
    else:
        order = _CONVOLUTION if name.startswith("conv") else ("input", "weight")
    return {**dict(zip(order, args, strict=False)), **options}


def _attention_arguments(args: Sequence[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    names = functional.multi_head_attention_forward.__code__.co_varnames
    return {**dict(zip(names, args, strict=False)), **options}


def _measured_profile(tensor: Tensor) -> Tensor | None:
    """Return the mean square at each position of (samples, channels, *positions), mean 1; None without positions."""
    if tensor.ndim < 3 or not tensor.is_floating_point():
        return None
    profile = tensor.detach().double().square().mean((0, 1))
    return profile / profile.mean() if float(profile.mean()) > 0 else torch.ones_like(profile)


def _resized(profile: Tensor | None, tensor: Tensor) -> Tensor | None:
    if profile is None or tensor.ndim != profile.ndim + 2:
        return None
    if tensor.shape[2:] == profile.shape:
        return profile
    pool = getattr(functional, f"adaptive_avg_pool{profile.ndim}d")
    return pool(profile[None, None], tensor.shape[2:])[0, 0]


def _leak(name: str, bound: Mapping[str, Any], profile: Tensor | None, entering: Tensor) -> tuple[Tensor | None, float]:
    """Return the profile behind a convolution, mean 1, and mean(v in) / mean(v out): what zero padding loses.

    A window average of the position variances with padded zeros counted (`v'(p) = mean over the window of v`).
    """
    if not name.startswith("conv") or name.startswith("conv_transpose"):
        return None, 1.0
    weight = bound["weight"]
    positions = weight.ndim - 2
    if profile is None or profile.ndim != positions:
        profile = torch.ones(entering.shape[-positions:], dtype=torch.float64)
    window = torch.ones((1, 1, *weight.shape[2:]), dtype=torch.float64)
    convolve = getattr(torch, f"conv{positions}d")
    geometry = {key: bound[key] for key in ("stride", "padding", "dilation") if key in bound}
    behind = convolve(profile[None, None], window / window.numel(), **geometry)[0, 0]
    mean = float(behind.mean())
    if not mean > 0:
        return None, 1.0
    return behind / mean, float(profile.mean()) / mean

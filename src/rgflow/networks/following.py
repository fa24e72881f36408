"""How a model uses each of its linear maps: which pointwise function precedes and follows it, what it reads and feeds.

Found by running the model once on a batch, so any Python is fine. `role` says where a map sits: "hidden", "first"
(reads data, an embedding or a norm's output), "head" (nothing parametric behind it), "residual" (closes a branch that
is added to its own input), "normed" (a norm takes its scale away), or "other" with the reason.
"""

import copy
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from rgflow.errors import ModelError
from rgflow.networks.equality import tied_parameters
from rgflow.networks.expression import Expression, as_activation
from rgflow.networks.feed import Feed
from rgflow.networks.guard import untouched
from rgflow.networks.tape import MapCall, Source, Tape, Value
from rgflow.numerics.activations import Activation

__all__ = ["MapUse", "Role", "map_uses"]

Role = Literal["hidden", "first", "head", "residual", "normed", "other"]

_ACROSS = ("data", "embedding", "norm")


@dataclass(frozen=True)
class MapUse:
    """One linear map as the model uses it.

    `fan` is the number with which Var W = C_W / fan keeps signals (fan-in; C_in k / stride^d for transposed maps);
    `before` and `after` are the pointwise functions around the map, None for none; `branches` counts the residual
    branches of the model; `feed` describes the numbers that enter, summed over input features.
    """

    weight: str
    bias: str | None
    kind: str
    fan: float
    role: Role
    reason: str
    before: Activation | None
    after: Activation | None
    feed: Feed
    reads: str
    boundary: float
    normed_branch: bool = False
    branches: int = 0


def map_uses(module: nn.Module, inputs: Tensor) -> tuple[MapUse, ...]:
    """Return every linear map the model calls on a parameter of its own, in the order of their first calls.

    The model is copied and runs once, in training mode, without gradients; global state is left as found.
    Raises: ModelError if the model raises on these inputs.
    """
    with untouched():
        copied = copy.deepcopy(module).train()
        inputs = _fitting(copied, inputs)
        tape = Tape(copied, inputs)
        try:
            with torch.no_grad(), tape:
                copied(inputs)
        except Exception as error:
            what = f"{type(error).__name__} on inputs of shape {tuple(inputs.shape)}: {error}"
            raise ModelError(f"the model raised {what}") from error
        return _Reading(copied, tape).uses()


def _fitting(module: nn.Module, inputs: Tensor) -> Tensor:
    parameter = next((p for p in module.parameters() if p.is_floating_point()), None)
    if parameter is None:
        raise ModelError("the model has no parameters of real numbers; there is nothing to read")
    return inputs.to(parameter.device, parameter.dtype if inputs.is_floating_point() else inputs.dtype)


class _Reading:
    """What the tape of one run says of each map."""

    def __init__(self, module: nn.Module, tape: Tape) -> None:
        self._module, self._tape = module, tape
        self._parameters = dict(module.named_parameters())
        self._calls: dict[str, list[MapCall]] = defaultdict(list)
        for call in tape.calls:
            self._calls[call.weight].append(call)
        self._uses = Counter(name for group in tied_parameters(module) for name in group)
        self._feeding = 0
        for call in tape.calls:
            self._feeding |= call.argument.lineage
        self._known: dict[bytes, Activation | None] = {}
        self._branches = {c.weight: self._branch(c) for c in tape.calls}

    def uses(self) -> tuple[MapUse, ...]:
        """Return the record of each map."""
        branches = sum(1 for kind in self._branches.values() if kind in ("plain", "normed"))
        return tuple(self._use(calls, branches=branches) for calls in self._calls.values())

    def _use(self, calls: list[MapCall], *, branches: int) -> MapUse:
        call = calls[0]
        role, reason = self._role(calls)
        return MapUse(
            weight=call.weight,
            bias=call.bias,
            kind=_kind(self._module, call),
            fan=_fan(call),
            role=role,
            reason=reason,
            before=self._activation(call.argument.expression),
            after=self._after(call.result),
            feed=call.feed,
            reads=call.argument.source.kind,
            boundary=call.boundary,
            normed_branch=self._branches[call.weight] == "normed",
            branches=branches,
        )

    def _role(self, calls: list[MapCall]) -> tuple[Role, str]:
        call, source = calls[0], calls[0].argument.source
        if len(calls) > 1:
            return "other", f"used {len(calls)} times in one run: its weights are shared"
        if self._uses[call.weight]:
            return "other", "its weight is tied to another parameter"
        if not bool(self._parameters[call.weight].detach().any()):
            return "other", "it starts at zero on purpose"
        branch = self._branches[call.weight]
        if branch in ("plain", "normed"):
            return "residual", "closes a residual branch"
        if branch:
            return "other", branch
        consumers = {use.by for use in call.result.consumed}
        if consumers == {"norm"}:
            return "normed", "a norm follows and takes its scale away"
        if call.function == "multi_head_attention_forward" or consumers & {"attention"}:
            return "other", "feeds or belongs to an attention"
        head = not self._feeding >> call.result.index & 1
        if head and source.kind != "other":
            return "head", "nothing with weights follows"
        if source.kind in _ACROSS and call.argument.expression.is_source:
            return self._entering(source)
        if source.kind == "other":
            return "other", f"its input comes from {source.name}, for which there is no rule"
        return "hidden", ""

    def _entering(self, source: Source) -> tuple[Role, str]:
        if source.kind == "norm" and self._is_inside(source):
            return "other", "reads a norm inside a residual branch, where unit gain is not needed"
        return "first", f"reads {source.kind}"

    def _is_inside(self, norm: Source) -> bool:
        """Whether the norm opens a branch: its operand is also added to something later."""
        opened = {operand.source.index for operand in norm.operands}
        sums = [source for source in self._tape.sources if source.kind == "sum"]
        return any(operand.source.index in opened for total in sums for operand in total.operands)

    def _branch(self, call: MapCall) -> str:
        """Return "plain" or "normed" if the map closes a branch of a residual sum, or why it stays as it is, or ""."""
        for use in call.result.consumed:
            total = next((s for s in self._tape.sources if s.kind == "sum" and use.value in s.operands), None)
            others = [] if total is None else [o for o in total.operands if o.source is not call.result]
            if total is None or not others or others[0].lineage >> call.result.index & 1:
                continue
            skip = others[0]
            if not call.argument.lineage >> skip.source.index & 1:
                return self._beside(call, skip)
            if not use.value.expression.is_source:
                return "the model scales this branch itself"
            if self._norm_between(skip.source, call):
                return "normed"
            if {later.by for later in total.consumed} == {"norm"}:
                return "a norm follows the residual sum, which is marginal as it is"
            return "plain"
        return ""

    def _beside(self, call: MapCall, other: Value) -> str:
        """Judge a map whose output is added to another map's: the longer branch is the branch, the shorter the skip."""
        if other.source.kind == "norm":
            return "is added to a norm's output, which has its scale already"
        if other.source.kind != "map":
            return ""
        own, its = self._maps_behind(call.argument.lineage), self._maps_behind(other.source.ancestors)
        if own == its:
            return "a sum of two equally deep maps, for which there is no rule"
        return "plain" if own > its else ""

    def _maps_behind(self, lineage: int) -> int:
        return sum(1 for source in self._tape.sources if source.kind == "map" and lineage >> source.index & 1)

    def _norm_between(self, start: Source, call: MapCall) -> bool:
        return any(
            source.kind == "norm" and source.ancestors >> start.index & 1 and call.argument.lineage >> source.index & 1
            for source in self._tape.sources
        )

    def _after(self, result: Source) -> Activation | None:
        found = [use.value.expression for use in result.consumed if not use.value.expression.is_source]
        return self._activation(found[0]) if found else None

    def _activation(self, expression: Expression) -> Activation | None:
        if expression.is_source:
            return None
        # Equal functions become one object, so that what is known of them is found once.
        points = torch.linspace(-8.0, 8.0, 257, dtype=torch.float64)
        key = expression(points).detach().double().numpy().tobytes()
        if key not in self._known:
            self._known[key] = as_activation(expression)
        return self._known[key]


def _kind(module: nn.Module, call: MapCall) -> str:
    owner = call.weight.rpartition(".")[0]
    return type(module.get_submodule(owner)).__name__ if owner else call.function


def _fan(call: MapCall) -> float:
    shape = tuple(call.options["weight"].shape)
    if call.function.startswith("conv_transpose"):
        window = torch.Size(shape[2:]).numel()
        stride = call.options.get("stride", 1)
        steps = stride if isinstance(stride, tuple | list) else (stride,) * (len(shape) - 2)
        # Every output position is reached by window / stride^d positions of each of the group's input channels.
        return shape[0] / int(call.options.get("groups", 1)) * window / torch.Size(steps).numel()
    if call.function.startswith("conv"):
        return float(torch.Size(shape[1:]).numel())
    return float(shape[0] if call.function in ("matmul", "rmatmul", "mm", "addmm") else shape[-1])

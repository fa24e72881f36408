"""Recognising, by running it, a model that is a chain: linear map, pointwise function, linear map, and so on.

The model runs once on tape in float64; the chain read off the tape is then evaluated by itself and must reproduce the
model's output on two batches to 1e-9. Anything else is `NotAChain`, with the reason. Widths are (n_0, ..., n_L).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize
from torch.overrides import TorchFunctionMode

from rgflow.errors import SettingError
from rgflow.networks.equality import is_constant
from rgflow.networks.guard import untouched
from rgflow.networks.imports import says
from rgflow.networks.naming import Found, named_activations
from rgflow.networks.private_copy import double_precision, private_copy, widened
from rgflow.networks.tape import MapCall, Tape, Value
from rgflow.numerics.activations import Activation

__all__ = ["Chain", "NotAChain", "recognise_chain"]

_READING = ("__bool__", "__float__", "__int__", "__index__", "__array__", "item", "tolist", "numpy")
# Samples from which the structure is read; more than one, so that batch statistics exist.
_FEW = 4
# Agreement of the chain with the model: both run in float64, and rounding grows by about 1e-16 per layer and unit.
_AGREEMENT = 1e-9


@dataclass(frozen=True)
class Chain:
    """A chain of linear maps: names, one activation per hidden layer, widths (n_0, ..., n_L), whether biased.

    `linears` are the dotted names of the modules (of the parameter, where no module of its own holds it).
    `features` is what enters the first map, (samples, n_0); `output_activation` a pointwise function behind the last
    map, or None; `weights`, `biases` are the parameters' dotted names ("" for no bias); `notes` are sentences.
    """

    linears: tuple[str, ...]
    activations: tuple[Activation, ...]
    widths: tuple[int, ...]
    bias: tuple[bool, ...]
    weights: tuple[str, ...]
    biases: tuple[str, ...]
    features: Tensor = field(repr=False, compare=False)
    output_activation: Activation | None = None
    notes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line such as "MLP 64-[64 x 12]-10 relu"."""
        runs = [(width, len(list(group))) for width, group in groupby(self.widths[1:-1])]
        hidden = [f"[{width} x {count}]" if count > 1 else str(width) for width, count in runs]
        names = dict.fromkeys(activation.name for activation in self.activations)
        return " ".join(
            ["MLP", "-".join([str(self.widths[0]), *hidden, str(self.widths[-1])]), *([", ".join(names)] * bool(names))]
        )


@dataclass(frozen=True)
class NotAChain:
    """The model is no chain of linear maps and pointwise functions; `reason` says why in one sentence."""

    reason: str


class _Broken(Exception):
    """Raised inside this module only, with the reason."""


@dataclass(frozen=True)
class _Run:
    """One run of the private copy on tape."""

    calls: list[MapCall]
    output: Tensor
    final: Value | None
    names: dict[int, str]


class _Readings(TorchFunctionMode):
    """Notes where Python takes a number out of a tensor: what follows may depend on the data in any way."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        """Pass the call on."""
        name = getattr(func, "__name__", "")
        if name in _READING:
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def recognise_chain(module: nn.Module, example_input: Tensor) -> Chain | NotAChain:
    """Return the chain that `module` is, in the mode it is in, or why it is none; nothing of it is changed.

    Shapes: `example_input` is a batch, (samples, ...).
    """
    try:
        with untouched(module), double_precision(seed=0), torch.no_grad():
            _refuse_active_dropout(module)
            network, batch = _copied(module, example_input)
            return _chain(network, batch)
    except _Broken as reason:
        return NotAChain(str(reason))


def _copied(module: nn.Module, example_input: Tensor) -> tuple[nn.Module, Tensor]:
    try:
        network = private_copy(module, example_input)
    except Exception as error:
        raise _Broken(f"the model cannot be copied: {says(error)}") from error
    _shrink_learnable_slopes(network)
    batch = widened(example_input)
    assert batch is not None  # None stands for None only
    return network, batch


def _chain(network: nn.Module, batch: Tensor) -> Chain:
    # A few samples show the structure; most models that are no chains are dismissed at their cost.
    run = _recorded(network, batch[:_FEW])
    calls = run.calls
    names = tuple(_layer_name(network, call.weight) for call in calls)
    _refuse_other_maps(network, calls, names)
    _refuse_other_features(calls[0], names[0], samples=len(batch[:_FEW]))
    found = [_found_between(run, calls[l - 1], calls[l], names=(names[l - 1], names[l])) for l in range(1, len(calls))]
    final = _found_behind(run, calls[-1], name=names[-1])
    activations = _activations([*found, final])
    whole = _recorded(network, batch)
    features = whole.calls[0].options["input"]
    chain = Chain(
        linears=names,
        activations=activations[:-1],
        widths=(features.shape[1], *(network.get_parameter(call.weight).shape[0] for call in calls)),
        bias=tuple(call.bias is not None for call in calls),
        weights=tuple(call.weight for call in calls),
        biases=tuple(call.bias or "" for call in calls),
        features=features.clone(),
        output_activation=None if final.expression.is_source else activations[-1],
        notes=_notes(network, calls),
    )
    _verify(chain, network, batch, whole.output)
    return chain


def _recorded(network: nn.Module, batch: Tensor) -> _Run:
    names: dict[int, str] = {}
    hooks = [
        module.register_forward_hook(_remember_name(names))
        for module in network.modules()
        # A user's own activation module lends its name; torch's are known by the functions they call.
        if not type(module).__module__.startswith("torch.") and not any(True for _ in module.parameters())
    ]
    tape, readings = Tape(network, batch), _Readings()
    try:
        with tape, readings:
            output = network(batch)
            sources = len(tape.sources)
            # A norm is a source of its own, and its operand is what the tape knows of the output.
            if isinstance(output, Tensor) and output.is_floating_point() and output.ndim:
                normalize(output, dim=-1)
    except Exception as error:
        raise _Broken(f"the model cannot be run in float64 on this batch: {says(error)}") from error
    finally:
        for hook in hooks:
            hook.remove()
    if readings.names:
        raise _Broken(
            f"its Python reads numbers out of tensors ({readings.names[0]}), so it may compute otherwise on others"
        )
    if not isinstance(output, Tensor):
        raise _Broken(f"the model returns a {type(output).__name__}, not one tensor")
    if not tape.calls:
        raise _Broken("no linear map on a parameter was seen while the model ran")
    final = tape.sources[-1].operands[0] if len(tape.sources) > sources else None
    return _Run(tape.calls, output, final, names)


def _remember_name(names: dict[int, str]) -> Callable[..., None]:
    def hook(module: nn.Module, _: object, output: object) -> None:
        names[id(output)] = type(module).__name__

    return hook


def _layer_name(network: nn.Module, weight: str) -> str:
    """The row's name: the module's where it is an `nn.Linear`, else the weight's own."""
    owner, _, key = weight.rpartition(".")
    if not isinstance(network.get_submodule(owner), nn.Linear) or key != "weight":
        return weight
    return owner or "model"


def _refuse_active_dropout(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.training and part.p > 0:
            raise _Broken(f"{name or 'the model'} is dropout with p = {part.p:g}, active in training mode")


def _shrink_learnable_slopes(network: nn.Module) -> None:
    """Give a PReLU whose slopes are all equal one slope: the same function, and seen to be pointwise."""
    for part in network.modules():
        if isinstance(part, nn.PReLU) and part.weight.numel() > 1 and is_constant(part.weight):
            part.weight = nn.Parameter(part.weight.detach()[:1].clone())


def _refuse_other_maps(network: nn.Module, calls: Sequence[MapCall], names: Sequence[str]) -> None:
    for call, name in zip(calls, names, strict=True):
        if call.function != "linear":
            raise _Broken(f"{name or 'the model'} is a {call.function}, not a linear layer")
        if call.options.get("bias") is not None and call.bias is None:
            raise _Broken(f"the bias of {name or 'the model'} is computed, not a parameter")
    repeated = next((name for i, name in enumerate(names) if calls[i].weight in {c.weight for c in calls[:i]}), None)
    if repeated is not None:
        raise _Broken(f"the weights of {repeated} are used more than once")
    for name, part in network.named_modules():
        if isinstance(part, nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention):
            raise _Broken(f"{name or 'the model'} is {type(part).__name__}, not a linear layer")


def _refuse_other_features(call: MapCall, name: str, *, samples: int) -> None:
    value, features = call.argument, call.options["input"]
    if value.source.index != 0:
        raise _Broken(f"{name or 'the model'} does not act on the data but on {_origin(value)}")
    if features.ndim != 2 or len(features) != samples:
        raise _Broken(f"{name or 'the model'} acts on shape {tuple(features.shape)}, not on one vector per sample")


def _found_between(run: _Run, before: MapCall, after: MapCall, *, names: tuple[str, str]) -> Found:
    value = after.argument
    if value.source is not before.result:
        raise _Broken(f"{names[1]} does not act on a pointwise function of {names[0]} but on {_origin(value)}")
    if after.options["input"].shape != before.result.shape:
        raise _Broken(f"{names[1]} does not see the output of {names[0]} in its own shape")
    return Found(value.expression, run.names.get(id(after.options["input"]), ""))


def _found_behind(run: _Run, last: MapCall, *, name: str) -> Found:
    value = run.final
    if value is None or value.source is not last.result:
        raise _Broken(f"the output is not a pointwise function of {name or 'the model'} but {_origin(value)}")
    return Found(value.expression, run.names.get(id(run.output), ""))


def _activations(found: list[Found]) -> tuple[Activation, ...]:
    try:
        return named_activations(found)
    except SettingError as error:
        raise _Broken(f"a function between its layers is no activation: {error}") from error


def _origin(value: Value | None) -> str:
    if value is None:
        return "an operation that cannot be followed"
    source = value.source
    known = {
        "data": "the data, or an operation that cannot be followed",
        "map": f"the map {source.name}",
        "norm": f"a normalisation ({source.name})",
        "sum": "a sum of several results (a skip connection)",
        "embedding": "an embedding",
    }
    return known.get(source.kind, f"the operation {source.name}")


def _notes(network: nn.Module, calls: Sequence[MapCall]) -> tuple[str, ...]:
    used = {call.weight for call in calls} | {call.bias for call in calls}
    others = [name for name, _ in network.named_parameters() if name not in used]
    notes = [f"{', '.join(others)}: parameters of no linear layer, constants at initialisation"] if others else []
    if not calls[0].argument.expression.is_source:
        notes.append(f"the data pass {', '.join(calls[0].argument.expression.names)} before the first layer")
    return tuple(notes)


def _verify(chain: Chain, network: nn.Module, batch: Tensor, output: Tensor) -> None:
    """Compare the chain with the model on this batch, and on another one that Python branches may treat otherwise."""
    if not bool(torch.isfinite(output).all()):
        raise _Broken("its output is not finite on this batch")
    _compare(_evaluated(chain, network, chain.features), output)
    other = batch.flip(0)
    other = -1.5 * other if other.is_floating_point() else other
    run = _recorded(network, other)
    _compare(_evaluated(chain, network, run.calls[0].options["input"]), run.output)


def _evaluated(chain: Chain, network: nn.Module, features: Tensor) -> Tensor:
    functions = [*chain.activations, chain.output_activation or torch.clone]
    z = features
    for weight, bias, function in zip(chain.weights, chain.biases, functions, strict=True):
        z = function(linear(z, network.get_parameter(weight), network.get_parameter(bias) if bias else None))
    return z


def _compare(chain: Tensor, model: Tensor) -> None:
    scale = float(model[torch.isfinite(model)].abs().max()) if bool(torch.isfinite(model).any()) else 0.0
    same = chain.numel() == model.numel()
    # The other batch may leave the domain of the user's functions; both must do so together.
    if not same or not torch.allclose(
        chain.flatten(), model.flatten(), rtol=0, atol=_AGREEMENT * scale, equal_nan=True
    ):
        raise _Broken("layers and activations alone do not reproduce its output (data-dependent Python, or noise)")

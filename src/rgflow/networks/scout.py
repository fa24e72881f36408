"""Before a forecast: which rows there are, which of them the mean-field rule covers, and why not the others."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from rgflow.networks.drawn_tensors import DrawnTensors
from rgflow.networks.linear_map import geometry_of
from rgflow.networks.private_copy import parameter_names
from rgflow.networks.rows import LinearCall, Row
from rgflow.networks.survey import Survey, survey
from rgflow.records.layer import Source
from rgflow.records.measurement import RowIdentity

__all__ = ["MapPlan", "RowPlan", "Scout", "scout_rows"]

# Groups with fewer channels have no channel average to speak of: an average over 8 fluctuates by sqrt(2 / 8) = 50 %.
_LEAST_GROUP = 8
# A weight mean this many standard errors from 0 is a property of the law (false alarms: 6e-7 per tensor).
_MEAN_LIMIT = 5.0


@dataclass(frozen=True)
class MapPlan:
    """One mean-field map: variances of a weight and of a bias with their relative errors, kurtosis, channels, locations.

    `on_data`: whether the map sees the data themselves, so that nothing need be passed back through it.
    """

    row: int
    weight_variance: float
    bias_variance: float
    biased: bool
    weight_error: float
    bias_error: float
    kurtosis: float
    channels_in: int
    channels_out: int
    channels_per_output: int
    fan_in: int
    locations_in: int
    locations_out: int
    on_data: bool


@dataclass(frozen=True)
class RowPlan:
    """How one row will be forecast and why not better; `parameters` are names in the private copy.

    `limited`: a map that mixes positions; `scalar`: its parameters are single numbers shared by all channels, whose
    gradients add up correlations that the leading order neglects.
    """

    identity: RowIdentity
    module_name: str
    source: Source
    parameters: tuple[str, ...]
    reason: str = ""
    limited: bool = False
    scalar: bool = False


@dataclass(frozen=True)
class Scout:
    """The plan: rows, maps by the name of their weight, names of the parameters to run literally.

    `elements` = numbers that one network's rows hold together; `error` = what the model raised.
    """

    rows: tuple[RowPlan, ...]
    maps: dict[str, MapPlan]
    literal: tuple[str, ...]
    elements: int
    error: str = ""


def scout_rows(modules: Sequence[nn.Module], x: Tensor, *, tensors: DrawnTensors) -> Scout:
    """Return the plan for private copies `modules` (one per draw) on the batch x."""
    named = parameter_names(modules[0])
    keys = {id(p): name for name, p in modules[0].named_parameters()}
    seen = survey(modules[0], x, names={i: named[name] for i, name in keys.items()})
    rows = tuple(_row_plan(row, seen, keys=keys, tensors=tensors) for row in seen.rows)
    maps, covered = {}, set()
    for index, (plan, row) in enumerate(zip(rows, seen.rows, strict=True)):
        if plan.source == "mean field" and row.call is not None:
            maps[keys[id(row.call.weight)]] = _map_plan(index, row.call, seen, keys=keys, tensors=tensors)
            covered.update(plan.parameters)
    literal = tuple(name for name in keys.values() if name not in covered)
    return Scout(rows, maps, literal, sum(math.prod(shape) for shape in seen.shapes), seen.error)


def _row_plan(row: Row, seen: Survey, *, keys: dict[int, str], tensors: DrawnTensors) -> RowPlan:
    own = tuple(dict.fromkeys(keys[id(p)] for p in row.parameters))
    uses = Counter(i for other in seen.rows for i in {id(p) for p in other.parameters})
    repeated = any(uses[id(p)] > 1 or id(p) in seen.foreign for p in row.parameters)
    number = seen.call_numbers.get(id(row.call)) if row.call is not None else None
    mixes = number is not None and seen.mixes[number]
    source, reason = _source(row, own, tensors=tensors, repeated=repeated, mixes=mixes)
    if source == "mean field" and row.call is not None:
        reason = _remark(keys[id(row.call.weight)], tensors)
    scalar = bool(own) and all(p.numel() == 1 for p in row.parameters)
    return RowPlan(row.identity, row.module_name, source, own, reason, mixes, scalar)


def _source(
    row: Row, own: tuple[str, ...], *, tensors: DrawnTensors, repeated: bool, mixes: bool
) -> tuple[Source, str]:
    """Source of one row and the reason why it is not a better one."""
    if not own:
        return "exact op", ""
    if any(name in tensors.clones for name in own):
        return "measured", "layers start as copies of one"
    if row.call is not None and not repeated and not mixes:
        call = row.call
        if call.groups == 1 or call.channels_per_output >= _LEAST_GROUP:
            return "mean field", ""
    if all(tensors.fixed(name) for name in own):
        return "exact op", ""
    if repeated:
        return "measured", "its weights are used more than once"
    if mixes:
        return "simulated", "limited: mixes positions"
    return "simulated", f"{row.identity.kind} has no mean-field rule: its parameters are drawn and run as they are"


def _remark(weight: str, tensors: DrawnTensors) -> str:
    """A warning if the weights' mean is significantly not 0."""
    mean, rms = tensors.mean(weight), math.sqrt(tensors.second_moment(weight))
    if abs(mean) <= _MEAN_LIMIT * rms / math.sqrt(tensors.count(weight)):
        return ""
    return f"weights have mean {mean:.2g} at rms {rms:.2g}, the mean-field rule takes them as centred"


def _map_plan(index: int, call: LinearCall, seen: Survey, *, keys: dict[int, str], tensors: DrawnTensors) -> MapPlan:
    number = seen.call_numbers[id(call)]
    geometry = geometry_of(call, seen.input_shapes[number])
    weight = keys[id(call.weight)]
    bias = keys.get(id(call.bias)) if call.bias is not None else None
    return MapPlan(
        row=index,
        weight_variance=tensors.second_moment(weight),
        bias_variance=0.0 if bias is None else tensors.second_moment(bias),
        biased=bias is not None,
        weight_error=tensors.relative_error(weight),
        bias_error=0.0 if bias is None else tensors.relative_error(bias),
        kurtosis=tensors.kurtosis(weight),
        channels_in=geometry.channels_in,
        channels_out=geometry.channels_out,
        channels_per_output=geometry.channels_per_output,
        fan_in=geometry.channels_per_output * len(geometry.pairings),
        locations_in=geometry.locations_in,
        locations_out=geometry.locations_out,
        on_data=seen.on_data[number],
    )

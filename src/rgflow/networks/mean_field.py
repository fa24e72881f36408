"""Forecast every row of any module at leading order in 1/width, by mean-field replicas of the user's own forward.

What is forecast is the mean over initialisations. Convention: an error is one number per estimate, kind "truncation":
the seed-to-seed error of the forecast and the neglected orders, combined. Source of the method: docs/architectures.md;
the covariance rules are those of Poole et al. 2016, arXiv:1606.05340, and Yang 2019, arXiv:1902.04760.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rgflow.errors import SettingError
from rgflow.networks.drawn_tensors import DrawnTensors
from rgflow.networks.private_copy import double_precision, private_copy, widened
from rgflow.networks.replicas import SeedRecord, SeedSettings, run_seed
from rgflow.networks.rows import one_line
from rgflow.networks.scout import Scout, scout_rows
from rgflow.networks.truncation import Truncation, estimate
from rgflow.records.measurement import RowForecast

__all__ = ["MeanFieldResult", "forecast_rows"]

# Samples per location that a second moment is averaged over; sampling noise of a kernel entry is then sqrt(2 / 4 n).
_SAMPLES_PER_LOCATION = 4
_LEAST_REPLICAS, _MOST_REPLICAS = 8, 256
# Samples of an ordinary map even where there are few locations: keeps the noise of a mean square at sqrt(2 / 2048) = 3 %.
_LEAST_SAMPLES = 2048
# Beyond the dense limit draws come from the samples; 512 keep the noise of a kernel entry at sqrt(2 / 512) = 6 %.
_FACTORED_SAMPLES = 512
# Numbers that all replicas' rows may hold together (float64, kept about three times for the backward passes: 1.2 GB).
_MOST_ELEMENTS = 50_000_000
# Beyond this many times `location_cap` locations drawing and measuring networks is cheaper than forecasting.
_CAP_FACTOR = 8


@dataclass(frozen=True)
class MeanFieldResult:
    """A forecast per row, sentences about the forecast as a whole, and what the model raised, else ""."""

    rows: tuple[RowForecast, ...]
    notes: tuple[str, ...] = ()
    error: str = ""


def forecast_rows(
    draws: Sequence[nn.Module],
    inputs: Tensor,
    targets: Tensor | None,
    *,
    loss: Callable[[Tensor, Tensor], Tensor],
    seeds: int = 2,
    seed: int = 0,
    location_cap: int = 512,
    time_budget: float = 15.0,
) -> MeanFieldResult:
    """Return the mean over initialisations of every row's signal, spread, gradients and tangent trace.

    `draws` are modules drawn from the initialisation, used for the variances of weights and biases and, where a
    parameter has no rule, literally; they are left as they are. Rows as in `measure_ensemble`. `location_cap` bounds
    the maps (inputs x positions) whose covariance is a matrix; `time_budget` in seconds.
    Errors: leading order in 1/channels; see `rgflow.networks.truncation` for the error bars.
    Raises: SettingError if there are no draws or no seeds.
    """
    if not draws or seeds < 1:
        raise SettingError(f"{len(draws)} draws and {seeds} seeds were given; a forecast needs at least 1 of each")
    deadline = time.monotonic() + time_budget
    with double_precision(seed=seed):
        try:
            modules = [private_copy(draw, inputs) for draw in draws]
        except Exception as error:
            return MeanFieldResult((), error=one_line(error))
        x, y = widened(inputs), widened(targets)
        assert x is not None
        tensors = DrawnTensors.of(modules)
        scout = scout_rows(modules, x, tensors=tensors)
        refusal = _too_large(scout, cap=location_cap)
        if refusal:
            return _nothing(scout, refusal)
        records = []
        for number in range(seeds):
            replicas = _replicas(scout, cap=location_cap)
            settings = SeedSettings(replicas, number * replicas, seed + number, deadline, location_cap)
            record = run_seed(modules[0], x, y, scout=scout, tensors=tensors, loss=loss, settings=settings)
            if record.late and records:
                break
            records.append(record)
            if record.late or record.forward_failure:
                break
        return _result(scout, records, wanted=seeds)


def _too_large(scout: Scout, *, cap: int) -> str:
    largest = max((max(plan.locations_in, plan.locations_out) for plan in scout.maps.values()), default=0)
    if largest <= _CAP_FACTOR * cap:
        return ""
    return f"a map has {largest} locations (inputs x positions): measuring is cheaper than forecasting"


def _replicas(scout: Scout, *, cap: int) -> int:
    """Replicas so that every map's second moments are averaged over enough samples, within the memory bound."""
    wanted = [_LEAST_REPLICAS]
    for plan in scout.maps.values():
        locations = max(plan.locations_in, plan.locations_out)
        samples = _SAMPLES_PER_LOCATION * plan.locations_out if locations <= cap else _FACTORED_SAMPLES
        wanted.append(-(-samples // plan.channels_out))
    if scout.maps:
        ordinary = statistics.median(plan.channels_out for plan in scout.maps.values())
        wanted.append(math.ceil(_LEAST_SAMPLES / ordinary))
    memory = max(_LEAST_REPLICAS, _MOST_ELEMENTS // max(scout.elements, 1))
    return min(max(wanted), _MOST_REPLICAS, memory)


def _nothing(scout: Scout, reason: str) -> MeanFieldResult:
    rows = tuple(RowForecast(row.identity.name, "measured", reason) for row in scout.rows)
    return MeanFieldResult(rows, (f"nothing is forecast: {reason}",), scout.error)


def _result(scout: Scout, records: list[SeedRecord], *, wanted: int) -> MeanFieldResult:
    first, truncation, notes = records[0], Truncation.of(scout), []
    if first.late:
        return _nothing(scout, first.forward_failure or first.backward_failure)
    limited = any(row.limited for row in scout.rows)
    rows = []
    for index, plan in enumerate(scout.rows):
        row = RowForecast(plan.identity.name, plan.source, plan.reason)
        if plan.source == "measured":
            rows.append(row)
        elif index not in first.signal:
            why = f"the forecast stopped before this row: {first.forward_failure or scout.error}"
            rows.append(replace(row, source="measured", reason=why))
        else:
            rows.append(_filled(row, index, records, truncation, gradients=not limited))
    if limited:
        notes.append("weights that mix positions are shared by all channels: no gradient of this model is forecast")
    if first.forward_failure:
        notes.append(f"the forward cannot be run on many networks at once: {first.forward_failure}")
    if first.backward_failure:
        notes.append(f"no gradient is forecast: {first.backward_failure}")
    if first.looped:
        notes.append(f"run network by network: {', '.join(first.looped)}")
    if len(records) < wanted:
        notes.append(f"the forecast rests on {len(records)} of {wanted} seeds: the time budget was reached")
    return MeanFieldResult(tuple(rows), tuple(notes), scout.error)


def _filled(
    row: RowForecast, index: int, records: list[SeedRecord], truncation: Truncation, *, gradients: bool
) -> RowForecast:
    """The row with its estimates."""
    forward = truncation.forward(index)
    seen = [record for record in records if index in record.signal]
    filled = replace(
        row,
        signal=estimate([record.signal[index] for record in seen], relative=forward),
        spread=estimate([record.spread[index] for record in seen if index in record.spread], relative=forward),
    )
    if not gradients:
        return filled
    backward = truncation.backward(index)

    def scalars(name: str) -> list[Tensor]:
        values = [getattr(record, name).get(index) for record in seen]
        return [torch.tensor([value]) for value in values if value is not None]

    return replace(
        filled,
        gradient_square=estimate(scalars("gradient_square"), relative=backward),
        backward_square=estimate(scalars("backward_square"), relative=backward),
        tangent_trace=estimate(scalars("tangent_trace"), relative=backward),
    )

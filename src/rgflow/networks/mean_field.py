"""Forecast every row of any module at leading order in 1/width, by mean-field replicas of the user's own forward.

What is forecast is the mean over initialisations. Convention: an error is one number per estimate, kind "truncation":
the seed-to-seed error of the forecast and the neglected orders, combined. Sources: Poole et al. 2016,
arXiv:1606.05340; Yang 2019, arXiv:1902.04760, whose Gaussian limit of any architecture the replicas sample.
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
from rgflow.records.estimate import Estimate
from rgflow.records.measurement import RowForecast

__all__ = ["MeanFieldResult", "forecast_rows"]

# Samples per location that a second moment is averaged over; sampling noise of a kernel entry is then sqrt(2 / 4 n).
_SAMPLES_PER_LOCATION = 4
# A narrow map, such as a head of ten outputs, would ask for many replicas of all the others; this many keep its own
# second moment exact (more than 1.5 samples per location, see `gaussian_channels`).
_NARROW_SAMPLES_PER_LOCATION = 1.6
_LEAST_REPLICAS, _MOST_REPLICAS = 8, 256
# Samples of an ordinary map even where there are few locations: noise of a mean square sqrt(2 / 2048) = 3 %.
_LEAST_SAMPLES, _ORDINARY_REPLICAS = 2048, 64
# Beyond the dense limit draws come from the samples; 512 keep the noise of a kernel entry at sqrt(2 / 512) = 6 %.
_FACTORED_SAMPLES = 512
# Numbers that all replicas' rows may hold together (float64, kept about three times for the backward passes: 1.2 GB).
_MOST_ELEMENTS = 50_000_000
_SCALAR = "one number serves all channels: its gradient adds up correlations that the leading order neglects"
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
    deadline = time.thread_time() + time_budget
    with double_precision(draws[0], seed=seed):
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
        replicas = _replicas(scout, cap=location_cap)
        records: list[SeedRecord] = []
        for number in range(seeds):
            started = time.thread_time()
            settings = SeedSettings(replicas, number * replicas, seed + number, deadline, location_cap)
            record = run_seed(modules[0], x, y, scout=scout, tensors=tensors, loss=loss, settings=settings)
            if record.late and records:
                break
            records.append(record)
            # A second seed that cannot finish in the time left would only be thrown away.
            if record.late or record.forward_failure or 2 * time.thread_time() - started > deadline:
                break
        return _result(scout, records, wanted=seeds, replicas=replicas)


def _too_large(scout: Scout, *, cap: int) -> str:
    largest = max((max(plan.locations_in, plan.locations_out) for plan in scout.maps.values()), default=0)
    if largest <= _CAP_FACTOR * cap:
        return ""
    return f"a map has {largest} locations (inputs x positions): measuring is cheaper than forecasting"


def _replicas(scout: Scout, *, cap: int) -> int:
    """Replicas so that every map's second moments are averaged over enough samples, within the memory bound."""
    if not scout.maps:
        return _LEAST_REPLICAS
    ordinary = statistics.median(plan.channels_out for plan in scout.maps.values())
    wanted = [_LEAST_REPLICAS, min(math.ceil(_LEAST_SAMPLES / ordinary), _ORDINARY_REPLICAS)]
    for plan in scout.maps.values():
        narrow = plan.channels_out < ordinary / 2
        per_location = _NARROW_SAMPLES_PER_LOCATION if narrow else _SAMPLES_PER_LOCATION
        dense = max(plan.locations_in, plan.locations_out) <= cap
        samples = per_location * plan.locations_out if dense else _FACTORED_SAMPLES
        wanted.append(math.ceil(samples / plan.channels_out))
    memory = max(_LEAST_REPLICAS, _MOST_ELEMENTS // max(scout.elements, 1))
    return min(max(wanted), _MOST_REPLICAS, memory)


def _nothing(scout: Scout, reason: str) -> MeanFieldResult:
    rows = tuple(RowForecast(row.identity.name, "measured", reason) for row in scout.rows)
    return MeanFieldResult(rows, (f"nothing is forecast: {reason}",), scout.error)


def _result(scout: Scout, records: list[SeedRecord], *, wanted: int, replicas: int) -> MeanFieldResult:
    first = records[0]
    if first.late and first.forward_failure:
        return _nothing(scout, first.forward_failure)
    truncation = Truncation.of(scout, first.fluctuations, replicas=replicas)
    without = _no_gradient(scout, first)
    rows = []
    for index, plan in enumerate(scout.rows):
        row = RowForecast(plan.identity.name, plan.source, plan.reason)
        if plan.source == "measured":
            rows.append(row)
        elif index not in first.signal:
            why = f"the forecast stopped before this row: {first.forward_failure or scout.error}"
            rows.append(replace(row, source="measured", reason=why))
        elif without or plan.scalar:
            why = "; ".join(filter(None, (plan.reason, "" if without else _SCALAR)))
            rows.append(replace(_forward(row, index, records, truncation), reason=why))
        else:
            rows.append(_backward(_forward(row, index, records, truncation), index, records, truncation))
    return MeanFieldResult(tuple(rows), _notes(first, without, used=len(records), wanted=wanted), scout.error)


def _no_gradient(scout: Scout, record: SeedRecord) -> str:
    """Why no gradient of the whole model is forecast, or ""."""
    if scout.error or record.forward_failure:
        return f"the forward stops midway: {scout.error or record.forward_failure}"
    if any(row.limited for row in scout.rows):
        return "weights that mix positions are shared by all channels"
    return record.backward_failure


def _notes(record: SeedRecord, without: str, *, used: int, wanted: int) -> tuple[str, ...]:
    notes = [f"no gradient is forecast: {without}"] if without else []
    if record.looped:
        notes.append(f"run network by network: {', '.join(record.looped)}")
    if used < wanted and not record.forward_failure:
        notes.append(f"the forecast rests on {used} of {wanted} seeds: the time budget was reached")
    return tuple(notes)


def _forward(row: RowForecast, index: int, records: list[SeedRecord], truncation: Truncation) -> RowForecast:
    """The row with signal and spread."""
    signals = [record.signal[index] for record in records if index in record.signal]
    spreads = [record.spread[index] for record in records if index in record.spread]
    return replace(
        row,
        signal=estimate(
            signals,
            bar=truncation.signal_bar(index),
            noise=truncation.noise(index, signals, quantity="signal"),
        ),
        spread=estimate(
            spreads,
            bar=truncation.spread_bar(index),
            noise=truncation.noise(index, spreads, quantity="spread"),
        ),
    )


def _backward(row: RowForecast, index: int, records: list[SeedRecord], truncation: Truncation) -> RowForecast:
    """The row with gradient, cotangent and tangent trace."""

    def one(name: str, bar: float, quantity: str) -> Estimate | None:
        found = [getattr(record, name).get(index) for record in records]
        values = [torch.tensor([value]) for value in found if value is not None]
        return estimate(values, bar=bar, noise=truncation.noise(index, values, quantity=quantity))

    return replace(
        row,
        gradient_square=one("gradient_square", truncation.gradient_bar(index), "gradient"),
        backward_square=one("backward_square", truncation.backward_bar(index), "backward"),
        tangent_trace=one("tangent_trace", truncation.tangent_bar(index), "gradient"),
    )

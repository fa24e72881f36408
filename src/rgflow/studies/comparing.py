"""Rows of a report: every forecast beside its measurement, with errors, and how many agree."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from rgflow.networks import CurvatureMeasurement, ParameterLaw
from rgflow.numerics import statistics
from rgflow.records import EnsembleMeasurement, Estimate, LayerReport, Quantity, RowForecast, RowIdentity
from rgflow.report import Tally
from rgflow.studies.forecasting import ModelForecast

__all__ = ["compared_rows", "output_deviation", "scaled", "tally_of"]

AGREEMENT = 4.0  # combined standard errors
ROUNDING = 1e-4  # relative: below it two numbers agree whatever their error bars (float32 layers such as LayerNorm)
NOT_FORECAST = "no forecast for this quantity"


def compared_rows(
    measured: EnsembleMeasurement,
    *,
    forecast: ModelForecast,
    laws: Sequence[ParameterLaw],
    curvature: "CurvatureMeasurement | str",
) -> tuple[LayerReport, ...]:
    """Return one `LayerReport` for each measured row, verdicts still "ok"."""
    by_name = {law.name: law for law in laws}
    total = sum(row.tangent_trace.value for row in forecast.rows.values() if row.tangent_trace is not None)
    rows = []
    for index, row in enumerate(measured.rows):
        known = forecast.rows.get(row.name) or _unforecast(measured.rows, index, forecast)
        share = _share(row, known, total=total, curvature=curvature)
        rows.append(_row(measured, index, known, share=share, laws=by_name))
    return _with_gains(rows, measured, forecast)


def _unforecast(rows: Sequence[RowIdentity], index: int, forecast: ModelForecast) -> RowForecast:
    """Return what is known of a row without a forecast of its own: the activation in front of a chain's next layer."""
    name, chain = rows[index].name, forecast.chain
    following = rows[index + 1].name if index + 1 < len(rows) else ""
    if chain is None:
        return RowForecast(name, "measured", "no forecast reached this row")
    if rows[index].parametric or following not in chain.names:
        return RowForecast(name, "measured", "a step inside the chain: its effect is in the next layer's forecast")
    law, known = chain.laws[chain.names.index(following)], forecast.rows[following]
    return RowForecast(
        name,
        "exact op",
        signal=_before_map(known.signal, scale=law.weight_variance, offset=law.bias_variance),
        spread=_before_map(known.spread, scale=law.weight_variance, offset=0.0),
    )


def _before_map(estimate: Estimate | None, *, scale: float, offset: float) -> Estimate | None:
    """Return the mean of s^2 from that of K' = offset + scale s^2: the mean over seeds is the same at every width."""
    if estimate is None:
        return None
    return Estimate((estimate.value - offset) / scale, estimate.error / scale, estimate.kind)


def _row(
    measured: EnsembleMeasurement, index: int, known: RowForecast, *, share: Quantity, laws: dict[str, ParameterLaw]
) -> LayerReport:
    row = measured.rows[index]
    weight, bias = _laws(row, laws)
    signal, spread = measured.signal[:, index], measured.spread[:, index]
    return LayerReport(
        name=row.name,
        kind=row.kind,
        source=known.source,
        reason=known.reason,
        parametric=row.parametric,
        shape=row.shape,
        fan_in=None if weight is None else weight.fan_in,
        width=row.shape[-1 if len(row.shape) < 3 else 0] if row.linear and row.shape else None,
        weight_variance=None if weight is None else weight.scaled_variance,
        bias_variance=None if bias is None else bias.scaled_variance,
        weight_kurtosis=None if weight is None else weight.kurtosis,
        signal=_quantity(known.signal, _mean(signal), known),
        signal_deviation=_quantity(known.signal_deviation, _deviation(signal), known),
        spread=_quantity(known.spread, _mean(spread), known),
        spread_deviation=_quantity(known.spread_deviation, _deviation(spread), known),
        gradient=_quantity(_root(known.gradient_square), _root_mean(measured.gradient_square[:, index]), known),
        gradient_deviation=Quantity(
            None, _deviation(measured.gradient_square[:, index].sqrt()), "heavy-tailed over seeds: measured only"
        ),
        tangent_share=share,
        chi_parallel=known.chi_parallel,
        chi_perpendicular=known.chi_perpendicular,
        depth_scale=_depth_scale(known.chi_perpendicular),
        control=known.control,
        dead=_finite_mean(measured.dead[:, index]),
    )


def _share(row: RowIdentity, known: RowForecast, *, total: float, curvature: "CurvatureMeasurement | str") -> Quantity:
    """Return the row's part of the tangent kernel's trace, forecast and measured."""
    predicted = None if known.tangent_trace is None or total <= 0 else scaled(known.tangent_trace, 1 / total)
    if isinstance(curvature, str):
        return Quantity(predicted, None, curvature)
    names = [name for name in row.parameters if name in curvature.names]
    measured = curvature.share(names) if names else None
    return Quantity(predicted, measured, "" if predicted else known.reason or NOT_FORECAST)


def _laws(row: RowIdentity, laws: dict[str, ParameterLaw]) -> tuple[ParameterLaw | None, ParameterLaw | None]:
    """Return the laws of the row's weight and bias, where it has them."""
    found = [laws[name] for name in row.parameters if name in laws]
    weight = next((law for law in found if law.role == "weight"), None)
    return weight, next((law for law in found if law.role == "bias"), None)


def _quantity(predicted: Estimate | None, measured: Estimate | None, known: RowForecast) -> Quantity:
    reason = "" if predicted is not None else known.reason or NOT_FORECAST
    return Quantity(_with_rounding(predicted), measured, reason)


def _with_rounding(predicted: Estimate | None) -> Estimate | None:
    """Widen a bar to rounding: a layer that fixes its output exactly (LayerNorm) has no spread over seeds to compare with."""
    if predicted is None:
        return None
    return Estimate(predicted.value, math.hypot(predicted.error, ROUNDING * abs(predicted.value)), predicted.kind)


def _finite(samples: Tensor) -> Tensor:
    """Return the networks that have this number; infinite ones stay, so that an overflow shows."""
    return samples[~samples.isnan()]


def _mean(samples: Tensor) -> Estimate | None:
    known = _finite(samples)
    if len(known) == 0:
        return None
    if len(known) == 1 or not bool(known.isfinite().all()):
        return Estimate(float(known.mean()), math.inf, "statistical")
    found = statistics.mean(known)
    return Estimate(float(found.value), float(found.error), "statistical")


def _deviation(samples: Tensor) -> Estimate | None:
    known = _finite(samples)
    if len(known) < 4 or not bool(known.isfinite().all()):  # a fourth moment needs four networks
        return None
    found = statistics.standard_deviation(known)
    return Estimate(float(found.value), float(found.error), "statistical")


def _root_mean(squares: Tensor) -> Estimate | None:
    """Return the root mean square over networks, from squares; error by the jackknife."""
    known = _finite(squares)
    if len(known) == 0:
        return None
    if len(known) == 1 or not bool(known.isfinite().all()):
        return Estimate(float(known.mean().sqrt()), math.inf, "statistical")
    found = statistics.jackknife(torch.sqrt, [known])
    return Estimate(float(found.value), float(found.error), "statistical")


def _root(square: Estimate | None) -> Estimate | None:
    """Return the square root of an estimate; the relative error is halved (first order)."""
    if square is None:
        return None
    value = math.sqrt(max(square.value, 0.0))
    error = square.error / (2 * value) if value > 0 else 0.0
    return Estimate(value, error, square.kind)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate times a positive factor."""
    return Estimate(estimate.value * factor, estimate.error * factor, estimate.kind)


def _finite_mean(samples: Tensor) -> float | None:
    known = samples[samples.isfinite()]
    return float(known.mean()) if len(known) else None


def _depth_scale(chi: float | None) -> float | None:
    """Return the number of layers over which a small distance changes by a factor e: 1 / |ln chi_perpendicular|."""
    if chi is None or chi <= 0:
        return None
    return math.inf if chi == 1 else 1 / abs(math.log(chi))


def _with_gains(
    rows: Sequence[LayerReport], measured: EnsembleMeasurement, forecast: ModelForecast
) -> tuple[LayerReport, ...]:
    """Add to each linear row E|dL/dz|^2 over that of the next linear row."""
    linear = [index for index, row in enumerate(measured.rows) if row.linear]
    result = list(rows)
    for here, after in pairwise(linear):
        known, following = (forecast.rows.get(measured.rows[i].name) for i in (here, after))
        predicted = None
        if known and following and known.backward_square and following.backward_square:
            predicted = _ratio(known.backward_square, following.backward_square)
        result[here] = replace(
            result[here], backward_gain=Quantity(predicted, _measured_ratio(measured.backward_square[:, [here, after]]))
        )
    return tuple(result)


def _ratio(above: Estimate, below: Estimate) -> Estimate | None:
    """Return above / below; the bars of neighbours go together, so their difference is the bar of the ratio."""
    if below.value <= 0 or above.value <= 0:
        return None
    value = above.value / below.value
    return Estimate(value, value * abs(above.error / above.value - below.error / below.value), above.kind)


def _measured_ratio(squares: Tensor) -> Estimate | None:
    known = squares[squares.isfinite().all(1)]
    if len(known) < 2 or not bool((known[:, 1] > 0).all()):
        return None
    found = statistics.jackknife(lambda a, b: a / b, [known[:, 0], known[:, 1]])
    return Estimate(float(found.value), float(found.error), "statistical")


def output_deviation(measured: EnsembleMeasurement, rows: Sequence[LayerReport]) -> Quantity:
    """Return the relative seed-to-seed deviation of the model's mean squared output; forecast where the last row is it."""
    squares = _finite(measured.output_square)
    if len(squares) < 4 or not bool(squares.isfinite().all()) or float(squares.mean()) <= 0:
        return Quantity(reason="fewer than four finite outputs over seeds")
    found = statistics.jackknife(
        lambda first, second: ((second - first**2).clamp(min=0) / first**2).sqrt(), [squares, squares**2]
    )
    value = Estimate(float(found.value), float(found.error), "statistical")
    last = next((row for row in reversed(rows) if row.parametric), None)
    if last is None or last.signal_deviation.predicted is None or last.signal.predicted is None:
        return Quantity(None, value, "no forecast of the deviation for this architecture")
    mean, deviation = last.signal.predicted, last.signal_deviation.predicted
    relative = Estimate(deviation.value / mean.value, deviation.error / mean.value, "truncation")
    same = last.signal.measured is not None and math.isclose(last.signal.measured.value, float(squares.mean()))
    return Quantity(relative if same else None, value, "" if same else "the output is not the last row's")


def tally_of(rows: Sequence[LayerReport]) -> Tally:
    """Return how many forecast cells agree with their measurement within four combined errors."""
    scores = [
        quantity.z
        for row in rows
        for quantity in (row.signal, row.signal_deviation, row.spread, row.spread_deviation, row.gradient)
        if quantity.z is not None
    ]
    return Tally(within=sum(abs(z) < AGREEMENT for z in scores), cells=len(scores))

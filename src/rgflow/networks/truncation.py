"""Error bars of a mean-field forecast: its own sampling noise, and what the leading order in 1/width neglects.

A real network's layer averages over its own channels, a replica over those of all replicas. The small parameter is
thus measured on the replicas themselves: F = sum over maps of the relative variance, from replica to replica, of the
mean square and of the spread of a map's input, and of the mean square of its cotangent. F is O(1/channels), adds up
with depth, and vanishes behind norm layers. The neglected shift of a mean is of order F; its coefficients below are
90th percentiles over 16 ensembles of 400 networks (chains, convolutions, pre- and post-norm attention, gated blocks,
decoders; widths 16 to 64). They are calibrated, not derived, and were not checked on ensembles held out; a new kind of
network may need others. Units: relative to the value.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.networks.emission import Fluctuation
from rgflow.networks.scout import MapPlan, Scout
from rgflow.records.estimate import Estimate

__all__ = ["Truncation", "estimate"]

# Shift of signal or spread over F upstream: 90th percentile 0.37 in the worst of the 16 ensembles, median 0.15.
_FORWARD = 0.35
# Shift of |dL/dz|^2 over F: 90th percentile 0.17 in the worst.
_BACKWARD = 0.2
# Shift of |dL/dW|^2 over F: 0.1 where the loss gradient does not fluctuate; it grows by 15 times the relative deviation
# of the loss gradient (0.04 for a He-initialised chain under cross-entropy, whose gradients are up by 36 to 45 %).
_GRADIENT, _GRADIENT_LOSS = 0.1, 15.0
# Shift of the tangent trace over F: at most 0.2 in four ensembles of 60 networks known to 7 %.
_TANGENT = 0.25
# Shift by the weights' excess kurtosis over fan-in (uniform weights, tanh or relu on digits): 0.37 % at 0.06.
_KURTOSIS = 0.06
# Seed-to-seed deviation of the forecast over sqrt(F / replicas), median over the ensembles.
_GRADIENT_NOISE, _BACKWARD_NOISE = 0.5, 0.25
# The deviation between replicas, over sqrt(replicas), overstates that of a signal, whose moments are made exact.
_SIGNAL_NOISE = 0.5
# Two seeds tell little of a deviation: the expected one counts like this many degrees of freedom.
_PRIOR_FREEDOM = 2


@dataclass(frozen=True)
class Truncation:
    """Per row number: F of signals and of spreads up to it, and of everything that its gradient depends on.

    `draws`: relative standard error of the signal from the finite number of draws behind the variances; `shape`: what
    the kurtosis of the weights does upstream; `loss`: relative variance of the output's loss gradient; `drawn`: number
    of the first row whose parameters are drawn literally (its noise is not made exact).
    """

    signal: tuple[float, ...]
    spread: tuple[float, ...]
    gradient: tuple[float, ...]
    draws: tuple[float, ...]
    shape: tuple[float, ...]
    loss: float
    drawn: int
    replicas: int

    @classmethod
    def of(cls, scout: Scout, fluctuations: dict[int, Fluctuation], *, replicas: int) -> "Truncation":
        """Return the sums over the maps of one forecast."""
        count = len(scout.rows)
        none = Fluctuation(0.0, 0.0, 0.0, 0.0)
        rows = [fluctuations.get(row, none) for row in range(count)]
        plans = {plan.row: plan for plan in scout.maps.values()}
        signal, draws = _carried(rows, plans, known=fluctuations.keys())
        spread = _cumulative([row.spread for row in rows])
        behind = _cumulative([row.cotangent for row in rows[::-1]])[::-1]
        total = max(signal, default=0.0) + (spread[-1] if spread else 0.0)
        literal = [row for row, plan in enumerate(scout.rows) if plan.source in ("simulated", "measured")]
        shapes = [abs(plans[row].kurtosis) / plans[row].fan_in if row in plans else 0.0 for row in range(count)]
        return cls(
            signal,
            spread,
            tuple(total + later for later in behind),
            draws,
            _cumulative(shapes),
            loss=rows[max(fluctuations)].cotangent if fluctuations else 0.0,
            drawn=min(literal, default=count),
            replicas=replicas,
        )

    def signal_bar(self, row: int) -> float:
        """Return the relative bar of a row's signal."""
        return math.hypot(_FORWARD * self.signal[row] + _KURTOSIS * self.shape[row], self.draws[row])

    def spread_bar(self, row: int) -> float:
        """Return the relative bar of a row's spread."""
        return _FORWARD * self.spread[row] + _KURTOSIS * self.shape[row]

    def backward_bar(self, row: int) -> float:
        """Return the relative bar of |dL/d(output)|^2."""
        return _BACKWARD * self.gradient[row] + _KURTOSIS * self.shape[-1]

    def gradient_bar(self, row: int) -> float:
        """Return the relative bar of |dL/d(parameters)|^2."""
        slope = _GRADIENT + min(1.0, _GRADIENT_LOSS * math.sqrt(self.loss))
        return slope * self.gradient[row] + _KURTOSIS * self.shape[-1]

    def tangent_bar(self, row: int) -> float:
        """Return the relative bar of the tangent trace, in which no loss correlates the two averages."""
        return _TANGENT * self.gradient[row] + _KURTOSIS * self.shape[-1]

    def noise(self, row: int, values: Sequence[Tensor], *, quantity: str) -> float:
        """Return the expected relative deviation of one seed's value."""
        if quantity in ("gradient", "backward"):
            scale = _GRADIENT_NOISE if quantity == "gradient" else _BACKWARD_NOISE
            return scale * math.sqrt(self.gradient[row] / self.replicas)
        between = [float(value.std() / value.mean()) / math.sqrt(len(value)) for value in values if len(value) > 1]
        scale = _SIGNAL_NOISE if quantity == "signal" and row < self.drawn else 1.0
        return scale * sum(between) / len(between) if between and math.isfinite(sum(between)) else 0.0


def estimate(values: Sequence[Tensor], *, bar: float, noise: float) -> Estimate | None:
    """Return the mean over seeds of values (replicas,), with sampling noise and truncation in one error.

    The variance of a seed is the sample variance, drawn towards the expected `noise` as _PRIOR_FREEDOM pseudo-counts.
    None if there is nothing, or nothing finite.
    """
    if not values:
        return None
    means = torch.stack([value.mean() for value in values])
    value, seeds = float(means.mean()), len(means)
    if not math.isfinite(value):
        return None
    seen = float(means.var()) if seeds > 1 else 0.0
    expected = (noise * value) ** 2
    variance = ((seeds - 1) * seen + _PRIOR_FREEDOM * expected) / (seeds - 1 + _PRIOR_FREEDOM)
    return Estimate(value, math.hypot(math.sqrt(variance / seeds), bar * value), "truncation")


def _carried(
    rows: Sequence[Fluctuation], plans: Mapping[int, MapPlan], *, known: Collection[int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """F of the signal, and the error from the draws, at every row, as far as weights carry them on.

    With t = weight share: F' = t^2 (F + own), e'^2 = t^2 (e^2 + e_W^2) + (1 - t)^2 e_b^2. Rows that are no maps take
    the largest value so far, because a skip may have carried it there.
    """
    largest, largest_error, carried, errors = 0.0, 0.0, [], []
    for number, row in enumerate(rows):
        if number in known and number in plans:
            share, plan = row.weight_share, plans[number]
            here = share**2 * (largest + row.signal)
            squares = share**2 * (largest_error**2 + plan.weight_error**2) + ((1.0 - share) * plan.bias_error) ** 2
            error = math.sqrt(squares)
            largest, largest_error = max(largest, here), max(largest_error, error)
        else:
            here, error = largest, largest_error
        carried.append(here)
        errors.append(error)
    return tuple(carried), tuple(errors)


def _cumulative(values: Sequence[float]) -> tuple[float, ...]:
    total, sums = 0.0, []
    for value in values:
        total += value
        sums.append(total)
    return tuple(sums)

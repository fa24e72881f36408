"""Samples of a model with the evidence that their chains are long enough, or the sentence that says they are not.

Units: energies are in nats a site (temperature inside: multiply by T for units of the coupling); times are in records
and in sweeps. Errors are one standard error from effective samples. The slowest observable decides.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.lattice.methods import Draw, SamplingPlan
from rgflow.numerics.chain_statistics import ChainStatistics, chain_statistics
from rgflow.records.estimate import Estimate

__all__ = ["MeasuredObservable", "Samples", "judged"]

_FEWEST_EFFECTIVE = 100  # standard errors are then known to about 7 %, 1 / sqrt(2 * 100)
_LARGEST_R_HAT = 1.05  # between 1.01 (Vehtari et al. 2021, four long chains) and 1.1 (Gelman and Rubin 1992)
_DISCARDED_TIMES = 5.0  # exponential autocorrelation times to discard: e^-5 = 0.7 % of the start is left
_LEAST_CORRELATION = 0.01  # of neighbouring records: smaller ones cannot be told from 0 with some 1e4 records


@dataclass(frozen=True)
class MeasuredObservable:
    """One observable with its mean and its mixing."""

    name: str
    estimate: Estimate
    statistics: ChainStatistics


@dataclass(frozen=True, eq=False)
class Samples:
    """States of independent chains, and how far they can be trusted.

    Shapes: `states` (chains, records, *shape) in a compact dtype; `values` the same in float64.
    `energy` is the mean of H / sites in nats; `observables` has it and the order parameters with their statistics.
    `autocorrelation_time` (records) and `autocorrelation_sweeps` are those of the slowest observable, as are
    `effective_samples` (all chains together) and `split_r_hat` (the largest). `reliable` is the verdict and `reason` the
    sentence that explains a False, with what would suffice; "" otherwise.
    """

    states: Tensor
    observables: tuple[MeasuredObservable, ...]
    effective_samples: float
    autocorrelation_time: float
    autocorrelation_sweeps: float
    split_r_hat: float
    reliable: bool
    reason: str
    method: str
    sweeps: int
    discard: int
    every: int
    seed: int

    @property
    def values(self) -> Tensor:
        """The states (chains, records, *shape), float64."""
        return self.states.double()

    @property
    def energy(self) -> Estimate:
        """Mean energy per site, H / sites in nats, with its statistical error."""
        return self.observables[0].estimate

    def flat(self) -> Tensor:
        """Return the states as (samples, *shape), float64: all chains of one record, then those of the next."""
        return self.states.transpose(0, 1).flatten(0, 1).double()


def judged(draw: Draw, *, plan: SamplingPlan, method: str) -> Samples:
    """Return the samples of a draw with their verdict."""
    measured = tuple(_measured(observable.name, observable.series) for observable in draw.observables)
    slowest = min(measured, key=lambda one: one.statistics.effective_samples)
    times = [one.statistics.autocorrelation_time for one in measured]
    r_hats = [one.statistics.split_r_hat for one in measured]
    reason = _too_few(measured, plan) or _disagreement(measured, plan) or _start_remembered(measured, plan)
    return Samples(
        states=torch.from_numpy(np.ascontiguousarray(draw.states)),
        observables=measured,
        effective_samples=slowest.statistics.effective_samples,
        autocorrelation_time=_largest(times),
        autocorrelation_sweeps=_largest(times) * plan.every,
        split_r_hat=_largest(r_hats),
        reliable=not reason,
        reason=reason,
        method=method,
        sweeps=plan.sweeps,
        discard=plan.discard,
        every=plan.every,
        seed=plan.seed,
    )


def _measured(name: str, series: np.ndarray) -> MeasuredObservable:
    found = chain_statistics(torch.as_tensor(series, dtype=torch.float64))
    return MeasuredObservable(name, Estimate(found.mean, found.error, "statistical"), found)


def _largest(numbers: list[float]) -> float:
    return math.nan if any(math.isnan(number) for number in numbers) else max(numbers)


def _too_few(measured: tuple[MeasuredObservable, ...], plan: SamplingPlan) -> str:
    if plan.records < 4:  # as in chain_statistics: fewer show neither mixing nor autocorrelation
        return (
            f"a chain has {plan.records} records, which cannot show whether it mixes; sweeps={4 * plan.every} gives the"
            " 4 that are needed at least"
        )
    if all(one.statistics.constant for one in measured):
        return (
            "no observable ever changed, so that mixing cannot be judged; more sweeps, another method or a higher"
            " temperature would tell"
        )
    worst = min(measured, key=lambda one: one.statistics.effective_samples)
    found = worst.statistics.effective_samples
    if found >= _FEWEST_EFFECTIVE:
        return ""
    needed = _rounded_up(plan.sweeps * _FEWEST_EFFECTIVE / found)
    return (
        f"the chains are too short: the {worst.name} has {found:.0f} effective samples of the {_FEWEST_EFFECTIVE} needed;"
        f" about sweeps={needed} (now {plan.sweeps}) would suffice, if the chains mix (split R-hat is"
        f" {worst.statistics.split_r_hat:.3g})"
    )


def _disagreement(measured: tuple[MeasuredObservable, ...], plan: SamplingPlan) -> str:
    worst = max(measured, key=lambda one: one.statistics.split_r_hat)
    found, time = worst.statistics.split_r_hat, worst.statistics.autocorrelation_time
    if found <= _LARGEST_R_HAT:
        return ""
    # Of mixing chains, R-hat^2 - 1 is about (time - 1) / (records / 2): the length that brings it down to the limit.
    needed = _rounded_up(2.0 * plan.every * max(time, 2.0) / (_LARGEST_R_HAT**2 - 1.0))
    more = f"sweeps={max(needed, 2 * plan.sweeps)} (now {plan.sweeps}) might suffice"
    return (
        f"the chains disagree on the {worst.name}: split R-hat is {found:.3g}, at most {_LARGEST_R_HAT} is allowed; {more}, or"
        " a method that crosses between the states where the chains stay (clusters, tempering)"
    )


def _start_remembered(measured: tuple[MeasuredObservable, ...], plan: SamplingPlan) -> str:
    worst = max(measured, key=lambda one: one.statistics.autocorrelation_time)
    time = worst.statistics.autocorrelation_time
    correlation = max((time - 1.0) / (time + 1.0), _LEAST_CORRELATION)  # of neighbours, for an exponential decay
    needed = _DISCARDED_TIMES * plan.every / -math.log(correlation)
    if plan.discard >= needed:
        return ""
    return (
        f"the start may not be forgotten: {plan.discard} sweeps were discarded, and the autocorrelation time of the"
        f" {worst.name} asks for discard={_rounded_up(needed)}"
    )


def _rounded_up(number: float) -> int:
    """Return a whole number of two digits that is not below `number`."""
    if not math.isfinite(number):
        return 0
    step = 10 ** max(math.floor(math.log10(max(number, 1.0))) - 1, 0)
    return math.ceil(number / step) * step

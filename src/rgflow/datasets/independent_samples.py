"""Samples of a model on a lattice that are as good as independent, with the evidence in one sentence.

Convention: 20 chains make the samples; a sweep visits every site once or updates all clusters once. Runs are repeated with
records further apart as long as the effective samples are fewer than half of the records, and time allows.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice import GaussianField, Samples, SpinGlass, sample, temper

__all__ = ["evidence", "independent_samples"]

_CHAINS = 20  # independent chains; their disagreement shows what a single one would hide
_FEWEST_RECORDS = 20  # a chain, so that its mixing can be judged
_SWEEPS_BETWEEN = 5  # cluster updates at T_c up to 128 x 128 forget in fewer than 10 (Baillie and Coddington 1991)
_DISCARDED = 100
_ROUNDS = 3  # each with records further apart, where the one before was too correlated
_INDEPENDENT = 0.5  # effective samples a record that are taken as independent enough
_MOST_VISITS = 3e8  # of sites in one round: some 20 s
_PAIR_VISITS = 10  # visits of pairs of a complete graph that take as long as one visit of a site by clusters
_MIXING_TEMPERATURE = 1.6  # the glass orders below 1; at 1.6 heat bath forgets within some 10 sweeps
_SPACING = 1.5  # of log T between neighbours in the ladder, times sqrt(spins): some 0.4 of the exchanges are accepted
_WITHOUT_CHAINS = ("fourier", "cholesky")


@dataclass(frozen=True)
class _Request:
    """What is asked for: a model on `shape`, so many samples, a seed."""

    model: Any
    shape: tuple[int, ...]
    samples: int
    seed: int

    @property
    def records(self) -> int:
        """Records of one chain."""
        return max(_FEWEST_RECORDS, math.ceil(self.samples / _CHAINS))

    @property
    def ladder(self) -> tuple[float, ...]:
        """Temperatures down to that of a cold glass, spaced by its energy fluctuations; () for anything else."""
        if not isinstance(self.model, SpinGlass) or self.model.temperature >= _MIXING_TEMPERATURE:
            return ()
        range_of_logarithms = math.log(_MIXING_TEMPERATURE / self.model.temperature)
        steps = max(1, math.ceil(range_of_logarithms * math.sqrt(math.prod(self.shape)) / _SPACING))
        return tuple(np.geomspace(_MIXING_TEMPERATURE, self.model.temperature, steps + 1).tolist())

    @property
    def visits(self) -> float:
        """Visits of sites in one sweep of all chains, those of pairs counted as tenths."""
        sites = math.prod(self.shape)
        pairs = sites * max(1, len(self.ladder)) / _PAIR_VISITS if isinstance(self.model, SpinGlass) else 1.0
        return _CHAINS * sites * pairs


def independent_samples(model: Any, *, shape: tuple[int, ...], samples: int, seed: int) -> Samples:
    """Return at least so many samples, from runs with records further and further apart as long as they are correlated.

    A cold spin glass is sampled by parallel tempering, everything else by the first method that `sample` finds.
    Raises: SettingError if the model cannot be sampled, or a run would take too long.
    """
    request = _Request(model, shape, samples, seed)
    every = 1 if isinstance(model, GaussianField) else _SWEEPS_BETWEEN
    visits = request.visits * (request.records * every + _discarded(every))
    if visits > 5 * _MOST_VISITS:
        raise SettingError(
            f"the samples would take {visits:.2g} visits of sites, at most {5 * _MOST_VISITS:.2g} are made here; ask"
            " for fewer sites, fewer samples or, for a glass, a higher temperature"
        )
    found = _round(request, every=every)
    for _ in range(_ROUNDS - 1):
        total = found.states.shape[0] * found.states.shape[1]
        wider = _affordable(request, every=math.ceil(every * found.autocorrelation_time))
        if _effective(found) >= _INDEPENDENT * total or wider <= every:
            break
        every = wider
        found = _round(request, every=every)
    return found


def _affordable(request: _Request, *, every: int) -> int:
    """Return `every`, or the largest number of sweeps between records that the time allows."""
    return min(every, int(_MOST_VISITS / (request.visits * (request.records + _discarded(1) / _SWEEPS_BETWEEN))))


def _discarded(every: int) -> int:
    """Return how many sweeps are made before the first record: 20 times those between records, and at least 100."""
    return _DISCARDED // _SWEEPS_BETWEEN * max(every, _SWEEPS_BETWEEN)


def _round(request: _Request, *, every: int) -> Samples:
    plan: dict[str, Any] = {
        "shape": request.shape,
        "chains": _CHAINS,
        "sweeps": request.records * every,
        "every": every,
        "discard": _discarded(every),
        "seed": request.seed,
    }
    if not request.ladder:
        return sample(request.model, **plan)
    glass: SpinGlass = request.model
    found = temper(lambda temperature: replace(glass, temperature=temperature), temperatures=request.ladder, **plan)
    return found.samples[-1]


def _effective(found: Samples) -> float:
    """Return the effective samples; draws without a chain are independent, whatever a few records suggest."""
    total = float(found.states.shape[0] * found.states.shape[1])
    return total if found.method in _WITHOUT_CHAINS else min(total, found.effective_samples)


def evidence(found: Samples, *, samples: int) -> str:
    """Return how the samples were made and how many are effectively independent, and say if the chains were too short."""
    share = _effective(found) / (found.states.shape[0] * found.states.shape[1])
    apart = f"{samples} samples {found.every} sweeps apart" if found.every > 1 else f"{samples} samples"
    text = f"{found.method}, {apart}, seed {found.seed}, n_eff {round(share * samples)} of {samples}"
    if share < _INDEPENDENT:
        return f"{text}; the chains were too short for independent samples (split R-hat {found.split_r_hat:.3g})"
    if found.reliable or found.method in _WITHOUT_CHAINS:
        return text
    return f"{text}; the chains may be too short: {found.reason}"

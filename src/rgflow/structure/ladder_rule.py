"""The decision of the ladder: from held-out scores of every rung and sample to one rung, or to "undetermined".

A rung is acceptable if its paired deficit to the best rung is below 2 standard errors; the simplest acceptable rung is chosen.
Standard errors of paired differences count effective samples, so that a Markov chain needs no thinning. Scores are in nats a
variable; larger is better.

Why 2 standard errors suffice although dozens of rungs compete: with a parameter more than the truth, and scores by
cross-fitting, the deficit of the truth is (Z^2/2 - 1)/M with the standard error |Z|/M, Z normal. It exceeds 2 standard errors
where |Z| > 2 + sqrt(6) = 4.45, in 1 of 100,000 samples; and 1.5 standard errors, from which on no verdict is given, where
|Z| > (3 + sqrt(17))/2 = 3.56, in 4 of 10,000. With k parameters more, Z^2 is chi-square of k and 1 becomes k: rarer still.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rgflow.numerics.statistics import effective_samples
from rgflow.records.estimate import Estimate
from rgflow.structure.rungs import PlannedRung, contains

__all__ = ["ACCEPTED", "TYPICAL", "UNCLEAR", "Decision", "decide", "needed_for", "paired"]

ACCEPTED = 2.0  # standard errors of deficit below which a rung is acceptable
UNCLEAR = 1.5  # standard errors of deficit from which an acceptable rung is no answer either; see the text on top
TYPICAL = (
    0.1  # nats: a coupling of this size on every further term must be within reach before its absence means something
)


@dataclass(frozen=True)
class Decision:
    """The deficits of all rungs, the chosen one by its place, or why none is chosen."""

    best: int
    deficits: tuple[Estimate, ...]
    chosen: int | None
    reason: str
    needed_samples: int | None = None


def paired(difference: np.ndarray) -> Estimate:
    """Return the mean of paired differences in the order of the samples, with its standard error by effective samples."""
    mean, spread = float(difference.mean()), float(difference.std(ddof=1))
    if spread <= 1e-14 * (1.0 + abs(mean)):  # a constant difference, up to rounding
        return Estimate(mean, 0.0, "statistical")
    return Estimate(mean, spread / math.sqrt(effective_samples(torch.as_tensor(difference))), "statistical")


def decide(scores: np.ndarray, rungs: Sequence[PlannedRung], *, variables: int, time: float = 1.0) -> Decision:
    """Return the simplest acceptable rung, from held-out `scores` (rungs, samples) in the order of the samples.

    `rungs` stand simplest first, `time` is the autocorrelation time in samples. The verdict is open, with the samples that
    would decide it, where two acceptable rungs neither of which contains the other are simplest; where the simplest has a
    deficit between 1.5 and 2 standard errors; and where a typical coupling beyond the simplest rung would go unseen.
    """
    best = int(scores.mean(1).argmax())
    deficits = tuple(paired(scores[best] - row) for row in scores)
    acceptable = [place for place, deficit in enumerate(deficits) if _z(deficit) < ACCEPTED]
    simplest = [a for a in acceptable if not any(_below(rungs[b], rungs[a]) for b in acceptable)]
    found = simplest[0]
    whole = _Scored(scores, rungs, deficits, best=best, variables=variables, time=time)
    open_question = _rivals(whole, simplest) or _in_between(whole, found) or _unseen(whole, found)
    if open_question is None:
        return Decision(best, deficits, found, _chosen_text(whole, found))
    return Decision(best, deficits, None, open_question.reason, open_question.needed_samples)


@dataclass(frozen=True)
class _Scored:
    scores: np.ndarray
    rungs: Sequence[PlannedRung]
    deficits: tuple[Estimate, ...]
    best: int
    variables: int
    time: float

    @property
    def samples(self) -> int:
        return self.scores.shape[1]


@dataclass(frozen=True)
class _Open:
    reason: str
    needed_samples: int


def _rivals(whole: _Scored, simplest: list[int]) -> _Open | None:
    """Return why several simplest rungs leave the question open."""
    if len(simplest) < 2:
        return None
    z = _z(paired(whole.scores[simplest[0]] - whole.scores[simplest[1]]))
    times = max((ACCEPTED / max(abs(z), 0.2)) ** 2, 1.5)  # at most 100 times the samples, at least half as many again
    names = " and ".join(f'"{whole.rungs[place].name}"' for place in simplest[:3])
    return _Open(
        f"{names} explain the samples equally well within 2 standard errors, and none contains another",
        _rounded(whole.samples * times),
    )


def _in_between(whole: _Scored, found: int) -> _Open | None:
    """Return why the simplest acceptable rung is not accepted: its deficit lies between 1.5 and 2 standard errors."""
    deficit = whole.deficits[found]
    if _z(deficit) < UNCLEAR:
        return None
    further = max(whole.rungs[whole.best].parameters - whole.rungs[found].parameters, 0)
    overfit = further * whole.time / (2.0 * whole.variables)  # times 1/samples: what fitting them costs
    spread = deficit.error * math.sqrt(whole.samples)
    gap = deficit.value + overfit / whole.samples
    root = (spread + math.sqrt(spread**2 + gap * overfit)) / gap  # gap - overfit/samples = 2 spread/sqrt(samples)
    return _Open(
        f'"{whole.rungs[found].name}" falls short of "{whole.rungs[whole.best].name}" by {_z(deficit):.1f} standard errors:'
        " too many to accept it, too few to reject it",
        _rounded(max(root**2, 1.1 * whole.samples)),  # a tenth more at least: never the number that is there
    )


def _unseen(whole: _Scored, found: int) -> _Open | None:
    """Return why absence means nothing: couplings of 0.1 nats beyond the rung would not have been seen."""
    base = whole.rungs[found]
    spread = base.spread(float(whole.scores[found].mean()))
    needed, beyond = 0.0, base
    for larger in whole.rungs:
        if larger.order <= max(base.order, 2) and _below(base, larger):
            further = larger.parameters - base.parameters
            one = needed_for(further, larger.incidences * further / larger.parameters, spread=spread)
            needed, beyond = max((needed, beyond), (one, larger), key=lambda pair: pair[0])
    if needed * whole.time <= whole.samples:
        return None
    times = "" if whole.time < 1.5 else f" with an autocorrelation time of {whole.time:.0f}"  # shorter ones are no news
    return _Open(
        f'"{base.name}" is acceptable, but {whole.samples} samples{times} would not show couplings of {TYPICAL} nats beyond it,'
        f' such as "{beyond.name}" allows',
        _rounded(needed * whole.time),
    )


def _chosen_text(whole: _Scored, found: int) -> str:
    name, best = whole.rungs[found].name, whole.rungs[whole.best].name
    if found == whole.best:
        return f'"{name}" has the best held-out score, and every simpler rung falls short by 2 standard errors'
    return f'"{name}" is the simplest rung within 2 standard errors of the best, "{best}" ({_z(whole.deficits[found]):.1f})'


def needed_for(parameters: int, incidences: float, *, spread: float) -> float:
    """Return how many independent samples show `parameters` more parameters at couplings of 0.1 nats.

    `incidences` counts (term, variable in it): each adds J^2/2 times the conditional variance `spread` to the log-probability
    of a sample, gap = incidences J^2 spread / 2. Of M samples the expected paired difference is gap - parameters/(2 M), its
    standard error sqrt(2 gap M + parameters)/M; the first is 2 of the second at the M returned.
    Errors: to leading order in J and in parameters / M.
    """
    gap = max(incidences * TYPICAL**2 * spread / 2.0, 1e-12)  # no division by zero where nothing varies
    square = (ACCEPTED + math.sqrt(ACCEPTED**2 + 2.0 * parameters)) ** 2
    return (square - parameters) / (2.0 * gap)


def _z(deficit: Estimate) -> float:
    if deficit.error > 0.0:
        return deficit.value / deficit.error
    return 0.0 if deficit.value == 0.0 else math.copysign(math.inf, deficit.value)


def _below(smaller: PlannedRung, larger: PlannedRung) -> bool:
    """Return whether `smaller` is strictly simpler; of two that contain each other, the one with fewer parameters."""
    if smaller is larger or not contains(larger, smaller):
        return False
    return not contains(smaller, larger) or smaller.parameters < larger.parameters


def _rounded(needed: float) -> int:
    """Return the number rounded up to two digits: more of them would be a pretence."""
    digits = 10 ** max(math.floor(math.log10(max(needed, 1.0))) - 1, 0)
    return math.ceil(needed / digits) * digits

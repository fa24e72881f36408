"""Held-out scores of every rung for every sample, each by a fit that has not seen the sample (cross-fitting).

Five folds where they are affordable, else three, else two: k folds cost as much as k - 1 fits to all samples. Every sample is
scored in each case. The choice rests on forecast work, never on a clock, so that the same seed gives the same ladder.
"""

from collections.abc import Sequence

import numpy as np

from rgflow.structure.rungs import PlannedRung

__all__ = ["affordable_folds", "held_out_scores", "with_limits"]

FOLDS = (5, 3, 2)
SECONDS = 14.0  # forecast of all fits together that is still affordable, on one core
SHARE = 0.25  # parameters at one variable / samples: above, the fit separates the samples it has seen
LONGEST = 8.0  # forecast in seconds of one fit beyond which a rung is only listed


def with_limits(rungs: Sequence[PlannedRung], *, samples: int, sites: int) -> tuple[str, ...]:
    """Return why each rung is left out for so many samples, "" where it is not."""
    return tuple(rung.reason or _limit(rung, samples=samples, sites=sites) for rung in rungs)


def _limit(rung: PlannedRung, *, samples: int, sites: int) -> str:
    seconds = rung.seconds(samples)
    if seconds == 0.0:
        return ""  # counted, not fitted: the table is smoothed and cannot diverge
    if rung.parameters * rung.order > SHARE * samples * sites:
        return f"{rung.parameters:,} parameters, too many for {samples:,} samples to say anything"
    if seconds > LONGEST:
        return f"one fit of {rung.parameters:,} parameters to {samples:,} samples would take some {seconds:.0f} s"
    return ""


def affordable_folds(rungs: Sequence[PlannedRung], *, samples: int) -> int:
    """Return the number of folds whose fits of these rungs stay within the seconds allowed, 2 where none does."""
    once = sum(rung.seconds(samples) for rung in rungs)
    return next((folds for folds in FOLDS if (folds - 1) * once <= SECONDS), FOLDS[-1])


def held_out_scores(samples: np.ndarray, rungs: Sequence[PlannedRung], *, folds: Sequence[np.ndarray]) -> np.ndarray:
    """Return the scores (rungs, samples); `folds` are disjoint rows that make up all samples."""
    scores = np.empty((len(rungs), len(samples)))
    for place, rung in enumerate(rungs):
        model = rung.build()
        for fold in folds:
            seen = np.ones(len(samples), dtype=bool)
            seen[fold] = False
            scores[place, fold] = model.score(samples[fold], model.fit(samples[seen]))
    return scores

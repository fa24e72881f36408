"""The ladder of simplicity climbed: every rung fitted, scored where it was not fitted, and the simplest that suffices.

Scores are nats a variable and sample: held-out pseudo-likelihood of spins and categories, minus the held-out score-matching
objective of continuous variables.
"""

import math
from typing import Any

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.estimate import Estimate
from rgflow.records.ladder import Ladder, Rung
from rgflow.structure.ladder_folds import autocorrelation, dealt
from rgflow.structure.ladder_rule import decide, paired
from rgflow.structure.ladder_scores import affordable_folds, held_out_scores, with_limits
from rgflow.structure.ladder_variables import LadderKind, Variables, read_variables
from rgflow.structure.rungs import PlannedRung
from rgflow.structure.rungs_categories import category_rungs
from rgflow.structure.rungs_real import real_rungs
from rgflow.structure.rungs_spin import spin_rungs

__all__ = ["ladder"]

FEWEST = 20  # samples: below, neither autocorrelations nor standard errors of five folds mean anything


def ladder(
    samples: Any,
    *,
    lattice: Lattice | tuple[int, ...] | None = None,
    periodic: bool = True,
    max_order: int = 4,
    kind: LadderKind = "auto",
    seed: int,
) -> Ladder:
    """Return all rungs with held-out scores and the simplest whose paired deficit to the best is below 2 standard errors.

    Shapes: `samples` (samples, variables), or (samples, *shape of the lattice). `lattice` is a `Lattice` or its shape, then
    `periodic` says whether it closes on itself; None: no distances are known, and only rungs that need none are climbed.
    `kind` is "spin" (two values), "categorical" (whole numbers 0, 1, ...), "continuous", or "auto": found from the values.
    Samples may come from a Markov chain, in its order: folds are blocks of many autocorrelation times, errors count
    effective samples. `seed` deals the blocks to folds.
    Errors: of a score and a deficit, one standard error. "undetermined" with `needed_samples` where the samples do not decide.
    Raises: DataError for samples of another shape or kind, SettingError for other settings.

    Example:
    >>> import torch
    >>> coins = torch.randint(0, 2, (500, 9), generator=torch.Generator().manual_seed(1)) * 2 - 1
    >>> ladder(coins, lattice=(3, 3), seed=0).chosen
    'independent'
    """
    if max_order not in (1, 2, 3, 4):
        raise SettingError(f"max_order is {max_order}; it must be 1, 2, 3 or 4")
    data = read_variables(samples, lattice=lattice, periodic=periodic, kind=kind, fewest=FEWEST, seed=seed)
    planned = _planned(data, max_order=max_order)
    reasons = with_limits(planned, samples=data.samples, sites=data.sites)
    scored = [rung for rung, reason in zip(planned, reasons, strict=True) if not reason]
    time = autocorrelation(data.values, seed=seed)
    folds = dealt(data.samples, folds=affordable_folds(scored, samples=data.samples), time=time, seed=seed)
    scores = held_out_scores(data.values, scored, folds=folds)
    decision = decide(scores, scored, variables=data.sites, time=time)
    rows = {rung.name: row for rung, row in zip(scored, scores, strict=True)}
    deficits = {rung.name: deficit for rung, deficit in zip(scored, decision.deficits, strict=True)}
    return Ladder(
        rungs=tuple(
            _rung(rung, rows.get(rung.name), deficits.get(rung.name), reason)
            for rung, reason in zip(planned, reasons, strict=True)
        ),
        chosen=None if decision.chosen is None else scored[decision.chosen].name,
        verdict="undetermined" if decision.chosen is None else "chosen",
        reason=decision.reason,
        unit=data.unit,
        samples=data.samples,
        held_out=data.samples,
        generic_parameters=data.generic_parameters,
        needed_samples=decision.needed_samples,
        notes=(*data.notes, _folds_note(folds, time=time)),
    )


def _planned(data: Variables, *, max_order: int) -> tuple[PlannedRung, ...]:
    if data.kind == "spin":
        return spin_rungs(data.sites, lattice=data.lattice, max_order=max_order)
    if data.kind == "categorical":
        return category_rungs(data.sites, levels=data.levels, lattice=data.lattice, max_order=max_order)
    return real_rungs(data.sites, lattice=data.lattice, max_order=max_order)


def _rung(planned: PlannedRung, scores: np.ndarray | None, deficit: Estimate | None, reason: str) -> Rung:
    return Rung(
        name=planned.name,
        meaning=planned.meaning,
        parameters=planned.parameters,
        order=planned.order,
        reach=None if math.isinf(planned.reach) else planned.reach,
        symmetries=tuple(sorted(planned.symmetries)),
        score=None if scores is None else paired(scores),
        deficit=deficit,
        reason=reason,
    )


def _folds_note(folds: tuple[np.ndarray, ...], *, time: float) -> str:
    return f"{len(folds)} folds of blocks of neighbouring samples; the longest autocorrelation time found is {time:.1f} samples"

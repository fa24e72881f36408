"""Two arms of an experiment compared network by network, each at the rate that its validation scores choose.

The test scores enter only after the rate is chosen. Intervals are Student's t over the paired differences, 95 %.
"""

from collections.abc import Sequence

import torch
from scipy.stats import t as student
from torch import Tensor

from rgflow.ensembles.training import TrainedArm
from rgflow.records.comparison import Arm, Comparison
from rgflow.records.estimate import Estimate

__all__ = ["chosen", "compare", "edge_wins"]

_CONFIDENCE = 0.95
# Scores of order one, some in float32, against a chance score summed in another order.
_ROUNDING = 1e-6


def chosen(arm: TrainedArm) -> int:
    """Return the index of the rate with the best mean validation score, the smallest such rate if several."""
    return int(arm.validation.mean(0).argmax())


def edge_wins(arm: TrainedArm) -> int:
    """Return -1 or +1 if the lowest or highest rate is best and clearly better than its neighbour, else 0.

    Clearly: the paired difference of validation scores exceeds two standard errors; ties at chance do not count.
    Also -1 where most networks diverge even at the lowest rate.
    """
    best, rates = chosen(arm), arm.validation.shape[1]
    if float(arm.failed[:, 0].double().mean()) > 0.5:
        return -1
    if rates < 2 or best not in (0, rates - 1):
        return 0
    neighbour = 1 if best == 0 else rates - 2
    difference = _paired(arm.validation[:, best] - arm.validation[:, neighbour])
    if not difference.value > 2.0 * difference.error:
        return 0
    return -1 if best == 0 else 1


def compare(
    stock: TrainedArm,
    tuned: TrainedArm,
    *,
    rates: Sequence[float],
    metric: str,
    optimizer: str,
    chance: float,
    steps: int,
    seed: int,
    notes: Sequence[str] = (),
) -> Comparison:
    """Return the paired comparison of two arms whose rows belong to the same network seeds and minibatch orders.

    `chance` is the test score without learning; `notes` come before those that the sweeps themselves give rise to.
    """
    arms = [_arm(name, arm, rates) for name, arm in (("stock", stock), ("tuned", tuned))]
    scores = [torch.tensor(arm.test, dtype=torch.float64) for arm in arms]
    difference = _paired(scores[1] - scores[0])
    limited = arms[:1] if tuned is stock else arms  # one arm that stands for both is judged once
    reach = float(student.ppf(0.5 + _CONFIDENCE / 2.0, len(scores[0]) - 1)) * difference.error
    interval = (difference.value - reach, difference.value + reach)
    verdict = "tuned is better" if interval[0] > 0 else "stock is better" if interval[1] < 0 else "no benefit"
    return Comparison(
        metric=metric,
        optimizer=optimizer,
        stock=arms[0],
        tuned=arms[1],
        difference=difference,
        interval=interval,
        verdict=verdict,
        chance=chance,
        networks=len(scores[0]),
        steps=steps,
        seed=seed,
        notes=(*notes, *(note for arm in limited for note in _limits(arm, chance=chance))),
    )


def _arm(name: str, arm: TrainedArm, rates: Sequence[float]) -> Arm:
    best = chosen(arm)
    scores = arm.test[:, best]
    return Arm(
        name=name,
        rates=tuple(rates),
        validation=tuple(arm.validation.mean(0).tolist()),
        failed=tuple(arm.failed.sum(0).tolist()),
        chosen_rate=rates[best],
        test=tuple(scores.tolist()),
        mean=_paired(scores),
    )


def _limits(arm: Arm, *, chance: float) -> list[str]:
    """Return what a reader must know before trusting this arm's chosen rate."""
    lost, notes = arm.failed[arm.rates.index(arm.chosen_rate)], []
    if lost:
        notes.append(f"{lost} of {len(arm.test)} {arm.name} networks diverge at the chosen rate and score chance")
    # Two standard errors, as for the edges of the sweep; a rate chosen among scores at chance means nothing.
    if arm.mean.value - chance <= 2.0 * arm.mean.error + _ROUNDING:
        notes.append(f"{arm.name} networks stay at chance ({chance:.3f}) even at their best rate")
    elif len(arm.rates) > 1 and arm.chosen_rate in (arm.rates[0], arm.rates[-1]):
        side = "lowest" if arm.chosen_rate == arm.rates[0] else "highest"
        notes.append(
            f"the best rate of the {arm.name} networks is the {side} of the sweep: a better one may lie outside"
        )
    return notes


def _paired(values: Tensor) -> Estimate:
    return Estimate(float(values.mean()), float(values.std()) / len(values) ** 0.5, "statistical")

"""The outcome of a paired experiment: stock against tuned networks, each at its own best learning rate."""

from dataclasses import dataclass

from rgflow.records.estimate import Estimate

__all__ = ["Arm", "Comparison"]


@dataclass(frozen=True)
class Arm:
    """One side of the experiment: the sweep on the validation split and the test scores at the chosen rate.

    `validation` holds one mean score per rate, `failed` how many networks diverged at that rate (each of these scores
    chance); `test` one score per network at `chosen_rate` (accuracy, or R^2).
    """

    name: str
    rates: tuple[float, ...]
    validation: tuple[float, ...]
    failed: tuple[int, ...]
    chosen_rate: float
    test: tuple[float, ...]
    mean: Estimate


@dataclass(frozen=True)
class Comparison:
    """Stock against tuned: the paired difference of the test scores with a 95 % confidence interval and a verdict.

    `verdict` is "tuned is better", "no benefit" (the interval contains 0) or "stock is better". `chance` is the test
    score of a network that learned nothing. `notes` says what limits the result: best rates at the edge of the sweep,
    a sweep that had to grow, an arm that stays at chance, arms that are identical because nothing was tuned.
    """

    metric: str
    optimizer: str
    stock: Arm
    tuned: Arm
    difference: Estimate
    interval: tuple[float, float]
    verdict: str
    chance: float
    networks: int
    steps: int
    seed: int
    notes: tuple[str, ...] = ()

"""Verify a tuning by experiment: stock against tuned networks over equal learning-rate sweeps, paired seed by seed.

Both networks of a pair start from one draw (tuned: its planned tensors drawn again) and see the same minibatches. The
rate is chosen on the validation part; the test part is scored once. A network that diverges scores chance.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from rgflow.datasets.arrays import as_dataset
from rgflow.datasets.sampling import Splits, splits
from rgflow.ensembles.pairing import compare, edge_wins
from rgflow.ensembles.scores import chance_score
from rgflow.ensembles.training import TrainedArm, TrainingPlan, train_arm
from rgflow.errors import DataError, ModelError, SettingError
from rgflow.networks.factories import Factory, as_factory
from rgflow.networks.redraw import draw_networks
from rgflow.networks.write import redrawn
from rgflow.records.comparison import Comparison
from rgflow.studies.tuning import Tuned

__all__ = ["verify"]

# Half a decade between rates: the best rate is missed by a factor 1.8 at most.
_GRIDS = {"sgd": (-3.0, 0.0), "adam": (-4.5, -1.5), "adamw": (-4.5, -1.5)}
_HALF_DECADE = 10.0**0.5
# How often the grid may grow, by half a decade each time: targets in the hundreds need rates four decades lower.
_EXTENSIONS = 8
_VALIDATION = _TEST = 0.2
_IDENTICAL = "every map is kept, so both arms are the same networks: trained once, no benefit by construction"

Progress = Callable[[str, float], None]


def verify(
    factory: "nn.Module | Factory | Callable[[], nn.Module]",
    tuned_or_tune: "Tuned | Callable[..., Tuned]",
    data: Any,
    *,
    networks: int = 8,
    steps: int = 1000,
    batch_size: int = 32,
    rates: Sequence[float] | None = None,
    optimizer: str = "sgd",
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Return the paired comparison of `networks` stock networks with as many tuned ones, on held-out test data.

    `tuned_or_tune`: a `Tuned`, or `tune` itself, which then sees the training part only. `data`: a Dataset with
    targets. Without `rates` the grid spans three decades; where the best rate of either arm is clearly at its edge it
    grows for both. Where nothing is tuned, one arm is trained and stands for both. `progress` is called with a stage
    and the fraction of it that is done.
    Errors: 95 % Student interval over networks; it covers seeds and minibatches, not the choice of the split.
    Raises: SettingError for fewer than 2 networks; DataError without targets; ModelError if draws cannot differ.
    """
    if networks < 2:
        raise SettingError(f"networks is {networks}; a paired comparison needs at least 2")
    report = progress or (lambda stage, fraction: None)
    dataset = as_dataset(data)
    if dataset.targets is None:
        raise DataError(f"{dataset.name} has no targets; an experiment that trains networks needs them")
    grid = _grid(rates, optimizer=optimizer)
    plan = TrainingPlan(rates=grid, steps=steps, batch_size=batch_size, optimizer=optimizer)  # type: ignore[arg-type]
    parts = splits(dataset, validation=_VALIDATION, test=_TEST, seed=seed)
    source = as_factory(factory)
    report("tuning on the training part", 0.0)
    tuned = tuned_or_tune
    if not isinstance(tuned, Tuned):
        tuned = tuned(source, parts.train, optimizer=optimizer, seed=seed)
    report("drawing networks", 0.0)
    pairs = _Pairs(source, tuned, parts, networks=networks, seed=seed)
    stock_arm, tuned_arm, swept = _swept(pairs, plan, extend=rates is None, progress=report)
    return compare(
        stock_arm,
        tuned_arm,
        rates=swept,
        metric="accuracy" if dataset.task == "classification" else "R^2",
        optimizer=optimizer,
        chance=chance_score(parts.train, parts.test),
        steps=steps,
        seed=seed,
        notes=_notes(pairs, before=grid, after=swept),
    )


class _Pairs:
    """The drawn networks of both arms, pair by pair, and how an arm is trained on them."""

    def __init__(self, source: Factory, tuned: Tuned, parts: Splits, *, networks: int, seed: int) -> None:
        draws = draw_networks(source, networks=networks, seed=seed, example=parts.train.inputs[:2])
        if len(draws) < networks:
            raise ModelError(
                f"the networks of {source.name} cannot differ: {draws.reason}; give a factory that draws them"
            )
        words = np.random.SeedSequence(entropy=seed, spawn_key=(networks,)).generate_state(2 * networks)
        redraws, self._orders = (words[start::2].tolist() for start in (0, 1))
        self._parts, self._multipliers = parts, tuned.multipliers
        self.identical = not tuned.plan and all(factor == 1.0 for factor in tuned.multipliers.values())
        self.stock = list(draws)
        self.tuned = [redrawn(net, tuned.plan, seed=s) for net, s in zip(self.stock, redraws, strict=True)]

    def trained(self, plan: TrainingPlan, *, progress: Progress) -> tuple[TrainedArm, TrainedArm]:
        """Return both arms after training at every rate of the plan; arms that are the same are trained once."""
        where = f"at rate {plan.rates[0]:.3g}" if len(plan.rates) == 1 else f"at {len(plan.rates)} rates"
        stock = self._arm("stock", plan, progress=partial(progress, f"training stock networks {where}"))
        if self.identical:
            return stock, stock
        return stock, self._arm("tuned", plan, progress=partial(progress, f"training tuned networks {where}"))

    def _arm(self, name: str, plan: TrainingPlan, *, progress: Callable[[float], None]) -> TrainedArm:
        modules = self.stock if name == "stock" else self.tuned
        return train_arm(
            modules,
            plan,
            train=self._parts.train,
            validation=self._parts.validation,
            test=self._parts.test,
            seeds=self._orders,
            multipliers={} if name == "stock" else self._multipliers,
            progress=_fraction(progress, total=len(modules) * len(plan.rates) * plan.steps),
        )


def _grid(rates: Sequence[float] | None, *, optimizer: str) -> tuple[float, ...]:
    if rates is not None:
        return tuple(sorted({float(rate) for rate in rates}))
    if optimizer not in _GRIDS:
        raise SettingError(f"optimizer is {optimizer!r}; it must be one of {tuple(_GRIDS)}")
    low, high = _GRIDS[optimizer]
    return tuple(np.logspace(low, high, round(2 * (high - low)) + 1).tolist())


def _swept(
    pairs: _Pairs, plan: TrainingPlan, *, extend: bool, progress: Progress
) -> tuple[TrainedArm, TrainedArm, tuple[float, ...]]:
    """Train both arms over the grid; while a best rate is clearly at an edge, add the next rate there for both."""
    stock, tuned = pairs.trained(plan, progress=progress)
    grid = plan.rates
    for _ in range(_EXTENSIONS if extend else 0):
        sides = {edge_wins(arm) for arm in (stock, tuned)} - {0}
        if not sides:
            break
        for side in sorted(sides):
            rate = grid[-1] * _HALF_DECADE if side > 0 else grid[0] / _HALF_DECADE
            wider = TrainingPlan((rate,), plan.steps, plan.batch_size, plan.optimizer)
            more = pairs.trained(wider, progress=progress)
            stock, tuned = (_joined(arm, part, side) for arm, part in zip((stock, tuned), more, strict=True))
            grid = (*grid, rate) if side > 0 else (rate, *grid)
    return stock, tuned, grid


def _joined(arm: TrainedArm, more: TrainedArm, side: int) -> TrainedArm:
    first, second = (arm, more) if side > 0 else (more, arm)
    names = ("validation", "test", "failed")
    return TrainedArm(*(torch.cat([getattr(first, name), getattr(second, name)], dim=1) for name in names))


def _notes(pairs: _Pairs, *, before: tuple[float, ...], after: tuple[float, ...]) -> list[str]:
    notes = [_IDENTICAL] if pairs.identical else []
    if len(after) > len(before):
        why = "a best rate was clearly at its edge, or networks diverged at its lowest rate"
        notes.append(f"the sweep grew from {len(before)} to {len(after)} rates, the same for both arms: {why}")
    return notes


def _fraction(progress: Callable[[float], None], *, total: int) -> Callable[[int], None]:
    """Return a counter of member-steps that reports them as a fraction; groups that are given up count as they are."""
    progress(0.0)
    done = 0

    def report(steps: int) -> None:
        nonlocal done
        done += steps
        progress(min(1.0, done / total))

    return report

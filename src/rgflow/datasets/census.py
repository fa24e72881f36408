"""What the features of a data set look like before any network sees them: constant ones, scales, who dominates.

A feature is one entry of an input, axes flattened. Units: those of the inputs; ranges and counts are pure numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.records.dataset import Dataset

__all__ = ["FeatureCensus", "feature_census"]


@dataclass(frozen=True)
class FeatureCensus:
    """Scales of the features of one data set.

    `constant` holds the indices of features with one value only, `constant_names` their names.
    `scale_range` = largest / smallest rms, `peak_range` = largest / smallest max |x|, both over features that vary;
    rare events make the first large (a pixel that is lit once), units make both large.
    `largest`, `smallest` name the features of extreme `peak_range`.
    `effective_features` = (sum_i q_i)^2 / sum_i q_i^2 with q_i the mean square of feature i: how many features the
    first layer's kernel really sees; `mean` and `rms` are over all entries.
    """

    features: int
    constant: tuple[int, ...]
    constant_names: tuple[str, ...]
    scale_range: float
    peak_range: float
    largest: str
    smallest: str
    effective_features: float
    mean: float
    rms: float


def feature_census(dataset: Dataset) -> FeatureCensus:
    """Return the census of the features of `dataset`; ranges are 1 where at most one feature varies.

    Errors: sums in float64, rounding only; nothing is estimated beyond the samples given.
    """
    table = dataset.inputs.flatten(1).to(torch.float64)
    varies = table.amax(0) > table.amin(0)
    constant = tuple(torch.nonzero(~varies).flatten().tolist())
    moving = torch.nonzero(varies).flatten()
    rms, peak = _root_mean_square(table), table.abs().amax(0)
    order = moving[peak[moving].argsort()] if len(moving) else torch.arange(table.shape[1])
    return FeatureCensus(
        features=table.shape[1],
        constant=constant,
        constant_names=tuple(_name(dataset, index) for index in constant),
        scale_range=_range(rms[varies]),
        peak_range=_range(peak[varies]),
        largest=_name(dataset, int(order[-1])),
        smallest=_name(dataset, int(order[0])),
        effective_features=_participation(rms),
        mean=float(table.mean()),
        rms=float(_root_mean_square(table.reshape(-1, 1))[0]),
    )


def _root_mean_square(table: Tensor) -> Tensor:
    """Return sqrt(mean of squares) of every column, scaled by its peak so that squares neither overflow nor vanish."""
    peak = table.abs().amax(0)
    safe = torch.where(peak > 0, peak, torch.ones_like(peak))
    return safe * (table / safe).square().mean(0).sqrt()


def _range(scales: Tensor) -> float:
    return float(scales.max() / scales.min()) if len(scales) else 1.0


def _participation(rms: Tensor) -> float:
    if not bool((rms > 0).any()):
        return 0.0
    squares = (rms / rms.max()).square()
    return float(squares.sum().square() / squares.square().sum())


def _name(dataset: Dataset, index: int) -> str:
    names = dataset.feature_names
    return names[index] if len(names) == dataset.inputs[0].numel() else f"feature {index}"

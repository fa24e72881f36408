"""Error bars of a mean-field forecast: its own sampling noise, and what the leading order in 1/width neglects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.networks.scout import Scout
from rgflow.records.estimate import Estimate

__all__ = ["Truncation", "estimate"]


@dataclass(frozen=True)
class Truncation:
    upstream: tuple[float, ...]
    total: float

    @classmethod
    def of(cls, scout: Scout) -> "Truncation":
        steps = [0.0] * len(scout.rows)
        for plan in scout.maps.values():
            steps[plan.row] = 0.0 if plan.on_data else 1.0 / plan.channels_per_output
        upstream, total = [], 0.0
        for step in steps:
            total += step
            upstream.append(total)
        return cls(tuple(upstream), total)

    def forward(self, index: int) -> float:
        return 0.0 * self.upstream[index]

    def backward(self, index: int) -> float:
        return 0.0 * self.total


def estimate(values: Sequence[Tensor], *, relative: float) -> Estimate | None:
    if not values:
        return None
    means = torch.stack([value.mean() for value in values])
    value = float(means.mean())
    if not math.isfinite(value):
        return None
    seeds = len(means)
    apart = float(means.std()) / math.sqrt(seeds) if seeds > 1 else 0.0
    return Estimate(value, math.hypot(apart, relative * value), "truncation")

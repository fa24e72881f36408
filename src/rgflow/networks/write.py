"""Writing into a model: drawing chosen parameter tensors again, and grouping parameters for a stock optimizer.

Convention: a redrawn entry is Gaussian with mean 0 and the stated variance (C_W / fan of a weight, C_b of a bias);
variance 0 writes zeros. A tensor's draw depends on the seed and its own name only, not on what else is drawn.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from rgflow.errors import ModelError, SettingError
from rgflow.networks.guard import untouched

__all__ = ["ParameterGroup", "Redraw", "own_variance", "parameter_groups", "redraw_", "redrawn"]


@dataclass(frozen=True)
class Redraw:
    """The new law of one parameter tensor: Gaussian of mean 0 and this variance."""

    parameter: str
    variance: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.variance < math.inf:
            raise SettingError(f"variance of {self.parameter} is {self.variance}; it must be finite and >= 0")


class ParameterGroup(TypedDict):
    """One entry of the list that `torch.optim` optimizers take; `name` says which rate the group has."""

    params: list[nn.Parameter]
    lr: NotRequired[float]
    name: str


@torch.no_grad()
def redraw_(module: nn.Module, plan: Sequence[Redraw], *, seed: int) -> nn.Module:
    """Draw the planned parameters of `module` again, in place, and return it; everything else stays.

    Raises: ModelError if the module lacks one of the parameters; SettingError for a negative seed.
    """
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be a whole number >= 0")
    parameters = dict(module.named_parameters())
    missing = [entry.parameter for entry in plan if entry.parameter not in parameters]
    if missing:
        raise ModelError(f"the model has no parameter {missing[0]!r}; it is not the architecture that was tuned")
    for entry in plan:
        target = parameters[entry.parameter]
        drawn = torch.randn(target.shape, generator=_generator(seed, entry.parameter), dtype=torch.float64)
        target.copy_(drawn * math.sqrt(entry.variance))
    return module


def redrawn(module: nn.Module, plan: Sequence[Redraw], *, seed: int) -> nn.Module:
    """Return a copy of `module` with the planned parameters drawn again; the module and global state stay as found."""
    with untouched():
        return redraw_(copy.deepcopy(module), plan, seed=seed)


def own_variance(parameter: Tensor) -> float:
    """Return the mean square of a tensor's entries, the variance of a law of mean 0."""
    return float(parameter.detach().double().square().mean())


def parameter_groups(
    module: nn.Module, *, learning_rate: float | None = None, multipliers: Mapping[str, float] | None = None
) -> list[ParameterGroup]:
    """Return groups for `torch.optim.SGD(groups, lr=...)`, Adam or AdamW: parameters of one rate together.

    The rate of a parameter is `learning_rate` times its multiplier (1 where `multipliers` does not name it). Without a
    `learning_rate` the groups carry none, and the optimizer's own applies; multipliers then cannot be written.
    Raises: SettingError for multipliers without a learning rate, or a rate that is not positive.
    """
    if learning_rate is None and any(value != 1.0 for value in (multipliers or {}).values()):
        raise SettingError("rates differ between layers, so a learning_rate > 0 is needed to write them into groups")
    if learning_rate is not None and not 0.0 < learning_rate < math.inf:
        raise SettingError(f"learning_rate is {learning_rate}; it must be finite and > 0")
    groups: dict[float, ParameterGroup] = {}
    for name, parameter in module.named_parameters():
        multiplier = (multipliers or {}).get(name, 1.0)
        if multiplier not in groups:
            groups[multiplier] = ParameterGroup(params=[], name=f"rate x {multiplier:.6g}")
            if learning_rate is not None:
                groups[multiplier]["lr"] = learning_rate * multiplier
        groups[multiplier]["params"].append(parameter)
    return list(groups.values())


def _generator(seed: int, name: str) -> torch.Generator:
    words = np.random.SeedSequence(entropy=seed, spawn_key=(crc32(name.encode()),)).generate_state(1, np.uint64)
    # torch seeds are signed 64-bit numbers.
    return torch.Generator().manual_seed(int(words[0]) >> 1)

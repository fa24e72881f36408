"""Data as every room sees them: inputs, targets, task, axes and where they come from."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rgflow.errors import DataError

__all__ = ["Dataset", "Task"]

Task = Literal["classification", "regression", "unsupervised"]


@dataclass(frozen=True)
class Dataset:
    """Inputs and targets of one task.

    Shapes: `inputs` (samples, *features); `targets` (samples,) of class indices (int64) for classification,
    (samples, outputs) of floats for regression, None for unsupervised data.
    Units: as found; `provenance` names the source and every change made to it.
    `axes` names the feature axes ("feature", or "channel", "height", "width"); `feature_names` and `units` may be empty.
    `grid` is the shape of the lattice on which the features sit, row by row, channels left out; () where none is known.
    `periodic` says whether that lattice closes on itself.
    """

    name: str
    inputs: Tensor
    targets: Tensor | None
    task: Task
    classes: int | None = None
    axes: tuple[str, ...] = ("feature",)
    feature_names: tuple[str, ...] = ()
    provenance: str = ""
    units: tuple[str, ...] = ()
    grid: tuple[int, ...] = ()
    periodic: bool = False

    def __post_init__(self) -> None:
        if self.inputs.ndim < 2:
            raise DataError(
                f"inputs of {self.name} have shape {tuple(self.inputs.shape)}; (samples, features) is needed"
            )
        if self.grid and self.inputs[0].numel() % math.prod(self.grid):
            raise DataError(
                f"{self.name} has {self.inputs[0].numel()} features, which do not fill the grid {self.grid}; give the"
                " shape of the lattice of the features, channels left out"
            )
        if len(self.inputs) < 2:
            raise DataError(f"{self.name} has {len(self.inputs)} sample; at least 2 are needed to compare inputs")
        if self.inputs.is_floating_point() and not bool(torch.isfinite(self.inputs).all()):
            raise DataError(f"inputs of {self.name} contain NaN or infinite values; remove or impute them first")
        if self.targets is not None and len(self.targets) != len(self.inputs):
            raise DataError(f"{self.name} has {len(self.inputs)} inputs but {len(self.targets)} targets")
        if (
            self.targets is not None
            and self.targets.is_floating_point()
            and not bool(torch.isfinite(self.targets).all())
        ):
            raise DataError(f"targets of {self.name} contain NaN or infinite values; remove or impute them first")

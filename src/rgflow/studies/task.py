"""Which loss the user's targets and the model's outputs stand for, so that gradients are those of training."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rgflow.records import Dataset
from rgflow.theory.gradient import LossKind

__all__ = ["Task", "task_of"]


@dataclass(frozen=True)
class Task:
    """A loss: its `kind` and words, the mean `loss(outputs, targets)`, its targets, and `outputs` per input.

    `targets` are None where no loss fits outputs and data; then the mean squared output stands in, as `note` says.
    """

    kind: LossKind
    words: str
    loss: Callable[[Tensor, Tensor], Tensor]
    targets: Tensor | None
    outputs: int
    note: str = ""

    def targets_on(self, device: str) -> Tensor | None:
        """The targets on a device."""
        return None if self.targets is None else self.targets.to(device)


def task_of(batch: Dataset, *, output_shape: tuple[int, ...]) -> Task:
    """Return the task of a batch for a model whose outputs have `output_shape` per input."""
    outputs = output_shape[-1] if output_shape else 1
    flat = len(output_shape) <= 1
    if batch.task == "classification" and batch.targets is not None and flat and batch.classes:
        if outputs >= batch.classes:
            return Task("cross_entropy", "mean cross-entropy", F.cross_entropy, batch.targets, outputs)
        if outputs == 1 and batch.classes == 2:
            return Task("binary_cross_entropy", "mean binary cross-entropy", _binary, batch.targets, outputs)
    if (
        batch.task == "regression"
        and batch.targets is not None
        and flat
        and outputs == batch.targets.reshape(len(batch.inputs), -1).shape[1]
    ):
        return Task("mse", "mean squared error", _squared, batch.targets.double(), outputs)
    note = (
        ""
        if batch.targets is None
        else (
            f"outputs of shape {output_shape} do not fit the targets ({batch.task}"
            f"{f', {batch.classes} classes' if batch.classes else ''}): gradients are those of the mean squared output"
        )
    )
    return Task("mean_square_output", "mean squared output", _no_target, None, outputs, note)


def _binary(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs.reshape(len(outputs)), targets.to(outputs.dtype))


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.reshape(len(outputs), -1) - targets.reshape(len(outputs), -1)).square().mean()


def _no_target(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.square().mean() + 0 * torch.zeros((), dtype=outputs.dtype)

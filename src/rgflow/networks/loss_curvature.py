"""Second derivative of a task's loss in the model's outputs, as a square root: H = S S^T.

Conventions are PyTorch's: cross-entropy is a mean over samples (and positions) with classes on axis 1; mean squares
are means over all elements. H does not depend on the targets for any of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from rgflow.errors import ModelError, SettingError

__all__ = ["LossKind", "RootOfCurvature", "root_of_curvature"]

LossKind = Literal["cross_entropy", "binary_cross_entropy", "mse", "mean_square_output"]


@dataclass(frozen=True)
class RootOfCurvature:
    """S and S^T as functions of a tensor of the outputs' shape."""

    apply: Callable[[Tensor], Tensor]
    transpose: Callable[[Tensor], Tensor]


def root_of_curvature(outputs: Tensor, *, task_loss: LossKind) -> RootOfCurvature:
    """Return S with S S^T = d^2 loss / d outputs^2.

    Cross-entropy: per sample diag(p) - p p^T = R R^T with R = diag(sqrt p) - p sqrt(p)^T, p the softmax.
    Binary cross-entropy of logits: p (1 - p) / elements, p the sigmoid. Mean squares, of an error or of the outputs:
    2 / elements.
    Raises: SettingError for an unknown loss, ModelError if outputs have no class axis.
    """
    if task_loss not in get_args(LossKind):
        raise SettingError(f"the loss is {task_loss!r}; it must be one of {', '.join(get_args(LossKind))}")
    if task_loss == "binary_cross_entropy":
        p = outputs.sigmoid()
        return _diagonal((p * (1.0 - p) / outputs.numel()).sqrt())
    if task_loss != "cross_entropy":
        return _diagonal((2.0 / outputs.numel()) ** 0.5)
    if outputs.ndim < 2:
        raise ModelError(
            f"outputs of shape {tuple(outputs.shape)} have no class axis; cross-entropy needs (samples, classes)"
        )
    p = outputs.softmax(1)
    root = p.sqrt()
    weight = (outputs.shape[1] / outputs.numel()) ** 0.5  # 1 / sqrt(number of terms of the mean)
    return RootOfCurvature(
        lambda u: weight * (root * u - p * (root * u).sum(1, keepdim=True)),
        lambda u: weight * root * (u - (p * u).sum(1, keepdim=True)),
    )


def _diagonal(scale: Tensor | float) -> RootOfCurvature:
    return RootOfCurvature(lambda u: scale * u, lambda u: scale * u)

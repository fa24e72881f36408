"""The loss that a task is trained on, the score it is judged by, and the score of a network that learned nothing.

Units: losses are per sample (cross-entropy in nats, squared error in squared target units); scores are accuracy for
classification and R^2 for regression. Model outputs are (..., samples, outputs); one output for two classes is a logit.
"""

import torch
from torch import Tensor
from torch.nn import functional

from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["chance_score", "sample_losses", "score"]


def sample_losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return one loss per sample: cross-entropy for integer targets, squared error averaged over outputs for floats.

    Shapes: `outputs` (..., samples, outputs), `targets` (..., samples[, outputs]); result (..., samples).
    """
    if targets.is_floating_point():
        _same_outputs(outputs, targets)
        return (outputs - targets).square().mean(-1)
    if outputs.shape[-1] == 1:
        logits = outputs.squeeze(-1)
        return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    flat = functional.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), targets.reshape(-1), reduction="none")
    return flat.view(targets.shape)


def score(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the accuracy, or R^2 = 1 - sum (z - y)^2 / sum (y - mean y)^2 averaged over outputs, of each network.

    Shapes: `outputs` (networks, samples, outputs), `targets` (samples,) or (samples, outputs); result (networks,).
    NaN where an output is not finite.
    """
    finite = outputs.flatten(1).isfinite().all(1)
    if targets.is_floating_point():
        _same_outputs(outputs, targets)
        total = (targets - targets.mean(0)).double().square().sum(0)
        if not bool((total > 0).all()):
            raise DataError("a regression target is constant on the held-out samples; R^2 has no meaning there")
        values = (1.0 - (outputs - targets).double().square().sum(1) / total).mean(1)
    else:
        single = outputs.shape[-1] == 1
        chosen = (outputs.squeeze(-1) > 0).long() if single else outputs.argmax(-1)
        values = (chosen == targets).double().mean(1)
    return torch.where(finite & values.isfinite(), values, torch.nan)


def chance_score(train: Dataset, held_out: Dataset) -> float:
    """Return the score without learning: always the most frequent training class, or the held-out mean (R^2 = 0)."""
    if train.task != "classification" or train.targets is None or held_out.targets is None:
        return 0.0
    return float((held_out.targets == train.targets.mode().values).double().mean())


def _same_outputs(outputs: Tensor, targets: Tensor) -> None:
    if outputs.shape[-1] != targets.shape[-1]:
        raise DataError(
            f"the model has {outputs.shape[-1]} outputs but the data have {targets.shape[-1]} target columns; "
            "give the model's last layer as many outputs as there are targets"
        )

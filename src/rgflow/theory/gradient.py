"""Parameter gradients and curvature of a loss at initialisation, from the tangent kernel at infinite width.

With e = dL/dz of the outputs, independent of the hidden layers at leading order:
    E|grad_l|^2 = sum_ab E[e_a . e_b] Theta_ab^(l),        E|dL/dz^(l)|^2 = sum_a E|e_a|^2 X_aa^(l).
Outputs are N(0, K) independently for each output neuron; the average over them is taken by sampling.
Losses: mean cross-entropy over the batch, with one output for two classes or one for each class; mean squared error
over batch and outputs; mean squared output.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rgflow.theory.tangent import BatchTangent

__all__ = ["BatchGradient", "LossKind", "batch_gradient"]

LossKind = Literal["cross_entropy", "binary_cross_entropy", "mse", "mean_square_output"]
SAMPLES = 64  # drawn outputs: sampling error of E[e e] about 1/sqrt(64 * outputs)
POWER_STEPS = 60  # power iteration on the curvature; the gap of tangent kernels makes 30 enough to 1e-3


@dataclass(frozen=True)
class BatchGradient:
    """Leading-order forecasts of squared gradients (L,) and of the curvature, with standard errors from output sampling.

    `curvature` = top eigenvalue of the loss's Gauss-Newton matrix; `feedback` (L,) in [0, 1] = the part of the squared
    gradient that comes from output-dependent errors: those are made of the weights they are pulled back through.
    """

    gradient_square: Tensor
    gradient_error: Tensor
    backward_square: Tensor
    curvature: float
    curvature_error: float
    feedback: Tensor


def batch_gradient(
    tangent: BatchTangent, *, targets: Tensor | None, outputs: int, loss: LossKind, seed: int
) -> BatchGradient:
    """Return gradients and curvature of `loss` on the batch; `targets` as in a Dataset, `outputs` = n_L.

    Errors: leading order; relative corrections of order (n_L + 2) (L - l) / n times `feedback`, see `truncation`.
    Source: own derivation, checked against ensembles; see docs/theory.md.
    """
    generator = torch.Generator().manual_seed(seed)
    root = _root(tangent.kernel)
    draws = torch.randn(SAMPLES, len(root), outputs, generator=generator, dtype=torch.float64)
    z = root @ draws
    errors = _errors(z, targets, loss)
    pairs = errors @ errors.mT
    layers = tangent.weights + tangent.biases
    squares = torch.einsum("sab,lab->sl", pairs, layers)
    power = errors.square().sum(2)
    backward = torch.einsum("a,laa->l", power.mean(0), tangent.backward)
    average = errors.mean(0)
    fixed = torch.einsum("ab,lab->l", average @ average.T, layers)
    tops = torch.stack([_top(tangent.total, sample, loss) for sample in z[:8]])
    return BatchGradient(
        gradient_square=squares.mean(0),
        gradient_error=squares.std(0) / math.sqrt(SAMPLES),
        backward_square=backward,
        curvature=float(tops.mean()),
        curvature_error=float(tops.std()) / math.sqrt(len(tops)),
        feedback=(1 - fixed / squares.mean(0)).clamp(0, 1),
    )


def _root(kernel: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(kernel)
    return vectors * values.clamp_min(0).sqrt()


def _errors(z: Tensor, targets: Tensor | None, loss: LossKind) -> Tensor:
    """Return dL/dz (samples, B, outputs) at outputs `z`."""
    batch, outputs = z.shape[1:]
    if loss == "cross_entropy":
        assert targets is not None
        return (z.softmax(2) - torch.nn.functional.one_hot(targets.long(), outputs).double()) / batch
    if loss == "binary_cross_entropy":
        assert targets is not None
        return (z.sigmoid() - targets.double().reshape(batch, 1)) / batch
    wanted = 0.0 if targets is None or loss == "mean_square_output" else targets.double().reshape(batch, -1)
    return 2 * (z - wanted) / (batch * outputs)


def _top(total: Tensor, z: Tensor, loss: LossKind) -> Tensor:
    """Return the top eigenvalue of Theta H, H the loss's Hessian in the outputs `z` (B, outputs)."""
    batch, outputs = z.shape
    if loss == "binary_cross_entropy":
        weight = (z.sigmoid() * (1 - z.sigmoid()) / batch).sqrt()
        return torch.linalg.eigvalsh(weight * total * weight.T)[-1]
    if loss != "cross_entropy":
        return 2 * torch.linalg.eigvalsh(total)[-1] / (batch * outputs)
    probability = z.softmax(1)
    generator = torch.Generator().manual_seed(0)  # any start does: the iteration forgets it
    vector = torch.randn(batch, outputs, generator=generator, dtype=torch.float64)
    norm = vector.norm()
    for _ in range(POWER_STEPS):
        vector = vector / norm
        curved = probability * (vector - (probability * vector).sum(1, keepdim=True)) / batch
        vector = total @ curved
        norm = vector.norm()
    return norm

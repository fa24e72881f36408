"""Functionals of a kernel that users ask about: batch signal and spread, Gaussian-process prediction, marginal likelihood.

Convention: a functional maps a kernel (N, N) to one number by differentiable torch operations. The Gaussian process has
the first rows as training inputs and `ridge` as the variance of the noise on their targets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["GaussianProcessPrediction", "LogMarginalLikelihood", "batch_signal", "batch_spread"]


def batch_signal(kernel: Tensor) -> Tensor:
    """Return the mean of K_aa over the inputs."""
    return kernel.diagonal().mean()


def batch_spread(kernel: Tensor) -> Tensor:
    """Return the mean of (K_aa + K_bb) / 2 - K_ab over pairs of different inputs: the outputs' variance over the batch."""
    count = len(kernel)
    diagonal = kernel.diagonal().sum()
    return (diagonal - (kernel.sum() - diagonal) / (count - 1)) / count


def effective_dimension(kernel: Tensor, *, ridge: float) -> float:
    """Return tr K (K + ridge)^-1, the number of directions that the training inputs leave above the noise."""
    factor = torch.linalg.cholesky(_noisy(kernel.detach(), ridge))
    return len(kernel) - ridge * float(torch.cholesky_inverse(factor).diagonal().sum())


def _noisy(kernel: Tensor, ridge: float) -> Tensor:
    return kernel + ridge * torch.eye(len(kernel), dtype=kernel.dtype)


def _checked(targets: "Tensor | Sequence[float]", ridge: float) -> Tensor:
    values = torch.as_tensor(targets, dtype=torch.float64)
    if values.ndim != 1 or len(values) == 0 or not bool(torch.isfinite(values).all()):
        raise SettingError(
            f"the targets have shape {tuple(values.shape)}; finite numbers of shape (training inputs,) are needed"
        )
    if not (math.isfinite(ridge) and ridge > 0):
        raise SettingError(f"ridge is {ridge}; it must be finite and > 0 (the noise variance of the targets)")
    return values


def _training(kernel: Tensor, targets: Tensor, *, tests: int) -> Tensor:
    """Return the training block of `kernel`, which must have at least `tests` further rows."""
    count = len(targets)
    if len(kernel) < count + tests:
        raise SettingError(
            f"there are {len(kernel)} inputs for {count} targets; give the training inputs first and then at least"
            f" {tests} test inputs"
        )
    return kernel[:count, :count]


@dataclass(frozen=True, init=False)
class GaussianProcessPrediction:
    """The posterior mean k^T (K + ridge)^-1 y at a test input: kernel regression with the network's kernel.

    Shapes: `targets` (T,) of the first T inputs; `test` counts the inputs after them, from 0.
    Raises: SettingError for targets that are not finite, ridge <= 0, or a test input that does not exist.

    Example:
    >>> predict = GaussianProcessPrediction([1.0, -1.0], ridge=1.0)
    >>> float(predict(torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)))
    0.5
    """

    targets: Tensor
    ridge: float
    test: int

    def __init__(self, targets: "Tensor | Sequence[float]", *, ridge: float, test: int = 0) -> None:
        object.__setattr__(self, "targets", _checked(targets, ridge))
        object.__setattr__(self, "ridge", float(ridge))
        if test < 0:
            raise SettingError(f"test is {test}; it counts the inputs behind the training inputs, from 0")
        object.__setattr__(self, "test", int(test))

    def __call__(self, kernel: Tensor) -> Tensor:
        """Return the prediction for `kernel` (N, N) of training and test inputs."""
        training = _training(kernel, self.targets, tests=self.test + 1)
        weights = torch.linalg.solve(_noisy(training, self.ridge), self.targets)
        return kernel[len(self.targets) + self.test, : len(self.targets)] @ weights

    def effective_dimension(self, kernel: Tensor) -> float:
        """Return tr K (K + ridge)^-1 of the training inputs."""
        return effective_dimension(_training(kernel, self.targets, tests=0), ridge=self.ridge)


@dataclass(frozen=True, init=False)
class LogMarginalLikelihood:
    """The log evidence -y^T A^-1 y / 2 - ln det A / 2 - T ln(2 pi) / 2, A = K + ridge, of the first T inputs.

    Raises: SettingError for targets that are not finite, or ridge <= 0.
    """

    targets: Tensor
    ridge: float

    def __init__(self, targets: "Tensor | Sequence[float]", *, ridge: float) -> None:
        object.__setattr__(self, "targets", _checked(targets, ridge))
        object.__setattr__(self, "ridge", float(ridge))

    def __call__(self, kernel: Tensor) -> Tensor:
        """Return the log evidence for `kernel` (N, N), N >= T."""
        matrix = _noisy(_training(kernel, self.targets, tests=0), self.ridge)
        misfit = self.targets @ torch.linalg.solve(matrix, self.targets)
        return -0.5 * (misfit + torch.linalg.slogdet(matrix).logabsdet + len(self.targets) * math.log(2.0 * math.pi))

    def effective_dimension(self, kernel: Tensor) -> float:
        """Return tr K (K + ridge)^-1 of the training inputs."""
        return effective_dimension(_training(kernel, self.targets, tests=0), ridge=self.ridge)

"""Kernel regression on a matrix in memory: solve, log-determinant, predictive mean and variance, by Cholesky.

Convention: targets = f(inputs) + noise, Cov f = K, noise variance = ridge (0: interpolation), A = K + ridge I. With the
kernel of a wide network these are the Gaussian process of its prior; with its tangent kernel the mean is that of the trained
network, and the variance is not (that one is `forecast`'s).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.records import Estimate
from rgflow.theory.stored_matrix import StoredMatrix

__all__ = ["KernelRegression", "Prediction", "check_cross", "checked_ridge", "checked_right", "kernel_regression"]

# Relative to the mean diagonal. From the first that a float64 notices to the last that leaves four digits of the kernel.
_JITTERS = (0.0, *(10.0**power for power in range(-15, -3)))
_SYMMETRIC = 1e-6  # |A - A^T| relative to the diagonal: above what float32 entries differ by


@dataclass(frozen=True)
class Prediction:
    """Predictive mean, shaped like cross times targets, and variance (M,) of f (without noise), None without a prior."""

    mean: Tensor
    variance: Tensor | None


@dataclass(frozen=True)
class KernelRegression:
    """A factorised regression.

    Shapes: `weights` A^-1 targets, as the targets; `factor` lower Cholesky factor (N, N) of A + jitter I.
    Errors: `residual` = |targets - A weights| / |targets| with A free of jitter: what jitter and rounding cost together;
    `entry_error` as given to `kernel_regression`. `jitter` has the units of the kernel; 0 where none was needed.
    """

    weights: Tensor
    factor: Tensor
    ridge: float
    jitter: float
    residual: float
    entry_error: float

    def solve(self, right: Tensor) -> Tensor:
        """Return (A + jitter)^-1 right, (N,) or (N, m).

        Raises: DataError for another number of rows.
        """
        columns = checked_right(right, len(self.factor), "right")
        return torch.cholesky_solve(columns, self.factor).reshape(right.shape)

    def log_determinant(self) -> Estimate:
        """Return log det (A + jitter).

        Errors: "rounding", N (eps + entry_error) tr H^-1 with H = A scaled to unit diagonal, to first order: Cholesky's
        backward error, |E_ij| up to N eps sqrt(A_ii A_jj), and that of the entries. Costs N^3 / 3.
        Source: Higham 2002, "Accuracy and stability of numerical algorithms", theorem 10.3.
        """
        size = len(self.factor)
        value = 2.0 * float(self.factor.diagonal().log().sum())
        inverse = torch.linalg.solve_triangular(
            self.factor, torch.diag(torch.linalg.vector_norm(self.factor, dim=1)), upper=False
        )
        trace = float((inverse**2).sum())
        eps = torch.finfo(torch.float64).eps
        return Estimate(value, size * ((eps + self.entry_error) * trace + eps * abs(value)), "rounding")

    def predict(self, cross: Tensor, *, prior: Tensor | None = None) -> Prediction:
        """Return mean cross A^-1 targets and, if the diagonal `prior` is given, variance prior - cross A^-1 cross^T.

        Shapes: `cross` (M, N) kernel between new inputs and those of the targets; `prior` (M,) kernel of each new input
        with itself. Errors: rounding times the condition of A; a variance that rounding made negative is 0.
        """
        check_cross(cross.shape, len(self.factor), prior)
        mean = cross.double() @ self.weights
        if prior is None:
            return Prediction(mean, None)
        root = torch.linalg.solve_triangular(self.factor, cross.double().T, upper=False)
        return Prediction(mean, (prior.double() - (root**2).sum(0)).clamp(min=0.0))


def kernel_regression(
    matrix: Tensor | StoredMatrix, targets: Tensor, *, ridge: float, error: float = 0.0
) -> KernelRegression:
    """Return the regression of `targets` on the kernel `matrix`; a stored matrix is read into memory.

    Jitter, where Cholesky needs it, grows from 0 by powers of ten of the mean diagonal and is reported. A pivot below the
    rounding of the factorisation, or below what `error` makes of two coincident inputs, counts as failure: it is noise.
    `error`: that of the entries relative to sqrt(K_aa K_bb), as `gram(...).error.kernel`; beside rounding of float64.
    Takes the memory of three matrices in float64.
    Shapes: `matrix` (N, N) symmetric, `targets` (N,) or (N, m). Units: `ridge` those of the kernel, a noise variance.
    Raises: DataError for unfit shapes, a matrix that is not symmetric or not finite; SettingError for a negative ridge or
    a matrix that a jitter of 1e-4 does not make positive definite. For matrices beyond memory: `iterative_regression`.

    Example:
    >>> found = kernel_regression(torch.eye(2), torch.tensor([1.0, 2.0]), ridge=3.0)
    >>> found.weights.tolist(), round(found.log_determinant().value, 3)
    ([0.25, 0.5], 2.773)
    """
    kernel = _checked_matrix(matrix)
    right = checked_right(targets, len(kernel), "targets")
    amount = checked_ridge(ridge)
    if not 0.0 <= error < 1.0:
        raise SettingError(f"error is {error!r}; give the relative error of the entries, in [0, 1)")
    factored = _factored(kernel, amount, error)
    weights = torch.cholesky_solve(right, factored.factor)
    remainder = right - kernel @ weights - amount * weights
    size = float(torch.linalg.vector_norm(right))
    residual = float(torch.linalg.vector_norm(remainder)) / size if size > 0.0 else 0.0
    return KernelRegression(weights.reshape(targets.shape), factored.factor, amount, factored.jitter, residual, error)


@dataclass(frozen=True)
class _Factored:
    factor: Tensor
    jitter: float


def _factored(kernel: Tensor, ridge: float, error: float) -> _Factored:
    mean = float(kernel.diagonal().mean())
    # Two coincident inputs leave the pivot K_bb - K_ab^2 / K_aa = 2 error K_aa.
    floor = len(kernel) * torch.finfo(torch.float64).eps * (mean + ridge) + 2.0 * error * mean
    for relative in _JITTERS:
        shifted = kernel.clone()
        shifted.diagonal().add_(ridge + relative * mean)
        factor, failed = torch.linalg.cholesky_ex(shifted)
        if not int(failed) and float(factor.diagonal().min()) ** 2 > floor:
            return _Factored(factor, relative * mean)
    raise SettingError(
        f"the kernel matrix is not positive definite even with a jitter of {_JITTERS[-1]:.0e} of its mean diagonal "
        f"{mean:.3g} and ridge {ridge:.3g}; check that it is a kernel, or raise ridge="
    )


def _checked_matrix(matrix: Tensor | StoredMatrix) -> Tensor:
    values = (matrix.load() if isinstance(matrix, StoredMatrix) else matrix).detach().double()
    if values.ndim != 2 or values.shape[0] != values.shape[1] or not len(values):
        raise DataError(f"the kernel matrix has shape {tuple(values.shape)}; a square (N, N) one is needed")
    if not bool(torch.isfinite(values).all()):
        raise DataError("the kernel matrix contains NaN or infinite values; compute it anew from finite inputs")
    uneven = float((values - values.T).abs().max())
    if uneven > _SYMMETRIC * float(values.diagonal().abs().max()):
        raise DataError(f"the kernel matrix is not symmetric (|K - K^T| up to {uneven:.1e}); give one with x2=None")
    return values


def checked_ridge(ridge: float) -> float:
    """Return the ridge as a float; raise SettingError unless it is finite and >= 0."""
    if not (math.isfinite(ridge) and ridge >= 0.0):
        raise SettingError(f"ridge is {ridge!r}; give a finite number >= 0, the noise variance in units of the kernel")
    return float(ridge)


def checked_right(right: Tensor, count: int, name: str) -> Tensor:
    """Return right-hand sides as float64 columns (N, m); raise DataError for other lengths or values not finite."""
    values = right.detach().double()
    if values.ndim not in (1, 2) or len(values) != count:
        raise DataError(f"{name} has shape {tuple(values.shape)}; ({count},) or ({count}, m) is needed")
    if not bool(torch.isfinite(values).all()):
        raise DataError(f"{name} contains NaN or infinite values; remove those rows first")
    return values.reshape(count, -1)


def check_cross(shape: tuple[int, ...], count: int, prior: Tensor | None) -> None:
    """Raise DataError unless `cross` is (M, N) and `prior` (M,)."""
    if len(shape) != 2 or shape[1] != count:
        raise DataError(f"cross has shape {tuple(shape)}; (M, {count}) is needed, new inputs against known ones")
    if prior is not None and tuple(prior.shape) != (shape[0],):
        raise DataError(f"prior has shape {tuple(prior.shape)}; ({shape[0]},) is needed, one number for each new input")

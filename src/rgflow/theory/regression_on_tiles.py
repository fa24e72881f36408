"""Kernel regression on a matrix that does not fit into memory: conjugate gradients on the tiles of a store.

Convention as in `regression_in_memory`: A = K + ridge I. Preconditioner: partial pivoted Cholesky, P = L L^T + s I, with s =
ridge + mean diagonal of what L leaves out (at least 1e-8 of the diagonal). An iteration reads the upper triangle of tiles once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.numerics.lanczos_quadrature import log_trace
from rgflow.numerics.partial_cholesky import ShiftedLowRank, partial_cholesky
from rgflow.numerics.symmetric_solves import Solution, conjugate_gradients
from rgflow.records import Estimate
from rgflow.theory.regression_in_memory import Prediction, check_cross, checked_ridge, checked_right
from rgflow.theory.stored_matrix import StoredMatrix

__all__ = ["IterativeRegression", "IterativeSystem", "iterative_regression"]

_APART = 0.99  # keeps the bound below the spectrum from falling on an eigenvalue
_COLUMNS = 256  # right-hand sides that share a pass over the store


@dataclass(frozen=True)
class IterativeSystem:
    """The matrix A = K + ridge I with its preconditioner, and how far and how long to iterate."""

    matrix: StoredMatrix
    ridge: float
    preconditioner: ShiftedLowRank
    tolerance: float
    limit: int

    def product(self, vectors: Tensor) -> Tensor:
        """Return A vectors, (N, m), in one pass over the store."""
        return self.matrix.product(vectors) + self.ridge * vectors

    def scaled_product(self, vectors: Tensor) -> Tensor:
        """Return P^-1/2 A P^-1/2 vectors."""
        root = self.preconditioner.inverse_root
        return root(self.product(root(vectors)))

    def solved(self, right: Tensor, progress: Callable[[str, float], None] | None = None) -> Solution:
        """Return A^-1 right, (N, m); raise SettingError if the iteration limit is reached."""
        digits = -math.log(self.tolerance)
        found = conjugate_gradients(
            self.product,
            right,
            precondition=self.preconditioner.inverse,
            tolerance=self.tolerance,
            iterations=self.limit,
            progress=None
            if progress is None
            else lambda ratio: progress("conjugate gradients", min(max(1.0 - math.log(ratio) / digits, 0.0), 1.0)),
        )
        if not found.converged:
            raise SettingError(
                f"conjugate gradients reached a relative residual of {found.residual:.1e} after {found.iterations} "
                f"iterations and tolerance is {self.tolerance:.1e}; raise rank=, ridge=, iterations= or tolerance="
            )
        return found


@dataclass(frozen=True)
class IterativeRegression:
    """A regression solved by iteration.

    Shapes: `weights` A^-1 targets, as the targets. Errors: `residual`, the largest |b - A x| / |b| over the columns, from
    a product of its own; the error of the weights is at most the condition of A times that. `iterations`: steps taken.
    """

    weights: Tensor
    residual: float
    iterations: int
    system: IterativeSystem

    def solve(self, right: Tensor) -> Tensor:
        """Return A^-1 right, (N,) or (N, m), to the tolerance of the regression; each call iterates anew.

        Raises: DataError for another number of rows; SettingError if the iteration limit is reached.
        """
        return self.system.solved(checked_right(right, len(self.weights), "right")).values.reshape(right.shape)

    def log_determinant(
        self,
        *,
        seed: int = 0,
        probes: int = 16,
        steps: int = 100,
        progress: Callable[[str, float], None] | None = None,
    ) -> Estimate:
        """Return log det A = log det P + tr log(P^-1/2 A P^-1/2), the trace by Lanczos quadrature on random signs.

        K >= L L^T, so that no eigenvalue of P^-1/2 A P^-1/2 lies below ridge / s: that bounds the quadrature's error.
        Errors: "statistical", the standard error over `probes` and that bound, added in quadrature.
        Raises: SettingError for fewer than two probes, a ridge of 0, or if A is not positive definite to rounding.
        """
        if self.system.ridge == 0.0:
            raise SettingError("ridge is 0, so that nothing bounds log det K from below; give a ridge > 0")
        if probes < 2 or steps < 1:
            raise SettingError(f"probes is {probes} and steps {steps}; give at least 2 probes and 1 step")
        found = log_trace(
            self.system.scaled_product,
            len(self.weights),
            lowest=_APART * self.system.ridge / self.system.preconditioner.shift,
            probes=probes,
            steps=steps,
            generator=torch.Generator().manual_seed(seed),
            progress=None if progress is None else lambda fraction: progress("log-determinant", fraction),
        )
        return Estimate(
            self.system.preconditioner.log_determinant() + float(found.value), float(found.error), "statistical"
        )

    def predict(self, cross: Tensor | StoredMatrix, *, prior: Tensor | None = None) -> Prediction:
        """Return mean cross A^-1 targets and, if the diagonal `prior` is given, variance prior - cross A^-1 cross^T.

        Shapes: `cross` (M, N), in memory or stored; `prior` (M,). The variance takes one more iteration for every 256 new
        inputs. Errors: that of the variance is at most tolerance * |cross row|^2 / smallest eigenvalue of A; it is
        rounded up to 0.
        """
        check_cross(tuple(cross.shape), len(self.weights), prior)
        columns = self.weights.reshape(len(self.weights), -1)
        mean = cross.product(columns) if isinstance(cross, StoredMatrix) else cross.double() @ columns
        mean = mean.reshape(cross.shape[0], *self.weights.shape[1:])
        if prior is None:
            return Prediction(mean, None)
        parts = [cross[a : a + _COLUMNS, :].double().T for a in range(0, cross.shape[0], _COLUMNS)]
        taken = torch.cat([(part * self.solve(part)).sum(0) for part in parts])
        return Prediction(mean, (prior.double() - taken).clamp(min=0.0))


def iterative_regression(
    matrix: StoredMatrix,
    targets: Tensor,
    *,
    ridge: float,
    tolerance: float = 1e-8,
    rank: int = 100,
    iterations: int = 1000,
    progress: Callable[[str, float], None] | None = None,
) -> IterativeRegression:
    """Return the regression of `targets` on the stored kernel `matrix`, solved to a relative residual of `tolerance`.

    Memory: one tile, the preconditioner (N, rank) and five times the targets. Work: the preconditioner reads one strip of
    tiles for each of its `rank` pivots, an iteration half of the matrix. rank = 0: no preconditioner.
    Shapes: `matrix` (N, N) symmetric, `targets` (N,) or (N, m). Units: `ridge` those of the kernel.
    `progress(stage, fraction)`: the fraction of the digits asked for.
    Raises: DataError for unfit shapes or a matrix between two sets of inputs; SettingError for settings out of range, or
    an iteration limit reached: no unconverged weights are returned.
    """
    if not matrix.symmetric:
        raise DataError(f"the stored matrix is one between two sets of inputs, {matrix.shape}; give one with x2=None")
    right = checked_right(targets, matrix.shape[0], "targets")
    amount = checked_ridge(ridge)
    if not 0.0 < tolerance < 1.0 or rank < 0 or iterations < 1:
        raise SettingError(
            f"tolerance is {tolerance}, rank {rank} and iterations {iterations}; give a tolerance in (0, 1), a rank >= 0 "
            "and at least one iteration"
        )
    system = IterativeSystem(matrix, amount, _preconditioner(matrix, amount, rank), tolerance, iterations)
    found = system.solved(right, progress)
    return IterativeRegression(found.values.reshape(targets.shape), found.residual, found.iterations, system)


def _preconditioner(matrix: StoredMatrix, ridge: float, rank: int) -> ShiftedLowRank:
    diagonal = matrix.diagonal()
    part = partial_cholesky(diagonal, matrix.row, rank=rank)
    # A shift as small as the rounding of a product would amplify that rounding; half of the digits lie between.
    floor = math.sqrt(torch.finfo(torch.float64).eps) * float(diagonal.mean())
    return ShiftedLowRank(part.factor, max(ridge + float(part.remainder.mean()), floor))

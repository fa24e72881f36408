"""The leading part of a positive semi-definite matrix as a product of thin factors, and its use as a preconditioner.

A = L L^T + remainder, L of few columns, found from the diagonal and as many rows of A; the preconditioner is L L^T + s I.
Source: Harbrecht, Peters and Schneider 2012, Applied Numerical Mathematics 62, 428.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["PartialCholesky", "ShiftedLowRank", "partial_cholesky"]


@dataclass(frozen=True)
class PartialCholesky:
    """Factor L (n, rank) and the diagonal (n,) of the positive semi-definite remainder A - L L^T."""

    factor: Tensor
    remainder: Tensor


def partial_cholesky(diagonal: Tensor, row: Callable[[int], Tensor], *, rank: int) -> PartialCholesky:
    """Return the Cholesky factor of `rank` greedily chosen pivots, fewer where the remainder falls to rounding.

    Shapes: `diagonal` (n,), `row(i)` (n,). Errors: the trace of the remainder is exact, it bounds the 2-norm of A - L L^T.
    """
    factor = torch.zeros(len(diagonal), min(rank, len(diagonal)), dtype=torch.float64)
    remainder = diagonal.clone()
    floor = len(diagonal) * torch.finfo(torch.float64).eps * float(diagonal.max())
    for step in range(factor.shape[1]):
        pivot = int(remainder.argmax())
        if float(remainder[pivot]) <= floor:
            return PartialCholesky(factor[:, :step], remainder)
        column = (row(pivot) - factor[:, :step] @ factor[pivot, :step]) / remainder[pivot].sqrt()
        factor[:, step] = column
        remainder = (remainder - column**2).clamp(min=0.0)
        remainder[pivot] = 0.0
    return PartialCholesky(factor, remainder)


@dataclass(frozen=True)
class ShiftedLowRank:
    """The matrix P = L L^T + s I through its eigenvectors: L = U S V^T, P = U (S^2 + s) U^T + s (1 - U U^T).

    Shapes: `factor` L (n, r), `shift` s > 0.
    """

    factor: Tensor
    shift: float

    def inverse(self, vectors: Tensor) -> Tensor:
        """Return P^-1 vectors, (n, m)."""
        return self._power(vectors, -1.0)

    def inverse_root(self, vectors: Tensor) -> Tensor:
        """Return P^-1/2 vectors, (n, m), by the symmetric root."""
        return self._power(vectors, -0.5)

    def log_determinant(self) -> float:
        """Return log det P."""
        values = self._spectrum[1]
        rest = (len(self.factor) - len(values)) * torch.tensor(self.shift, dtype=torch.float64).log()
        return float(values.log().sum() + rest)

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        vectors, singular, _ = torch.linalg.svd(self.factor, full_matrices=False)
        return vectors, singular**2 + self.shift

    def _power(self, vectors: Tensor, power: float) -> Tensor:
        basis, values = self._spectrum
        inside = basis.T @ vectors
        outside = vectors - basis @ inside
        return basis @ (values.unsqueeze(1) ** power * inside) + self.shift**power * outside

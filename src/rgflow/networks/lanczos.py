"""The largest eigenvalue of a symmetric matrix that is known only through its products with vectors.

Lanczos with full reorthogonalisation: the Ritz value never exceeds the eigenvalue, and some eigenvalue lies within the
residual of it. Source: Golub and Van Loan 2013, "Matrix computations", ch. 10.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.records.estimate import Estimate

__all__ = ["largest_eigenvalue"]


def largest_eigenvalue(
    product: Callable[[Tensor], Tensor], *, start: Tensor, iterations: int, tolerance: float
) -> Estimate:
    """Return the largest eigenvalue of the symmetric matrix behind `product`, found from the vector `start`.

    Shapes: any; the norm is that of all entries.
    Errors: the residual of the Ritz pair, which bounds the distance to some eigenvalue.
    """
    basis = [start / start.norm()]
    diagonal: list[float] = []
    off_diagonal: list[float] = []
    value, residual = 0.0, 0.0
    for _ in range(min(iterations, start.numel())):
        image = product(basis[-1])
        diagonal.append(float((image * basis[-1]).sum()))
        remainder = _orthogonalised(image, basis)
        norm = float(remainder.norm())
        value, weight = _top_pair(diagonal, off_diagonal)
        residual = norm * abs(weight)
        scale = max(abs(value), abs(diagonal[0]))
        # What is left of rounding alone is no new direction: the space is invariant.
        if residual <= tolerance * abs(value) or norm <= torch.finfo(start.dtype).eps * scale:
            break
        off_diagonal.append(norm)
        basis.append(remainder / norm)
    return Estimate(value, residual, "bound")


def _orthogonalised(vector: Tensor, basis: list[Tensor]) -> Tensor:
    # Twice is enough to reach rounding (Kahan; Parlett 1980, "The symmetric eigenvalue problem").
    for _ in range(2):
        for direction in basis:
            vector = vector - (direction * vector).sum() * direction
    return vector


def _top_pair(diagonal: list[float], off_diagonal: list[float]) -> tuple[float, float]:
    """Largest eigenvalue of the tridiagonal matrix, and the last component of its eigenvector."""
    size = len(diagonal)
    matrix = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    if size > 1:
        beside = torch.tensor(off_diagonal[: size - 1], dtype=torch.float64)
        matrix = matrix + torch.diag(beside, 1) + torch.diag(beside, -1)
    values, vectors = torch.linalg.eigh(matrix)
    return float(values[-1]), float(vectors[-1, -1])

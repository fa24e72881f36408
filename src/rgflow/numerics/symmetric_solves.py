"""Solving with a positive definite matrix that is known only through its products: preconditioned conjugate gradients.

All right-hand sides share each product. Source: Golub and Van Loan 2013, "Matrix computations", section 11.5.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Solution", "conjugate_gradients"]


@dataclass(frozen=True)
class Solution:
    """What an iteration has found.

    Shapes: `values` (n, m). Errors: `residual`, the largest |b - A x| / |b| over the columns, from a product of its own;
    the error of x is at most cond(A) times that. `iterations` counts steps, a product with A each; every check of
    the residual takes one more. `converged`: residual <= tolerance.
    """

    values: Tensor
    residual: float
    iterations: int
    converged: bool


def conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    *,
    precondition: Callable[[Tensor], Tensor],
    tolerance: float,
    iterations: int,
    progress: Callable[[float], None] | None = None,
) -> Solution:
    """Return x of A x = b to a relative residual of `tolerance`, or what `iterations` steps reached.

    The recursion's own residual drifts from the true one: where it says converged, the true one is computed, and the
    iteration restarts from there until that one is small or no longer halves.
    Shapes: `right` b (n, m). `progress` gets the largest residual in units of its goal before every product.
    """
    scale = torch.linalg.vector_norm(right, dim=0).clamp(min=torch.finfo(torch.float64).tiny)
    found = torch.zeros_like(right)
    remainder, used, before = right.clone(), 0, float("inf")
    while True:
        size = float((torch.linalg.vector_norm(remainder, dim=0) / scale).max())
        if size <= tolerance or used >= iterations or size > 0.5 * before:
            return Solution(found, size, used, size <= tolerance)
        before = size
        step, spent = _cycle(product, remainder, precondition, tolerance * scale, iterations - used, progress)
        found = found + step
        remainder = right - product(found)
        used += spent


def _cycle(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    precondition: Callable[[Tensor], Tensor],
    goal: Tensor,
    iterations: int,
    progress: Callable[[float], None] | None,
) -> tuple[Tensor, int]:
    """Conjugate gradients from zero until every column's residual is below its goal; columns that are stay put."""
    found, residual = torch.zeros_like(right), right.clone()
    direction = precondition(residual)
    weight = (residual * direction).sum(0)
    for used in range(iterations):
        size = torch.linalg.vector_norm(residual, dim=0)
        open_columns = size > goal
        if progress is not None:
            progress(float((size / goal).max()))
        if not bool(open_columns.any()):
            return found, used
        image = product(direction)
        curvature = (direction * image).sum(0)
        step = torch.where(open_columns & (curvature > 0.0), weight / curvature.clamp(min=1e-300), 0.0)
        found = found + step * direction
        residual = residual - step * image
        turned = precondition(residual)
        after = (residual * turned).sum(0)
        direction = turned + torch.where(weight > 0.0, after / weight.clamp(min=1e-300), 0.0) * direction
        weight = after
    return found, iterations

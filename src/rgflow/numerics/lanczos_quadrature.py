"""The trace of the logarithm of a positive definite matrix known only through its products: Lanczos quadrature.

tr log M = n E[v^T log(M) v] for v of n random signs / sqrt(n). On the Lanczos tridiagonal matrix T_k Gauss quadrature bounds
v^T log(M) v from above and Gauss-Radau quadrature, with a node below the spectrum, from below: the derivatives of the
logarithm alternate in sign. Source: Ubaru, Chen and Saad 2017, SIAM J. Matrix Anal. Appl. 38, 1075; Golub and Meurant 2010,
"Matrices, moments and quadrature", ch. 6.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.statistics import Statistic, mean

__all__ = ["log_trace"]


def log_trace(
    product: Callable[[Tensor], Tensor],
    size: int,
    *,
    lowest: float,
    probes: int,
    steps: int,
    generator: torch.Generator,
    progress: Callable[[float], None] | None = None,
) -> Statistic:
    """Return tr log M with its error, for `product(V)` = M V with all probes as columns V (size, probes).

    `lowest` > 0: a bound below the spectrum of M. Steps end once the bounds lie closer than a tenth of the standard error.
    Errors: the probes' standard error and half of the distance between the bounds, added in quadrature. Lost orthogonality
    delays convergence and does not spoil it, so that no basis is kept.
    Raises: SettingError if M is not positive definite.
    """
    signs = torch.randint(0, 2, (size, probes), generator=generator, dtype=torch.int64)
    vector = (2.0 * signs.double() - 1.0) / math.sqrt(size)
    before, beside = torch.zeros_like(vector), torch.zeros(probes, dtype=torch.float64)
    diagonal: list[Tensor] = []
    off_diagonal: list[Tensor] = []
    found = None
    for step in range(min(steps, size)):
        image = product(vector) - beside * before
        diagonal.append((image * vector).sum(0))
        image = image - diagonal[-1] * vector
        beside = torch.linalg.vector_norm(image, dim=0)
        # What is left of rounding alone is no new direction: the quadrature of that probe is exact.
        alive = beside > 64.0 * torch.finfo(torch.float64).eps * diagonal[0].abs()
        beside = torch.where(alive, beside, 0.0)
        found = _bounded(_tridiagonal(diagonal, off_diagonal), beside, size, lowest)
        if progress is not None:
            progress((step + 1) / min(steps, size))
        if found.gap <= 0.1 * found.error or not bool(alive.any()):
            break
        before, vector = vector, torch.where(alive, image / beside.clamp(min=1e-300), 0.0)
        off_diagonal.append(beside)
    assert found is not None
    total = torch.tensor([found.value, math.hypot(found.error, found.gap)], dtype=torch.float64)
    return Statistic(total[0], total[1], probes)


@dataclass(frozen=True)
class _Bounded:
    value: float
    error: float
    gap: float


def _bounded(matrix: Tensor, beside: Tensor, size: int, lowest: float) -> _Bounded:
    """Middle of the two bounds, averaged over the probes, its standard error, and half of the bounds' distance."""
    upper, lower = _gauss(matrix), _radau(matrix, beside, lowest)
    middle = mean(0.5 * size * (upper + lower))
    gap = 0.5 * size * float((upper - lower).mean())
    return _Bounded(float(middle.value), float(middle.error), max(gap, 0.0))


def _tridiagonal(diagonal: list[Tensor], off_diagonal: list[Tensor]) -> Tensor:
    """One matrix for each probe, (probes, k, k), from k and k - 1 tensors (probes,)."""
    matrix = torch.diag_embed(torch.stack(diagonal, 1))
    if off_diagonal:
        beside = torch.stack(off_diagonal, 1)
        matrix = matrix + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    return matrix


def _gauss(matrix: Tensor) -> Tensor:
    """Return e_1^T log(T) e_1."""
    values, vectors = torch.linalg.eigh(matrix)
    weights = vectors[:, 0, :] ** 2
    present = weights > torch.finfo(torch.float64).eps ** 2
    if bool((present & (values <= 0.0)).any()):
        raise SettingError(
            f"the matrix has an eigenvalue of about {float(values.min()):.1e}, so that its logarithm does not exist; "
            "raise ridge="
        )
    return (weights * torch.where(present, values.clamp(min=1e-300).log(), 0.0)).sum(1)


def _radau(matrix: Tensor, beside: Tensor, lowest: float) -> Tensor:
    """Return e_1^T log(T') e_1, T' longer by one row and such that `lowest` is one of its eigenvalues."""
    probes, count = matrix.shape[:2]
    last = torch.zeros(probes, count, 1, dtype=torch.float64)
    last[:, -1, 0] = beside**2
    shifted = matrix - lowest * torch.eye(count, dtype=torch.float64)
    extended = torch.zeros(probes, count + 1, count + 1, dtype=torch.float64)
    extended[:, :count, :count] = matrix
    extended[:, count, count - 1] = extended[:, count - 1, count] = beside
    extended[:, count, count] = lowest + torch.linalg.solve(shifted, last)[:, -1, 0]
    values, vectors = torch.linalg.eigh(extended)
    return (vectors[:, 0, :] ** 2 * values.clamp(min=lowest).log()).sum(1)

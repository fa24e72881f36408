"""The trace of the logarithm of a positive definite matrix known only through its products: Lanczos quadrature.

tr log M = n E[v^T log(M) v] for v of n random signs / sqrt(n), and v^T f(M) v is Gauss quadrature on the Lanczos
tridiagonal matrix. Source: Ubaru, Chen and Saad 2017, SIAM J. Matrix Anal. Appl. 38, 1075.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.statistics import Statistic, mean

__all__ = ["log_trace"]


def log_trace(
    product: Callable[[Tensor], Tensor],
    size: int,
    *,
    probes: int,
    steps: int,
    generator: torch.Generator,
    progress: Callable[[float], None] | None = None,
) -> Statistic:
    """Return tr log M with its error, for `product(V)` = M V with all probes as columns V (size, probes).

    Steps end early once the last one moved the mean by less than a tenth of the standard error.
    Errors: the probes' standard error and the last step's move, added in quadrature. Lost orthogonality delays convergence
    and does not spoil it, so that no basis is kept. Raises: SettingError if M is not positive definite.
    """
    signs = torch.randint(0, 2, (size, probes), generator=generator, dtype=torch.int64)
    vector = (2.0 * signs.double() - 1.0) / math.sqrt(size)
    before, beside = torch.zeros_like(vector), torch.zeros(probes, dtype=torch.float64)
    diagonal: list[Tensor] = []
    off_diagonal: list[Tensor] = []
    last, moved = math.inf, math.inf
    for step in range(min(steps, size)):
        image = product(vector) - beside * before
        diagonal.append((image * vector).sum(0))
        image = image - diagonal[-1] * vector
        beside = torch.linalg.vector_norm(image, dim=0)
        samples = size * _quadrature(diagonal, off_diagonal)
        found = mean(samples)
        value, error = float(found.value), float(found.error)
        moved = abs(value - last)
        last = value
        if progress is not None:
            progress((step + 1) / min(steps, size))
        # What is left of rounding alone is no new direction: the quadrature is exact.
        alive = beside > 64.0 * torch.finfo(torch.float64).eps * diagonal[0].abs()
        if not bool(alive.any()):
            return _statistic(value, error, probes)
        if moved <= 0.1 * error:
            break
        before = vector
        vector = torch.where(alive, image / beside.clamp(min=1e-300), 0.0)
        beside = torch.where(alive, beside, 0.0)
        off_diagonal.append(beside)
    return _statistic(last, math.hypot(error, moved), probes)


def _statistic(value: float, error: float, probes: int) -> Statistic:
    return Statistic(torch.tensor(value, dtype=torch.float64), torch.tensor(error, dtype=torch.float64), probes)


def _quadrature(diagonal: list[Tensor], off_diagonal: list[Tensor]) -> Tensor:
    """e_1^T log(T) e_1 for tridiagonal matrices T, one for each probe, given by k and k - 1 tensors (probes,)."""
    matrix = torch.diag_embed(torch.stack(diagonal, 1))
    if off_diagonal:
        beside = torch.stack(off_diagonal, 1)
        matrix = matrix + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    values, vectors = torch.linalg.eigh(matrix)
    weights = vectors[:, 0, :] ** 2
    present = weights > torch.finfo(torch.float64).eps ** 2
    if bool((present & (values <= 0.0)).any()):
        raise SettingError(
            f"the matrix has an eigenvalue of about {float(values.min()):.1e}, so that its logarithm does not exist; "
            "raise ridge="
        )
    return (weights * torch.where(present, values.clamp(min=1e-300).log(), 0.0)).sum(1)

"""Cholesky factors of covariance matrices that may be singular: equal inputs, dead layers, directions without variance."""

import torch
from torch import Tensor

__all__ = ["guarded_cholesky"]


def guarded_cholesky(matrices: Tensor) -> Tensor:
    """Return lower triangular R with R R^T = matrices; a direction without variance gets a column of zeros.

    Shapes: (..., N, N), symmetric positive semi-definite up to rounding; result (..., N, N).
    Errors: a variance below N * 2.2e-16 of its diagonal entry counts as none: rounding cannot tell it from zero.
    Source: Higham 1990, "Analysis of the Cholesky decomposition of a semi-definite matrix", without pivoting.
    """
    size = matrices.shape[-1]
    tiny = size * torch.finfo(matrices.dtype).eps
    root = torch.zeros_like(matrices)
    for j in range(size):
        column = matrices[..., j:, j].clone()
        if j:
            column -= (root[..., j:, :j] @ root[..., j, :j].unsqueeze(-1)).squeeze(-1)
        pivot = column[..., :1]
        kept = pivot > tiny * matrices[..., j, j].unsqueeze(-1)
        root[..., j:, j] = torch.where(kept, column / torch.where(kept, pivot, 1.0).sqrt(), 0.0)
    return root

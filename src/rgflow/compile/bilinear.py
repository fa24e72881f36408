"""Matrix products with fewer multiplications, as an exact identity between integer tensors.

A scheme with R multiplications is vec(AB) = W ((U vec A) * (V vec B)), vec row by row: R products of two numbers, each
one gate of four neurons. It is right if and only if sum_r W_kr U_ri V_rj is the tensor of the matrix product, which is
checked in whole numbers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BilinearScheme", "strassen"]

_GATE = 4  # neurons of a multiplication gate (Lin, Tegmark and Rolnick 2017, arXiv:1608.08225)


@dataclass(frozen=True, eq=False)
class BilinearScheme:
    """Integer factors of a matrix product, what they cost, and what is proven of the least cost.

    Shapes: `left` (multiplications, entries of A), `right` (multiplications, entries of B), `combine` (entries of AB,
    multiplications), int64. `exact`: whether the tensor identity holds in whole numbers. `flattening_ranks`: ranks of
    the three flattenings of the matrix product's tensor; `certified` = the largest of them, a proven lower bound on
    multiplications. It is weak: it gives 4 where Strassen's 7 is known to be optimal by other proofs.
    """

    multiplications: int
    naive_multiplications: int
    neurons: int
    naive_neurons: int
    left: Tensor
    right: Tensor
    combine: Tensor
    exact: bool
    flattening_ranks: tuple[int, ...]
    certified: int


def strassen() -> BilinearScheme:
    """Return Strassen's product of two 2 x 2 matrices: 7 multiplications (28 neurons) instead of 8 (32).

    Errors: none, whole numbers throughout.
    Source: V. Strassen, Numer. Math. 13 (1969) 354; 7 is optimal: S. Winograd, Linear Algebra Appl. 4 (1971) 381.

    Example:
    >>> scheme = strassen()
    >>> scheme.multiplications, scheme.exact, scheme.certified
    (7, True, 4)
    """
    # Rows r: coefficients of a11, a12, a21, a22 (left) and b11, b12, b21, b22 (right), Strassen's I to VII.
    left = [[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0], [-1, 0, 1, 0], [0, 1, 0, -1]]
    right = [[1, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, -1], [-1, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]]
    combine = [[1, 0, 0, 1, -1, 0, 1], [0, 0, 1, 0, 1, 0, 0], [0, 1, 0, 1, 0, 0, 0], [1, -1, 1, 0, 0, 1, 0]]
    return _scheme(*(torch.tensor(rows, dtype=torch.int64) for rows in (left, right, combine)))


def _scheme(left: Tensor, right: Tensor, combine: Tensor) -> BilinearScheme:
    product = _matrix_product()
    built = torch.einsum("kr,ri,rj->kij", combine, left, right)
    flat = [product.movedim(axis, 0).reshape(product.shape[axis], -1).double() for axis in range(3)]
    # Rows of a flattening hold disjoint ones, so that each is orthogonal to the others and the rank is exact.
    ranks = tuple(int(torch.linalg.matrix_rank(matrix)) for matrix in flat)
    return BilinearScheme(
        multiplications=len(left),
        naive_multiplications=8,  # 2 x 2 entries, two products each
        neurons=_GATE * len(left),
        naive_neurons=_GATE * 8,
        left=left,
        right=right,
        combine=combine,
        exact=bool((built == product).all()),
        flattening_ranks=ranks,
        certified=max(ranks),
    )


def _matrix_product() -> Tensor:
    """The tensor of C = AB for 2 x 2 matrices: 1 at (c_ik, a_ij, b_jk)."""
    one = torch.eye(2, dtype=torch.int64)
    return torch.einsum("ia,kb,jc->ikajcb", one, one, one).reshape(4, 4, 4)

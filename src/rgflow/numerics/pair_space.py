"""Pair space: index maps between symmetric matrices over N inputs, their N(N+1)/2 pairs, and multisets of four inputs.

Convention: pairs a <= b in row-major order, (0,0), (0,1), ..., (0,N-1), (1,1), ...; a multiset of four inputs is written
in ascending order and numbered as below, so that all fourth moments <s_a s_b s_c s_d> are stored once.
"""

from functools import cache

import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["pair_count", "pair_inputs", "pair_matrix", "pair_vector", "quadruple_number", "quadruples_of", "size_of"]


def pair_count(inputs: int) -> int:
    """Return P = N(N+1)/2."""
    return inputs * (inputs + 1) // 2


def size_of(pairs: int) -> int:
    """Return the N with N(N+1)/2 = `pairs`. Raises: SettingError if there is none."""
    size = int(((8 * pairs + 1) ** 0.5 - 1) / 2 + 0.5)
    if pairs < 1 or pair_count(size) != pairs:
        raise SettingError(f"a vector over pairs has length {pairs}; it must be N(N+1)/2 for a number N >= 1 of inputs")
    return size


@cache
def pair_inputs(inputs: int) -> Tensor:
    """Return the inputs (P, 2) of every pair a <= b, row-major."""
    return torch.triu_indices(inputs, inputs).T.contiguous()


def pair_vector(matrix: Tensor) -> Tensor:
    """Return the entries a <= b of a symmetric matrix (..., N, N) as (..., P)."""
    first, second = pair_inputs(matrix.shape[-1]).unbind(1)
    return matrix[..., first, second]


def pair_matrix(vector: Tensor) -> Tensor:
    """Return the symmetric matrix (..., N, N) of a vector (..., P) over pairs."""
    size = size_of(vector.shape[-1])
    first, second = pair_inputs(size).unbind(1)
    matrix = vector.new_empty(*vector.shape[:-1], size, size)
    matrix[..., first, second] = vector
    matrix[..., second, first] = vector
    return matrix


@cache
def quadruples_of(inputs: int) -> Tensor:
    """Return every multiset a <= b <= c <= d of the inputs, (Q, 4) with Q = C(N+3, 4), in the order of its number."""
    # With a, b+1, c+2, d+3 the multisets are the strictly ascending quadruples below N+3.
    strict = torch.combinations(torch.arange(inputs + 3), 4) - torch.arange(4)
    order = torch.argsort(quadruple_number(strict))
    return strict[order]


def quadruple_number(quadruples: Tensor) -> Tensor:
    """Return the number of each multiset (..., 4) in ascending order: C(a,1) + C(b+1,2) + C(c+2,3) + C(d+3,4)."""
    a, b, c, d = quadruples.unbind(-1)
    second = (b + 1) * b // 2
    third = (c + 2) * (c + 1) * c // 6  # C(c+2, 3)
    fourth = (d + 3) * (d + 2) * (d + 1) * d // 24  # C(d+3, 4)
    return a + second + third + fourth

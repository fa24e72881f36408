"""Vectors and matrices over pairs of inputs, and the exchange of indices between pairs that Wick's theorem asks for.

Convention: P = N (N + 1) / 2 pairs a <= b in row-major order; a symmetric matrix S stands as the vector S_ab.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rgflow.numerics.pair_space import pair_inputs, pair_matrix

__all__ = ["PairSpace", "pair_space"]


@dataclass(frozen=True)
class PairSpace:
    """The pairs of N inputs: `first`, `second` (P,), `position` (N, N) of each pair, `diagonal` (N,) of the (aa)."""

    first: Tensor
    second: Tensor
    position: Tensor
    diagonal: Tensor

    @property
    def pairs(self) -> Tensor:
        """All pairs (P, 2)."""
        return torch.stack([self.first, self.second], dim=1)

    @property
    def multiplicity(self) -> Tensor:
        """How many entries of a symmetric matrix each pair stands for (P,): 1 for (aa), 2 for a < b."""
        return torch.where(self.first == self.second, 1.0, 2.0).double()

    def vector(self, matrix: Tensor) -> Tensor:
        """Return the entries (..., P) of symmetric matrices (..., N, N)."""
        return matrix[..., self.first, self.second]

    def matrix(self, vector: Tensor) -> Tensor:
        """Return the symmetric matrices (..., N, N) of vectors (..., P)."""
        return vector[..., self.position]

    def crossed(self, matrix: Tensor) -> Tensor:
        """Return (P, P): S_ac S_bd + S_ad S_bc of one symmetric matrix (N, N), Gaussian covariance of z_a z_b and z_c z_d."""
        a, b = self.first, self.second
        direct = matrix[a][:, a] * matrix[b][:, b]
        return direct + matrix[a][:, b] * matrix[b][:, a]

    def exchanged(self, tensor: Tensor) -> Tensor:
        """Return (P, P): T_(ac)(bd) + T_(ad)(bc) of a matrix over pairs (P, P)."""
        a, b = self.first.unsqueeze(1), self.second.unsqueeze(1)
        c, d = self.first.unsqueeze(0), self.second.unsqueeze(0)
        at = self.position
        return tensor[at[a, c], at[b, d]] + tensor[at[a, d], at[b, c]]


@lru_cache(maxsize=16)
def pair_space(inputs: int) -> PairSpace:
    """Return the pairs of `inputs` inputs."""
    first, second = pair_inputs(inputs).unbind(1)
    position = pair_matrix(torch.arange(len(first)))
    return PairSpace(first, second, position, position.diagonal().clone())

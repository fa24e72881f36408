"""Statistics of the kernel of drawn networks, layer by layer, with their standard errors.

Convention: as in `flow`: layers 1..L stand at index 0..L-1; N inputs, P = N (N + 1) / 2 pairs a <= b in row-major order.
Khat^(l) = C_b + (C_W / n_{l-1}) sum_j s(z_ja) s(z_jb) is the kernel of one drawn network; that of layer 1 is fixed.
Units: mean of z^2, covariance of z^4, third cumulant of z^6; errors are one standard error.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.records.architecture import MLP

__all__ = ["KernelSample"]


@dataclass(frozen=True)
class KernelSample:
    """Mean, covariance and third cumulant of Khat over drawn networks: actual cumulants, no width multiplied in.

    Shapes: `mean` and its error (L, N, N); `covariance` and its error (L, P, P), over `pairs` (P, 2); `third_cumulant` of
    every Khat_aa and its error (L, N); `kernels` (networks, L, N, N) where they were asked for, else None.
    """

    network: MLP
    networks: int
    seed: int
    pairs: Tensor
    mean: Tensor
    mean_error: Tensor
    covariance: Tensor
    covariance_error: Tensor
    third_cumulant: Tensor
    third_cumulant_error: Tensor
    kernels: Tensor | None = None

    @property
    def vertex(self) -> Tensor:
        """Return n_{l-1} Cov(Khat, Khat) (L, P, P), to be compared with `Flow.vertex`."""
        return self.covariance * self._widths_before()

    @property
    def vertex_error(self) -> Tensor:
        """Return the standard error of `vertex` (L, P, P)."""
        return self.covariance_error * self._widths_before()

    def _widths_before(self) -> Tensor:
        return torch.tensor(self.network.widths[:-1], dtype=torch.float64).reshape(-1, 1, 1)

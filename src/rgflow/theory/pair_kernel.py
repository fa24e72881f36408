"""The kernel of a pair of inputs in coordinates that stay exact when the two inputs nearly coincide.

State of a pair: K_aa, K_bb and the distance D = (K_aa + K_bb) / 2 - K_ab, each carried with relative precision.
Whitened basis: with d = z_a - z_b, d = r_dd u and z_a = r_ad u + r_aa v for independent standard normals (u, v).
A change of the kernel in this basis is a symmetric 2 x 2 matrix E, stored as (E_uu, E_uv, E_vv): it is of order
1/sqrt(width) at every distance, so that covariances of fluctuations are well conditioned down to D = 1e-20 K.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PairKernel"]

PARALLEL = 1e-7  # sqrt of rounding: below it the two inputs are parallel and the second whitened direction is empty


@dataclass(frozen=True)
class PairKernel:
    """Kernels of P pairs: `first` K_aa, `second` K_bb, `distance` (K_aa + K_bb) / 2 - K_ab; each (P,), float64."""

    first: Tensor
    second: Tensor
    distance: Tensor

    @property
    def covariance(self) -> Tensor:
        """Cov(z_a, z_a - z_b) = K_aa - K_ab."""
        return (self.first - self.second) / 2 + self.distance

    def root(self) -> Tensor:
        """Return (P, 3): r_dd, r_ad, r_aa of the whitened basis."""
        difference = (2 * self.distance).sqrt()
        mixed = self.covariance / difference
        own = (self.first - mixed**2).clamp_min(0).sqrt()
        return torch.stack([difference, mixed, torch.maximum(own, PARALLEL * self.first.sqrt())], dim=1)

    def unwhiten(self) -> Tensor:
        """Return (P, 3, 3): the linear map from (E_uu, E_uv, E_vv) to changes of (K_aa, K_bb, D)."""
        difference, mixed, own = self.root().unbind(1)
        zero = torch.zeros_like(difference)
        first = torch.stack([mixed**2, 2 * mixed * own, own**2], dim=1)
        cross = torch.stack([difference * mixed, difference * own, zero], dim=1)  # Cov(z_a, d)
        square = torch.stack([difference**2, zero, zero], dim=1)  # Var d
        return torch.stack([first, first - 2 * cross + square, square / 2], dim=1)

    def shifted(self, variance: float) -> "PairKernel":
        """Return the kernel with `variance` added to every entry; the distance does not change."""
        return PairKernel(self.first + variance, self.second + variance, self.distance)

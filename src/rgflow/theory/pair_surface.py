"""From a sample of pairs to all pairs of a batch: smooth regression on the pairs' first-layer kernels.

A layer's distance depends on a pair only through (K_aa, K_bb, D) of the first layer, smoothly and symmetrically: the
logarithm of its growth is fitted by a quadratic polynomial of the mean ln K, of ln D relative to it, and of the squared
difference of ln K. Coordinates outside the sampled range are clipped to it: the fit never extrapolates.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PairSurface", "pair_surface"]


@dataclass(frozen=True)
class PairSurface:
    """Design matrices of the sampled pairs (P, k) and of all pairs (Q, k), and their indices in the batch."""

    sampled: Tensor
    everywhere: Tensor

    def extend(self, values: Tensor) -> Tensor:
        """Return `values` (P,) of the sampled pairs extended to all pairs (Q,) by least squares."""
        solution = torch.linalg.lstsq(self.sampled, values.unsqueeze(1), driver="gelsd").solution
        return (self.everywhere @ solution)[:, 0]

    def residual(self, values: Tensor) -> Tensor:
        """Return what the fit leaves of `values` (P,)."""
        solution = torch.linalg.lstsq(self.sampled, values.unsqueeze(1), driver="gelsd").solution
        return values - (self.sampled @ solution)[:, 0]


def pair_surface(*, first: Tensor, second: Tensor, distance: Tensor, sampled: Tensor) -> PairSurface:
    """Return the surface over all pairs with first-layer kernels `first`, `second`, `distance` (Q,).

    `sampled` (P,) are the indices, among those pairs, for which values will be known.
    """
    level = (first.log() + second.log()) / 2
    depth = distance.log() - level
    skew = (first / second).log().square()
    level, depth, skew = (_clipped(coordinate, sampled) for coordinate in (level, depth, skew))
    columns = [
        torch.ones_like(level),
        level,
        depth,
        skew,
        level**2,
        level * depth,
        depth**2,
        skew * level,
        skew * depth,
    ]
    design = torch.stack(columns, dim=1)
    return PairSurface(design[sampled], design)


def _clipped(coordinate: Tensor, sampled: Tensor) -> Tensor:
    """Return the coordinate clipped to its sampled range, centred and scaled to order one."""
    known = coordinate[sampled]
    centre, scale = known.mean(), known.std().clamp_min(torch.finfo(known.dtype).tiny)
    return (coordinate.clamp(known.min(), known.max()) - centre) / scale

"""The kernel of a pair of inputs in coordinates that stay exact when the two inputs nearly coincide.

State of a pair: K_aa, K_bb and the distance D = (K_aa + K_bb) / 2 - K_ab, each carried with relative precision.
Whitened basis (that of `numerics.pairs`): z_a = a (c v + s u), z_b = b (c v - s u), with a, b the standard deviations and
(u, v) independent standard normals. A change of the kernel in this basis is a symmetric 2 x 2 matrix E, stored as
(E_uu, E_uv, E_vv): it is of order 1/sqrt(width) at every distance, so that covariances of fluctuations are well
conditioned down to D = 1e-20 K.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.pairs import pair_root

__all__ = ["PairKernel", "Whitening"]

PARALLEL = 1e-6  # well above sqrt of rounding: below it two inputs are parallel and one whitened direction is empty


@dataclass(frozen=True)
class Whitening:
    """The whitened basis of P pairs: deviations `a`, `b`, their `gap` a - b, `sine` and `cosine`, each (P,)."""

    a: Tensor
    b: Tensor
    gap: Tensor
    sine: Tensor
    cosine: Tensor

    def coordinates(self, second: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
        """Return (u, v) (P, G) of a point with z_b = `second` and z_a - z_b = `difference`."""
        a, b, gap, sine, cosine = (t.unsqueeze(1) for t in (self.a, self.b, self.gap, self.sine, self.cosine))
        to_a, to_b = (difference + second) / a, second / b
        apart = difference / a - second * gap / (a * b)  # z_a / a - z_b / b without cancellation
        return apart / (2 * sine), (to_a + to_b) / (2 * cosine)


@dataclass(frozen=True)
class PairKernel:
    """Kernels of P pairs: `first` K_aa, `second` K_bb, `distance` (K_aa + K_bb) / 2 - K_ab; each (P,), float64."""

    first: Tensor
    second: Tensor
    distance: Tensor

    def whitening(self) -> Whitening:
        """Return the whitened basis, its directions kept away from zero length."""
        root = pair_root(self.first, self.second, self.distance)
        # A small angle keeps its digits unless it is the difference of two larger numbers: then the inputs are parallel.
        scale = 2 * (root.deviation_a * root.deviation_b).sqrt()
        sine = torch.maximum(root.sine, PARALLEL * root.gap.abs() / scale)
        cosine = torch.maximum(root.cosine, PARALLEL * (root.deviation_a + root.deviation_b) / scale)
        return Whitening(root.deviation_a, root.deviation_b, root.gap, sine, cosine)

    def unwhiten(self) -> Tensor:
        """Return (P, 3, 3): the linear map from (E_uu, E_uv, E_vv) to changes of (K_aa, K_bb, D)."""
        w = self.whitening()
        uu, uv, vv = w.sine**2, w.sine * w.cosine, w.cosine**2
        first = torch.stack([w.a**2 * uu, 2 * w.a**2 * uv, w.a**2 * vv], dim=1)
        second = torch.stack([w.b**2 * uu, -2 * w.b**2 * uv, w.b**2 * vv], dim=1)
        total = w.a + w.b
        distance = torch.stack([total**2 * uu / 2, w.gap * total * uv, w.gap**2 * vv / 2], dim=1)
        return torch.stack([first, second, distance], dim=1)

    def shifted(self, variance: float) -> "PairKernel":
        """Return the kernel with `variance` added to every entry; the distance does not change."""
        return PairKernel(self.first + variance, self.second + variance, self.distance)

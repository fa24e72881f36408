"""Moments of sampled kernels in one pass: memory does not grow with the number of networks.

Convention: u = Khat - shift for a fixed shift, c = the control of `kernel_controls` (mean zero, known covariance C). Then
    E Khat = shift + mean(u - c),      Cov(Khat) = cov(u, u) - cov(c, c) + C,
and the standard errors are those of the averages of u - c and of y_ij = u_i u_j - c_i c_j about their centre.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["KernelMoments", "MomentSums", "moment_sums", "moments_of"]

# Powers of Khat_aa up to the sixth give the error of the third cumulant.
_POWERS = 6
LEAST_NETWORKS = 4  # the unbiased third cumulant needs three; its error one more


@dataclass(frozen=True)
class MomentSums:
    """Sums over networks; `+` joins two sets of networks.

    Shapes: `count` (); `u`, `c` (L, P); `residual_square` (L, P) of u - c; `uu`, `y`, `y_square`, `y_u` (L, P, P), the last
    y_ij u_j; `powers` (6, L, N) of u_aa.
    """

    count: Tensor
    u: Tensor
    c: Tensor
    residual_square: Tensor
    uu: Tensor
    y: Tensor
    y_square: Tensor
    y_u: Tensor
    powers: Tensor

    def __add__(self, other: "MomentSums") -> "MomentSums":
        return MomentSums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True)
class KernelMoments:
    """Mean (L, P), covariance (L, P, P) and third cumulants (L, N), with standard errors."""

    mean: Tensor
    mean_error: Tensor
    covariance: Tensor
    covariance_error: Tensor
    third: Tensor
    third_error: Tensor


def moment_sums(u: Tensor, c: Tensor, *, diagonal: Tensor) -> MomentSums:
    """Return the sums of one block: `u` and `c` (L, networks, P); `diagonal` (N,) the pairs a = b."""
    square, product, control = u * u, u * c, c * c
    own = u[:, :, diagonal]
    powers = [own]
    for _ in range(_POWERS - 1):
        powers.append(powers[-1] * own)
    uu = u.mT @ u
    return MomentSums(
        count=torch.tensor(u.shape[1]),
        u=u.sum(1),
        c=c.sum(1),
        residual_square=(u - c).square().sum(1),
        uu=uu,
        y=uu - c.mT @ c,
        y_square=square.mT @ square - 2 * product.mT @ product + control.mT @ control,
        y_u=u.mT @ square - c.mT @ product,
        powers=torch.stack([power.sum(1) for power in powers]),
    )


def moments_of(sums: MomentSums, *, shift: Tensor, control_covariance: Tensor) -> KernelMoments:
    """Return the moments about `shift` (L, P), given the exact covariance of the controls (L, P, P).

    Raises: SettingError for fewer than 4 networks.
    """
    n = int(sums.count)
    if n < LEAST_NETWORKS:
        raise SettingError(f"{n} networks were drawn; at least {LEAST_NETWORKS} are needed for a standard error")
    u, c = sums.u / n, sums.c / n
    x = u - c
    residual = (sums.residual_square / n - x * x).clamp(min=0.0)
    covariance = (sums.y / n - _outer(u, u) + _outer(c, c)) * (n / (n - 1)) + control_covariance
    third = _third(sums.powers / n, n)
    return KernelMoments(
        mean=shift + x,
        mean_error=(residual / (n - 1)).sqrt(),
        covariance=covariance,
        covariance_error=(_influence(sums, x) / (n - 1)).sqrt(),
        third=third[0],
        third_error=third[1],
    )


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def _influence(sums: MomentSums, x: Tensor) -> Tensor:
    """Return the variance of y_ij - x_i u_j - x_j u_i over networks, x the mean of u - c."""
    n = float(sums.count)
    u, y, yu, uu = sums.u / n, sums.y / n, sums.y_u / n, sums.uu / n
    own = uu.diagonal(dim1=-2, dim2=-1)
    row, column = x.unsqueeze(-1), x.unsqueeze(-2)
    # the mean of the square, term by term; y_u holds y_ij u_j, its transpose y_ij u_i
    square = sums.y_square / n - 2 * row * yu - 2 * column * yu.mT
    square = square + row**2 * own.unsqueeze(-2) + column**2 * own.unsqueeze(-1) + 2 * row * column * uu
    mean = y - _outer(x, u) - _outer(u, x)
    return (square - mean**2).clamp(min=0.0)


def _third(powers: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return the unbiased third cumulant and its error from raw moments 1..6 (6, L, N)."""
    raw = [torch.ones_like(powers[0]), *powers]
    mean = raw[1]
    m2, m3, m4, m6 = (_central(raw, mean, order) for order in (2, 3, 4, 6))
    # influence of one network on m3: d^3 - 3 m2 d - m3 (Kendall and Stuart, vol. 1, ch. 10)
    variance = (m6 - 6 * m4 * m2 + 9 * m2**3 - m3**2).clamp(min=0.0)
    return m3 * n**2 / ((n - 1) * (n - 2)), (variance / n).sqrt()


def _central(raw: list[Tensor], mean: Tensor, order: int) -> Tensor:
    terms = [math.comb(order, k) * raw[k] * (-mean) ** (order - k) for k in range(order + 1)]
    return torch.stack(terms).sum(0)

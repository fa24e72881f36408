"""How fast the fluctuations of a critical residual network grow with depth.

Method: at the scaled critical point, (1 - skip^2) times the plain C_W and C_b, the kernel's fluctuation is a random walk
over layers, dK' = dK + xi, whose steps are correlated because every neuron remembers itself: with s^2 = sum_k a_k he_k
in orthonormal Hermite polynomials at K*, Cov(xi^(l), xi^(m)) = (1 - skip^2)^2 C_W^2 sum_k a_k^2 skip^(k |l - m|), and
    nu(skip) = (1 - skip^2)^2 (C_W / K*)^2 sum_{k >= 1} a_k^2 (1 + skip^k) / (1 - skip^k).
"""

import math

import torch
from torch import Tensor

from rgflow.errors import NoCriticalPoint, SettingError
from rgflow.numerics import Activation, activation
from rgflow.numerics.criticality import criticality
from rgflow.numerics.gaussian import gaussian_rule, mesh_of

__all__ = ["residual_growth"]

_TERMS = 64  # Hermite coefficients of smooth s^2 at most; 24 nodes per panel resolve he_64
_BLOCK = 2**20  # terms of the sum over layers added at once, 8 MiB each
_NEGLIGIBLE = 1e-18  # correlation at which the sum over layers stops


def residual_growth(rule: "Activation | str", skip: float) -> float:
    """Return nu(skip): at depth l and width n the vertex over K^2 of a critical residual network tends to nu l / n.

    With s^2 = h z^2 + g z |z| (scale-invariant s) nu = 2 (1 - skip^4) + (g / h)^2 (1 - skip^2)^2 (3 + 2 sum_t f(skip^t)),
    f(r) = (2/pi) (3 r sqrt(1 - r^2) + (1 + 2 r^2) asin r); at K* = 0 a third of this with the slopes at 0; started at
    a half-stable K* > 0 the series of this module.
    Errors: rounding for scale-invariant s and K* = 0; 1e-9 relative at K* > 0 for |skip| <= 0.9, below 1e-6 closer to 1.
    Raises: SettingError unless |skip| <= 1 - 1e-5, NoCriticalPoint where the activation has none.
    Source: own derivation, checked against ensembles; skip = 0 is Roberts, Yaida and Hanin 2022, ch. 5.

    Example:
    >>> round(residual_growth("relu", 0.8), 6)
    4.328291
    """
    if not abs(skip) <= 1.0 - 1e-5:  # closer to 1 the sum over layers would need more than 4e6 terms
        raise SettingError(f"skip is {skip}; a critical residual network has |skip| < 1 (here at most 1 - 1e-5)")
    chosen = activation(rule)
    point = criticality(chosen)
    if point.kind == "none":
        raise NoCriticalPoint(f"{chosen.name} has no critical point: {point.reason}")
    if point.kind == "scale-invariant":
        return _scale_invariant(*chosen.slopes, skip=skip)
    if not point.kernel or not point.weight_variance:
        # K* = 0: K falls as l^(-1/s) and chi_parallel^2 = 1 - 2 (1 + s) / (s l), which leaves a third for every s.
        return _scale_invariant(*chosen.slopes, skip=skip) / 3.0
    return _isolated(chosen, point.kernel, weight_variance=point.weight_variance, skip=skip)


def _scale_invariant(upper: float, lower: float, *, skip: float) -> float:
    odd = (upper**2 - lower**2) / (upper**2 + lower**2)
    memory = 3.0 + 2.0 * _over_layers(skip)
    return 2.0 * (1.0 - skip**4) + odd**2 * (1.0 - skip**2) ** 2 * memory


def _over_layers(skip: float) -> float:
    """Sum of f(skip^t) over t >= 1, f(r) = <x |x| y |y|> at correlation r."""
    terms = 0 if skip == 0.0 else math.ceil(math.log(_NEGLIGIBLE) / math.log(abs(skip)))
    return sum(
        float(_signed_squares(skip ** torch.arange(start, min(start + _BLOCK, terms + 1), dtype=torch.float64)).sum())
        for start in range(1, terms + 1, _BLOCK)
    )


def _signed_squares(correlation: Tensor) -> Tensor:
    root = (1.0 - correlation**2).clamp(min=0.0).sqrt()
    angle = torch.asin(correlation.clamp(-1.0, 1.0))
    return 2.0 / math.pi * (3.0 * correlation * root + (1.0 + 2.0 * correlation**2) * angle)


def _isolated(chosen: Activation, fixed_point: float, *, weight_variance: float, skip: float) -> float:
    """The Hermite series at K* > 0; what the coefficients leave of Var(s^2) is given the mean weight of its range."""
    kernel = torch.tensor([fixed_point], dtype=torch.float64)
    x, z, weight = (part[0] for part in gaussian_rule(kernel, mesh_of(chosen).edges))
    square = chosen.function(z) ** 2
    weighted = weight * square
    rest = float((weighted * square).sum() - weighted.sum() ** 2)
    total, previous, current = 0.0, torch.ones_like(x), x
    for k in range(1, _TERMS):
        share = float((weighted * current).sum()) ** 2
        total += share * (1.0 + skip**k) / (1.0 - skip**k)
        rest -= share
        previous, current = current, (x * current - k**0.5 * previous) / (k + 1) ** 0.5
    total += max(rest, 0.0)
    return (1.0 - skip**2) ** 2 * (weight_variance / fixed_point) ** 2 * total

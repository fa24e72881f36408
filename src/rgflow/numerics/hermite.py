"""Averages of products f(z_a) f(z_b) over many pairs at once by Mehler's series in the correlation.

Convention: he_k are the Hermite polynomials orthonormal under the standard normal law, c_k(K) = <f(sqrt(K) x) he_k(x)>;
then <f(z_a) f(z_b)> = sum_k c_k(K_aa) c_k(K_bb) rho^k, and after n terms the rest is at most
|rho|^n sqrt(T_a T_b), T = <f^2> - sum of c_k^2: a bound, not an estimate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.gaussian import gaussian_rule
from rgflow.numerics.panels import Mesh

__all__ = ["MehlerSum", "hermite_coefficients", "mehler"]

# Oscillations of he_64 are still resolved by 24 nodes per panel; more terms would need shorter panels.
_TERMS = 64


@dataclass(frozen=True)
class MehlerSum:
    """<f_a f_b> for all pairs (N, N) and a bound on the truncation error of each."""

    value: Tensor
    bound: Tensor


def mehler(function: Callable[[Tensor], Tensor], variance: Tensor, *, correlation: Tensor, mesh: Mesh) -> MehlerSum:
    """Return <f(z_a) f(z_b)> for every pair of the given variances (N,) and correlations (N, N)."""
    coefficients, rest = _coefficients(function, variance, mesh.edges)
    value = torch.zeros_like(correlation)
    for column in reversed(coefficients.unbind(-1)):
        value = value * correlation + torch.outer(column, column)
    tails = rest.clamp(min=0.0).sqrt()
    return MehlerSum(value, correlation.abs() ** _TERMS * torch.outer(tails, tails))


def hermite_coefficients(function: Callable[[Tensor], Tensor], variance: Tensor, *, mesh: Mesh) -> Tensor:
    """Return c_k(K) = <f(sqrt(K) x) he_k(x)> for k = 0..63 and every variance given, (N,) to (N, 64)."""
    return _coefficients(function, variance, mesh.edges)[0]


def _coefficients(
    function: Callable[[Tensor], Tensor], variance: Tensor, edges: Sequence[float]
) -> tuple[Tensor, Tensor]:
    rows = []
    for part in variance.split(64):
        x, z, weight = gaussian_rule(part, edges)
        values = function(z)
        weighted = weight * values
        previous, current = torch.zeros_like(x), torch.ones_like(x)
        columns = []
        for k in range(_TERMS):
            columns.append((weighted * current).sum(-1))
            previous, current = current, (x * current - k**0.5 * previous) / (k + 1) ** 0.5
        found = torch.stack(columns, -1)
        rows.append((found, (weighted * values).sum(-1) - (found * found).sum(-1)))
    return torch.cat([row[0] for row in rows]), torch.cat([row[1] for row in rows])

"""A depth function as a short sum of products: factors of each input times polynomials in one variable of the angle.

    F(a, b) = sum_j column[j, b] sum_k v_ab^k sum_p row[a, p] core[p, j, k],        v_ab of `angle_variable`,
exact for homogeneous networks (one term, two for the tangent kernel with trained biases) and for inputs of equal norm;
else the factors are Chebyshev polynomials of the norms. Evaluating it costs the same at any depth.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.angle_variable import (
    VARIABLES,
    AngleVariable,
    chebyshev_phases,
    refit,
    to_coefficients,
    to_powers,
)

__all__ = ["NormBasis", "SeparableForm", "best_variable", "fitted_core", "spread_basis"]

# Beyond 64 terms the integer coefficients of Chebyshev polynomials leave float64 (2^53) far behind.
_MOST_TERMS = 64


@dataclass(frozen=True)
class SeparableForm:
    """Factors and polynomials of one kernel.

    Shapes: `row` (N1, p), `column` (J, N2), `core` (segments, p, J, D) coefficients of powers of v; `terms` (J,) how many
    of the D powers each j needs; `diagonal` (N1,) the exact F(a, a) and `scale_columns` (N2,) F(b, b).
    """

    row: Tensor
    column: Tensor
    core: Tensor
    terms: tuple[int, ...]
    diagonal: Tensor
    column_diagonal: Tensor


@dataclass(frozen=True)
class NormBasis:
    """Chebyshev polynomials in the logarithm of the deviation (in the deviation itself where it may vanish)."""

    low: float
    high: float
    count: int

    @property
    def logarithmic(self) -> bool:
        """Whether the variable is the logarithm."""
        return self.low > 0.0

    def nodes(self) -> Tensor:
        """Return the deviations (count,) at which functions are sampled."""
        low, high = self._ends()
        inner = 0.5 * (low + high) + 0.5 * (high - low) * torch.cos(chebyshev_phases(self.count))
        return inner.exp() if self.logarithmic else inner

    def values(self, deviation: Tensor) -> Tensor:
        """Return T_0..T_(count-1) at every deviation, (N, count)."""
        low, high = self._ends()
        place = deviation.clamp(min=self.low).log() if self.logarithmic else deviation
        q = ((2.0 * place - low - high) / (high - low)).clamp(-1.0, 1.0) if high > low else torch.zeros_like(place)
        return torch.cos(torch.acos(q).unsqueeze(-1) * torch.arange(self.count, dtype=torch.float64))

    def _ends(self) -> tuple[float, float]:
        return (math.log(self.low), math.log(self.high)) if self.logarithmic else (self.low, self.high)


def spread_basis(deviation: Tensor, count: int) -> NormBasis:
    """Return the basis that spans the given deviations with `count` functions."""
    return NormBasis(float(deviation.min()), float(deviation.max()), count)


def best_variable(values: Tensor, *, tolerance: float, growth: float) -> AngleVariable | None:
    """Return the variable in which these functions need fewest powers, or None where no variable serves.

    Shapes: `values` (n, functions) at `plain_angle_points(n)`. `growth` is how much larger than the function the
    coefficients of powers may be: that much rounding is amplified.
    """
    found: tuple[int, AngleVariable] | None = None
    for variable in VARIABLES:
        terms, grown = _resolved(values, variable, tolerance)
        if grown <= growth and (found is None or terms < found[0]):
            found = (terms, variable)
    return None if found is None else found[1]


def _resolved(values: Tensor, variable: AngleVariable, tolerance: float) -> tuple[int, float]:
    coefficients = refit(len(values), variable) @ values
    large = (coefficients.abs().amax(1) > tolerance).nonzero()
    terms = int(large.max()) + 1 if len(large) else 1
    if terms > _MOST_TERMS:
        return terms, math.inf
    return terms, float((to_powers(terms) @ coefficients[:terms]).abs().sum(0).max())


def fitted_core(spectra: Tensor, *, tolerance: float) -> tuple[Tensor, tuple[int, ...]]:
    """Return core (segments, p, J, D) and terms from Chebyshev coefficients (segments, n, m, m) at the norms' nodes."""
    count = spectra.shape[-1]
    if count > 1:
        norm = to_coefficients(count)
        spectra = torch.einsum("pi,qj,skij->skpq", norm, norm, spectra)
    size = spectra.abs().amax((0, 2))
    terms = []
    for j in range(count):
        large = (size[:, j] > tolerance).nonzero()
        terms.append(int(large.max()) + 1 if len(large) else 0)
    longest = max(*terms, 1)
    kept = torch.arange(longest).reshape(1, -1, 1, 1) < torch.tensor(terms)
    spectra = torch.where(kept, spectra[:, :longest], 0.0)
    return torch.einsum("dk,skpj->spjd", to_powers(longest), spectra), tuple(terms)

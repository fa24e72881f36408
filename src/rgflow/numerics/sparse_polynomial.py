"""Polynomials in many variables as a table of exponents and coefficients, with the arithmetic that is needed.

A polynomial is sum_m coefficients[m] prod_v variables[v]^exponents[m, v], kept in one canonical form: monomials of
equal exponents merged, zero coefficients left out, rows ordered by total degree, then lexicographically.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["MONOMIALS_AT_MOST", "Kind", "SparsePolynomial", "from_terms", "reduced"]

MONOMIALS_AT_MOST = 1_000_000  # rows of 50 exponents then fill 400 MB; expansions beyond it are refused
DEGREE_AT_MOST = 10_000  # a product of more factors underflows for all but a few inputs
Kind = Literal["real", "bit", "spin"]


@dataclass(frozen=True, eq=False)
class SparsePolynomial:
    """A polynomial: names (variables,), exponents (monomials, variables) int64, coefficients (monomials,) float64.

    Whatever order the rows are given in, they are stored in the canonical one; the zero polynomial has no rows.
    Raises: SettingError for shapes that do not fit, exponents below 0, or coefficients that are not finite.
    """

    variables: tuple[str, ...]
    exponents: np.ndarray
    coefficients: np.ndarray

    def __post_init__(self) -> None:
        names = tuple(self.variables)
        factors = np.asarray(self.coefficients, dtype=np.float64).reshape(-1)
        powers = np.asarray(self.exponents, dtype=np.int64)
        _check(names, powers, factors)
        powers, factors = _canonical(powers, factors)
        for array in (powers, factors):
            array.flags.writeable = False
        object.__setattr__(self, "variables", names)
        object.__setattr__(self, "exponents", powers)
        object.__setattr__(self, "coefficients", factors)

    def __len__(self) -> int:
        return len(self.coefficients)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparsePolynomial):
            return NotImplemented
        left, right = _common(self, other)
        return np.array_equal(left.exponents, right.exponents) and np.array_equal(left.coefficients, right.coefficients)

    def __hash__(self) -> int:
        return hash((self.variables, self.exponents.tobytes(), self.coefficients.tobytes()))

    @property
    def degree(self) -> int:
        """The largest total degree of a monomial; 0 for constants and for the zero polynomial."""
        return int(self.exponents.sum(1).max(initial=0))

    @property
    def degrees(self) -> tuple[int, ...]:
        """The largest exponent of each variable."""
        return tuple(int(power) for power in self.exponents.max(0, initial=0))

    def terms(self) -> Iterable[tuple[tuple[int, ...], float]]:
        """Return the pairs (exponents, coefficient), one a monomial, in canonical order."""
        return zip(map(tuple, self.exponents.tolist()), self.coefficients.tolist(), strict=True)

    def coefficient(self, exponents: Sequence[int]) -> float:
        """Return the coefficient of one monomial, 0 if it is absent."""
        rows = (self.exponents == np.asarray(exponents, dtype=np.int64)).all(1)
        return float(self.coefficients[rows].sum())

    def jet(self, exponents: Sequence[int]) -> float:
        """Return the partial derivative of these orders at 0: prod_v exponents[v]! times the coefficient."""
        return self.coefficient(exponents) * math.prod(math.factorial(int(order)) for order in exponents)

    def partial(self, variable: str) -> "SparsePolynomial":
        """Return the derivative by one variable."""
        column = self.variables.index(variable)
        order = self.exponents[:, column]
        lowered = self.exponents.copy()
        lowered[:, column] = np.maximum(order - 1, 0)
        return SparsePolynomial(self.variables, lowered, self.coefficients * order)

    def __call__(self, points: Any) -> Any:
        """Return the values at `points` (..., variables): a tensor for a tensor, a float64 array for anything else."""
        if isinstance(points, Tensor):
            return self._on_tensor(points)
        given = np.asarray(points, dtype=np.float64)
        return self._on_tensor(torch.as_tensor(given)).numpy()

    def _on_tensor(self, points: Tensor) -> Tensor:
        result = points.new_zeros(points.shape[:-1])
        columns = [_powers(points[..., v], self.degrees[v]) for v in range(len(self.variables))]
        for row, coefficient in zip(self.exponents, self.coefficients.tolist(), strict=True):
            product = torch.full_like(result, coefficient)
            for variable in np.flatnonzero(row):
                product = product * columns[variable][row[variable]]
            result = result + product
        return result

    def size(self, bounds: Sequence[float]) -> float:
        """Return sum_m |coefficient| prod bounds^exponent, a bound of |polynomial| where |x_v| <= bounds[v]."""
        with np.errstate(over="ignore"):
            magnitudes = np.prod(np.asarray(bounds, dtype=np.float64) ** self.exponents, axis=1)
            return float(np.abs(self.coefficients) @ magnitudes)

    def over(self, variables: Sequence[str]) -> "SparsePolynomial":
        """Return the same polynomial over other names, which must include all that occur in it."""
        names = tuple(variables)
        used = [v for v in range(len(self.variables)) if self.degrees[v] > 0]
        missing = [self.variables[v] for v in used if self.variables[v] not in names]
        if missing:
            raise SettingError(f"the polynomial contains {missing[0]}, which is not among {', '.join(names) or 'none'}")
        powers = np.zeros((len(self), len(names)), dtype=np.int64)
        for v in used:
            powers[:, names.index(self.variables[v])] = self.exponents[:, v]
        return SparsePolynomial(names, powers, self.coefficients)

    def __add__(self, other: "SparsePolynomial | float") -> "SparsePolynomial":
        left, right = _common(self, other)
        return SparsePolynomial(
            left.variables,
            np.concatenate([left.exponents, right.exponents]),
            np.concatenate([left.coefficients, right.coefficients]),
        )

    def __mul__(self, other: "SparsePolynomial | float") -> "SparsePolynomial":
        left, right = _common(self, other)
        _check_size(len(left) * len(right))
        powers = left.exponents[:, None, :] + right.exponents[None, :, :]
        factors = left.coefficients[:, None] * right.coefficients[None, :]
        return SparsePolynomial(left.variables, powers.reshape(-1, len(left.variables)), factors)

    def __pow__(self, exponent: int) -> "SparsePolynomial":
        if exponent < 0 or exponent != int(exponent):
            raise SettingError(f"the exponent is {exponent}; it must be a whole number >= 0")
        if len(self) > 1:
            _check_size(math.comb(len(self) - 1 + int(exponent), len(self) - 1))
        result, base, left = (
            from_terms({(0,) * len(self.variables): 1.0}, variables=self.variables),
            self,
            int(exponent),
        )
        while left:
            result = result * base if left % 2 else result
            left //= 2
            base = base * base if left else base
        return result

    def __neg__(self) -> "SparsePolynomial":
        return SparsePolynomial(self.variables, self.exponents, -self.coefficients)

    def __sub__(self, other: "SparsePolynomial | float") -> "SparsePolynomial":
        return self + (-other)

    def __radd__(self, other: float) -> "SparsePolynomial":
        return self + other

    def __rsub__(self, other: float) -> "SparsePolynomial":
        return -self + other

    def __rmul__(self, other: float) -> "SparsePolynomial":
        return self * other

    def __str__(self) -> str:
        return " + ".join(_term(self.variables, *term) for term in self.terms()).replace("+ -", "- ") or "0"


def from_terms(terms: Mapping[tuple[int, ...], float], *, variables: Sequence[str]) -> SparsePolynomial:
    """Return the polynomial with coefficient `terms[exponents]` for every tuple of exponents."""
    powers = np.array(list(terms), dtype=np.int64).reshape(len(terms), len(tuple(variables)))
    return SparsePolynomial(tuple(variables), powers, np.array(list(terms.values()), dtype=np.float64))


def reduced(polynomial: SparsePolynomial, kind: Kind) -> SparsePolynomial:
    """Return the polynomial of lowest degree with equal values: x^2 = x for bits 0 and 1, x^2 = 1 for spins -1 and 1."""
    if kind == "real":
        return polynomial
    powers = np.minimum(polynomial.exponents, 1) if kind == "bit" else polynomial.exponents % 2
    return SparsePolynomial(polynomial.variables, powers, polynomial.coefficients)


def _check(names: tuple[str, ...], powers: np.ndarray, factors: np.ndarray) -> None:
    if len(set(names)) != len(names):
        raise SettingError(f"the variables are {', '.join(names)}; each name may occur once")
    if powers.shape != (len(factors), len(names)):
        needed = f"({len(factors)}, {len(names)}), one row a coefficient, one column a variable"
        raise SettingError(f"the exponents have shape {powers.shape}; it must be {needed}")
    if (powers < 0).any():
        raise SettingError(f"an exponent is {powers.min()}; a polynomial has whole exponents >= 0")
    if not np.isfinite(factors).all():
        raise SettingError("a coefficient is not a finite number; give numbers below 1e308 in size")
    if powers.sum(1).max(initial=0) > DEGREE_AT_MOST:
        raise SettingError(f"the degree is {powers.sum(1).max()}; it must be at most {DEGREE_AT_MOST}")


def _canonical(powers: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(factors):
        return powers.copy(), factors.copy()
    order = np.lexsort((*(-powers.T[::-1]), powers.sum(1)))
    powers, factors = powers[order], factors[order]
    fresh = np.concatenate([[True], (powers[1:] != powers[:-1]).any(1)])
    merged = np.add.reduceat(factors, np.flatnonzero(fresh))
    kept = merged != 0.0
    return powers[fresh][kept], merged[kept]


def _common(left: SparsePolynomial, right: "SparsePolynomial | float") -> tuple[SparsePolynomial, SparsePolynomial]:
    """Return both over the union of their variables; a number is a constant polynomial."""
    if not isinstance(right, SparsePolynomial):
        right = from_terms({(0,) * len(left.variables): float(right)}, variables=left.variables)
    if left.variables == right.variables:
        return left, right
    names = tuple(dict.fromkeys(left.variables + right.variables))
    return left.over(names), right.over(names)


def _check_size(monomials: int) -> None:
    if monomials > MONOMIALS_AT_MOST:
        raise SettingError(
            f"the expanded expression could have {monomials:.3g} monomials; at most {MONOMIALS_AT_MOST:,} are allowed"
        )


def _powers(column: Tensor, highest: int) -> list[Tensor]:
    powers = [torch.ones_like(column)]
    for _ in range(highest):
        powers.append(powers[-1] * column)
    return powers


def _term(names: Sequence[str], exponents: Sequence[int], coefficient: float) -> str:
    factors = [n if power == 1 else f"{n}**{power}" for n, power in zip(names, exponents, strict=True) if power]
    if coefficient == 1.0 and factors:
        return "*".join(factors)
    if coefficient == -1.0 and factors:
        return "-" + "*".join(factors)
    return "*".join([f"{coefficient:.15g}", *factors])

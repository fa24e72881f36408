"""Polynomials in many variables as a sparse table of exponents and coefficients, with the arithmetic that is needed.

A polynomial is sum_m coefficients[m] prod_v variables[v]^exponents[m, v], kept in one canonical form: monomials of
equal exponents merged, zero coefficients left out, rows ordered by total degree, then lexicographically. Only the
exponents that are not zero are stored, so that all pairs of 1,000 variables take 25 MB.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from scipy.sparse import csr_array, issparse, vstack
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["MONOMIALS_AT_MOST", "Kind", "SparsePolynomial", "from_members", "from_terms", "reduced"]

MONOMIALS_AT_MOST = 1_000_000  # rows of 50 exponents then fill 400 MB; expansions beyond it are refused
_VALUES_AT_ONCE = 4_000_000  # 32 MB in float64 for one product of factors
DEGREE_AT_MOST = 10_000  # a product of more factors underflows for all but a few inputs
Kind = Literal["real", "bit", "spin"]


@dataclass(frozen=True, eq=False, init=False)
class SparsePolynomial:
    """A polynomial: names (variables,), powers (monomials, variables) sparse int64, coefficients (monomials,) float64.

    Exponents may be given dense or sparse. Whatever order the rows are given in, they are stored in the canonical one;
    the zero polynomial has no rows.
    Raises: SettingError for shapes that do not fit, exponents below 0, or coefficients that are not finite.
    """

    variables: tuple[str, ...]
    powers: csr_array
    coefficients: np.ndarray

    def __init__(self, variables: Sequence[str], exponents: Any, coefficients: Any) -> None:
        names = tuple(variables)
        factors = np.asarray(coefficients, dtype=np.float64).reshape(-1)
        powers = _as_rows(exponents)
        _check(names, powers, factors)
        powers, factors = _canonical(powers, factors)
        for array in (powers.data, powers.indices, powers.indptr, factors):
            array.flags.writeable = False
        object.__setattr__(self, "variables", names)
        object.__setattr__(self, "powers", powers)
        object.__setattr__(self, "coefficients", factors)

    @cached_property
    def exponents(self) -> np.ndarray:
        """The powers as a dense table (monomials, variables), int64; 8 bytes an entry."""
        dense = self.powers.toarray()
        dense.flags.writeable = False
        return dense

    def __len__(self) -> int:
        return len(self.coefficients)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SparsePolynomial):
            return NotImplemented
        left, right = _common(self, other)
        return all(np.array_equal(a, b) for a, b in zip(left._table(), right._table(), strict=True))

    def __hash__(self) -> int:
        return hash((self.variables, *(array.tobytes() for array in self._table())))

    def _table(self) -> list[np.ndarray]:
        """Return all numbers of the canonical form."""
        return [self.powers.indptr, self.powers.indices, self.powers.data, self.coefficients]

    @property
    def degree(self) -> int:
        """The largest total degree of a monomial; 0 for constants and for the zero polynomial."""
        return int(_row_sums(self.powers).max(initial=0))

    @property
    def degrees(self) -> tuple[int, ...]:
        """The largest exponent of each variable."""
        highest = np.zeros(len(self.variables), dtype=np.int64)
        np.maximum.at(highest, self.powers.indices, self.powers.data)
        return tuple(highest.tolist())

    def terms(self) -> Iterable[tuple[tuple[int, ...], float]]:
        """Return the pairs (exponents, coefficient), one a monomial, in canonical order."""
        return zip(map(tuple, self.exponents.tolist()), self.coefficients.tolist(), strict=True)

    def coefficient(self, exponents: Sequence[int]) -> float:
        """Return the coefficient of one monomial, 0 if it is absent."""
        wanted = np.asarray(exponents, dtype=np.int64)
        used = np.flatnonzero(wanted)
        rows = np.diff(self.powers.indptr) == len(used)
        if len(used):
            rows &= (self.powers[:, used].toarray() == wanted[used]).all(1)
        return float(self.coefficients[rows].sum())

    def jet(self, exponents: Sequence[int]) -> float:
        """Return the partial derivative of these orders at 0: prod_v exponents[v]! times the coefficient."""
        return self.coefficient(exponents) * math.prod(math.factorial(int(order)) for order in exponents)

    def partial(self, variable: str) -> "SparsePolynomial":
        """Return the derivative by one variable."""
        column = self.variables.index(variable)
        order = self.powers[:, [column]].toarray()[:, 0]
        lowered = self.powers.copy()
        lowered.data = lowered.data - (lowered.indices == column)
        return SparsePolynomial(self.variables, lowered, self.coefficients * order)

    def __call__(self, points: Any) -> Any:
        """Return the values at `points` (..., variables): a tensor for a tensor, a float64 array for anything else."""
        if isinstance(points, Tensor):
            return self._on_tensor(points)
        given = np.asarray(points, dtype=np.float64)
        return self._on_tensor(torch.as_tensor(given)).numpy()

    def _on_tensor(self, points: Tensor) -> Tensor:
        result = points.new_zeros(points.shape[:-1])
        columns = [_powers(points[..., v], power) for v, power in enumerate(self.degrees)]
        starts = np.cumsum([0, *(len(column) for column in columns)])
        factors = torch.stack([power for column in columns for power in column], dim=-1) if columns else points
        coefficients = torch.as_tensor(self.coefficients.copy(), dtype=points.dtype, device=points.device)
        lengths = np.diff(self.powers.indptr)
        rows_at_once = max(1, _VALUES_AT_ONCE // max(1, result.numel()))
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for part in np.array_split(rows, -(-len(rows) // rows_at_once)):
                entries = self.powers.indptr[part][:, None] + np.arange(length)
                places = torch.as_tensor(starts[self.powers.indices[entries]] + self.powers.data[entries])
                product = coefficients[part].expand(*result.shape, len(part))
                for place in places.to(points.device).unbind(1):
                    product = product * factors.index_select(-1, place)
                result = result + product.sum(-1)
        return result

    def size(self, bounds: Sequence[float]) -> float:
        """Return sum_m |coefficient| prod bounds^exponent, a bound of |polynomial| where |x_v| <= bounds[v]."""
        limits = np.asarray(bounds, dtype=np.float64)
        total = 0.0
        lengths = np.diff(self.powers.indptr)
        with np.errstate(over="ignore"):
            for length in np.unique(lengths):
                rows = np.flatnonzero(lengths == length)
                entries = self.powers.indptr[rows][:, None] + np.arange(length)
                magnitudes = np.prod(limits[self.powers.indices[entries]] ** self.powers.data[entries], axis=1)
                total += float(np.abs(self.coefficients[rows]) @ magnitudes)
        return total

    def over(self, variables: Sequence[str]) -> "SparsePolynomial":
        """Return the same polynomial over other names, which must include all that occur in it."""
        names = tuple(variables)
        used = [v for v in range(len(self.variables)) if self.degrees[v] > 0]
        missing = [self.variables[v] for v in used if self.variables[v] not in names]
        if missing:
            raise SettingError(f"the polynomial contains {missing[0]}, which is not among {', '.join(names) or 'none'}")
        place = np.zeros(len(self.variables), dtype=np.int64)
        place[used] = [names.index(self.variables[v]) for v in used]
        entries = (self.powers.data, place[self.powers.indices], self.powers.indptr)
        return SparsePolynomial(names, csr_array(entries, shape=(len(self), len(names))), self.coefficients)

    def __add__(self, other: "SparsePolynomial | float") -> "SparsePolynomial":
        left, right = _common(self, other)
        return SparsePolynomial(
            left.variables,
            vstack([left.powers, right.powers], format="csr"),
            np.concatenate([left.coefficients, right.coefficients]),
        )

    def __mul__(self, other: "SparsePolynomial | float") -> "SparsePolynomial":
        left, right = _common(self, other)
        _check_size(len(left) * len(right))
        first, second = np.divmod(np.arange(len(left) * len(right)), max(1, len(right)))
        factors = left.coefficients[first] * right.coefficients[second]
        return SparsePolynomial(left.variables, left.powers[first] + right.powers[second], factors)

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


def from_members(
    groups: Sequence[np.ndarray], coefficients: np.ndarray, *, variables: Sequence[str]
) -> SparsePolynomial:
    """Return sum_t coefficients[t] prod_{v in members of t} variables[v], every exponent 0 or 1.

    Shapes: each of `groups` (terms, order) of distinct variable indices; `coefficients` (all terms of all groups,).

    Example:
    >>> str(from_members([np.array([[0, 1], [1, 2]])], np.array([0.5, 2.0]), variables=("a", "b", "c")))
    '0.5*a*b + 2*b*c'
    """
    tables = [np.asarray(group, dtype=np.int64) for group in groups]
    lengths = np.concatenate([np.zeros(0, dtype=np.int64), *(np.full(len(t), t.shape[1]) for t in tables)])
    indices = np.concatenate([np.zeros(0, dtype=np.int64), *(table.ravel() for table in tables)])
    names = tuple(variables)
    if len(indices) and not 0 <= indices.min() <= indices.max() < len(names):
        raise SettingError(f"a term names variable {indices.max()}; variables are 0..{len(names) - 1}")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    powers = csr_array((np.ones_like(indices), indices, starts), shape=(len(lengths), len(names)))
    return SparsePolynomial(names, powers, coefficients)


def reduced(polynomial: SparsePolynomial, kind: Kind) -> SparsePolynomial:
    """Return the polynomial of lowest degree with equal values: x^2 = x for bits 0 and 1, x^2 = 1 for spins -1 and 1."""
    if kind == "real":
        return polynomial
    powers = polynomial.powers.copy()
    powers.data = np.minimum(powers.data, 1) if kind == "bit" else powers.data % 2
    return SparsePolynomial(polynomial.variables, powers, polynomial.coefficients)


def _as_rows(exponents: Any) -> csr_array:
    """Return the exponents as sparse rows without stored zeros, columns rising."""
    if issparse(exponents):
        rows = csr_array(exponents, dtype=np.int64, copy=True)
    else:
        table = np.asarray(exponents, dtype=np.int64)
        rows = csr_array(table if table.ndim == 2 else table.reshape(len(table), -1))
    rows.sum_duplicates()
    rows.eliminate_zeros()
    return rows


def _check(names: tuple[str, ...], powers: csr_array, factors: np.ndarray) -> None:
    if len(set(names)) != len(names):
        raise SettingError(f"the variables are {', '.join(names)}; each name may occur once")
    if powers.shape != (len(factors), len(names)):
        needed = f"({len(factors)}, {len(names)}), one row a coefficient, one column a variable"
        raise SettingError(f"the exponents have shape {powers.shape}; it must be {needed}")
    if powers.data.min(initial=0) < 0:
        raise SettingError(f"an exponent is {powers.data.min()}; a polynomial has whole exponents >= 0")
    if not np.isfinite(factors).all():
        raise SettingError("a coefficient is not a finite number; give numbers below 1e308 in size")
    degree = _row_sums(powers).max(initial=0)
    if degree > DEGREE_AT_MOST:
        raise SettingError(f"the degree is {degree}; it must be at most {DEGREE_AT_MOST}")


def _canonical(powers: csr_array, factors: np.ndarray) -> tuple[csr_array, np.ndarray]:
    if not len(factors):
        return powers, factors.copy()
    keys = _sort_keys(powers)
    order = np.lexsort(keys.T[::-1])
    keys, factors = keys[order], factors[order]
    fresh = np.concatenate([[True], (keys[1:] != keys[:-1]).any(1)])
    merged = np.add.reduceat(factors, np.flatnonzero(fresh))
    kept = merged != 0.0
    return powers[order[fresh][kept]], merged[kept]


def _row_sums(powers: csr_array) -> np.ndarray:
    return np.asarray(powers.sum(1)).reshape(-1)


def _sort_keys(powers: csr_array) -> np.ndarray:
    """Return (monomials, 1 + 2 width): the degree, then index and -power of every factor; rows sort as dense ones would.

    At the first difference of two monomials of one degree the one with the smaller index, or of equal indices the one with
    the larger power, comes first.
    """
    lengths = np.diff(powers.indptr)
    width = int(lengths.max(initial=0))
    keys = np.zeros((len(lengths), 1 + 2 * width), dtype=np.int64)
    keys[:, 0] = _row_sums(powers)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    places = np.arange(len(rows)) - (np.cumsum(lengths) - lengths)[rows]
    keys[rows, 1 + 2 * places] = powers.indices
    keys[rows, 2 + 2 * places] = np.negative(powers.data)
    return keys


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

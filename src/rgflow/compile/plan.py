"""What is multiplied with what, level after level, before any activation is chosen.

A level turns the values before it into products and carried values, in this order. All values are normalised to size <= 1:
a value stands for `magnitude` times itself. Level 0 are the inputs themselves, with their half-widths as magnitudes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = [
    "Form",
    "Gate",
    "Level",
    "Monomial",
    "Output",
    "Plan",
    "label_of",
    "magnitude_of",
    "monomials_of",
    "normalised",
]

Monomial = tuple[tuple[int, int], ...]  # (variable, exponent > 0), variables ascending


@dataclass(frozen=True)
class Form:
    """A sum of values of the level before: coefficients[i] times the normalised value `indices[i]`."""

    indices: tuple[int, ...]
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class Gate:
    """A product of forms, each to its power; one form to the first power is a value that is only carried."""

    forms: tuple[Form, ...]
    powers: tuple[int, ...]
    label: str

    @property
    def degree(self) -> int:
        """The number of factors."""
        return sum(self.powers)


@dataclass(frozen=True)
class Level:
    """The products and the carried values of one level, in the order of the values they give."""

    products: tuple[Gate, ...]
    carried: tuple[Gate, ...]

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Products first, carried values behind them."""
        return self.products + self.carried


@dataclass(frozen=True)
class Output:
    """One output: a form of the last level's values, in the output's own units, and a constant."""

    form: Form
    constant: float


@dataclass(frozen=True)
class Plan:
    """All levels and the outputs; `binary_products` counts two-factor products without any sharing."""

    inputs: int
    levels: tuple[Level, ...]
    outputs: tuple[Output, ...]
    binary_products: int

    @property
    def products(self) -> int:
        """How many products are formed."""
        return sum(len(level.products) for level in self.levels)


def monomials_of(polynomial: SparsePolynomial) -> list[tuple[Monomial, float]]:
    """Return the monomials and their coefficients; the constant is the empty monomial."""
    rows, columns = np.nonzero(polynomial.exponents)
    powers = polynomial.exponents[rows, columns]
    found: list[list[tuple[int, int]]] = [[] for _ in range(len(polynomial))]
    for row, column, power in zip(rows.tolist(), columns.tolist(), powers.tolist(), strict=True):
        found[row].append((column, power))
    return [(tuple(monomial), c) for monomial, c in zip(found, polynomial.coefficients.tolist(), strict=True)]


def magnitude_of(monomial: Monomial, bounds: Sequence[float]) -> float:
    """Return the largest size of a monomial where |x_v| <= bounds[v]."""
    size = 1.0
    for variable, power in monomial:
        size *= float(bounds[variable]) ** power
    return size


def label_of(monomial: Monomial, names: Sequence[str]) -> str:
    """Return a monomial as text."""
    return "*".join(names[v] if power == 1 else f"{names[v]}**{power}" for v, power in monomial) or "1"


def normalised(terms: Sequence[tuple[int, float]]) -> tuple[Form, float]:
    """Return the form sum_i c_i v_i divided by its magnitude sum |c_i|, and the magnitude."""
    size = sum(abs(coefficient) for _, coefficient in terms)
    return Form(tuple(index for index, _ in terms), tuple(c / size for _, c in terms)), size

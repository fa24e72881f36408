"""From what a user has to polynomials: text, SymPy expressions, Hamiltonians, fitted scikit-learn pipelines.

A string is read by a small parser of its own: numbers, names, pi, + - * ** ^ / and parentheses; nothing is executed.
Top-level commas separate outputs. Division is by numbers only. All outputs share one tuple of variables.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rgflow.compile.linear_model import is_pipeline, read_pipeline
from rgflow.compile.text_reader import read_text
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import Kind, SparsePolynomial, from_terms, reduced
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["kind_of", "natural_order", "parse"]

_SHOWN = 48  # characters of an expression that an error repeats


def parse(
    expression: Any, *, variables: Sequence[str] | None = None, kind: Kind | None = None
) -> tuple[SparsePolynomial, ...]:
    """Return the polynomials of `expression`, one an output, all over the same variables.

    `expression` is a string ("x*y + 2*x**2, x - y": two outputs), a SymPy expression, a `SparsePolynomial`, a
    `Hamiltonian`, a fitted scikit-learn pipeline of PolynomialFeatures and a linear model, or a sequence of these.
    `variables` fixes their names and order; without it they are the names that occur in text, x2 before x10, or those that
    a polynomial, Hamiltonian or pipeline declares. With `kind` "bit"
    (0, 1) or "spin" (-1, 1) powers are reduced by x^2 = x or x^2 = 1; None is `kind_of(expression)`.
    Raises: SettingError for text that cannot be read (with the character), division by anything but a number, functions,
    exponents that are no whole number >= 0, complex numbers, names not among `variables`, no variable at all.

    Example:
    >>> [str(p) for p in parse("(x + y)**2, 3*x/2")]
    ['x**2 + 2*x*y + y**2', '1.5*x']
    """
    kind = kind_of(expression) if kind is None else kind
    if kind not in ("real", "bit", "spin"):
        raise SettingError(f"kind is {kind!r}; it must be 'real', 'bit' or 'spin'")
    given = None if variables is None else tuple(str(name) for name in variables)
    found = [polynomial for part in _parts(expression) for polynomial in _read(part, given)]
    if not found:
        raise SettingError("the expression is empty; give a polynomial such as 'x*y + 2*x**2'")
    names = given or _names(_parts(expression), found)
    if not names:
        raise SettingError(f"the expression {_shown(str(found[0]))} contains no variable; there is nothing to compile")
    return tuple(reduced(polynomial.over(names), kind) for polynomial in found)


def _names(parts: list[Any], found: list[SparsePolynomial]) -> tuple[str, ...]:
    """Return the variables that text and SymPy mention; all that polynomials made elsewhere declare, in their order."""
    if any(isinstance(part, str) or not _declares(part) for part in parts):
        return natural_order({name for p in found for name, order in _used(p) if order})
    return tuple(dict.fromkeys(name for p in found for name in p.variables))


def _declares(part: Any) -> bool:
    return isinstance(part, SparsePolynomial | Hamiltonian) or is_pipeline(part)


def kind_of(expression: Any) -> Kind:
    """Return "spin" or "bit" for a Hamiltonian of such variables (categories count as indicator bits), else "real"."""
    kinds = {part.kind for part in _parts(expression) if isinstance(part, Hamiltonian)}
    if kinds == {"spin"}:
        return "spin"
    return "bit" if kinds and kinds <= {"bit", "categorical"} else "real"


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in alphabetical order, numbers inside them by size: x2 before x10."""
    return tuple(
        sorted(names, key=lambda name: [(len(t), t) if t.isdigit() else (0, t) for t in re.split(r"(\d+)", name)])
    )


def _used(polynomial: SparsePolynomial) -> Iterable[tuple[str, int]]:
    return zip(polynomial.variables, polynomial.degrees, strict=True)


def _parts(expression: Any) -> list[Any]:
    if isinstance(expression, list | tuple):
        return list(expression)
    return [expression]


def _read(part: Any, names: tuple[str, ...] | None) -> list[SparsePolynomial]:
    if isinstance(part, SparsePolynomial):
        return [part]
    if isinstance(part, Hamiltonian):
        return [part.polynomial]
    if is_pipeline(part):
        return read_pipeline(part)
    if isinstance(part, str):
        return read_text(part, names)
    if isinstance(part, complex):
        raise SettingError(f"the expression is the complex number {part}; only real polynomials can be compiled")
    return [_from_sympy(part, names)]


def _from_sympy(given: Any, names: tuple[str, ...] | None) -> SparsePolynomial:
    import sympy

    expression = given.as_expr() if isinstance(given, sympy.Poly) else given
    if not isinstance(expression, sympy.Expr):
        what = type(given).__name__
        raise SettingError(f"the expression is a {what}; give a string, a SymPy expression or a SparsePolynomial")
    symbols = sorted(expression.free_symbols, key=str)
    for symbol in symbols:
        if names is not None and str(symbol) not in names:
            raise SettingError(f"{symbol} is not among the variables {', '.join(names)}; coefficients must be numbers")
    if not symbols:
        return from_terms({(): _number(expression)}, variables=())
    try:
        table = sympy.Poly(expression, *symbols)
    except sympy.PolynomialError as error:
        raise SettingError(
            f"{_shown(str(expression))} is not a polynomial in {', '.join(map(str, symbols))}"
        ) from error
    return from_terms({powers: _number(c) for powers, c in table.terms()}, variables=[str(s) for s in symbols])


def _number(value: Any) -> float:
    """Return a SymPy number as a float."""
    try:
        number = float(value)
    except TypeError as error:
        raise SettingError(f"the coefficient {_shown(str(value))} is not a real number") from error
    if not math.isfinite(number):
        raise SettingError(f"the coefficient {_shown(str(value))} is too large for a float64 number")
    return number


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")

"""The terms of polynomials as exact rational numbers, from whatever a user wrote.

Text and SymPy expressions keep the numbers as typed ("0.1" is 1/10, "x/3" has 1/3); floats in a `SparsePolynomial` are
the exact binary fractions they are. An irrational factor of a whole polynomial (pi*x*y) is divided out: no rank depends
on it; irrational ratios of coefficients are refused, for a rank of rounded numbers proves nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rgflow.compile.parsing import natural_order, parse
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["ExactPolynomials", "Exponent", "Terms", "exact_polynomials"]

Exponent = tuple[int, ...]
Terms = Mapping[Exponent, Fraction]

_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*")


@dataclass(frozen=True)
class ExactPolynomials:
    """Polynomials in the same variables: for each output, exponent -> coefficient, no coefficient 0."""

    variables: tuple[str, ...]
    outputs: tuple[Terms, ...]

    @property
    def degrees(self) -> frozenset[int]:
        """The degrees of the terms that occur."""
        return frozenset(sum(s) for terms in self.outputs for s in terms)

    @property
    def degree(self) -> int:
        """The largest degree, 0 for constants."""
        return max(self.degrees, default=0)


def exact_polynomials(expression: Any) -> ExactPolynomials:
    """Return the exact terms of `expression`: what `parse` takes, or a list of such for several outputs.

    Raises: SettingError wherever `parse` does, and for a polynomial that is 0.
    """
    parse(expression)  # refuses what is no polynomial, and text that is more than sums, products and powers
    parts = expression if isinstance(expression, list | tuple) else [expression]
    found = [terms for part in parts for terms in _named_terms(part)]
    if not any(found):
        raise SettingError(f"the polynomial {expression!s} is 0; give one with at least one term")
    names = natural_order({name for terms in found for monomial in terms for name in dict(monomial)})
    outputs = [{_exponent(monomial, names): value for monomial, value in terms.items()} for terms in found]
    return ExactPolynomials(names, tuple(outputs))


_Named = dict[tuple[tuple[str, int], ...], Fraction]


def _exponent(monomial: tuple[tuple[str, int], ...], names: tuple[str, ...]) -> Exponent:
    powers = dict(monomial)
    return tuple(powers.get(name, 0) for name in names)


def _named_terms(part: Any) -> list[_Named]:
    """The terms of one part by names of variables; text may hold several outputs."""
    if isinstance(part, SparsePolynomial):
        return [_collected(part.variables, ((s, Fraction(value)) for s, value in part.terms()))]
    import sympy  # half a second to import; a SparsePolynomial does without

    expressions = _symbolic(part) if isinstance(part, str) else [part.as_expr()]
    result = []
    for expression in expressions:
        symbols = sorted(expression.free_symbols, key=str)
        terms = sympy.Poly(expression, *symbols).terms() if symbols else [((), expression)]
        values = _rational([value for _, value in terms])
        result.append(_collected([str(s) for s in symbols], zip((s for s, _ in terms), values, strict=True)))
    return result


def _collected(variables: Any, terms: Any) -> _Named:
    return {
        tuple((name, int(power)) for name, power in zip(variables, s, strict=True) if power): value
        for s, value in terms
        if value
    }


def _symbolic(text: str) -> list[Any]:
    """Text that `parse` has found to be arithmetic, as SymPy expressions with decimals as typed."""
    from sympy import Integer, Rational, Symbol, pi
    from sympy.parsing.sympy_parser import auto_number, convert_xor, parse_expr

    names = {name: pi if name == "pi" else Symbol(name) for name in _NAME.findall(text)}
    # Any name may be a word of Python; numbered ones stand in for them while the text is read.
    numbered = {name: f"v{k}" for k, name in enumerate(names)}
    renamed = _NAME.sub(lambda match: numbered[match[0]], text)
    found = parse_expr(
        renamed.strip(),
        local_dict={numbered[name]: symbol for name, symbol in names.items()},
        # Decimals become fractions where SymPy would make floats of them.
        global_dict={"Integer": Integer, "Rational": Rational, "Float": Rational},
        transformations=(auto_number, convert_xor),
    )
    return list(found) if isinstance(found, tuple) else [found]


def _rational(values: list[Any]) -> list[Fraction]:
    """The coefficients as fractions, up to one common factor where they are not rational."""
    if not all(value.is_Rational or value.is_Float for value in values):
        values = [(value / values[0]).simplify() for value in values]
    for value in values:
        if not (value.is_Rational or value.is_Float):
            raise SettingError(
                f"the ratio {value} of two coefficients is irrational, and the rank of rounded numbers proves nothing;"
                " give rational coefficients, or a SparsePolynomial, whose floats are taken as exact"
            )
    # A SymPy float counts as the shortest decimal that names it, as in text.
    return [Fraction(repr(float(v))) if v.is_Float else Fraction(int(v.p), int(v.q)) for v in values]

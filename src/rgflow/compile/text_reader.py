"""Reading the text of a polynomial by recursive descent, without executing anything.

Grammar: outputs are sums separated by commas; a sum has terms, a term has factors joined by * (or / before a number),
a factor is a number, a name or a sum in parentheses, with an exponent behind ** or ^. Errors point at the character.
"""

import math
import re
from dataclasses import dataclass, field

from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import DEGREE_AT_MOST, MONOMIALS_AT_MOST, SparsePolynomial, from_terms

__all__ = ["read_text"]

_TOKEN = re.compile(r"\s*(?:((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|([^\W\d]\w*)|(\*\*|[-+*/^(),]))")
_SHOWN = 24  # characters shown on either side of the one at fault
_NESTED_AT_MOST = 100  # far from Python's own limit, 1000 frames at five a parenthesis

_Monomial = tuple[tuple[str, int], ...]  # (name, exponent), names ascending; light while thousands are being read
_Terms = dict[_Monomial, float]


def read_text(text: str, names: tuple[str, ...] | None) -> list[SparsePolynomial]:
    """Return the polynomials in `text`, one an output; `names`, if given, are the only variables allowed.

    The name pi is the number unless it is among `names`.
    Raises: SettingError with the character at fault, or for an expansion beyond a million monomials.
    """
    return [_polynomial(terms) for terms in _Reader(text, names).outputs()]


def _polynomial(terms: _Terms) -> SparsePolynomial:
    names = tuple(sorted({name for monomial in terms for name, _ in monomial}))
    place = {name: column for column, name in enumerate(names)}
    table: dict[tuple[int, ...], float] = {}
    for monomial, coefficient in terms.items():
        row = [0] * len(names)
        for name, power in monomial:
            row[place[name]] = power
        table[tuple(row)] = coefficient
    return from_terms(table, variables=names)


@dataclass(frozen=True)
class _Token:
    """A number, a name, a sign or the end, and the place of its first character."""

    kind: str
    text: str
    place: int


@dataclass
class _Reader:
    """The tokens of one text and the place reached; only parentheses recurse."""

    text: str
    names: tuple[str, ...] | None
    tokens: list[_Token] = field(init=False)
    position: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        self.tokens = self._tokens()

    def outputs(self) -> list[_Terms]:
        if self._now().kind == "end":
            raise SettingError("the expression is empty; give a polynomial such as 'x*y + 2*x**2'")
        found = [self._sum()]
        while self._accept(","):
            found.append(self._sum())
        if self._now().kind != "end":
            raise self._fault(self._now(), "write * between two factors" if self._now().kind != "sign" else "")
        return found

    def _tokens(self) -> list[_Token]:
        tokens, place, end = [], 0, len(self.text.rstrip())
        while place < end:
            match = _TOKEN.match(self.text, place)
            if match is None:
                place += len(self.text[place:]) - len(self.text[place:].lstrip())
                raise self._fault(_Token("sign", self.text[place], place), "")
            group = match.lastindex or 1
            tokens.append(_Token(("number", "name", "sign")[group - 1], match[group], match.start(group)))
            place = match.end()
        return [*tokens, _Token("end", "the end", end)]

    def _now(self) -> _Token:
        return self.tokens[self.position]

    def _accept(self, *signs: str) -> _Token | None:
        token = self._now()
        if token.kind == "sign" and token.text in signs:
            self.position += 1
            return token
        return None

    def _fault(self, token: _Token, advice: str) -> SettingError:
        start = max(0, token.place - _SHOWN)
        around = self.text[start : token.place] + "»" + self.text[token.place : token.place + _SHOWN]
        around = ("..." if start else "") + around + ("..." if token.place + _SHOWN < len(self.text) else "")
        what = token.text if token.kind == "end" else repr(token.text)
        sentence = f"the expression cannot be read at character {token.place + 1}, {what}, marked by » in {around!r}"
        return SettingError(sentence + (f"; {advice}" if advice else ""))

    def _sum(self) -> _Terms:
        total: _Terms = {}
        sign = self._accept("+", "-")
        while True:
            factor = -1.0 if sign is not None and sign.text == "-" else 1.0
            for monomial, coefficient in self._product().items():
                total[monomial] = total.get(monomial, 0.0) + factor * coefficient
            sign = self._accept("+", "-")
            if sign is None:
                return total

    def _product(self) -> _Terms:
        result = self._power()
        while sign := self._accept("*", "/"):
            place = self._now()
            factor = self._power()
            result = self._times(result, factor, place) if sign.text == "*" else self._over(result, factor, place)
        return result

    def _over(self, terms: _Terms, divisor: _Terms, place: _Token) -> _Terms:
        if any(divisor):
            raise self._fault(place, "a polynomial can be divided by numbers only")
        number = divisor.get((), 0.0)
        if number == 0.0:
            raise self._fault(place, "the divisor is 0")
        return {monomial: coefficient / number for monomial, coefficient in terms.items()}

    def _power(self) -> _Terms:
        negative = False
        while sign := self._accept("+", "-"):
            negative ^= sign.text == "-"
        base = self._atom()
        if self._accept("**", "^"):
            place = self._now()
            base = self._raised(base, self._exponent(self._power(), place), place)
        return {monomial: -coefficient for monomial, coefficient in base.items()} if negative else base

    def _exponent(self, power: _Terms, place: _Token) -> int:
        value = power.get((), 0.0)
        if any(power) or value < 0 or not value.is_integer():
            raise self._fault(place, "an exponent must be a whole number >= 0")
        return int(value)

    def _raised(self, base: _Terms, exponent: int, place: _Token) -> _Terms:
        degree = max((sum(power for _, power in monomial) for monomial in base), default=0)
        if degree * exponent > DEGREE_AT_MOST:
            raise self._fault(place, f"the degree would exceed {DEGREE_AT_MOST}")
        if len(base) > 1 and math.comb(len(base) - 1 + exponent, len(base) - 1) > MONOMIALS_AT_MOST:
            raise self._fault(place, f"the expansion could have more than {MONOMIALS_AT_MOST:,} monomials")
        if not any(base):
            return self._finite({(): _float_power(base.get((), 0.0), exponent)}, place)
        result: _Terms = {(): 1.0}
        while exponent:
            result = self._times(result, base, place) if exponent % 2 else result
            exponent //= 2
            base = self._times(base, base, place) if exponent else base
        return result

    def _times(self, left: _Terms, right: _Terms, place: _Token) -> _Terms:
        if len(left) * len(right) > MONOMIALS_AT_MOST:
            raise self._fault(place, f"the expansion could have more than {MONOMIALS_AT_MOST:,} monomials")
        result: _Terms = {}
        for first, a in left.items():
            for second, b in right.items():
                monomial = _merged(first, second)
                result[monomial] = result.get(monomial, 0.0) + a * b
        return self._finite(result, place)

    def _finite(self, terms: _Terms, place: _Token) -> _Terms:
        if not all(map(math.isfinite, terms.values())):
            raise self._fault(place, "a coefficient becomes too large for a float64 number")
        return terms

    def _atom(self) -> _Terms:
        token = self._now()
        if token.kind == "end" or (token.kind == "sign" and token.text != "("):
            raise self._fault(token, "a number, a name or ( is expected")
        self.position += 1
        if token.kind == "sign":
            return self._inner(token)
        return self._constant(token) if token.kind == "number" else self._named(token)

    def _inner(self, opening: _Token) -> _Terms:
        self.depth += 1
        if self.depth > _NESTED_AT_MOST:
            raise self._fault(opening, f"parentheses may be nested {_NESTED_AT_MOST} deep")
        inside = self._sum()
        if self._accept(")") is None:
            raise self._fault(self._now(), f"the parenthesis of character {opening.place + 1} is not closed")
        self.depth -= 1
        return inside

    def _constant(self, token: _Token) -> _Terms:
        following = self._now()
        if following.text in ("j", "J") and following.place == token.place + len(token.text):
            raise self._fault(token, "complex numbers have no real network")
        return self._finite({(): float(token.text)}, token)

    def _named(self, token: _Token) -> _Terms:
        name = token.text
        if self._now().kind == "sign" and self._now().text == "(":
            raise self._fault(token, f"{name}(...) is no polynomial; for a product write {name}*(...)")
        if self.names is None or name not in self.names:
            if name == "pi":
                return {(): math.pi}
            if name == "I":
                raise self._fault(token, "I is the imaginary unit, and complex numbers have no real network")
            if self.names is not None:
                raise self._fault(token, f"coefficients must be numbers; the variables are {', '.join(self.names)}")
        return {((name, 1),): 1.0}


def _merged(first: _Monomial, second: _Monomial) -> _Monomial:
    if not first or not second:
        return first or second
    powers = dict(first)
    for name, power in second:
        powers[name] = powers.get(name, 0) + power
    return tuple(sorted(powers.items()))


def _float_power(base: float, exponent: int) -> float:
    try:
        return base**exponent
    except OverflowError:
        return math.inf

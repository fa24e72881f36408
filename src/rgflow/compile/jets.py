"""The derivatives of activations at 0, exactly: the numbers sigma_k that a network's Taylor polynomial is made of.

sigma_k = d^k sigma / dz^k at z = 0. All are rational up to one transcendental number, which some of them share: ln 2 in
softplus(0), 1 / sqrt(2 pi) in GELU; it is kept apart, so that ranks stay exact. A factor common to all of them
(2 / sqrt(pi) in erf) is left out: no rank depends on it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rgflow.errors import SettingError

__all__ = ["Jet", "jet_of", "named_jets"]

_Series = list[Fraction]  # Taylor coefficients sigma_k / k!


@dataclass(frozen=True)
class Jet:
    """sigma_0, sigma_1, ... at 0, as `rational[k]`, times one transcendental number where k is in `generic`.

    `factor` is that number as a float; `source` names the activation, or says where the numbers come from.
    """

    rational: tuple[Fraction, ...]
    source: str
    generic: frozenset[int] = frozenset()
    factor: float = 1.0

    def number(self, k: int) -> float:
        """Return sigma_k as a float (of erf: without the factor common to all k)."""
        return float(self.rational[k]) * (self.factor if k in self.generic else 1.0)


def named_jets() -> tuple[str, ...]:
    """Return the names of the activations whose derivatives at 0 are known here."""
    return tuple(sorted(_SERIES))


def jet_of(derivatives: "str | Sequence[float | Fraction] | None", *, degree: int) -> Jet:
    """Return sigma_0 .. sigma_degree of a named activation, of a sequence of numbers (floats as exact binary fractions),
    or all 1 for None.

    Raises: SettingError for a name that is not known here, too few numbers, or numbers that are not finite.

    Example:
    >>> [int(value) for value in jet_of("tanh", degree=5).rational]
    [0, 1, 0, -2, 0, 16]
    """
    if derivatives is None:
        return Jet((Fraction(1),) * (degree + 1), "sigma_k = 1, as those of exp")
    if isinstance(derivatives, str):
        return _named(derivatives, degree)
    values = tuple(derivatives)
    if len(values) <= degree:
        raise SettingError(
            f"derivatives has {len(values)} numbers; a polynomial of degree {degree} needs sigma_0 to sigma_{degree},"
            f" {degree + 1} numbers"
        )
    if not all(isinstance(value, Fraction) or math.isfinite(value) for value in values):
        raise SettingError(f"derivatives is {values}; every sigma_k must be a finite number")
    return Jet(tuple(Fraction(value) for value in values[: degree + 1]), "sigma_k as given")


def _named(name: str, degree: int) -> Jet:
    name = name.strip().lower()
    series = _SERIES.get(name)
    if series is None:
        raise SettingError(
            f"the derivatives of {name!r} at 0 are not known exactly here; known are {', '.join(named_jets())}; for"
            " another analytic activation give sigma_0, sigma_1, ... as numbers"
        )
    factorials = (math.factorial(k) for k in range(degree + 1))
    values = tuple(factorial * value for factorial, value in zip(factorials, series(degree), strict=True))
    generic, factor = _TRANSCENDENTAL.get(name, (range(0), 1.0))
    return Jet(values, name, frozenset(generic) & frozenset(range(degree + 1)), factor)


def _riccati(start: Fraction, *, constant: int, linear: int, square: int) -> Callable[[int], _Series]:
    """The series of y' = constant + linear y + square y^2 with y(0) = start."""

    def series(degree: int) -> _Series:
        y = [start]
        for k in range(degree):
            product = sum((y[i] * y[k - i] for i in range(k + 1)), Fraction(0))
            y.append((constant * (k == 0) + linear * y[k] + square * product) / (k + 1))
        return y

    return series


_exp = _riccati(Fraction(1), constant=0, linear=1, square=0)
_sigmoid = _riccati(Fraction(1, 2), constant=0, linear=1, square=-1)
_tanh = _riccati(Fraction(0), constant=1, linear=0, square=-1)


def _integrated(series: Callable[[int], _Series], *, start: int) -> Callable[[int], _Series]:
    return lambda degree: [Fraction(start), *(value / (k + 1) for k, value in enumerate(series(degree)))][: degree + 1]


def _times_z(series: Callable[[int], _Series]) -> Callable[[int], _Series]:
    return lambda degree: [Fraction(0), *series(degree)][: degree + 1]


def _by_degree(coefficient: Callable[[int], Fraction | int]) -> Callable[[int], _Series]:
    return lambda degree: [Fraction(coefficient(k)) for k in range(degree + 1)]


def _gaussian(k: int) -> Fraction:
    """Coefficient of z^k in exp(-z^2 / 2)."""
    return Fraction((-1) ** (k // 2), 2 ** (k // 2) * math.factorial(k // 2)) if k % 2 == 0 else Fraction(0)


def _error_function(k: int) -> Fraction:
    """Coefficient of z^k in sqrt(pi) erf(z) / 2 = z - z^3/3 + z^5/10 - ..."""
    half = k // 2
    return Fraction((-1) ** half, k * math.factorial(half)) if k % 2 else Fraction(0)


def _normal_distribution(degree: int) -> _Series:
    """Phi(z): 1/2, then the integrated Gaussian without its factor 1 / sqrt(2 pi)."""
    return [Fraction(1, 2), *_integrated(_by_degree(_gaussian), start=0)(degree)[1:]]


def _softplus(degree: int) -> _Series:
    # The constant is ln 2; it stands as 1, marked generic.
    return _integrated(_sigmoid, start=1)(degree)


# Degrees whose derivative carries the transcendental number, and that number.
_TRANSCENDENTAL: dict[str, tuple[range, float]] = {
    "softplus": (range(1), math.log(2.0)),
    "logsigmoid": (range(1), math.log(2.0)),
    "gelu": (range(2, 100, 2), 1.0 / math.sqrt(2.0 * math.pi)),
}

_SERIES: dict[str, Callable[[int], _Series]] = {
    "exp": _exp,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "softplus": _softplus,
    "logsigmoid": lambda degree: [-((-1) ** k) * value for k, value in enumerate(_softplus(degree))],
    "silu": _times_z(_sigmoid),
    "gelu": _times_z(_normal_distribution),
    "erf": _by_degree(_error_function),
    "arctan": _by_degree(lambda k: Fraction((-1) ** (k // 2), k) if k % 2 else 0),
    "sin": _by_degree(lambda k: Fraction((-1) ** (k // 2) * (k % 2), math.factorial(k))),
    "cos": _by_degree(lambda k: Fraction((-1) ** (k // 2) * (1 - k % 2), math.factorial(k))),
    "sinh": _by_degree(lambda k: Fraction(k % 2, math.factorial(k))),
    "cosh": _by_degree(lambda k: Fraction(1 - k % 2, math.factorial(k))),
    "square": _by_degree(lambda k: int(k == 2)),
    "cube": _by_degree(lambda k: int(k == 3)),
    "identity": _by_degree(lambda k: int(k == 1)),
}

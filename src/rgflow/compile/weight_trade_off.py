"""What a network below the width bound can still do, and the weights it pays for it.

With fewer neurons than the bound no weights solve the moment equations
    sum_j w_oj a_j^s = L_o(s) = s! p_o,s / sigma_|s|,   |s| <= d,
but their misfit has no positive infimum in general: it falls as the weights grow. The search is a bounded least-squares
fit from many starts, so a residual is what some network reaches; a smaller one may exist.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.optimize import least_squares

from rgflow.compile.exact_terms import Terms, exact_polynomials
from rgflow.compile.jets import Jet, jet_of
from rgflow.compile.width_bound import Family, matched_degrees
from rgflow.errors import SettingError

__all__ = ["TradeOff", "trade_off"]

_LARGEST = 4_000_000  # entries of the Jacobian; one step of a fit then takes some seconds

_SOLVED = 1e-13  # the misfit of an exact solution is a few roundings of moments of order 1


@dataclass(frozen=True)
class TradeOff:
    """The smallest misfit found for each bound on the weights.

    `residuals`: largest |sum_j w_oj a_j^s - L_o(s)| of the best fit, an upper bound on the true minimum.
    """

    neurons: int
    family: Family
    weights: tuple[float, ...]
    residuals: tuple[float, ...]
    starts: int
    seed: int


@dataclass(frozen=True)
class _Equations:
    """Exponents (equations, variables) and targets (outputs, equations)."""

    exponents: np.ndarray
    targets: np.ndarray

    def unpack(self, flat: np.ndarray, neurons: int) -> tuple[np.ndarray, np.ndarray]:
        """Return outer weights (outputs, neurons) and inner weights (neurons, variables)."""
        outputs = len(self.targets)
        return flat[: outputs * neurons].reshape(outputs, neurons), flat[outputs * neurons :].reshape(neurons, -1)

    def misfit(self, flat: np.ndarray, neurons: int) -> np.ndarray:
        outer, inner = self.unpack(flat, neurons)
        return (outer @ _monomials(inner, self.exponents).T - self.targets).ravel()

    def jacobian(self, flat: np.ndarray, neurons: int) -> np.ndarray:
        outer, inner = self.unpack(flat, neurons)
        by_outer = np.kron(np.eye(len(outer)), _monomials(inner, self.exponents))
        units = np.eye(inner.shape[1], dtype=int)
        slopes = [
            self.exponents[:, i, None] * _monomials(inner, np.maximum(self.exponents - units[i], 0))
            for i in range(inner.shape[1])
        ]
        by_inner = outer[:, None, :, None] * np.stack(slopes, axis=-1)
        return np.concatenate([by_outer, by_inner.reshape(len(by_outer), -1)], axis=1)


def _monomials(inner: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return a_j^s, shape (exponents, neurons)."""
    return (inner[None] ** exponents[:, None, :]).prod(-1)


def trade_off(
    expression: object,
    neurons: int,
    weights: Sequence[float],
    *,
    derivatives: str | Sequence[float | Fraction] | None = None,
    family: Family = "plain",
    starts: int = 20,
    seed: int = 0,
) -> TradeOff:
    """Return the best misfit of the moment equations with that many neurons and all |weights| <= A, for each A.

    `weights` are the bounds A, in ascending order; `starts` random starts are tried for each, and the best fit of the
    bound before. A residual near 1e-15 means that the network exists: the width bound is attained.
    Errors: each residual belongs to weights that were found; it bounds the true minimum from above only.
    Raises: SettingError for bounds that do not ascend, for family="hidden-bias" (other equations), beyond 4e6
    derivatives, and wherever `shallow_width_bound` does.

    Example:
    >>> trade_off("x*y", 4, [10.0], starts=5).residuals[0] < 1e-9
    True
    """
    bounds = _checked(neurons, weights, family=family, starts=starts)
    polynomials = exact_polynomials(expression)
    jet = jet_of(derivatives, degree=polynomials.degree)
    matched = matched_degrees(polynomials, jet=jet, family=family)
    equations = _equations(polynomials.outputs, jet=jet, matched=matched, neurons=neurons)
    size = neurons * (len(equations.targets) + equations.exponents.shape[1])
    generator = np.random.default_rng(seed)
    residuals: list[float] = []
    before = np.zeros(size)
    for bound in bounds:
        best = before
        for begin in (before, *generator.normal(size=(starts, size)).clip(-0.99 * bound, 0.99 * bound)):
            fit = _fitted(equations, begin, neurons=neurons, bound=bound)
            best = min(best, fit, key=lambda flat: _largest_misfit(equations, flat, neurons))
            if _largest_misfit(equations, best, neurons) < _SOLVED:
                break
        before = best
        residuals.append(_largest_misfit(equations, best, neurons))
    return TradeOff(neurons, family, bounds, tuple(residuals), starts, seed)


def _largest_misfit(equations: _Equations, flat: np.ndarray, neurons: int) -> float:
    return float(np.abs(equations.misfit(flat, neurons)).max())


def _fitted(equations: _Equations, begin: np.ndarray, *, neurons: int, bound: float) -> np.ndarray:
    tight = 1e-15  # the steps stop at rounding, so that an exact solution is seen as one
    fit = least_squares(
        equations.misfit,
        begin,
        equations.jacobian,  # type: ignore[arg-type] # SciPy's stub knows the names of its own methods only
        bounds=(-bound, bound),
        args=(neurons,),
        xtol=tight,
        ftol=tight,
        gtol=tight,
        max_nfev=400,
    )
    return np.asarray(fit.x)


def _equations(outputs: Sequence[Terms], *, jet: Jet, matched: frozenset[int], neurons: int) -> _Equations:
    variables = len(next(iter(s for terms in outputs for s in terms)))
    exponents = [s for k in sorted(matched) for s in _exponents(k, variables)]
    size = len(exponents) * len(outputs) * neurons * (variables + len(outputs))
    if size > _LARGEST:
        raise SettingError(
            f"the trade-off needs {size} derivatives for each step of a fit and at most {_LARGEST} are taken; use fewer"
            " variables, neurons or a lower degree"
        )
    targets = [[_moment(terms.get(s, Fraction(0)), s, jet) for s in exponents] for terms in outputs]
    return _Equations(np.array(exponents), np.array(targets))


def _exponents(degree: int, variables: int) -> list[tuple[int, ...]]:
    """All exponents of one degree, as the gaps between variables - 1 bars among the units."""
    places = itertools.combinations(range(degree + variables - 1), variables - 1)
    ends = [(-1, *bars, degree + variables - 1) for bars in places]
    return [tuple(right - left - 1 for left, right in itertools.pairwise(bars)) for bars in ends]


def _moment(coefficient: Fraction, s: tuple[int, ...], jet: Jet) -> float:
    return float(coefficient * math.prod(map(math.factorial, s))) / jet.number(sum(s))


def _checked(neurons: int, weights: Sequence[float], *, family: Family, starts: int) -> tuple[float, ...]:
    bounds = tuple(float(bound) for bound in weights)
    if not bounds or any(not 0.0 < bound < math.inf for bound in bounds) or list(bounds) != sorted(set(bounds)):
        raise SettingError(f"weights is {bounds}; give finite positive bounds in ascending order, as in (5, 10, 20)")
    if neurons < 1 or starts < 1:
        raise SettingError(f"neurons is {neurons} and starts {starts}; both must be at least 1")
    if family == "hidden-bias":
        raise SettingError("the trade-off is not defined for family 'hidden-bias'; choose one without hidden biases")
    return bounds

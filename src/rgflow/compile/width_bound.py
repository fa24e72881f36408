"""How many neurons one hidden layer needs to agree with a polynomial at 0: a lower bound with its proof in ranks.

Convention: f_o(x) = sum_j w_oj sigma(a_j.x) and f = p + O(|x|^(d+1)), d the degree of p; `family` says what else the
network has. The bound is for exact agreement of Taylor polynomials. A network with fewer neurons can still come close
to p with large weights (`trade_off`); it never has p as its Taylor polynomial, whatever its weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from rgflow.compile.completion_rank import BlockRank, best_staircase
from rgflow.compile.exact_terms import ExactPolynomials, exact_polynomials
from rgflow.compile.jets import Jet, jet_of
from rgflow.compile.moment_matrix import moment_matrix
from rgflow.errors import SettingError

__all__ = ["Family", "WidthBound", "matched_degrees", "shallow_width_bound"]

Family = Literal["plain", "output-bias", "linear-skip", "even", "odd", "hidden-bias"]

_NETWORKS: dict[str, str] = {
    "plain": "sum_j w_j sigma(a_j.x), without biases",
    "output-bias": "b + sum_j w_j sigma(a_j.x), with a free output bias",
    "linear-skip": "b + c.x + sum_j w_j sigma(a_j.x), with a free output bias and a free linear skip connection",
    "even": "sum_j w_j sigma(a_j.x), sigma an even function, without biases",
    "odd": "sum_j w_j sigma(a_j.x), sigma an odd function, without biases",
    "hidden-bias": "b + sum_j w_j sigma(a_j.x + b_j), with free hidden biases and a free output bias",
}


@dataclass(frozen=True)
class WidthBound:
    """A proven lower bound on the neurons of one hidden layer, and the exact ranks that prove it.

    `certificate`: blocks of the moment matrix (rows and columns by degree) with exact rank and sign; the signed sum of
    the ranks is `neurons`. `derivatives` says which sigma_k the ranks were taken with. `statement` is the theorem in
    words; it is about Taylor polynomials at 0, not about approximation on a domain.
    """

    neurons: int
    family: Family
    degree: int
    variables: tuple[str, ...]
    outputs: int
    derivatives: str
    certificate: tuple[BlockRank, ...]
    statement: str


def shallow_width_bound(
    expression: object,
    *,
    derivatives: str | Sequence[float | Fraction] | None = None,
    family: Family = "plain",
) -> WidthBound:
    """Return the least number of neurons, proven from below, of one hidden layer with the Taylor polynomial `expression`.

    `expression` is what `polynomial` takes, or a list of such for several outputs that share the neurons. Decimals are
    read as typed, floats in arrays as exact binary fractions. `derivatives` is sigma_0, sigma_1, ... at 0, or the name
    of an activation; None takes sigma_k = 1. Only the ratios of sigma_k at degrees that occur in the polynomial matter,
    so for a homogeneous polynomial the bound holds for every sigma with sigma_k != 0, k <= d. With family="hidden-bias"
    it holds for every smooth sigma and `derivatives` is not used.
    Errors: none; ranks are exact. The bound is not always attained.
    Raises: SettingError where no network of any width has this Taylor polynomial (sigma_k = 0 at a degree that occurs),
    for an unknown family, and beyond some 200000 entries of the moment matrix.
    Source: moments and ranks of partial matrices (H. Woerdeman, Linear Algebra Appl. 121 (1989) 105); for products it
    is the 2^n of Lin, Tegmark and Rolnick 2017, arXiv:1608.08225, for monomials that of Rolnick and Tegmark 2018,
    arXiv:1705.05502.

    Example:
    >>> shallow_width_bound("x*y*z").neurons, shallow_width_bound("x*y", family="output-bias").neurons
    (8, 3)
    """
    if family not in get_args(Family):
        raise SettingError(f"family is {family!r}; it must be one of {', '.join(get_args(Family))}")
    polynomials = exact_polynomials(expression)
    if family == "hidden-bias":
        jet = jet_of(None, degree=polynomials.degree)
        blocks = _stacked_ranks(polynomials, jet=jet)
    else:
        jet = jet_of(derivatives, degree=polynomials.degree)
        matched = matched_degrees(polynomials, jet=jet, family=family)
        matrix = moment_matrix(polynomials.outputs, jet=jet, matched=matched)
        blocks = best_staircase(matrix, known=matched)
    neurons = sum(block.sign * block.rank for block in blocks)
    source = "any sigma" if family == "hidden-bias" else jet.source
    return WidthBound(
        neurons=neurons,
        family=family,
        degree=polynomials.degree,
        variables=polynomials.variables,
        outputs=len(polynomials.outputs),
        derivatives=source,
        certificate=blocks,
        statement=_statement(polynomials, family=family, neurons=neurons, source=source),
    )


def matched_degrees(polynomials: ExactPolynomials, *, jet: Jet, family: Family) -> frozenset[int]:
    """Return the degrees k <= d at which sum_j w_j a_j^s is determined by the polynomial.

    Degrees with sigma_k = 0 say nothing of the weights, nor do those that a bias or a skip connection supplies.
    Raises: SettingError where the polynomial has a degree that no such network produces.
    """
    supplied = {"output-bias": {0}, "linear-skip": {0, 1}}.get(family, set())
    step, first = {"even": (2, 0), "odd": (2, 1)}.get(family, (1, 0))
    produced = {k for k in range(first, polynomials.degree + 1, step) if jet.rational[k] != 0}
    for k in sorted(polynomials.degrees - supplied - produced):
        cause = f"an {family} activation has none" if step == 2 else f"sigma_{k} = 0 ({jet.source})"
        raise SettingError(
            f"the polynomial has a term of degree {k}, but {cause}, so no number of neurons {_NETWORKS[family]} has it"
            " as its Taylor polynomial at 0; use another activation or family, or free hidden biases"
        )
    return frozenset(produced - supplied)


def _stacked_ranks(polynomials: ExactPolynomials, *, jet: Jet) -> tuple[BlockRank, ...]:
    """The degree-i parts of all derivatives of p lie in the span of (a_j.x)^i: the largest dimension over i >= 1."""
    degree = polynomials.degree
    matrix = moment_matrix(polynomials.outputs, jet=jet, matched=frozenset(range(degree + 1)))
    blocks = []
    for i in range(1, degree + 1):
        rows, columns = frozenset(range(degree - i + 1)), frozenset({i})
        blocks.append(BlockRank(tuple(sorted(rows)), (i,), matrix.rank(rows, columns), 1))
    return tuple(sorted(blocks, key=lambda block: block.rank)[-1:])


def _statement(polynomials: ExactPolynomials, *, family: Family, neurons: int, source: str) -> str:
    what = "the polynomial" if len(polynomials.outputs) == 1 else f"the {len(polynomials.outputs)} polynomials"
    homogeneous = family != "hidden-bias" and len(polynomials.degrees) == 1
    scope = "any sigma with sigma_k != 0 for k <= the degree" if homogeneous and "= 1" in source else source
    return (
        f"No network {_NETWORKS[family]}, with fewer than {neurons} neurons has {what} as its exact Taylor polynomial"
        f" through degree {polynomials.degree} at 0 ({scope}); approximation with large weights is not excluded."
    )

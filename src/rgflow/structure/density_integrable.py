"""Whether exp(-H) of a polynomial H of real variables has a finite integral, by a sufficient condition.

Every variable needs an on-site term c_i x_i^(d_i), d_i even, c_i > 0, as its highest. A term prod x_j^(a_j) with
sum a_j / d_j < 1 is outgrown; one with sum 1 is at most |w| sum (a_j / d_j) |x_j|^(d_j) (weighted arithmetic and geometric
means) and must leave every c_i positive; among variables of d = 2 the quadratic form itself must be positive.
Errors: a density may be proper without passing; what passes is proper.
"""

from dataclasses import dataclass

import numpy as np

from rgflow.structure.continuous_monomials import ContinuousTerms

__all__ = ["Integrability", "integrability"]

_ROUNDING = 1e-9  # of sums of fractions a / d, and of the smallest eigenvalue against the largest


@dataclass(frozen=True, eq=False)
class Integrability:
    """`proper` says whether exp(-H) is known to be integrable; `variables` are those at fault, `reason` says why not."""

    proper: bool
    variables: np.ndarray
    reason: str


def integrability(terms: ContinuousTerms, theta: np.ndarray) -> Integrability:
    """Return whether exp(-H) is certified to be integrable for the parameters `theta` of H."""
    weights = theta[terms.tie]
    degree, leading = _leading(terms, weights)
    wrong = np.flatnonzero((degree == 0) | (degree % 2 == 1) | (leading <= 0.0))
    if len(wrong):
        i = int(wrong[0])
        what = (
            f"its highest term has the power {degree[i]} and the coefficient {leading[i]:.3g}"
            if degree[i]
            else "no term"
        )
        return Integrability(False, wrong, f"nothing holds variable {i} back at large values ({what})")
    shares = np.where(terms.powers > 0, terms.powers / degree[terms.members], 0.0)
    total = shares.sum(axis=1)
    coupled = (terms.bodies > 1) & (weights != 0.0)
    above = coupled & (total > 1.0 + _ROUNDING)
    if above.any():
        row = int(np.flatnonzero(above)[0])
        members = terms.members[row][terms.powers[row] > 0]
        return Integrability(
            False, members, f"a term of the variables {members.tolist()} outgrows their own highest terms"
        )
    quadratic = (np.where(terms.powers > 0, degree[terms.members], 2) == 2).all(axis=1)
    marginal = coupled & (total > 1.0 - _ROUNDING)
    rest = leading.copy()
    tight = marginal & ~quadratic
    used = np.abs(weights[tight])[:, None] * shares[tight]
    np.subtract.at(rest, terms.members[tight].ravel(), used.ravel())
    if (rest <= 0.0).any():
        wrong = np.flatnonzero(rest <= 0.0)
        return Integrability(
            False, wrong, f"couplings of highest degree may outweigh the own term of variable {wrong[0]}"
        )
    return _quadratic_part(terms, weights, rest, rows=marginal & quadratic, among=degree == 2)


def _leading(terms: ContinuousTerms, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest power of each variable alone, and its coefficient (variables,)."""
    degree = np.zeros(terms.variables, dtype=np.int64)
    leading = np.zeros(terms.variables)
    alone = np.flatnonzero((terms.bodies == 1) & (weights != 0.0))
    for row in alone[np.argsort(terms.powers[alone].max(axis=1), kind="stable")]:
        slot = int(terms.powers[row].argmax())
        degree[terms.members[row, slot]] = terms.powers[row, slot]
        leading[terms.members[row, slot]] = weights[row]
    return degree, leading


def _quadratic_part(
    terms: ContinuousTerms, weights: np.ndarray, rest: np.ndarray, *, rows: np.ndarray, among: np.ndarray
) -> Integrability:
    nobody = np.zeros(0, dtype=np.int64)
    if not among.any():
        return Integrability(True, nobody, "")
    form = np.diag(2.0 * rest)
    i, j = terms.members[rows, 0], terms.members[rows, 1] if terms.members.shape[1] > 1 else terms.members[rows, 0]
    form[i, j] += weights[rows]
    form[j, i] += weights[rows]
    values = np.linalg.eigvalsh(form[np.ix_(among, among)])
    if values[0] > _ROUNDING * values[-1]:
        return Integrability(True, nobody, "")
    return Integrability(False, nobody, f"the quadratic form has the eigenvalue {values[0]:.3g}, not above 0")

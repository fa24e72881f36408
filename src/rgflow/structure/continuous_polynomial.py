"""Terms and coefficients as a sparse polynomial, with the place of every term in its canonical order.

Convention: a term is a row of variable numbers and a row of powers; a power 0 leaves its variable out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["OrderedPolynomial", "ordered_polynomial"]


@dataclass(frozen=True, eq=False)
class OrderedPolynomial:
    """A polynomial, and which term each of its rows is (rows,)."""

    polynomial: SparsePolynomial
    order: np.ndarray


def ordered_polynomial(
    members: np.ndarray, powers: np.ndarray, *, coefficients: np.ndarray, variables: Sequence[str]
) -> OrderedPolynomial:
    """Return sum_t coefficients[t] prod_k x[members[t, k]]^powers[t, k]; `members`, `powers` (terms, width), all distinct.

    Terms with the coefficient 0 are left out, as polynomials do.
    """
    kept = np.flatnonzero(coefficients)
    row, slot = np.nonzero(powers[kept])
    entries = (powers[kept][row, slot], (row, members[kept][row, slot]))
    exponents = csr_array(entries, shape=(len(kept), len(variables)))
    numbered = SparsePolynomial(variables, exponents, kept + 1.0)  # the numbers come back in canonical order
    order = numbered.coefficients.astype(np.int64) - 1
    return OrderedPolynomial(SparsePolynomial(variables, numbered.powers, coefficients[order]), order)

"""The moments that a one-hidden-layer network must have to agree with a polynomial, as a partially known matrix.

f_o(x) = sum_j w_oj sigma(a_j.x) agrees with p_o through degree d at 0 if and only if, for every exponent |s| <= d,
    sum_j w_oj a_j^s = L_o(s) = s! p_o,s / sigma_|s|.
The matrix with rows (o, s), columns t and entries sum_j w_oj a_j^(s+t) has rank <= the number of neurons j; it is known
where the degree |s| + |t| is one the network is asked to match. Only rows and columns that divide a monomial of p
carry anything but zeros.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from rgflow.compile.exact_terms import Exponent, Terms
from rgflow.compile.jets import Jet
from rgflow.errors import SettingError
from rgflow.numerics.exact_rank import Entry, exact_rank

__all__ = ["MomentMatrix", "moment_matrix"]


_LARGEST = 200_000  # non-zero entries; the product of 16 variables has 2^16 = 65536


@dataclass(frozen=True)
class MomentMatrix:
    """The known entries, and the degrees |s| of their rows and |t| of their columns.

    Shapes: `row_degree`, `column_degree` (entries,).
    """

    degree: int
    entries: tuple[Entry, ...]
    row_degree: np.ndarray
    column_degree: np.ndarray
    _ranks: dict[tuple[frozenset[int], frozenset[int]], int] = field(default_factory=dict, repr=False, compare=False)

    def block(self, rows: frozenset[int], columns: frozenset[int]) -> list[Entry]:
        """Return the entries whose row and column have one of these degrees."""
        chosen = np.isin(self.row_degree, list(rows)) & np.isin(self.column_degree, list(columns))
        return [self.entries[k] for k in np.flatnonzero(chosen)]

    def rank(self, rows: frozenset[int], columns: frozenset[int]) -> int:
        """Return the exact rank of the block of these degrees; each is computed once."""
        key = (rows, columns)
        if key not in self._ranks:
            self._ranks[key] = exact_rank(self.block(rows, columns))
        return self._ranks[key]


def moment_matrix(outputs: Sequence[Terms], *, jet: Jet, matched: frozenset[int]) -> MomentMatrix:
    """Return the moment matrix of polynomials p_o in the same variables, through the degrees in `matched`.

    Raises: SettingError where it would have more than 200000 non-zero entries.
    """
    kept = [{s: p for s, p in terms.items() if sum(s) in matched} for terms in outputs]
    size = sum(math.prod(k + 1 for k in s) for terms in kept for s in terms)
    if size > _LARGEST:
        raise SettingError(
            f"the moment matrix of this polynomial has {size} non-zero entries and at most {_LARGEST} are taken; use"
            " fewer variables, a lower degree or fewer terms"
        )
    rows: dict[tuple[int, Exponent], int] = {}
    columns: dict[Exponent, int] = {}
    entries, row_degree, column_degree = [], [], []
    for output, terms in enumerate(kept):
        for s, coefficient in terms.items():
            degree = sum(s)
            moment = coefficient * math.prod(map(math.factorial, s)) / jet.rational[degree]
            for left, right in _splits(s):
                row = rows.setdefault((output, left), len(rows))
                column = columns.setdefault(right, len(columns))
                entries.append(Entry(row, column, moment, degree in jet.generic))
                row_degree.append(sum(left))
                column_degree.append(sum(right))
    degree = max((sum(s) for terms in outputs for s in terms), default=0)
    return MomentMatrix(degree, tuple(entries), np.array(row_degree, int), np.array(column_degree, int))


def _splits(s: Exponent) -> Iterator[tuple[Exponent, Exponent]]:
    """All ways to write s = left + right with non-negative exponents."""
    for left in itertools.product(*(range(k + 1) for k in s)):
        yield left, tuple(whole - part for whole, part in zip(s, left, strict=True))

"""The exact rank of a sparse matrix of rational numbers, by elimination modulo enough primes.

The rank modulo a prime never exceeds the rank r. If it is at most q for every prime of a set, each minor of q + 1 rows
is divisible by all of them; once their product exceeds Hadamard's bound on such a minor, the minor is 0 and r <= q.
So no rounding and no luck enters: the largest rank seen is the rank. Blocks that share no row and no column are
taken apart first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rgflow.errors import SettingError

__all__ = ["Entry", "exact_rank"]

_PRIME_BITS = 30  # primes lie between 2^30 and 2^31, so that a product of two residues fits into an int64

# Multiplications after which a rank is refused: some ten minutes of one core.
_AFFORDABLE = 2.0e11


@dataclass(frozen=True)
class Entry:
    """One non-zero entry of a sparse matrix; where `generic`, it carries one common transcendental factor besides."""

    row: int
    column: int
    value: Fraction
    generic: bool = False


def exact_rank(entries: Sequence[Entry]) -> int:
    """Return the rank of the matrix with these entries (positions distinct, values not 0) over the rational numbers.

    With generic entries the rank is over the rational functions of the common factor t: t is replaced by an integer
    above Cauchy's bound on the roots of every minor, at which a minor vanishes only if it is the zero polynomial.
    Errors: none.
    Raises: SettingError where the elimination would take more than some 2e11 multiplications.

    Example:
    >>> exact_rank([Entry(0, 0, Fraction(1, 3)), Entry(0, 1, Fraction(1)), Entry(1, 0, Fraction(1)), \
Entry(1, 1, Fraction(3))])
    1
    """
    return sum(_rank_of_block(block) for block in _blocks(entries))


def _blocks(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Split the entries into blocks that share no row and no column, each renumbered from 0."""
    if not entries:
        return
    _, rows = np.unique([entry.row for entry in entries], return_inverse=True)
    _, columns = np.unique([entry.column for entry in entries], return_inverse=True)
    size = int(rows.max()) + int(columns.max()) + 2
    links = coo_array((np.ones(len(entries)), (rows, rows.max() + 1 + columns)), shape=(size, size))
    labels = connected_components(links, directed=False)[1][rows]
    order = np.argsort(labels, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        _, local_rows = np.unique(rows[group], return_inverse=True)
        _, local_columns = np.unique(columns[group], return_inverse=True)
        yield [
            Entry(int(row), int(column), entries[k].value, entries[k].generic)
            for row, column, k in zip(local_rows, local_columns, group, strict=True)
        ]


def _rank_of_block(block: Sequence[Entry]) -> int:
    shape = (1 + max(entry.row for entry in block), 1 + max(entry.column for entry in block))
    if min(shape) == 1:
        return 1
    matrix = _integers(block, shape=shape)
    bits = _norm_bits(matrix)
    rank = 0
    for count, prime in enumerate(_primes(), 1):
        rank = max(rank, _rank_modulo(matrix, prime=prime))
        if rank == min(shape) or count * _PRIME_BITS > _minor_bits(bits, size=rank + 1):
            return rank
        if count == 1:
            _refuse_if_long(shape, primes=_minor_bits(bits, size=rank + 1) / _PRIME_BITS)
    raise AssertionError("there are infinitely many primes")  # pragma: no cover


def _integers(block: Sequence[Entry], *, shape: tuple[int, int]) -> np.ndarray:
    """The block with every row made whole and coprime, generic factors replaced by one large integer."""
    matrix = np.zeros(shape, dtype=object)
    marked = np.zeros(shape, dtype=bool)
    scale = [1] * shape[0]
    for entry in block:
        scale[entry.row] = math.lcm(scale[entry.row], entry.value.denominator)
    for entry in block:
        matrix[entry.row, entry.column] = int(entry.value * scale[entry.row])
        marked[entry.row, entry.column] = entry.generic
    for row in matrix:
        row //= math.gcd(*row)
    if marked.any() and not marked[matrix != 0].all():
        # Coefficients of a minor, a polynomial in t, sum to at most the product of the rows' absolute sums.
        bound = math.prod(int(total) for total in np.abs(matrix).sum(axis=1))
        matrix[marked] *= bound + 2
    return matrix


def _norm_bits(matrix: np.ndarray) -> tuple[list[float], list[float]]:
    """Bits that the norm of each row, and of each column, does not exceed, largest first."""
    squares = matrix * matrix
    # A sum of squares below 2^b has a root below 2^(b/2).
    sides = [sorted((int(s).bit_length() / 2 for s in squares.sum(axis=axis)), reverse=True) for axis in (1, 0)]
    return sides[0], sides[1]


def _minor_bits(bits: tuple[list[float], list[float]], *, size: int) -> float:
    """Bits that no minor of `size` rows exceeds: Hadamard's product of norms, over rows or over columns."""
    return min(sum(side[:size]) for side in bits)


def _rank_modulo(matrix: np.ndarray, *, prime: int) -> int:
    """Rank of the matrix over the field of `prime` elements, by Gaussian elimination."""
    rest = (matrix % prime).astype(np.int64)
    rank = 0
    for column in range(rest.shape[1]):
        pivots = np.flatnonzero(rest[rank:, column])
        if not len(pivots):
            continue
        pivot = rank + int(pivots[0])
        rest[[rank, pivot]] = rest[[pivot, rank]]
        rest[rank, column:] = rest[rank, column:] * pow(int(rest[rank, column]), -1, prime) % prime
        below = rank + 1 + np.flatnonzero(rest[rank + 1 :, column])
        factors = rest[below, column, None]
        rest[below, column:] = (rest[below, column:] - factors * rest[rank, column:]) % prime
        rank += 1
        if rank == rest.shape[0]:
            break
    return rank


def _refuse_if_long(shape: tuple[int, int], *, primes: float) -> None:
    work = (
        shape[0] * shape[1] * min(shape) * primes / 3.0
    )  # elimination takes m n min(m, n) / 3 multiplications or less
    if work > _AFFORDABLE:
        raise SettingError(
            f"the exact rank of a block of {shape[0]} by {shape[1]} needs some {work:.0e} multiplications and at most"
            f" {_AFFORDABLE:.0e} are done; use fewer variables, a lower degree or coefficients with fewer digits"
        )


def _primes() -> Iterator[int]:
    """Primes downwards from 2^31."""
    from sympy import prevprime  # sympy takes half a second to import; only a computation needs it

    prime = 2**31
    while True:
        prime = int(prevprime(prime))
        yield prime

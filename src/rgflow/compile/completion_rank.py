"""The least rank that a partially known matrix can be completed to, as a lower bound from staircases of known blocks.

A staircase takes row groups r_1, r_2, ... with known columns S_1 >= S_2 >= ... (nested). The least rank over all values
of its unknown entries is, exactly,
    sum_i rank M[r_1..r_i, S_i] - sum_i rank M[r_1..r_i, S_(i+1)].
Every staircase inside the known entries gives a true lower bound; entries outside it are treated as unknown.

Source: H. Woerdeman, Minimal rank completions for block matrices, Linear Algebra Appl. 121 (1989) 105.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rgflow.compile.moment_matrix import MomentMatrix

__all__ = ["BlockRank", "Staircase", "best_staircase", "staircases"]


@dataclass(frozen=True)
class BlockRank:
    """Evidence: the exact rank of the block of these row and column degrees, and its sign in the bound."""

    row_degrees: tuple[int, ...]
    column_degrees: tuple[int, ...]
    rank: int
    sign: int


@dataclass(frozen=True)
class Staircase:
    """Row groups by degree, in order, and the nested sets of column degrees known for them."""

    rows: tuple[frozenset[int], ...]
    columns: tuple[frozenset[int], ...]


def best_staircase(matrix: MomentMatrix, *, known: frozenset[int]) -> tuple[BlockRank, ...]:
    """Return the ranks whose signed sum is the largest bound among all staircases; empty where nothing is known.

    `known` holds the degrees |s| + |t| at which an entry is known.
    """
    candidates = [_evidence(matrix, staircase) for staircase in staircases(known, degree=matrix.degree)]
    return max(candidates, key=lambda blocks: sum(block.sign * block.rank for block in blocks), default=())


def staircases(known: frozenset[int], *, degree: int) -> list[Staircase]:
    """Return the staircases worth trying: at each step, the next column set is as large as any other choice of rows allows.

    A step between two others adds rows and known entries, so it never lowers the bound; smaller steps are left out.
    """
    patterns = {
        row: frozenset(column for column in range(degree + 1) if row + column in known) for row in range(degree + 1)
    }
    chains = _chains(patterns, frozenset(range(degree + 1)), frozenset())
    return [Staircase(tuple(rows for rows, _ in chain), tuple(left for _, left in chain)) for chain in chains if chain]


def _chains(
    patterns: dict[int, frozenset[int]], columns: frozenset[int], used: frozenset[int]
) -> Iterator[tuple[tuple[frozenset[int], frozenset[int]], ...]]:
    """All maximal ways to go on from a column set: (rows added, columns left) step by step."""
    shrunk = {row: columns & pattern for row, pattern in patterns.items() if row not in used and columns & pattern}
    choices = set(shrunk.values())
    largest = [choice for choice in choices if not any(choice < other for other in choices)]
    if not largest:
        yield ()
    for choice in largest:
        rows = frozenset(row for row, left in shrunk.items() if choice <= left)
        for rest in _chains(patterns, choice, used | rows):
            yield ((rows, choice), *rest)


def _evidence(matrix: MomentMatrix, staircase: Staircase) -> tuple[BlockRank, ...]:
    blocks, rows = [], frozenset()
    for step, (added, columns) in enumerate(zip(staircase.rows, staircase.columns, strict=True)):
        if step:
            blocks.append(_block(matrix, rows, columns, sign=-1))
        rows |= added
        blocks.append(_block(matrix, rows, columns, sign=1))
    return tuple(blocks)


def _block(matrix: MomentMatrix, rows: frozenset[int], columns: frozenset[int], *, sign: int) -> BlockRank:
    return BlockRank(tuple(sorted(rows)), tuple(sorted(columns)), matrix.rank(rows, columns), sign)

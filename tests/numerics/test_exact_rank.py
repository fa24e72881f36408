"""Exact ranks agree with SymPy's on random rational matrices, and stay exact where floating point cannot."""

import itertools
import random
from fractions import Fraction

import numpy as np
import pytest
import sympy

from rgflow.errors import SettingError
from rgflow.numerics.exact_rank import Entry, exact_rank


def entries(matrix: list[list[Fraction]]) -> list[Entry]:
    return [Entry(i, j, value) for i, row in enumerate(matrix) for j, value in enumerate(row) if value]


def product(left: list[list[Fraction]], right: list[list[Fraction]]) -> list[list[Fraction]]:
    return [[sum((a * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in zip(*right, strict=True)]
            for row in left]  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_matrices_of_any_rank_agree_with_sympy(seed):
    generator = random.Random(seed)
    rows, columns, inner = (generator.randint(1, 7) for _ in range(3))

    def drawn(m: int, n: int) -> list[list[Fraction]]:
        return [[Fraction(generator.randint(-4, 4), generator.randint(1, 5)) for _ in range(n)] for _ in range(m)]

    matrix = product(drawn(rows, inner), drawn(inner, columns))
    assert exact_rank(entries(matrix)) == sympy.Matrix(matrix).rank()


def test_a_hilbert_matrix_of_forty_rows_has_full_rank_and_one_less_after_a_row_is_replaced():
    hilbert = [[Fraction(1, i + j + 1) for j in range(40)] for i in range(40)]
    assert exact_rank(entries(hilbert)) == 40
    assert np.linalg.matrix_rank(np.array(hilbert, dtype=float)) < 20
    hilbert[7] = [sum((hilbert[i][j] for i in range(40) if i != 7), Fraction(0)) for j in range(40)]
    assert exact_rank(entries(hilbert)) == 39


def test_scattered_blocks_add_their_ranks():
    blocks = [Entry(1000 * k, 7 * k, Fraction(k + 1, 3)) for k in range(500)]
    pairs = [Entry(10**6 + i, 10**6 + j, Fraction(1)) for i, j in itertools.product(range(2), repeat=2)]
    assert exact_rank(blocks + pairs) == 501
    assert exact_rank([]) == 0


def test_what_would_take_hours_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr("rgflow.numerics.exact_rank._AFFORDABLE", 100.0)
    with pytest.raises(SettingError, match="multiplications"):
        exact_rank([Entry(i, j, Fraction(i * 2**100 + j)) for i, j in itertools.product(range(1, 20), repeat=2)])

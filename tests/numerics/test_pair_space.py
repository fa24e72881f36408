"""Index maps between matrices, pairs and multisets of four inputs are one to one; tolerance class EXACT."""

import itertools

import pytest
import torch

from rgflow.errors import SettingError
from rgflow.numerics import pair_count, pair_inputs, pair_matrix, pair_vector
from rgflow.numerics.pair_space import quadruple_number, quadruples_of, size_of


@pytest.mark.parametrize("inputs", [1, 2, 3, 7])
def test_pairs_are_row_major_and_invertible(inputs):
    pairs = [tuple(row) for row in pair_inputs(inputs).tolist()]
    assert pairs == list(itertools.combinations_with_replacement(range(inputs), 2))
    assert len(pairs) == pair_count(inputs)
    assert size_of(len(pairs)) == inputs
    matrix = torch.arange(inputs * inputs, dtype=torch.float64).reshape(inputs, inputs)
    matrix = matrix + matrix.T
    assert torch.equal(pair_matrix(pair_vector(matrix)), matrix)


@pytest.mark.parametrize("inputs", [1, 2, 5])
def test_every_multiset_of_four_has_its_number(inputs):
    rows = quadruples_of(inputs)
    assert {tuple(row) for row in rows.tolist()} == set(itertools.combinations_with_replacement(range(inputs), 4))
    assert torch.equal(quadruple_number(rows), torch.arange(len(rows)))


def test_lengths_that_are_no_number_of_pairs_are_refused():
    with pytest.raises(SettingError, match="length 4"):
        size_of(4)

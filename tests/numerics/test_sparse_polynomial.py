"""Sparse tables of exponents: the order of rows that a dense sort gives, arithmetic and values against dense oracles."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial, from_members
from tests.tolerances import ROUNDING

NAMES = ("a", "b", "c", "d")


def drawn(seed: int, *, rows: int = 30) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 4, (rows, 4)) * generator.integers(0, 2, (rows, 4)), generator.normal(size=rows)


def dense_values(powers: np.ndarray, factors: np.ndarray, points: np.ndarray) -> np.ndarray:
    return (points[:, None, :] ** powers).prod(2) @ factors


@pytest.mark.parametrize("seed", range(4))
def test_rows_stand_in_the_order_of_a_dense_sort(seed: int) -> None:
    powers, factors = drawn(seed)
    found = SparsePolynomial(NAMES, powers, factors)
    distinct = np.unique(powers, axis=0)
    order = np.lexsort((*(-distinct.T[::-1]), distinct.sum(1)))
    assert np.array_equal(found.exponents, distinct[order])
    assert SparsePolynomial(NAMES, csr_array(powers), factors) == found
    whole = np.arange(1.0, len(powers) + 1)  # sums of whole numbers do not depend on their order
    assert hash(SparsePolynomial(NAMES, powers[::-1], whole[::-1])) == hash(SparsePolynomial(NAMES, powers, whole))


@pytest.mark.parametrize("seed", range(4))
def test_values_products_and_derivatives_equal_those_of_the_dense_table(seed: int) -> None:
    powers, factors = drawn(seed)
    left, right = SparsePolynomial(NAMES, powers, factors), SparsePolynomial(NAMES, *drawn(seed + 10))
    points = np.random.default_rng(seed).uniform(0.5, 1.5, (20, 4))
    values = dense_values(powers, factors, points)
    assert np.allclose(left(points), values, rtol=ROUNDING)
    assert np.allclose((left * right)(points), values * right(points), rtol=ROUNDING)
    assert np.allclose((left + right)(points), values + right(points), rtol=ROUNDING)
    assert np.isclose(
        left.size(np.full(4, 1.25)), dense_values(left.exponents, np.abs(left.coefficients), np.full((1, 4), 1.25))[0]
    )
    leaf = torch.tensor(points, requires_grad=True)
    (gradient,) = torch.autograd.grad(left(leaf).sum(), leaf)
    for place, name in enumerate(NAMES):
        assert np.allclose(left.partial(name)(points), gradient[:, place].numpy(), rtol=1e-10)
    assert left.degrees == tuple(left.exponents.max(0).tolist())
    assert left.coefficient(left.exponents[5]) == left.coefficients[5]
    assert left.coefficient((9, 9, 9, 9)) == 0.0


def test_a_derivative_at_a_zero_of_a_factor_is_exact() -> None:
    leaf = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    product = from_members([np.array([[0, 1]]), np.array([[0, 1, 2]])], np.array([2.0, 3.0]), variables=NAMES)
    (gradient,) = torch.autograd.grad((product(leaf) + leaf[:, 0]).sum(), leaf)
    assert gradient.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_terms_by_members_are_the_dense_ones_and_all_pairs_of_many_variables_stay_small() -> None:
    first, second = np.triu_indices(300, 1)
    couplings = np.random.default_rng(0).normal(size=len(first))
    found = from_members([np.stack([first, second], axis=1)], couplings, variables=[f"s{i}" for i in range(300)])
    assert np.array_equal(found.coefficients, couplings)
    spins = np.random.default_rng(1).choice([-1.0, 1.0], (10, 300))
    matrix = np.zeros((300, 300))
    matrix[first, second] = couplings
    assert np.allclose(found(spins), np.einsum("si,ij,sj->s", spins, matrix, spins), rtol=1e-10)
    assert found.powers.nnz == 2 * len(couplings)


def test_members_out_of_range_are_refused() -> None:
    with pytest.raises(SettingError, match=r"variables are 0\.\.3"):
        from_members([np.array([[0, 4]])], np.array([1.0]), variables=NAMES)

"""Partial Cholesky factors, conjugate gradients and Lanczos quadrature on matrices whose answers are known."""

import math

import pytest
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.lanczos_quadrature import log_trace
from rgflow.numerics.partial_cholesky import ShiftedLowRank, partial_cholesky
from rgflow.numerics.symmetric_solves import conjugate_gradients
from tolerances import ROUNDING, z_limit


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def close(left: Tensor, right: Tensor, *, slack: float = 10.0) -> None:
    torch.testing.assert_close(left, right, rtol=slack * ROUNDING, atol=slack * ROUNDING * float(right.abs().max()))


def test_partial_cholesky_of_a_low_rank_matrix_is_the_matrix() -> None:
    root = normal(30, 4)
    matrix = root @ root.T
    found = partial_cholesky(matrix.diagonal(), lambda i: matrix[i], rank=10)
    assert found.factor.shape == (30, 4)
    close(found.factor @ found.factor.T, matrix)


def test_the_remainder_is_the_diagonal_of_what_is_left_and_falls_with_the_rank() -> None:
    root = normal(30, 30)
    matrix = root @ root.T
    traces = []
    for rank in (0, 5, 15, 30):
        found = partial_cholesky(matrix.diagonal(), lambda i: matrix[i], rank=rank)
        left = matrix - found.factor @ found.factor.T
        torch.testing.assert_close(found.remainder, left.diagonal(), rtol=0.0, atol=1e-11)
        traces.append(float(found.remainder.sum()))
    assert traces == sorted(traces, reverse=True)
    assert traces[-1] < 1e-10


@pytest.mark.parametrize("rank", [0, 3])
def test_a_shifted_low_rank_matrix_inverts_takes_roots_and_tells_its_determinant(rank: int) -> None:
    factor, vectors = normal(20, rank), normal(20, 2, seed=1)
    dense = factor @ factor.T + 0.3 * torch.eye(20, dtype=torch.float64)
    matrix = ShiftedLowRank(factor, 0.3)
    close(matrix.inverse(vectors), torch.linalg.solve(dense, vectors))
    close(matrix.inverse_root(matrix.inverse_root(vectors)), matrix.inverse(vectors))
    assert matrix.log_determinant() == pytest.approx(float(torch.logdet(dense)), rel=ROUNDING)


def test_conjugate_gradients_take_one_step_for_each_distinct_eigenvalue() -> None:
    values = torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64).repeat(10).unsqueeze(1)
    right = torch.cat([normal(30, 2), torch.zeros(30, 1, dtype=torch.float64)], 1)
    found = conjugate_gradients(lambda v: values * v, right, precondition=lambda v: v, tolerance=1e-12, iterations=100)
    assert found.converged
    assert found.iterations == 3
    close(found.values, right / values)


def test_columns_of_very_different_sizes_all_converge() -> None:
    root = normal(40, 60)
    matrix = root @ root.T
    right = normal(40, 3) * torch.tensor([1e-9, 1.0, 1e9], dtype=torch.float64)
    found = conjugate_gradients(lambda v: matrix @ v, right, precondition=lambda v: v, tolerance=1e-10, iterations=200)
    left = torch.linalg.vector_norm(right - matrix @ found.values, dim=0) / torch.linalg.vector_norm(right, dim=0)
    assert found.converged
    assert float(left.max()) == pytest.approx(found.residual, rel=1e-6)
    assert found.residual <= 1e-10


def test_a_tolerance_below_rounding_ends_with_the_true_residual_and_unconverged() -> None:
    values = torch.logspace(-6, 0, 40, dtype=torch.float64).unsqueeze(1)
    right = normal(40, 1)
    found = conjugate_gradients(lambda v: values * v, right, precondition=lambda v: v, tolerance=1e-30, iterations=5000)
    true = torch.linalg.vector_norm(right - values * found.values) / torch.linalg.vector_norm(right)
    assert not found.converged
    assert found.residual == pytest.approx(float(true))


def test_the_log_trace_of_a_diagonal_matrix_is_exact_for_random_signs() -> None:
    values = torch.linspace(0.5, 20.0, 12, dtype=torch.float64).unsqueeze(1)
    found = log_trace(lambda v: values * v, 12, lowest=0.4, probes=4, steps=50, generator=generator())
    assert float(found.value) == pytest.approx(float(values.log().sum()), rel=1e-10)
    assert float(found.error) < 1e-8
    one = log_trace(lambda v: 3.0 * v, 12, lowest=1.0, probes=4, steps=50, generator=generator())
    assert float(one.value) == pytest.approx(12 * math.log(3.0), rel=ROUNDING)


@pytest.mark.parametrize("steps", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("lowest", [0.99e-4, 1e-6])
def test_an_unfinished_quadrature_lies_within_its_bounds(steps: int, lowest: float) -> None:
    values = torch.logspace(-4, 0, 100, dtype=torch.float64).unsqueeze(1)
    found = log_trace(lambda v: values * v, 100, lowest=lowest, probes=4, steps=steps, generator=generator())
    assert abs(float(found.value) - float(values.log().sum())) <= float(found.error)


def test_the_standard_error_is_that_of_the_probes() -> None:
    root = normal(60, 60) / 8.0
    matrix = root @ root.T + 0.1 * torch.eye(60, dtype=torch.float64)
    truth = float(torch.logdet(matrix))
    runs = [
        log_trace(lambda v: matrix @ v, 60, lowest=0.099, probes=8, steps=60, generator=generator(seed))
        for seed in range(40)
    ]
    scores = torch.tensor([(float(run.value) - truth) / float(run.error) for run in runs])
    # Student's t of 7 degrees of freedom has variance 7 / 5; the mean of 40 squares of it lies within a factor of three.
    assert 0.4 < float((scores**2).mean()) < 4.0
    assert float(scores.mean().abs()) < z_limit(1) * math.sqrt(1.4 / 40)


def test_the_log_trace_of_an_indefinite_matrix_is_refused() -> None:
    values = torch.linspace(-1.0, 5.0, 12, dtype=torch.float64).unsqueeze(1)
    with pytest.raises(SettingError, match="its logarithm does not exist; raise ridge="):
        log_trace(lambda v: values * v, 12, lowest=0.1, probes=4, steps=50, generator=generator())

"""Kernel regression in memory and on tiles: exact oracles, NumPy, ill-conditioned and singular matrices, honesty."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.records import MLP
from rgflow.theory.gram_matrix import gram
from rgflow.theory.gram_planning import GramError
from rgflow.theory.gram_store import GramStore, create_store
from rgflow.theory.gram_tiles import GramTile
from rgflow.theory.regression_in_memory import kernel_regression
from rgflow.theory.regression_on_tiles import iterative_regression
from rgflow.theory.stored_matrix import StoredMatrix
from tolerances import ROUNDING, z_limit

pytest.importorskip("zarr")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def chain(size: int, correlation: float) -> Tensor:
    """The matrix r^|i-j|: determinant (1 - r^2)^(n-1), tridiagonal inverse."""
    place = torch.arange(size, dtype=torch.float64)
    return correlation ** (place.unsqueeze(1) - place).abs()


def smooth(size: int, length: float = 0.2, seed: int = 0) -> Tensor:
    """Squared-exponential kernel on random points: eigenvalues that fall fast."""
    place = torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return torch.exp(-0.5 * ((place.unsqueeze(1) - place) / length) ** 2)


Keep = Callable[[Tensor], StoredMatrix]


def keeper(folder: Path) -> Keep:
    """Puts a matrix into a store with tiles of 64 x 64."""

    def store(matrix: Tensor) -> StoredMatrix:
        symmetric = bool(matrix.shape[0] == matrix.shape[1] and torch.equal(matrix, matrix.T))
        path = str(folder / f"{len(list(folder.iterdir()))}.zarr")
        shape = (matrix.shape[0], matrix.shape[1])
        made = create_store(
            GramStore(path, "", ("kernel",), matrix.dtype, shape, 64, symmetric, GramError(0.0, None), "given")
        )
        for tile in made.tiles():
            made.write(tile, GramTile(matrix[made.rows(tile), made.columns(tile)], None))
        found = made.matrix("kernel")
        assert found is not None
        return found

    return store


@pytest.fixture
def keep(tmp_path: Path) -> Keep:
    return keeper(tmp_path)


def close(left: Tensor, right: Tensor, *, condition: float = 1.0) -> None:
    torch.testing.assert_close(
        left, right, rtol=ROUNDING * condition, atol=ROUNDING * condition * float(right.abs().max())
    )


def test_solve_and_determinant_are_those_of_the_chain_matrix() -> None:
    matrix, targets = chain(60, 0.9), normal(60, 2)
    found = kernel_regression(matrix, targets, ridge=0.0)
    inside = 1.0 + 0.81
    inverse = torch.diag(torch.tensor([1.0, *[inside] * 58, 1.0], dtype=torch.float64))
    beside = torch.full((59,), -0.9, dtype=torch.float64)
    inverse = (inverse + torch.diag(beside, 1) + torch.diag(beside, -1)) / (1 - 0.81)
    close(found.weights, inverse @ targets, condition=100.0)
    close(found.solve(targets[:, 0]), inverse @ targets[:, 0], condition=100.0)
    determinant = found.log_determinant()
    assert abs(determinant.value - 59 * math.log1p(-0.81)) <= determinant.error < 1e-9
    assert found.jitter == 0.0
    assert found.residual < 1e-13


@pytest.mark.parametrize("correlation", [0.1, 0.99, 1 - 1e-6, 1 - 1e-10])
def test_the_reported_error_of_the_determinant_holds_at_any_condition(correlation: float) -> None:
    # 1 - r^2 = (1 - r)(1 + r), where the rounding of r itself enters: r is taken as the float that it is.
    found = kernel_regression(chain(80, correlation), normal(80), ridge=0.0)
    assert found.jitter == 0.0
    estimate = found.log_determinant()
    truth = 79 * math.log((1 - correlation) * (1 + correlation))
    assert abs(estimate.value - truth) <= estimate.error


def test_predictions_are_numpys() -> None:
    matrix = smooth(70)
    known, new = slice(0, 50), slice(50, 70)
    targets = normal(50, 3)
    found = kernel_regression(matrix[known, known], targets, ridge=0.1).predict(
        matrix[new, known], prior=torch.ones(20)
    )
    inverse = np.linalg.inv(matrix[known, known].numpy() + 0.1 * np.eye(50))
    cross = matrix[new, known].numpy()
    np.testing.assert_allclose(found.mean.numpy(), cross @ inverse @ targets.numpy(), atol=1e-11)
    assert found.variance is not None
    np.testing.assert_allclose(found.variance.numpy(), 1 - np.diag(cross @ inverse @ cross.T), atol=1e-11)


def test_interpolation_returns_the_targets_with_variance_zero() -> None:
    matrix, targets = chain(30, 0.5), normal(30)
    found = kernel_regression(matrix, targets, ridge=0.0).predict(matrix, prior=torch.ones(30))
    close(found.mean, targets, condition=100.0)
    assert found.variance is not None
    assert float(found.variance.min()) >= 0.0
    assert float(found.variance.max()) < 1e-14


def test_coincident_inputs_get_a_small_jitter_and_say_what_it_costs() -> None:
    x = normal(40, 5)
    x[20] = x[3]
    made = gram(MLP((5, 64, 64, 1), "relu", weight_variance=2.0), x, kind="kernel")
    kernel = made.kernel
    assert isinstance(kernel, Tensor)
    assert made.error.kernel is not None
    mean = float(kernel.diagonal().mean())
    targets = kernel @ normal(40, seed=1)
    found = kernel_regression(kernel, targets, ridge=0.0, error=made.error.kernel)
    assert made.error.kernel * mean < found.jitter < 100.0 * made.error.kernel * mean
    assert found.residual < 1e-8
    apart = targets.clone()
    apart[20] += 1.0  # two answers to one question: no weights come nearer to both than half a unit
    torn = kernel_regression(kernel, apart, ridge=0.0, error=made.error.kernel)
    assert torn.residual > 0.5 / float(torch.linalg.vector_norm(apart))
    noisy = kernel_regression(kernel, apart, ridge=1e-3, error=made.error.kernel)
    assert noisy.jitter == 0.0
    assert noisy.residual < 1e-10


def test_two_equal_rows_get_the_first_jitter_above_rounding() -> None:
    matrix = chain(40, 0.5)
    matrix[7], matrix[:, 7] = matrix[6].clone(), matrix[:, 6].clone()
    matrix[7, 7] = 1.0
    found = kernel_regression(matrix, matrix @ normal(40), ridge=0.0)
    assert found.jitter == 1e-14  # 2 * jitter > 40 eps = 8.9e-15
    assert found.residual < 1e-10


def test_a_matrix_that_is_no_kernel_is_refused_in_one_sentence() -> None:
    matrix = chain(20, 0.5)
    matrix[3, 3] = -1.0
    with pytest.raises(SettingError, match="not positive definite even with a jitter of 1e-04"):
        kernel_regression(matrix, normal(20), ridge=0.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matrix": normal(20, 19)}, r"shape \(20, 19\); a square"),
        ({"matrix": normal(20, 20)}, "not symmetric"),
        ({"matrix": torch.full((20, 20), math.nan)}, "NaN or infinite"),
        ({"targets": normal(19)}, r"shape \(19,\); \(20,\)"),
        ({"targets": torch.full((20,), math.inf)}, "targets contains NaN"),
        ({"error": 1.0}, "error is 1.0; give the relative error"),
        ({"ridge": -1.0}, "ridge is -1.0; give a finite number >= 0"),
    ],
)
def test_unfit_arguments_are_refused_before_any_work(change: dict[str, object], words: str) -> None:
    arguments = {"matrix": chain(20, 0.5), "targets": normal(20), "ridge": 0.0} | change
    with pytest.raises((DataError, SettingError), match=words):
        kernel_regression(arguments.pop("matrix"), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("matrix", [chain(150, 0.9), smooth(150)], ids=["chain", "smooth"])
def test_iteration_on_tiles_equals_cholesky_in_memory(matrix: Tensor, keep: Keep) -> None:
    targets = normal(150, 2)
    truth = kernel_regression(matrix, targets, ridge=0.01)
    found = iterative_regression(keep(matrix), targets, ridge=0.01, rank=30, tolerance=1e-10)
    assert found.residual <= 1e-10
    # |x - A^-1 b| <= |r| / smallest eigenvalue, which is at least the ridge.
    bound = found.residual * torch.linalg.vector_norm(targets, dim=0) / 0.01
    assert bool((torch.linalg.vector_norm(found.weights - truth.weights, dim=0) <= bound + 1e-12).all())
    cross = normal(7, 150, seed=5) * 0.1
    left, right = found.predict(cross, prior=torch.ones(7)), truth.predict(cross, prior=torch.ones(7))
    close(left.mean, right.mean, condition=1e5)
    assert left.variance is not None
    assert right.variance is not None
    close(left.variance, right.variance, condition=1e5)
    kept = found.predict(keep(cross), prior=torch.ones(7))
    close(kept.mean, left.mean)


def test_one_dimensional_targets_give_one_dimensional_answers_from_both(keep: Keep) -> None:
    matrix, targets, cross = chain(40, 0.5), normal(40), normal(3, 40, seed=1)
    for found in (
        kernel_regression(matrix, targets, ridge=0.1),
        iterative_regression(keep(matrix), targets, ridge=0.1, rank=5),
    ):
        assert found.weights.shape == found.solve(targets).shape == (40,)
        assert found.predict(cross).mean.shape == (3,)
        assert found.predict(cross).variance is None


@pytest.mark.parametrize("rank", [0, 20, 400])
def test_the_stochastic_determinant_lies_within_its_error(rank: int, keep: Keep) -> None:
    matrix = smooth(200, length=0.05)
    truth = kernel_regression(matrix, normal(200), ridge=0.01).log_determinant()
    found = iterative_regression(keep(matrix), normal(200), ridge=0.01, rank=rank)
    estimate = found.log_determinant(seed=3)
    assert estimate.kind == "statistical"
    assert abs(estimate.value - truth.value) <= z_limit(3) * estimate.error + 1e-9 * abs(truth.value)
    assert estimate.error < 0.05 * abs(truth.value)
    assert found.log_determinant(seed=3) == estimate
    if rank != 400:
        assert found.log_determinant(seed=4) != estimate


def test_the_preconditioner_saves_most_iterations_and_determinant_error(keep: Keep) -> None:
    stored, targets = keep(smooth(200)), normal(200)
    plain = iterative_regression(stored, targets, ridge=1e-4, rank=0)
    helped = iterative_regression(stored, targets, ridge=1e-4, rank=20)
    assert plain.iterations > 30
    assert helped.iterations < 8
    assert helped.log_determinant().error < 0.01 * plain.log_determinant().error


def test_a_singular_matrix_with_fitting_targets_is_solved_without_a_ridge(keep: Keep) -> None:
    root = normal(100, 6)
    matrix = root @ root.T
    matrix = 0.5 * (matrix + matrix.T)
    found = iterative_regression(keep(matrix), matrix @ normal(100), ridge=0.0, rank=10)
    assert found.residual <= 1e-8
    assert found.iterations <= 4


def test_an_iteration_limit_is_one_sentence_and_no_weights(keep: Keep) -> None:
    with pytest.raises(SettingError, match=r"relative residual of .* after 5 iterations .* raise rank="):
        iterative_regression(keep(smooth(100)), normal(100), ridge=1e-6, rank=0, iterations=5)


def test_iteration_refuses_unfit_arguments(keep: Keep) -> None:
    square, cross = keep(chain(40, 0.5)), keep(normal(40, 30))
    with pytest.raises(DataError, match="between two sets of inputs"):
        iterative_regression(cross, normal(40), ridge=0.1)
    with pytest.raises(SettingError, match=r"tolerance is 2\.0"):
        iterative_regression(square, normal(40), ridge=0.1, tolerance=2.0)
    found = iterative_regression(square, normal(40), ridge=0.1, rank=5)
    with pytest.raises(SettingError, match="at least 2 probes"):
        found.log_determinant(probes=1)
    with pytest.raises(DataError, match=r"\(M, 40\) is needed"):
        found.predict(normal(3, 39))
    with pytest.raises(DataError, match="one number for each new input"):
        found.predict(normal(3, 40), prior=torch.ones(4))


def test_progress_of_the_iteration_ends_at_one(keep: Keep) -> None:
    seen: list[float] = []
    iterative_regression(
        keep(smooth(60)), normal(60), ridge=0.1, rank=0, progress=lambda stage, fraction: seen.append(fraction)
    )
    assert seen[0] < 0.1
    assert seen[-1] == 1.0
    assert min(seen) >= 0.0

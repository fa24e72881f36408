"""One-line bugs planted in stores, regressions and the iterations behind them; a named check must fail for each."""

import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

from numerics import test_symmetric_iterations as iterations
from theory import test_gram_store as stores
from theory import test_kernel_regression as regressions

Check = Callable[[], None]


def on_disk(test: Callable[..., None], *first: Any) -> Check:
    """The test with tiles of 32 x 32 and a folder of its own."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(stores.gram_on_disk, "_STEP", stores.SIDE)
            test(*first, Path(folder))

    return run


def kept(test: Callable[..., None], *first: Any) -> Check:
    """The test with a place to keep matrices."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            test(*first, regressions.keeper(Path(folder)))

    return run


def counted(test: Callable[..., None]) -> Check:
    """The test with a list of the tiles that are computed."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(stores.gram_on_disk, "_STEP", stores.SIDE)
            test(Path(folder), stores.counted_tiles(patch))

    return run


def another(change: str) -> Check:
    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            try:
                stores.test_the_store_of_another_job_is_refused(change, Path(folder), patch)
            except pytest.fail.Exception as failure:
                raise AssertionError from failure

    return run


def quadrature() -> None:
    for steps in (4, 16):
        iterations.test_an_unfinished_quadrature_lies_within_its_bounds(steps, 0.99e-4)


symmetric = on_disk(stores.test_a_store_holds_what_memory_holds_for_a_symmetric_matrix)
products = on_disk(stores.test_products_and_diagonals_are_those_of_the_matrix)
death = on_disk(stores.test_a_death_anywhere_leaves_a_store_that_resumes_to_the_same_bits, "while chunks are written")
finished = counted(stores.test_a_finished_store_opens_without_computing_or_planning)
progress = on_disk(stores.test_the_progress_callback_counts_up_to_one_from_where_it_resumes)
tiles = kept(regressions.test_iteration_on_tiles_equals_cholesky_in_memory, regressions.chain(150, 0.9))
determinant = kept(regressions.test_the_stochastic_determinant_lies_within_its_error, 20)
saves = kept(regressions.test_the_preconditioner_saves_most_iterations_and_determinant_error)
coincident = regressions.test_coincident_inputs_get_a_small_jitter_and_say_what_it_costs
shifted = lambda: iterations.test_a_shifted_low_rank_matrix_inverts_takes_roots_and_tells_its_determinant(3)  # noqa: E731
again = on_disk(stores.test_a_finished_tile_that_is_asked_for_again_is_left_alone)
block = stores.test_a_block_of_many_tiles_holds_what_memory_holds
low_rank = iterations.test_partial_cholesky_of_a_low_rank_matrix_is_the_matrix
eigenvalues = iterations.test_conjugate_gradients_take_one_step_for_each_distinct_eigenvalue
sizes = iterations.test_columns_of_very_different_sizes_all_converge
diagonal = iterations.test_the_log_trace_of_a_diagonal_matrix_is_exact_for_random_signs

BUGS = [
    ("theory.gram_store", "self.symmetric and tile.row != tile.column", "False", symmetric),
    ("theory.gram_store", "ascontiguousarray(part.T)", "ascontiguousarray(part.T[::-1])", symmetric),
    ("theory.gram_store", "for b in range(a if self.symmetric else 0, wide)", "for b in range(wide)", finished),
    ("theory.gram_store", "if not finished[tile.row, tile.column]", "if True", finished),
    ("theory.gram_store", "_remove_drafts(Path(self.path))", "pass", death),
    ("theory.gram_block", "if plan.symmetric and rows == columns and a != b", "if False", block),
    ("theory.gram_block", "if not store.has(tile)", "if True", again),
    ("theory.gram_on_disk", "1 + count - len(missing)", "1", progress),
    ("theory.gram_job", '"dtype": str(self.dtype),', "", another("dtype")),
    ("theory.gram_job", "if inputs is not None:", "if False:", another("inputs")),
    ("theory.gram_job", '[f"{float(value):.8e}" for value in values]', "[]", another("activation")),
    ("theory.stored_matrix", "if self.symmetric and rows != columns", "if self.symmetric", products),
    ("theory.stored_matrix", "tile.T @ values[rows]", "tile.T @ values[rows] * 0", products),
    ("theory.regression_in_memory", "+ 2.0 * error * mean", "", coincident),
    ("theory.regression_in_memory", "ridge + relative * mean", "relative * mean", regressions.test_predictions_are_numpys),
    ("theory.regression_in_memory", "- (root**2).sum(0)", "- root.sum(0) ** 2", regressions.test_predictions_are_numpys),
    ("theory.regression_on_tiles", "+ self.ridge * vectors", "", tiles),
    ("theory.regression_on_tiles", "preconditioner.log_determinant() +", "preconditioner.log_determinant() * 0 +", determinant),
    ("theory.regression_on_tiles", "precondition=self.preconditioner.inverse", "precondition=lambda v: v", saves),
    ("numerics.partial_cholesky", "remainder[pivot].sqrt()", "remainder[pivot]", low_rank),
    ("numerics.partial_cholesky", "self.shift**power * outside", "outside", shifted),
    ("numerics.symmetric_solves", "torch.where(weight > 0.0, after", "torch.where(weight > 0.0, 0.0 * after", eigenvalues),
    ("numerics.symmetric_solves", "tolerance * scale, iterations", "tolerance * scale.max(), iterations", sizes),
    ("numerics.lanczos_quadrature", "math.hypot(found.error, found.gap)", "found.error", quadrature),
    ("numerics.lanczos_quadrature", "- beside * before", "", diagonal),
]  # fmt: skip


def _own(module: ModuleType, names: dict[str, Any]) -> Iterator[tuple[str, FunctionType]]:
    """Functions and methods that a module defines, by qualified name."""
    for value in names.values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value.__qualname__, value
        if isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                method = getattr(member, "__wrapped__", getattr(member, "func", getattr(member, "fget", member)))
                if isinstance(method, FunctionType):
                    yield f"{value.__qualname__}.{method.__name__}", method


@contextmanager
def planted(room: str, sound: str, broken: str) -> Iterator[None]:
    """Run with one line of `rgflow.<room>` replaced, in functions and in methods."""
    module = importlib.import_module(f"rgflow.{room}")
    path = Path(str(module.__file__))
    text = path.read_text()
    assert text.count(sound) == 1, f"{sound!r} stands {text.count(sound)} times in {room}"
    mutated = dict(vars(module))
    exec(compile(text.replace(sound, broken), str(path), "exec"), mutated)
    changed = dict(_own(module, mutated))
    pairs = [(function, function.__code__, changed[name].__code__) for name, function in _own(module, vars(module))]
    try:
        for function, _, code in pairs:
            if len(function.__code__.co_freevars) == len(code.co_freevars):
                function.__code__ = code
        yield
    finally:
        for function, code, _ in pairs:
            function.__code__ = code


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[1]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Check) -> None:
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("check", [finished, progress, tiles])
def test_the_checks_pass_on_the_real_modules(check: Check) -> None:
    check()

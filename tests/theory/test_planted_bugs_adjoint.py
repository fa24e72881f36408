"""One-line bugs planted in the matrix-free statistics; a named check must fail for each, and pass without it."""

import math
from collections.abc import Callable
from functools import partial

import pytest

from theory import test_functional_statistics as checks
from theory.test_planted_bugs import planted

RELU, TANH = checks.GOLDEN[0], checks.GOLDEN[2]
relu = partial(checks.test_prediction_shift_and_variance_equal_the_reference_on_pair_space, RELU)
tanh = partial(checks.test_prediction_shift_and_variance_equal_the_reference_on_pair_space, TANH)
recursion = checks.test_many_neurons_equal_the_pair_recursion_by_brute_force_quadrature
signed = checks.test_random_directions_agree_with_all_directions
refused = checks.test_too_many_directions_are_refused_with_their_number
dimension = checks.test_the_dimension_of_a_plain_callable_is_near_that_of_the_regression_it_is

BUGS = [
    ("kernel_step", "earlier.diagonal().add_((gradient * bend).sum(1))", "pass", relu),
    ("kernel_step", "(0.5 * change.diagonal())", "change.diagonal()", recursion),
    ("kernel_step", "mixed=2 * (second", "mixed=1 * (second", recursion),
    ("kernel_step", "- contact * ratio)", "+ contact * ratio)", relu),
    ("kernel_step", "diagonal @ (self.square @ diagonal) / 2", "diagonal @ (self.square @ diagonal)", recursion),
    ("matrix_free", "curvature / (2 * source.width)", "curvature / source.width", recursion),
    ("matrix_free", "return total + self.expanded.second(change)", "return total", tanh),
    ("matrix_free", "self.product, alpha=float(sign.sum())", "self.product, alpha=0.0", signed),
    ("matrix_free", "change[columns, rows] = direction", "pass", recursion),
    ("matrix_free", "self.weight_variance**2 * each", "self.weight_variance * each", relu),
    ("functionals", "kernel[len(self.targets) + self.test, : len(self.targets)]", "kernel[0, : len(self.targets)]", relu),
    ("seed_statistics", "if dimension > _LARGEST_CONTROL", "if dimension > 9 * _LARGEST_CONTROL", refused),
    ("functional_dimension", "/ size / sum(1 / n for n in network.widths[1:-1])", "/ size", dimension),
]  # fmt: skip


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(room, sound, broken), pytest.raises((AssertionError, pytest.fail.Exception)):
        check()


def test_the_checks_pass_on_the_real_rooms() -> None:
    for check in (relu, tanh, recursion, signed, dimension):
        check()
    assert math.isfinite(checks.FINE)

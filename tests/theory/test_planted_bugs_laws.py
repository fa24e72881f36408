"""One-line bugs planted in the theory of orthogonal and skewed weights; a named check must fail for each."""

from collections.abc import Callable

import pytest

from tests.planting import planted
from theory import test_orthogonal, test_skewed_weights


def haar() -> None:
    test_orthogonal.check_against_haar_matrices("tanh", 1.5, 0.1)


def sources() -> None:
    test_orthogonal.test_sources_of_one_input_are_the_cumulants_of_one_row()


linear = test_orthogonal.check_square_linear_networks
relu = test_skewed_weights.check_relu_of_one_input

BUGS = [
    ("theory.orthogonal_step", "share = width / max(width, fan_in)", "share = 1.0", sources),
    ("theory.orthogonal_step", "(-share * crossed, ", "(-share * crossed / 2, ", linear),
    ("theory.orthogonal_step", "-2.0 * share * symmetric", "-1.0 * share * symmetric", test_orthogonal.check_square_activation),
    ("theory.orthogonal_step", "kernel - network.bias_variance[layer - 1], width", "kernel, width", haar),
    ("theory.orthogonal_step", "ratio * vertices[-1] + own.vertex", "own.vertex", haar),
    ("theory.skewed_weights", "weight**1.5 / width**0.5", "weight**1.5 / width", relu),
    ("theory.skewed_weights", "variance**1.5", "variance", relu),
    ("theory.skewed_weights", "3 * (u * u - 1) * v", "(u * u - 1) * v", test_skewed_weights.check_quadratic_pair),
]  # fmt: skip


@pytest.mark.parametrize(("module", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(module: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(module, sound, broken), pytest.raises(AssertionError):
        check()

"""One-line mutations of the integrals on pair space, each of which one of its checks must catch.

As in `test_planted_bugs`, the mutated source is compiled in memory; numba's compiler is switched off meanwhile, because
it keeps compiled code of the real modules and has no file for the mutated one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import pytest

from tests.numerics.integral_checks import CHECKS, load_integrals
from tests.numerics.test_planted_bugs import ROOM
from tests.planting import raises, reimported

# module, the line as it is, the line with the bug
BUGS = [
    ("pair_space", "(d + 3) * (d + 2) * (d + 1) * d // 24", "(d + 2) * (d + 2) * (d + 1) * d // 24"),
    ("minors", "-2.0 * product_high", "2.0 * product_high"),
    ("minors", "-(rest + 2.0 * border[p, 0]", "(1e-3 + rest + 2.0 * border[p, 0]"),
    ("sign_moments", "4.0 / math.pi**2 * total", "2.0 / math.pi**2 * total"),
    ("sign_moments", "return 2.0 * s * total", "return 1.9 * s * total"),
    ("closed_fourth_moments", "third = math.sqrt(variance[given, d])", "third = variance[given, d]"),
    ("closed_fourth_moments", "mixed += rho[c, b] *", "mixed -= rho[c, b] *"),
    ("closed_fourth_moments", "(pairings + 0.125 * small)", "(pairings - 0.125 * small)"),
    ("closed_fourth_moments", "_two_absolute(rho, 5 - same)", "_two_absolute(rho, same)"),
    ("group_factors", "rest[m] -= factor[m, j] ** 2", "rest[m] -= factor[m, j]"),
    ("group_factors", "value -= factor[m, l] * factor[j, l]", "value += factor[m, l] * factor[j, l]"),
    ("function_table", "-15.0 * rise + 8.0 * d0", "-15.0 * rise + 7.0 * d0"),
    (
        "lattice_rules",
        "total += weights[k] * raised(lookup(m + factor",
        "total += weights[k] * raised(lookup(m - 2 * factor",
    ),
    ("lattice_rules", "x = (i + offset) * step", "x = (i + 0.3 * offset) * step"),
    ("panel_rules", "outer[level] * partial[level + 1]", "partial[level + 1]"),
    ("product_averages", "Averages(both.mean(1), ", "Averages(both[:, 0] * 1.001, "),
    ("feature_covariance", "fourth.value[number] - outer, error", "fourth.value[number], error"),
    ("quasi_random", "total / (2.0 * len(samples))", "total / len(samples)"),
    ("pair_derivatives", "inverse * (third.value - y * t22.value)", "inverse * (third.value + y * t22.value)"),
    ("pair_derivatives", "t * t / safe - 1.0)[power]", "t * t / safe + 1.0)[power]"),
    ("kernel_derivatives", "half * pair_vector(self.bend.T)", "half * pair_vector(self.bend)"),
    ("kernel_derivatives", "factors = (first**2 / 8.0,", "factors = (first**2 / 4.0,"),
]


@contextmanager
def _interpreted() -> Iterator[None]:
    before = numba.config.DISABLE_JIT
    numba.config.DISABLE_JIT = True
    try:
        yield
    finally:
        numba.config.DISABLE_JIT = before


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_integrals_as_they_are_pass_every_check(check):
    check(load_integrals())


@pytest.mark.parametrize(("module", "line", "bug"), BUGS, ids=lambda text: str(text)[:40])
def test_a_planted_bug_is_caught(module: str, line: str, bug: str):
    with _interpreted(), reimported(f"numerics.{module}", line, bug, modules=ROOM):
        assert raises(CHECKS, load_integrals())


@pytest.mark.slow
def test_interpreting_the_room_unchanged_is_not_mistaken_for_a_bug():
    line = BUGS[0][1]
    with _interpreted(), reimported(f"numerics.{BUGS[0][0]}", line, line, modules=ROOM):
        assert not raises(CHECKS, load_integrals())

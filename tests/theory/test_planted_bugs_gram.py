"""One-line bugs planted in the mathematics of Gram matrices; a named check must fail for each.

The plan measures its own error, so that a bug in one route shows against the other route: the bugs stand in what both
share, or are caught by the layer recursion of `test_gram`.
"""

from collections.abc import Callable

import pytest

from tests.theory import test_gram
from theory.test_planted_bugs import planted


def recursion(name: str, depth: int, bias: float) -> Callable[[], None]:
    def run() -> None:
        test_gram.test_both_kernels_equal_the_layer_recursion_within_the_stated_error(name, depth, bias, False)

    return run


def loops(name: str, bias: float) -> Callable[[], None]:
    return lambda: test_gram.test_the_compiled_loops_agree_with_torch_operations(name, bias)


BUGS = [
    ("depth_function", "rate_w * activity + scale", "rate_w * activity * 0.5 + scale", recursion("relu", 3, 0.0)),
    ("depth_function", "excess = scale * found.excess", "excess = found.excess", recursion("relu", 3, 0.0)),
    ("pair_averages", "size * excess) - factor", "size * excess) + factor", recursion("relu", 3, 0.0)),
    ("layer_programme", "half_turn = 0.5 * torch", "half_turn = 0.6 * torch", recursion("leaky_relu(0.2)", 10, 0.1)),
    ("layer_programme", "else 1.0 / (1.0 + x)", "else 1.0 / (1.0 + 1.1 * x)", recursion("gelu", 3, 0.0)),
    ("tile_formulas", "+ y * root + 2.0 * y * ends", "+ y * root + 1.0 * y * ends", loops("gelu", 0.0)),
    ("tile_formulas", "2.0 / math.pi * scale / (1.0", "1.0 / math.pi * scale / (1.0", loops("erf", 0.1)),
    ("tile_formulas", "inner = torch.where(sign >= 0.0, half, 1.0 - half) - share", "inner = half - share", loops("relu", 0.1)),
    ("arc_polynomials", "np.sqrt((v + 1.0) / 4.0)", "np.sqrt((v + 1.0) / 4.001)", loops("relu", 0.1)),
]  # fmt: skip


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    from rgflow.theory import compiled_tile

    def forget() -> None:
        compiled_tile._arcsine.cache_clear()
        compiled_tile._arctangent.cache_clear()

    forget()
    check()  # the control: sound code passes
    forget()
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()
    forget()

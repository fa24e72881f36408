"""One-line bugs planted in the theory of residual networks; a named check must fail for each, and pass without it."""

from collections.abc import Callable

import pytest

from theory import test_residual_adjoint, test_residual_flow
from theory.test_planted_bugs import planted

CASES = {case["id"]: case for case in test_residual_flow.GOLDEN["cases"]}
SINGLE = {case["id"]: case for case in test_residual_flow.GOLDEN["single"]}


def reference(name: str) -> Callable[[], None]:
    return lambda: test_residual_flow.test_vertex_and_correction_equal_the_reference_for_projections_and_two_inputs(
        CASES[name]
    )


def single(name: str) -> Callable[[], None]:
    return lambda: test_residual_flow.test_one_input_gives_the_published_kernel_and_vertex_in_every_layer(SINGLE[name])


def deviation() -> None:
    test_residual_adjoint.test_the_deviation_is_gradient_times_vertex_times_gradient_plus_the_layers_own_sampling(
        "tanh", [3, 40, 40, 80, 80, 20], 0.9
    )


def growth(name: str) -> Callable[[], None]:
    return lambda: test_residual_flow.test_the_scaled_critical_point_keeps_chi_at_one_and_grows_as_the_law_says(
        name, 0.5
    )


STAGE, ECHO, PAIR, TANH = (reference(f"residual-{number}") for number in ("022", "025", "019", "018"))
GELU = single("resid-gelu")
QUICK = [
    ("residual_kernels", "network.skip**2 * kernels[-1])", "network.skip * kernels[-1])", GELU),
    ("residual_kernels", "start[-1] if identity else layer)", "start[-1])", STAGE),
    ("residual_history", "vertices.append(part + own + own.T)", "vertices.append(part)", GELU),
    ("residual_history", "skip ** (2 * (layer - source))", "skip ** (layer - source)", GELU),
    ("residual_history", "bent.value + _echo(road, averages, layer)", "bent.value", ECHO),
    ("residual_history", "max(kernels.start[layer], 1)", "1", STAGE),
    ("residual_history", "found + projection if kernels", "found if kernels", STAGE),
    ("residual_single", "4.0 * scale * carried * kernel", "2.0 * scale * carried * kernel", STAGE),
    ("residual_single", "/ (2.0 * rest)", "/ rest", ECHO),
    ("skip_growth", "share * (1.0 + skip**k) / (1.0 - skip**k)", "share", growth("gelu")),
    ("skip_growth", "3.0 + 2.0 * _over_layers(skip)", "3.0 + _over_layers(skip)", growth("relu")),
]
SLOW = [
    ("residual_history", "first[:, a] * second[:, b] +", "0 * first[:, a] * second[:, b] +", PAIR),
    ("residual_averages", "found = found + jump * density", "found = found + 0 * density", PAIR),
    ("residual_averages", "(kink - step.z).unsqueeze(2)", "(kink + 0 * step.z).unsqueeze(2)", PAIR),
    ("residual_averages", "same * (first + last)", "same * first", TANH),
    ("residual_trajectories", "mean = kernels.network.skip * z", "mean = 0 * z", TANH),
    ("residual_adjoint", "+ network.skip**2 * found[0])", "+ 0 * found[0])", deviation),
    ("residual_adjoint", "effect += network.skip**2 * _form", "effect += 0 * _form", deviation),
]
BUGS = [pytest.param(*bug, id=f"{bug[0]}: {bug[2]}") for bug in QUICK]
BUGS += [pytest.param(*bug, id=f"{bug[0]}: {bug[2]}", marks=pytest.mark.slow) for bug in SLOW]


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS)
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()

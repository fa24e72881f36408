"""One-line bugs planted in the theory; a named check must fail for each, and pass without it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests import planting
from theory import test_batch_forecast, test_pair_flow

GOLDEN = {case["id"]: case for kind in ("cases", "kurtosis") for case in test_pair_flow.GOLDEN[kind]}


def reference(name: str) -> Callable[[], None]:
    return lambda: test_pair_flow.test_kernel_shift_and_vertex_equal_the_reference_in_every_layer(GOLDEN[name])


def kurtosis(name: str) -> Callable[[], None]:
    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            test_pair_flow.test_kurtosis_of_weights_and_biases_moves_the_mean_as_the_reference_says(GOLDEN[name], patch)

    return run


def ensemble(name: str) -> Callable[[], None]:
    return lambda: test_batch_forecast.test_means_and_deviations_agree_with_explicit_networks(name)


def tangent() -> None:
    test_batch_forecast.test_the_tangent_kernel_is_that_of_explicit_wide_networks()


BUGS = [
    ("pair_flow", "(u * u - 1) / 2, u * v", "(u * u - 1), u * v", reference("gelu-13")),
    ("pair_flow", "nodes.weight.unsqueeze(1)).mT / 8", "nodes.weight.unsqueeze(1)).mT / 4", reference("gelu-13")),
    ("pair_flow", "2 * source[:, uu, vv] + 4 *", "2 * source[:, uu, vv] + 2 *", reference("relu-04")),
    ("pair_flow", "features.fresh + propagator", "features.fresh * 0 + propagator", reference("relu-04")),
    ("pair_flow", "mean.unsqueeze(2) * mean.unsqueeze(1)) / width", "mean.unsqueeze(2) * 0) / width", reference("gelu-13")),
    ("pair_flow", "state.fourth / 3", "state.fourth", kurtosis("kurtosis-hidden-001")),
    ("pair_flow", "law.weight_kurtosis * raw / width", "0 * raw / width", kurtosis("kurtosis-hidden-001")),
    ("laws", "math.sqrt(3.0 * share * variance)", "math.sqrt(share * variance)", kurtosis("kurtosis-all-uniform-007")),
    ("seed_deviation", "variance[path, 0, layer] += z.square().mean(0).var() / width", "pass", ensemble("relu, He, uniform")),
    ("seed_deviation", "variance[path, 1] += of_spread[0] / width", "pass", ensemble("relu, He, uniform")),
    ("seed_deviation", "elasticity = elasticity * step", "elasticity = 0 * elasticity", ensemble("linear, seven layers")),
    ("batch_flow", "spread=start.share * spread", "spread=start.share * float(here.mean())", ensemble("sin on two features")),
    ("tangent", "flow.widths[layer] * (kernels[layer]", "(kernels[layer]", tangent),
    ("tangent", "backward[-1] * _slope(flow, layer)", "backward[-1]", tangent),
]  # fmt: skip


def planted(room: str, sound: str, broken: str) -> AbstractContextManager[None]:
    """Run with one line of `rgflow.theory.<room>` replaced."""
    return planting.planted(f"theory.{room}", sound, broken)


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize("check", {bug[3] for bug in BUGS if bug[0] == "pair_flow"})
def test_the_checks_pass_on_the_real_rooms(check: Callable[[], None]) -> None:
    check()

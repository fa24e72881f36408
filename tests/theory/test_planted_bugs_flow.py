"""One-line bugs planted in the flow; a named check must fail for each, and pass without it."""

from collections.abc import Callable

import pytest

from theory import test_action_couplings as couplings
from theory import test_effective_flow as flow
from theory import test_flow_laws as laws
from theory import test_metric_fluctuations as metric
from theory import test_neuron_information as information
from theory.test_planted_bugs import planted

KURTOSIS = {case["id"]: case for case in laws.GOLDEN}


def reference(name: str) -> Callable[[], None]:
    return lambda: flow.test_kernel_correction_vertex_and_six_point_equal_the_reference_in_every_layer(name)


def kurtosis(name: str) -> Callable[[], None]:
    return lambda: laws.test_kernel_correction_and_vertex_equal_the_reference(KURTOSIS[name])


def product() -> None:
    metric.test_layers_one_and_two_have_the_exact_product_at_every_width("relu", 2.0, 5.0)


def mixture() -> None:
    couplings.test_two_inputs_follow_an_explicit_mixture_of_gaussians(2)


def entropies() -> None:
    information.test_the_entropy_of_a_linear_network_is_within_its_bar_of_the_exact_one(400, 2)


QUADRUPLES = flow.test_quadruples_are_those_of_the_whole_vertex_for_any_number_of_inputs
SHIFT = couplings.test_the_mean_shift_enters_the_quadratic_coupling_through_the_inverse
SIGNS = laws.test_the_shape_of_biases_is_not_washed_out_by_width
CHAOS = flow.test_errors_grow_where_a_chaotic_network_amplifies_them
CONTROL = flow.test_order_zero_takes_a_thousand_inputs_and_still_says_how_sure_the_limit_is


def permuted() -> None:
    flow.test_the_order_of_the_inputs_does_not_matter("tanh")


def moments() -> None:
    laws.test_quantiles_and_mixture_nodes_of_a_law_have_its_moments(-1.6)


def scatter() -> None:
    flow.test_drawn_networks_scatter_as_forecast_within_standard_errors_and_truncation_bars("swish-16")


def uniform_metric() -> None:
    metric.test_two_inputs_covary_as_in_drawn_networks_whatever_the_law("rademacher")


BUGS = [
    ("vertex_flow", "vertex = fresh + ratio * answer", "vertex = fresh + answer", reference("tanh-07")),
    ("vertex_flow", "ratio * (answer.apply(", "(answer.apply(", reference("tanh-07")),
    ("vertex_flow", "cumulant = kurtosis / width", "cumulant = kurtosis", uniform_metric),
    ("vertex_flow", "below.vertex + below.kurtosis", "below.vertex", kurtosis("kurtosis-hidden-001")),
    ("vertex_flow", "own + shared)", "own)", uniform_metric),
    ("single_flow", "weight**2 * (fourth - square**2)", "weight**2 * fourth", CONTROL),
    ("single_flow", "third + 3.0 * ratio", "third + ratio", reference("tanh-06")),
    ("single_flow", "3.0 * slope**2 * bend", "slope**2 * bend", reference("tanh-06")),
    ("vertex_averages", "fourth - torch.outer(mean, mean)", "fourth", kurtosis("kurtosis-all-uniform-007")),
    ("kernel_flow", "kernel - (bias_variance - own)", "kernel", kurtosis("kurtosis-all-uniform-007")),
    ("kernel_flow", "growth.correlation * correlation[-1]", "0 * correlation[-1]", CHAOS),
    ("flow_setup", "law.nodes.scaled(size)", "law.nodes.scaled(size / 2)", SIGNS),
    ("parameter_laws", "a = -3.0 / kurtosis - 1.5", "a = -3.0 / kurtosis - 1.0", moments),
    ("quadruple_vertex", "answer.bend[0, 1] / 2, answer.slope", "answer.bend[1, 0] / 2, answer.slope", QUADRUPLES),
    ("flow_setup", "place[rank] = torch.arange(len(rank))", "place = torch.arange(len(rank))", permuted),
    ("action_couplings", "neurons / 2 * torch.einsum", "neurons * torch.einsum", mixture),
    ("action_couplings", "first = inverse - inverse", "first = inverse + inverse", SHIFT),
    ("metric_fluctuations", "space.crossed(mean) + space.exchanged(shared)", "space.crossed(mean)", product),
    ("metric_fluctuations", "own = own + flow.neuron_cumulant", "own = own + 0 * flow.neuron_cumulant", uniform_metric),
    ("neuron_information", "m * (m + 2) / 16", "m * (m + 2) / 8", entropies),
    ("kernel_estimates", "bars[1] * deviation + sharp", "sharp", scatter),
]  # fmt: skip


@pytest.mark.parametrize(("room", "sound", "broken", "check"), BUGS, ids=[f"{bug[0]}: {bug[2]}" for bug in BUGS])
def test_a_planted_bug_is_caught(room: str, sound: str, broken: str, check: Callable[[], None]) -> None:
    with planted(room, sound, broken), pytest.raises(AssertionError):
        check()

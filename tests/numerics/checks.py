"""The room's shortest checks, each a function of the room's modules, so that planted bugs can be shown to fail them.

`ROOM` is the real room; `test_planted_bugs` builds rooms with one line changed and expects one of these to object.
"""

import importlib
import math
from types import SimpleNamespace

import torch
from torch import Tensor

__all__ = ["CHECKS", "MODULES", "load_room"]

MODULES = (
    "pointwise",
    "panels",
    "piecewise",
    "catalogue",
    "kink_search",
    "torch_modules",
    "activations",
    "gaussian",
    "pairs",
    "closed_forms",
    "hermite",
    "second_moments",
    "small_kernel",
    "fixed_points",
    "criticality",
    "statistics",
)
# Checks state relative accuracies of the routes they compare; all are promised 1e-10 or better.
PROMISED = 1e-10


def load_room() -> SimpleNamespace:
    """Import the modules of `rgflow.numerics` as they are now."""
    return SimpleNamespace(**{name: importlib.import_module(f"rgflow.numerics.{name}") for name in MODULES})


def _close(value: object, exact: float, *, rel: float = PROMISED) -> None:
    found = float(value)  # type: ignore[arg-type]
    assert abs(found - exact) <= rel * abs(exact), f"{found} is not {exact}"


def _tensors(*values: float) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([value], dtype=torch.float64) for value in values)


def gelu_average_is_its_closed_form(room: SimpleNamespace) -> None:
    act = room.activations.activation("gelu")
    for k in (1e-3, 1.0, 50.0):
        exact = room.closed_forms.closed_pair_moments(act, *_tensors(k, k), w=_tensors(k)[0])
        _close(room.gaussian.moments(act, k).square, float(exact.value))
        _close(room.gaussian.moments(act, k).slope_square, float(exact.slope))


def moments_of_relu_and_step_are_exact(room: SimpleNamespace) -> None:
    found = room.gaussian.moments(room.activations.activation("relu"), 3.0)
    _close(found.square, 1.5)
    _close(found.fourth, 13.5)
    _close(found.slope_square, 0.5)
    _close(found.response, 1.5)
    # <s^2 He4(z/sqrt K)> = K <x^2 (x^4 - 6 x^2 + 3)> / 2 = 0
    assert abs(float(found.bend)) < 1e-12
    _close(room.gaussian.moments(room.activations.activation("square"), 2.0).bend, 4.0 * 24.0)
    # A step of z^2 at 1: by parts the response counts the step itself, <s^2 (z^2 - K)> / 2K.
    jumping = room.activations.activation("threshold(1,0)")
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    _close(room.gaussian.moments(jumping, 1.0).response, density + 0.5 * math.erfc(1 / math.sqrt(2)) + density / 2)


def kinks_of_a_callable_are_found(room: SimpleNamespace) -> None:
    act = room.activations.activation(
        lambda z: torch.relu(z) + 0.1 * torch.relu(-z - 1) - 0.3 * torch.relu(z - math.pi)
    )
    assert len(act.kinks) == 3
    assert max(abs(found - exact) for found, exact in zip(act.kinks, (-1.0, 0.0, math.pi), strict=True)) < 1e-14
    assert max(abs(found - exact) for found, exact in zip(act.jumps, (0.1, 1.0, -0.3), strict=True)) < 1e-7


def pairs_keep_the_difference(room: SimpleNamespace) -> None:
    for x, w, distance in ((1.3, 1.3, 1e-12), (2.0, 0.7, 0.4), (1.0, 1.0, 1.7), (1.0, 1.0 + 1e-9, 1e-15)):
        nodes = room.pairs.pair_nodes(*_tensors(x, w, distance), kinks=(0.0,), mean_shift=0.3, order=24)
        _close(nodes.average(nodes.difference**2), 2 * distance)
        _close(nodes.average((nodes.first - 0.3) ** 2), x)
        _close(nodes.average((nodes.second - 0.3) ** 2), w)


def pairs_agree_with_closed_forms(room: SimpleNamespace) -> None:
    states = {"relu": (1.0, 2.0, 0.3), "abs": (1.0, 2.0, 2.7), "gelu": (1.0, 1.0, 0.2), "erf": (90.0, 70.0, 5.0)}
    for name, state in states.items():
        act = room.activations.activation(name)
        x, w, distance = _tensors(*state)
        exact = room.closed_forms.closed_pair_moments(act, x, 0.5 * (x + w) - distance, w=w)
        nodes = room.pairs.pair_nodes(x, w, distance, kinks=act.kinks, mesh=room.gaussian.mesh_of(act), order=24)
        _close(nodes.average(act.function(nodes.first) * act.function(nodes.second)), float(exact.value))
        _close(nodes.average(act.derivative(nodes.first) * act.derivative(nodes.second)), float(exact.slope))


def boxes_of_two_variables_have_their_probability(room: SimpleNamespace) -> None:
    """P(low < z_a, z_b < high) by the conditional law of z_b, a one-dimensional smooth average."""
    for low, high, rho in ((-1.0, 1.0, 0.4), (-1.0, 1.0, -0.8), (0.5, 40.0, -0.6), (0.2, 1.1, 0.9)):
        x, w = 2.25, 1.44
        slope, rest = rho * math.sqrt(w / x), math.sqrt(2 * w * (1 - rho**2))

        def conditional(z: Tensor, low=low, high=high, slope=slope, rest=rest) -> Tensor:
            inside = 0.5 * (torch.erf((high - slope * z) / rest) - torch.erf((low - slope * z) / rest))
            return inside * ((z > low) & (z < high))

        exact = room.gaussian.expectation(conditional, x, kinks=(low, high))
        distance = 0.5 * (x + w) - rho * math.sqrt(x * w)
        nodes = room.pairs.pair_nodes(*_tensors(x, w, distance), kinks=(low, high), order=24)
        inside = [(z > low) & (z < high) for z in (nodes.first, nodes.second)]
        _close(nodes.average((inside[0] & inside[1]).double()), float(exact))


def curvature_average_is_twice_the_slope_in_the_variance(room: SimpleNamespace) -> None:
    for name in ("leaky_relu(0.3)", "erf", "sin"):
        act = room.activations.activation(name)
        x, y, w = _tensors(1.1, 0.4, 0.7)
        step = 1e-4
        values = [room.closed_forms.closed_pair_moments(act, x + s * step, y, w=w).value for s in (-2, -1, 1, 2)]
        slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
        _close(2 * slope, float(room.closed_forms.closed_pair_moments(act, x, y, w=w).bend), rel=1e-8)


def matrices_agree_with_single_pairs(room: SimpleNamespace) -> None:
    act = room.activations.activation("tanh")
    mesh = room.gaussian.mesh_of(act)
    kernel = torch.tensor([[1.0, 0.4, 1.15], [0.4, 2.0, -0.5], [1.15, -0.5, 1.4]], dtype=torch.float64)
    routes = (
        (room.second_moments.second_moment, act.function),
        (room.second_moments.derivative_moment, act.derivative),
    )
    for matrix, function in routes:

        def product(p: Tensor, q: Tensor, function=function) -> Tensor:
            return function(p) * function(q)

        found = matrix(act, kernel)
        for a in range(3):
            for b in range(3):
                block = kernel[[a, b]][:, [a, b]]
                _close(found[a, b], float(room.pairs.expectation_pair(product, block, mesh=mesh)))


def critical_points_have_their_published_values(room: SimpleNamespace) -> None:
    gelu = room.criticality.criticality("gelu")
    _close(gelu.kernel, (3 + math.sqrt(17)) / 2, rel=1e-8)
    _close(gelu.bias_variance, 0.1729223908, rel=1e-8)
    _close(gelu.coefficient, -1.43626419e-4, rel=1e-7)
    _close(gelu.growth, 4.90422621, rel=1e-8)
    elu = room.criticality.criticality("elu")
    assert (elu.kind, elu.exponent) == ("vanishing", 0.5)
    _close(elu.coefficient, -math.sqrt(2 / math.pi), rel=1e-7)
    _close(room.criticality.criticality("tanh").growth, 2 / 3, rel=1e-8)
    assert room.criticality.criticality("sinh").kind == "unstable"
    assert room.criticality.criticality("softplus").kind == "none"
    _close(room.criticality.criticality("leaky_relu(0.5)").weight_variance, 1.6)


def errors_of_a_known_sample_are_exact(room: SimpleNamespace) -> None:
    sample = torch.tensor([1.0, 2.0, 4.0, 7.0], dtype=torch.float64)
    _close(room.statistics.mean(sample).error, math.sqrt(7.0 / 4), rel=1e-12)
    # Deviations -5/2, -3/2, 1/2, 7/2: s^2 = 7, m4 = 48.5625; error^2 = (m4 - s^4 / 3) / 4.
    _close(room.statistics.variance(sample).error, math.sqrt((48.5625 - 49.0 / 3) / 4), rel=1e-12)
    jack = room.statistics.jackknife(lambda a: a * a, [sample])
    replicas = torch.tensor([(14.0 - v) / 3 for v in (1.0, 2.0, 4.0, 7.0)], dtype=torch.float64) ** 2
    _close(jack.error, math.sqrt(3 / 4 * float(((replicas - replicas.mean()) ** 2).sum())), rel=1e-12)
    _close(room.statistics.z_threshold(1, false_alarm=0.05), 1.959963984540054, rel=1e-12)


def reported_errors_are_infinite_where_tails_are_cut(room: SimpleNamespace) -> None:
    assert math.isinf(float(room.gaussian.integral(lambda z: torch.exp(3 * z), 16.0).error))
    assert math.isnan(float(room.gaussian.moments(room.activations.activation("exp"), 300.0).square))


CHECKS = (
    gelu_average_is_its_closed_form,
    moments_of_relu_and_step_are_exact,
    kinks_of_a_callable_are_found,
    pairs_keep_the_difference,
    pairs_agree_with_closed_forms,
    boxes_of_two_variables_have_their_probability,
    curvature_average_is_twice_the_slope_in_the_variance,
    matrices_agree_with_single_pairs,
    critical_points_have_their_published_values,
    errors_of_a_known_sample_are_exact,
    reported_errors_are_infinite_where_tails_are_cut,
)

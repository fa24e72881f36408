"""Layers of a theory report: averages of the flow over the inputs beside those of drawn networks.

A measured average is taken network by network, so that its mean and its deviation over networks carry standard errors.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.numerics import statistics
from rgflow.records import Estimate, Flow, Quantity
from rgflow.report.theory_report import TheoryLayer
from rgflow.theory.flow_averages import FlowAverage, distance_weights, flow_average, kernel_weights

__all__ = ["compared_layers"]

ROUNDING = 1e-14  # a hundred roundings of 1e-16

_ONE_INPUT = "one input has no distance to another"


def compared_layers(flow: Flow, kernels: Tensor | None) -> tuple[TheoryLayer, ...]:
    """Return one `TheoryLayer` for each layer of `flow` (order 1 or more); `kernels` (networks, L, N, N) or None.

    For residual networks `kernels` are averages of z_a z_b over a layer: equal in the mean, not in the deviation.
    """
    inputs = flow.kernel.shape[-1]
    of_kernel = kernel_weights(inputs)
    of_distance = distance_weights(inputs) if inputs > 1 else None
    return tuple(
        _layer(flow, index, of_kernel=of_kernel, of_distance=of_distance, kernels=kernels)
        for index in range(len(flow.kernel))
    )


def _layer(
    flow: Flow, index: int, *, of_kernel: Tensor, of_distance: Tensor | None, kernels: Tensor | None
) -> TheoryLayer:
    network = flow.network
    drawn = None if kernels is None else kernels[:, index]
    fluctuating = None if network.skip else drawn
    kernel = flow_average(flow, of_kernel, layer=index + 1)
    distance = None if of_distance is None else flow_average(flow, of_distance, layer=index + 1)
    return TheoryLayer(
        layer=index + 1,
        width=network.widths[index + 1],
        weight_variance=network.weight_variance[index],
        bias_variance=network.bias_variance[index],
        infinite_kernel=kernel.infinite,
        infinite_distance=None if distance is None else distance.infinite,
        kernel=_quantity(kernel, drawn, of_kernel, of=_mean),
        kernel_deviation=_quantity(kernel, fluctuating, of_kernel, of=_deviation),
        distance=_quantity(distance, drawn, of_distance, of=_mean),
        distance_deviation=_quantity(distance, fluctuating, of_distance, of=_deviation),
        chi_parallel=float(flow.chi_parallel[index].mean()),
        chi_perpendicular=float(flow.chi_perpendicular[index].mean()),
        vertex_ratio=_vertex_ratio(flow, index),
        control=float(flow.control[index]),
    )


Sides = Callable[[FlowAverage | None, Tensor | None], tuple[Estimate | None, Estimate | None]]


def _quantity(average: FlowAverage | None, drawn: Tensor | None, weights: Tensor | None, *, of: Sides) -> Quantity:
    if average is None or weights is None:
        return Quantity(reason=_ONE_INPUT)
    samples = None if drawn is None else (drawn * weights).sum((-1, -2))
    predicted, measured = of(average, samples)
    return Quantity(predicted, measured)


def _mean(average: FlowAverage | None, samples: Tensor | None) -> tuple[Estimate | None, Estimate | None]:
    predicted = None if average is None else average.mean
    if samples is None:
        return predicted, None
    found = statistics.mean(samples)
    return predicted, Estimate(float(found.value), math.hypot(float(found.error), _rounding(samples)), "statistical")


def _deviation(average: FlowAverage | None, samples: Tensor | None) -> tuple[Estimate | None, Estimate | None]:
    predicted = None if average is None else average.deviation
    if samples is None:
        return predicted, None
    found, floor = statistics.standard_deviation(samples), _rounding(samples)
    value = float(found.value) if float(found.value) > floor else 0.0  # layer 1 is the same in every network
    return predicted, Estimate(value, math.hypot(float(found.error), floor), "statistical")


def _rounding(samples: Tensor) -> float:
    """Return what rounding of some hundred operations in float64 leaves in a sample."""
    return ROUNDING * float(samples.abs().max())


def _vertex_ratio(flow: Flow, index: int) -> float:
    """Return V/(n K^2) averaged over the inputs whose kernel is not zero."""
    assert flow.vertex is not None
    own = flow.pairs[:, 0] == flow.pairs[:, 1]
    vertex, kernel = flow.vertex[index].diagonal()[own], flow.kernel[index].diagonal()
    there = kernel > 0
    ratio = vertex[there] / kernel[there] ** 2 / flow.network.widths[index]
    return float(ratio.mean()) if bool(torch.any(there)) else 0.0

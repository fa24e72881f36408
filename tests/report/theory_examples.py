"""Reports of the effective theory made by hand: a healthy network, a single input, an activation without critical point."""

import math
from dataclasses import replace

from rgflow.records import Estimate, Quantity
from rgflow.report.theory_report import (
    Collapse,
    Diagram,
    DiagramLine,
    TheoryCouplings,
    TheoryLayer,
    TheoryNetwork,
    TheoryReport,
)

__all__ = ["every_theory_example", "gelu_report"]


def quantity(value: float, *, bar: float, z: float) -> Quantity:
    error = 0.02 * value
    measured = value + z * math.hypot(bar, error)
    return Quantity(Estimate(value, bar, "truncation"), Estimate(measured, error, "statistical"))


def layer(number: int, *, width: int = 64, z: float = 0.5) -> TheoryLayer:
    ratio = 4.9 * (number - 1) / width
    return TheoryLayer(
        layer=number,
        width=width,
        weight_variance=1.983,
        bias_variance=0.1729,
        infinite_kernel=3.5615,
        infinite_distance=1.7 * 0.97**number,
        kernel=quantity(3.5615 * (1 + 0.01 * number), bar=0.01, z=z),
        kernel_deviation=quantity(3.5 * math.sqrt(ratio) + 1e-9, bar=0.01, z=-z),
        distance=quantity(1.7 * 0.97**number, bar=0.01, z=z),
        distance_deviation=quantity(0.4 * math.sqrt(ratio) + 1e-9, bar=0.01, z=z),
        chi_parallel=1.0,
        chi_perpendicular=0.9998,
        vertex_ratio=ratio,
        control=1.05 * ratio,
    )


def collapse(width: int) -> Collapse:
    aspect = tuple(number / width for number in range(1, 17))
    return Collapse(
        width,
        aspect,
        tuple(4.9 * r for r in aspect),
        tuple(Estimate(math.expm1(4.9 * r), 0.05 * math.expm1(4.9 * r), "statistical") for r in aspect),
    )


def diagram() -> Diagram:
    kernels = [10 ** (0.05 * k - 2) for k in range(81)]
    levels = (0.5, 0.9, 1.0)
    lines = [
        DiagramLine(x, tuple(2 * x - k / 60 for k in kernels), tuple(k * (1.02 - x) for k in kernels)) for x in levels
    ]
    broken = DiagramLine(1.2, (None,) * 40 + (2.4,) * 41, (None,) * 40 + tuple(0.01 * k for k in range(41)))
    return Diagram((*lines, broken), ((1.983, 0.1729),))


def gelu_report(*, layers: int = 12, networks: int = 2000) -> TheoryReport:
    return TheoryReport(
        version="0.1.0",
        seed=0,
        networks=networks,
        inputs="4 rows of digits",
        network=TheoryNetwork(
            widths=(64, *(64,) * (layers - 1), 10),
            activation="gelu",
            universality="half-stable, K* = 3.562 (critical C_W 1.9831, C_b 0.17292)",
            skip=0.0,
            weight_law="gaussian",
            bias_law="gaussian",
            critical_weight_variance=1.98306,
            critical_bias_variance=0.172922,
            critical_kernel=3.56155,
            growth=4.904,
            settles="the kernel settles at 3.562: depth scales infinite (kernel) and infinite (distances)",
            depth_parallel=math.inf,
            depth_perpendicular=math.inf,
        ),
        layers=tuple(layer(number, z=5.0 if number == 7 else 0.5) for number in range(1, layers + 1)),
        couplings=TheoryCouplings(inputs=4, neurons=10, quadratic=10, quartic=55, quartic_one_neuron=35),
        collapse=tuple(collapse(width) for width in (16, 32, 64, 128)),
        collapse_title="One input, gelu at the critical point, 1500 networks each",
        diagram=diagram(),
        optimal_aspect=0.0163,
        aspect=0.172,
        aspect_warning="This maximum comes from stopping at the third order.",
        control=0.84,
        timing={"theory": 0.4, "ensemble": 1.2},
    )


def every_theory_example() -> dict[str, TheoryReport]:
    full = gelu_report()
    lonely = tuple(
        replace(
            row,
            distance=Quantity(reason="one input"),
            distance_deviation=Quantity(reason="one input"),
            infinite_distance=None,
        )
        for row in full.layers
    )
    bare = tuple(
        replace(
            row,
            **{
                n: Quantity(getattr(row, n).predicted)
                for n in ("kernel", "kernel_deviation", "distance", "distance_deviation")
            },
        )
        for row in full.layers
    )
    none = replace(full.network, critical_weight_variance=None, critical_bias_variance=None, growth=None)
    return {
        "gelu": full,
        "one input": replace(full, layers=lonely),
        "no ensemble": replace(full, layers=bare, collapse=(), networks=0),
        "no critical point": replace(full, network=none, optimal_aspect=None, aspect_warning=""),
        "residual": replace(full, network=replace(full.network, skip=0.8), diagram=None),
        "deep": gelu_report(layers=60),
    }

"""What `rgflow compile` found, as one frozen record that text, JSON and the page are made from.

Units: errors are in those of the outputs; everything else is a count or a pure number. JSON: schema `rgflow.compile/1`,
keys only grow.
"""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["CompileReport", "CountPoint", "ErrorPoint", "Neuron", "ShallowMinimum"]


@dataclass(frozen=True)
class ErrorPoint:
    """One product of two numbers at one scale: bound, its truncation part, and the error measured on a grid."""

    scale: float
    bound: float
    truncation: float
    measured: float


@dataclass(frozen=True)
class CountPoint:
    """Neurons of a product of `factors` numbers in a tree, in one hidden layer, in two and in three."""

    factors: int
    tree: int
    one_layer: int
    two_layers: int
    three_layers: int


@dataclass(frozen=True)
class Neuron:
    """One neuron: its hidden layer (from 1), what it helps to form, how, and the values it reads and gives."""

    layer: int
    neuron: int
    label: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class ShallowMinimum:
    """The least number of neurons of one hidden layer that has the same Taylor polynomial, or why it is not known.

    `biased`: biases free, as in the network compiled here; `plain`: no biases, the case of the published 2^n.
    """

    biased: int | None
    plain: int | None
    source: str


@dataclass(frozen=True)
class CompileReport:
    """One compilation: what was asked, the network found, its bound and measured error, and the curves around it."""

    version: str
    expression: str
    monomials: int
    degree: int
    outputs: int
    variables: tuple[str, ...]
    domain: tuple[float, ...]
    kind: str
    activation: str
    gates: str
    dtype: str
    tolerance: float
    neurons: int
    widths: tuple[int, ...]
    layers: int
    scales: tuple[float, ...]
    parameters: int
    memory: int
    error_bound: float
    error_bounds: tuple[float, ...]
    measured_error: float
    output_size: float
    samples: int
    seed: int
    products: int
    products_alone: int
    neurons_alone: int
    shallow: ShallowMinimum
    curve: tuple[ErrorPoint, ...]
    counts: tuple[CountPoint, ...]
    wiring: tuple[Neuron, ...]

    def table(self, width: int = 120) -> str:
        """Return the report as text of at most `width` columns."""
        from rgflow.report.compile_text import compile_text

        return compile_text(self, width=width)

    def to_json(self) -> str:
        """Return the whole report as JSON; numbers that are not finite become null."""
        return json.dumps(_finite({"schema": "rgflow.compile/1", **asdict(self)}), indent=2, allow_nan=False)

    def to_html(self, path: str) -> None:
        """Write the report as one self-contained page."""
        from rgflow.report.compile_page import write_compile_page

        write_compile_page(self, path)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""`rgflow compile`: build the network, measure it, and set it beside its alternatives. The story of that job."""

from dataclasses import dataclass
from typing import Any

import rgflow
from rgflow.compile import (
    CompiledNetwork,
    measured_error,
    polynomial,
    product_counts,
    scale_curve,
    shallow_width_bound,
)
from rgflow.errors import RgflowError
from rgflow.report.compile_report import CompileReport, CountPoint, ErrorPoint, Neuron, ShallowMinimum

__all__ = ["Compiled", "compile_expression"]

_MOST_FACTORS = 24  # of the curve of counts: 2^24 neurons in one layer
_LARGE = 400  # monomials beyond which the ranks of a certificate take minutes


@dataclass(frozen=True)
class Compiled:
    """The network and the report on it."""

    network: CompiledNetwork
    report: CompileReport


def compile_expression(
    expression: str, *, samples: int = 4096, seed: int = 0, certify: bool = True, **settings: Any
) -> Compiled:
    """Return the network of `expression` and its report; `settings` are those of `rgflow.compile.polynomial`.

    Raises: SettingError as `polynomial` does.
    """
    network = polynomial(expression, **settings)
    measured = measured_error(network, samples=samples, seed=seed)
    smooth_products = network.gates == "taylor" and network.layers > 0
    curve = scale_curve(network.activation, network.dtype) if smooth_products else ()
    degree = max(p.degree for p in network.polynomials)
    report = CompileReport(
        version=rgflow.__version__,
        expression=expression if len(expression) <= 200 else expression[:200] + "...",
        monomials=sum(len(p) for p in network.polynomials),
        degree=degree,
        outputs=len(network.polynomials),
        variables=network.variables,
        domain=network.domain,
        kind=network.kind,
        activation=network.activation,
        gates=network.gates,
        dtype=str(network.dtype).removeprefix("torch."),
        tolerance=float(settings.get("tolerance", 1e-6)),
        neurons=network.neurons,
        widths=network.widths,
        layers=network.layers,
        scales=network.scales,
        parameters=sum(parameter.numel() for parameter in network.module.parameters()),
        memory=network.memory,
        error_bound=network.error_bound,
        error_bounds=network.error_bounds,
        measured_error=measured.error,
        output_size=measured.size,
        samples=measured.samples,
        seed=measured.seed,
        products=network.sharing.products,
        products_alone=network.sharing.products_alone,
        neurons_alone=network.sharing.neurons_alone,
        shallow=_shallow(network) if certify else ShallowMinimum(None, None, "not asked for"),
        curve=tuple(ErrorPoint(p.scale, p.bound, p.truncation, p.measured) for p in curve),
        counts=tuple(CountPoint(**vars(count)) for count in product_counts(max(8, min(degree + 4, _MOST_FACTORS)))),
        wiring=tuple(Neuron(**vars(wire)) for wire in network.wiring()),
    )
    return Compiled(network, report)


def _shallow(network: CompiledNetwork) -> ShallowMinimum:
    """Return the certified minimum of one hidden layer; a single monomial has it in closed form."""
    if network.kind != "real":
        return ShallowMinimum(None, None, "bits and spins are exact in one hidden layer")
    first = network.polynomials[0]
    if len(network.polynomials) == 1 and len(first) == 1 and first.degree > 1:
        plain = 1
        for power in first.degrees:
            plain *= power + 1
        return ShallowMinimum(_ranks(network, "hidden-bias"), plain, "arXiv:1608.08225, arXiv:1705.05502; exact ranks")
    if sum(len(p) for p in network.polynomials) > _LARGE:
        return ShallowMinimum(None, None, f"exact ranks are computed for at most {_LARGE} monomials")
    found = [_ranks(network, family) for family in ("hidden-bias", "plain")]
    return ShallowMinimum(found[0], found[1], "exact ranks of its moments" if any(found) else "too many moments")


def _ranks(network: CompiledNetwork, family: Any) -> int | None:
    try:
        return shallow_width_bound(list(network.polynomials), family=family).neurons
    except RgflowError:
        return None

"""`polynomial`: the network that computes a given polynomial, with an error bound that holds.

The arrangement with the fewest neurons whose bound meets the tolerance is built: products of four neurons; three where that
pays for values carried through a layer; more neurons a product (least squares) where four are not exact enough.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch

from rgflow.compile.accuracy import chosen_units, output_errors
from rgflow.compile.assembly import assembled, block_of, weight_bytes
from rgflow.compile.candidate import Candidate
from rgflow.compile.kit import Kit, exact_kit, least_squares_kit, taylor_kit
from rgflow.compile.layered import group_counts, layered_plan
from rgflow.compile.layout import binary_products
from rgflow.compile.least_squares import LEAST_SQUARES_SCALES
from rgflow.compile.network import CompiledNetwork, Sharing
from rgflow.compile.parsing import kind_of, parse
from rgflow.compile.plan import Plan
from rgflow.compile.request import Request, checked_request
from rgflow.compile.sharing import shared_plans
from rgflow.compile.tents import tent_candidates
from rgflow.compile.two_valued import two_valued_candidate
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import Kind

__all__ = ["candidates", "polynomial"]

_PRODUCT_AT_MOST = 2**14  # neurons of one product; its error bound is above 1 % in float64 long before


def polynomial(
    expression: Any,
    *,
    activation: str = "gelu",
    tolerance: float = 1e-6,
    domain: Any = 1.0,
    dtype: torch.dtype = torch.float64,
    layers: int | None = None,
    gates: Literal["automatic", "taylor", "least-squares"] = "automatic",
    variables: tuple[str, ...] | None = None,
    kind: Kind | None = None,
) -> CompiledNetwork:
    """Return a network of ordinary layers that computes `expression` to `tolerance` on |x_v| <= domain.

    `expression`: whatever `rgflow.compile.parse` reads, several outputs included. `domain`: one half-width, or one (or a
    pair low, high) a variable, or a mapping by name. `layers`: None for the product tree, else the network of fewest
    neurons with at most that many hidden layers. `gates`: "taylor" products are exact at small scales and have large
    weights, "least-squares" ones have weights of order one and can be trained further; "automatic" takes what is cheapest.
    `kind`: "bit" and "spin" inputs take two values each and need one hidden layer; None is that of a `Hamiltonian`, else
    "real".
    Errors: the bound covers truncation and rounding in `dtype`, whatever the order in which a machine adds.
    Raises: SettingError where the expression, a setting, or the tolerance cannot be met; it names what can.
    Source: Lin, Tegmark and Rolnick 2017, arXiv:1608.08225; Rolnick and Tegmark 2018, arXiv:1705.05502.

    Example:
    >>> polynomial("x1*x2*x3 + 2*x1**2").neurons
    10
    """
    kind = kind_of(expression) if kind is None else kind
    polynomials = parse(expression, variables=variables, kind=kind)
    request = checked_request(
        polynomials, activation=activation, tolerance=tolerance, domain=domain, dtype=dtype, layers=layers,
        gates=gates, kind=kind,
    )  # fmt: skip
    tried = []
    for candidate in candidates(request):
        if candidate.error <= request.tolerance:
            return _built(request, candidate)
        tried.append(candidate)
    raise SettingError(_unreachable(request, tried))


def candidates(request: Request) -> Iterator[Candidate]:
    """Return the arrangements for a request in the order of their cost, errors bounded, nothing built yet."""
    if request.kind != "real":
        yield two_valued_candidate(request.polynomials, request.activation, kind=request.kind, dtype=request.dtype)
        return
    if request.activation == "relu":
        found = [c for plan in _trees(request) for c in tent_candidates(plan, request.dtype, layers=request.layers)]
        yield from sorted(found, key=lambda candidate: candidate.neurons)
        return
    trees = _trees(request)
    for kit in _kits(request):
        plans = [*trees, *_layered(request, kit)]
        found = [_candidate(plan, kit, thrifty=thrifty) for plan in plans for thrifty in (True, False)]
        yield from sorted(found, key=lambda candidate: candidate.neurons)


def _candidate(plan: Plan, kit: Kit, *, thrifty: bool) -> Candidate:
    units = chosen_units(plan, kit, thrifty=thrifty)
    return Candidate(
        kit.gates,
        sum(unit.neurons for level in units for unit in level),
        plan.products,
        output_errors(plan, units, kit.dtype),
        plan.outputs,
        tuple(level[0].scale for level in units),
        lambda: tuple(
            tuple(block_of(gate, unit) for gate, unit in zip(level.gates, chosen, strict=True))
            for level, chosen in zip(plan.levels, units, strict=True)
        ),
    )


def _kits(request: Request) -> Iterator[Kit]:
    name, dtype = request.activation, request.dtype
    if name == "squared_relu":
        yield exact_kit(dtype)
        return
    if request.gates != "least-squares":
        yield taylor_kit(name, dtype)
    if request.gates != "taylor":
        for scales in LEAST_SQUARES_SCALES:
            yield least_squares_kit(name, dtype, scales)


def _trees(request: Request) -> list[Plan]:
    """Return the product trees that fit into the layers allowed."""
    plans = shared_plans(request.polynomials, request.domain)
    return [plan for plan in plans if request.layers is None or len(plan.levels) <= request.layers]


def _layered(request: Request, kit: Kit) -> Iterator[Plan]:
    """Return the network of the layers allowed, if the kit can make its products and they are not too large."""
    degree = max(p.degree for p in request.polynomials)
    if request.layers is None or degree < 2:
        return
    counts = group_counts(degree, layers=request.layers, carry=kit.passing.neurons)
    plan = layered_plan(request.polynomials, request.domain, counts=counts)
    widest = max(gate.degree for level in plan.levels for gate in level.products)
    if widest <= kit.degree_at_most and _neurons_of_widest(plan) <= _PRODUCT_AT_MOST:
        yield plan


def _neurons_of_widest(plan: Plan) -> float:
    return max(float(np.prod([r + 1.0 for r in gate.powers])) for level in plan.levels for gate in level.products)


def _built(request: Request, chosen: Candidate) -> CompiledNetwork:
    blocks = chosen.blocks()
    module = assembled(
        blocks, chosen.outputs, bounds=request.domain, activation=request.activation, dtype=request.dtype
    )
    alone = binary_products(request.polynomials)
    return CompiledNetwork(
        module=module,
        polynomials=request.polynomials,
        activation=request.activation,
        dtype=request.dtype,
        domain=request.domain,
        kind=request.kind,
        error_bound=chosen.error,
        error_bounds=tuple(float(error) for error in chosen.errors),
        neurons=chosen.neurons,
        layers=len(blocks),
        scale=chosen.scales[0] if chosen.scales else 1.0,
        scales=chosen.scales,
        gates=chosen.gates,
        memory=weight_bytes(blocks, chosen.outputs, inputs=len(request.domain), dtype=request.dtype),
        sharing=Sharing(chosen.products, alone, chosen.neurons, 4 * alone),
        blocks=blocks,
    )


def _unreachable(request: Request, found: list[Candidate]) -> str:
    """Return the sentence that names the best error within reach, and a setting that reaches the tolerance."""
    what = f"tolerance {request.tolerance:g} is not reachable with {request.activation} in {_word(request.dtype)}"
    what += "" if request.layers is None else f" and {request.layers} hidden layer{'s' if request.layers > 1 else ''}"
    best = min((candidate.error for candidate in found), default=np.inf)
    reach = f"the best bound is {best:.2g}" if np.isfinite(best) else _no_arrangement(request)
    for other in request.alternatives():
        bound = min((candidate.error for candidate in candidates(other)), default=np.inf)
        if bound <= request.tolerance:
            return f"{what}: {reach}; {other.differences(request)} reaches {bound:.2g}"
    if np.isfinite(best):
        return f"{what}: {reach}; set tolerance={_above(best):g}"
    return f"{what}: {reach}; use a smaller domain"


def _no_arrangement(request: Request) -> str:
    degree = max(p.degree for p in request.polynomials)
    least = (degree - 1).bit_length()
    if request.activation in ("relu", "squared_relu") and request.layers is not None and request.layers < least:
        return f"{request.activation} multiplies two numbers a layer, so degree {degree} takes at least {least} layers"
    if request.layers == 1:
        return f"a product of {degree} factors in one layer takes up to {2.0**degree:,.0f} neurons and is too inexact"
    return "errors grow beyond any bound on the way"


def _above(error: float) -> float:
    """Return a round number just above `error`."""
    digit = 10.0 ** np.floor(np.log10(error))
    return float(np.ceil(error / digit) * digit)


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

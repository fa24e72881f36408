"""Closed forms and series of <s^(p)_a s^(q)_b> against the two-dimensional rule, and their honesty."""

from dataclasses import fields

import pytest
import torch
from torch import Tensor

from rgflow.numerics.activations import activation
from rgflow.numerics.closed_derivatives import closed_derivatives
from rgflow.numerics.derivative_series import ORDERS, derivative_series
from rgflow.numerics.kernel_derivatives import kernel_curvature, kernel_response
from rgflow.numerics.pair_derivatives import PairDerivatives, pair_derivatives

CLOSED = 1e-11  # of the rule at kernels of order one, relative to the largest average
INPUTS = 8


def kernel() -> Tensor:
    """Kernels of order one, correlations up to 0.9."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(INPUTS, 6, generator=generator, dtype=torch.float64)
    x[1] = 0.8 * x[0] + 0.4 * x[2]
    return 0.1 + 0.8 * x @ x.T / 6


def by_rule(name: str) -> PairDerivatives:
    k = kernel()
    a, b = torch.triu_indices(INPUTS, INPUTS, offset=1)
    return pair_derivatives(activation(name), k[a, a], k[a, b], w=k[b, b])


def whole(found: object, name: str) -> Tensor:
    """T_pq with its contact."""
    k = kernel()
    a, b = torch.triu_indices(INPUTS, INPUTS, offset=1)
    left, right = k[a, b] / k[a, a], k[a, b] / k[b, b]
    share = {"t22": 1.0, "t31": -left, "t13": -right, "t40": left**2, "t04": right**2}.get(name, 0.0)
    return getattr(found, name) + share * found.contact  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["relu", "leaky_relu(0.3)", "abs", "erf", "sin", "identity"])
def test_closed_forms_equal_the_rule(name: str) -> None:
    k, rule = kernel(), by_rule(name)
    a, b = torch.triu_indices(INPUTS, INPUTS, offset=1)
    closed = closed_derivatives(activation(name), k[a, a], k[a, b], w=k[b, b])
    assert closed is not None
    for field in fields(closed):
        if field.name == "blur":  # an error, not a value
            assert not bool(closed.blur.any())  # no two of these inputs coincide
            continue
        expected = getattr(rule, field.name)
        size = 1.0 + float(expected.abs().max())
        assert float((getattr(closed, field.name) - expected).abs().max()) < CLOSED * size, field.name


@pytest.mark.parametrize("name", ["tanh", "gelu", "softplus", "selu", "hardtanh"])
def test_the_series_lies_within_its_reported_error_of_the_rule(name: str) -> None:
    """Kinks too: their contacts are summed with the rest. At least half of the entries are good to 1e-6."""
    series, rule = derivative_series(activation(name), kernel()), by_rule(name)
    for i, (p, q) in enumerate(ORDERS):
        gap = (series.values[i] - whole(rule, f"t{p}{q}")).abs()
        assert bool((gap <= series.errors[i] + CLOSED * (1 + series.sizes[i])).all()), (p, q)
    assert float((series.errors < 1e-6 * series.sizes).double().mean()) > 0.5


def test_a_looser_tolerance_moves_the_derivatives_by_no_more_than_it_says() -> None:
    k, rule = kernel(), activation("selu")
    close, loose = (kernel_curvature(rule, k, tolerance=tolerance) for tolerance in (1e-11, 1e-5))
    gap = (close.t22 + close.contact - loose.t22 - loose.contact).abs()
    assert float(gap.max()) > 0.0
    assert bool((gap <= close.errors[2] + loose.errors[2] + CLOSED).all())
    slopes = [kernel_response(rule, k, tolerance=tolerance) for tolerance in (1e-11, 1e-5)]
    assert bool(((slopes[0].slope - slopes[1].slope).abs() <= slopes[0].error + slopes[1].error + CLOSED).all())

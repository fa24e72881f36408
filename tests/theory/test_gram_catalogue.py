"""Gram matrices of every activation that has a name, at several depths, against the layer recursion, within their error."""

import pytest

from rgflow import MLP
from rgflow.numerics.catalogue import BUILDERS
from rgflow.theory import gram
from tests.theory.test_gram import FEATURES, ORACLE, inputs, recursion, relative

# Averages of these exist for small variances only, or grow beyond float64 in a few layers.
WILD = {"exp", "sinh", "cube", "square", "squared_relu"}


def holds(name: str, depth: int, *, equal: bool) -> None:
    weights = 0.3 if name in WILD else 1.2
    net = MLP((FEATURES,) + (8,) * depth, name, weight_variance=weights, bias_variance=0.05)
    x = inputs(6, equal=equal)
    found = gram(net, x)
    for value, true, error in zip(
        (found.kernel, found.tangent), recursion(net, x), (found.error.kernel, found.error.tangent), strict=True
    ):
        assert relative(value, true) <= error + depth * ORACLE


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_one_layer_of_any_name_is_the_product_of_the_inputs(name: str) -> None:
    holds(name, 1, equal=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_named_activation_holds_its_error(name: str) -> None:
    holds(name, 3, equal=True)


@pytest.mark.slow
@pytest.mark.parametrize("equal", [True, False], ids=["equal norms", "any norms"])
@pytest.mark.parametrize("depth", [3, 10])
@pytest.mark.parametrize("name", sorted(set(BUILDERS) - WILD))
def test_every_named_activation_holds_its_error_at_any_norms(name: str, depth: int, equal: bool) -> None:
    holds(name, depth, equal=equal)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "gelu", "erf", "tanh", "silu"])
def test_thirty_layers_hold_their_error(name: str) -> None:
    holds(name, 30, equal=True)

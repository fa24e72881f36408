"""Which expressions act on every entry alone, and how they are named."""

import pytest
import torch

from rgflow.networks.expression import SOURCE, Expression, acts_pointwise, as_activation

LIKE = torch.zeros(3, 4, 5)


@pytest.mark.parametrize(
    ("function", "pointwise"),
    [
        (torch.tanh, True),
        (lambda x: x * torch.sigmoid(x), True),
        (lambda x: torch.where(x > 0, x, 0.1 * x), True),
        (lambda x: x - x.mean(), False),
        (lambda x: torch.softmax(x, -1), False),
        (lambda x: x.flip(0), False),
        (lambda x: x + torch.arange(x.numel()).view_as(x), False),
        (lambda x: torch.nn.functional.dropout(x), False),
        (lambda x: x.sum(-1), False),
        (lambda x: x[..., :1].expand_as(x), False),
    ],
)
def test_a_function_is_pointwise_only_if_no_other_entry_no_place_and_no_chance_matters(function, pointwise):
    assert acts_pointwise(Expression(function, (SOURCE,)), LIKE) is pointwise


def test_nested_calls_are_replayed_and_in_place_calls_do_not_touch_their_input():
    inner = Expression(torch.Tensor.mul_, (SOURCE, 2.0))
    outer = Expression(torch.add, (Expression(torch.tanh, (inner,)), SOURCE))
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    kept = x.clone()
    torch.testing.assert_close(outer(x), torch.tanh(2 * kept) + kept)
    assert torch.equal(x, kept)
    assert outer.names == ("mul_", "tanh", "add")


def test_a_call_is_named_only_if_it_computes_what_the_name_says():
    assert as_activation(Expression(torch.relu, (SOURCE,))).name == "relu"
    assert as_activation(SOURCE) is None
    doubled = as_activation(Expression(torch.relu, (Expression(torch.mul, (SOURCE, -1.0)),)))
    assert doubled.name == "mul+relu"
    assert float(doubled(torch.tensor([-3.0], dtype=torch.float64))) == 3.0

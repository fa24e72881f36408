"""Drawing chosen tensors again: the right variance, nothing else touched, reproducible by seed and name."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn

from rgflow.errors import ModelError, SettingError
from rgflow.networks.write import Redraw, own_variance, parameter_groups, redraw_, redrawn
from tests.tolerances import z_limit


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(200, 300), nn.ReLU(), nn.Linear(300, 5))


def test_a_redrawn_tensor_is_gaussian_with_the_planned_variance():
    model = redrawn(network(), [Redraw("0.weight", 0.04)], seed=3)
    scaled = model[0].weight.detach().double() / 0.2
    count = scaled.numel()
    # Mean, variance and fourth moment of a unit Gaussian, with their standard errors.
    scores = [
        float(scaled.mean()) * math.sqrt(count),
        (float(scaled.square().mean()) - 1) * math.sqrt(count / 2),
        (float((scaled**4).mean()) - 3) * math.sqrt(count / 96),
    ]
    assert max(map(abs, scores)) < z_limit(3)
    assert own_variance(model[0].weight) == pytest.approx(0.04, rel=0.05)


def test_everything_unplanned_stays_bit_for_bit():
    model = network()
    tuned = redrawn(model, [Redraw("0.weight", 0.04), Redraw("2.bias", 0.0)], seed=3)
    assert not torch.equal(tuned[0].weight, model[0].weight)
    assert torch.equal(tuned[0].bias, model[0].bias)
    assert torch.equal(tuned[2].weight, model[2].weight)
    assert not bool(tuned[2].bias.any())


def test_the_given_module_and_the_global_random_states_stay_as_found():
    model = network()
    before = {name: p.clone() for name, p in model.named_parameters()}
    states = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state())  # noqa: NPY002
    redrawn(model, [Redraw("0.weight", 0.04)], seed=3)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])


def test_same_seed_same_draw_two_seeds_two_draws_and_the_rest_of_the_plan_does_not_matter():
    model, entry = network(), Redraw("0.weight", 0.04)
    one = redrawn(model, [entry], seed=3)[0].weight
    assert torch.equal(one, redrawn(model, [Redraw("2.weight", 1.0), entry], seed=3)[0].weight)
    assert not torch.equal(one, redrawn(model, [entry], seed=4)[0].weight)


def test_different_tensors_of_one_seed_are_independent():
    model = nn.Sequential(nn.Linear(50, 50), nn.Linear(50, 50))
    tuned = redrawn(model, [Redraw("0.weight", 1.0), Redraw("1.weight", 1.0)], seed=0)
    correlation = float((tuned[0].weight * tuned[1].weight).detach().mean()) * math.sqrt(2500)
    assert abs(correlation) < z_limit(1)


def test_double_precision_and_half_precision_are_kept():
    for kind in (torch.float64, torch.float16):
        tuned = redrawn(network().to(kind), [Redraw("0.weight", 0.04)], seed=0)
        assert tuned[0].weight.dtype == kind


def test_groups_hold_every_parameter_once_and_feed_the_stock_optimizers():
    model = network()
    groups = parameter_groups(model, learning_rate=0.1, multipliers={"0.bias": 8.0, "2.weight": 0.5})
    assert sum(len(group["params"]) for group in groups) == 4
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(model[0].bias)] == pytest.approx(0.8)
    assert rates[id(model[2].weight)] == pytest.approx(0.05)
    assert rates[id(model[0].weight)] == pytest.approx(0.1)
    for optimizer in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        assert len(optimizer(groups, lr=1.0).param_groups) == 3


def test_groups_without_a_rate_leave_the_rate_to_the_optimizer():
    groups = parameter_groups(network())
    assert torch.optim.SGD(groups, lr=0.25).param_groups[0]["lr"] == 0.25
    with pytest.raises(SettingError, match="learning_rate"):
        parameter_groups(network(), multipliers={"0.bias": 2.0})


def test_bad_plans_are_refused():
    with pytest.raises(ModelError, match=r"9\.weight"):
        redraw_(network(), [Redraw("9.weight", 1.0)], seed=0)
    with pytest.raises(SettingError, match="-1"):
        redraw_(network(), [], seed=-1)
    with pytest.raises(SettingError, match="nan"):
        Redraw("0.weight", math.nan)
    with pytest.raises(SettingError, match="-2"):
        parameter_groups(network(), learning_rate=-2)

"""Modules that start as copies of each other, and parameters that are one tensor under several names."""

import copy
import warnings

import pytest
import torch
from torch import nn

from rgflow.networks.equality import (
    cloned_layers,
    enclosing_blocks,
    equal_parameters,
    is_constant,
    tied_parameters,
)


def _encoder() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 12)


def test_the_layers_of_torchs_encoder_are_found_to_be_clones():
    groups = cloned_layers(_encoder() for _ in range(3))
    parts = ("self_attn", "self_attn.out_proj", "linear1", "linear2")
    # Group by group in the model's order, so that layer 10 comes after layer 2; norms start constant and are left out.
    assert set(groups) == {tuple(f"layers.{i}.{part}" for i in range(12)) for part in parts}
    assert enclosing_blocks(groups)[0] == tuple(f"layers.{i}" for i in range(12))


def test_independent_layers_are_no_clones():
    assert cloned_layers(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)) for _ in range(2)) == ()


def test_layers_that_agree_in_one_draw_only_are_no_clones():
    independent = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    cloned = copy.deepcopy(independent)
    cloned[1].load_state_dict(cloned[0].state_dict())
    cloned[2].load_state_dict(cloned[0].state_dict())
    partly = copy.deepcopy(independent)
    partly[2].load_state_dict(partly[0].state_dict())
    assert cloned_layers([cloned]) == (("0", "1", "2"),)
    assert cloned_layers([cloned, partly]) == cloned_layers([partly, cloned]) == (("0", "2"),)
    assert cloned_layers([cloned, independent]) == ()


@pytest.mark.parametrize("change", [lambda w: w[0, 0].add_(1e-7), lambda w: w.neg_(), lambda w: w.copy_(w.flip(0))])
def test_the_smallest_difference_makes_two_layers_different(change):
    first = nn.Linear(4, 4, bias=False)
    second = copy.deepcopy(first)
    assert cloned_layers([nn.Sequential(first, second)]) == (("0", "1"),)
    with torch.no_grad():
        change(second.weight)
    assert cloned_layers([nn.Sequential(first, second)]) == ()


def test_constant_tensors_prove_nothing():
    zeros = nn.Sequential(nn.LayerNorm(4), nn.LayerNorm(4))
    assert cloned_layers([zeros]) == ()
    assert is_constant(torch.zeros(3))
    assert is_constant(torch.tensor([0.3]))
    assert not is_constant(torch.tensor([0.0, 1e-30]))


def test_tied_parameters_are_no_clones_and_are_listed_under_all_names():
    model = nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 6, bias=False))
    model[1].weight = model[0].weight
    assert tied_parameters(model) == (("0.weight", "1.weight"),)
    assert equal_parameters(model) == ()
    shared = nn.Linear(4, 4)
    twins = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    twins[0].weight, twins[1].weight = shared.weight, shared.weight
    assert cloned_layers([twins]) == ()


def test_equal_memory_is_tied_even_as_another_parameter_object():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = nn.Parameter(model[0].weight.data)
    assert tied_parameters(model) == (("0.weight", "1.weight"),)
    assert tied_parameters(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))) == ()


def test_models_on_the_meta_device_and_lazy_models_can_be_asked():
    assert tied_parameters(nn.Sequential(nn.Linear(2, 2, device="meta"), nn.Linear(2, 2, device="meta"))) == ()
    assert cloned_layers([nn.Sequential(nn.LazyLinear(3), nn.LazyLinear(3))]) == ()

"""Rows: names, order, parameters; the same for measuring and forecasting; hooks always removed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rgflow.networks.intercept import watch
from rgflow.networks.mean_field import forecast_rows
from rgflow.networks.measure import measure_ensemble
from rgflow.networks.rows import first_tensor, with_first_tensor
from tests.networks.ordinary_models import Encoder, GatedNet, Step, digits, example


def _rows(model: nn.Module):
    x, y = digits()
    return measure_ensemble([model], x, y, loss=F.cross_entropy).rows


def _bare() -> nn.Module:
    model = Step(lambda s, x: torch.relu(x @ s.w1 + s.b1) @ s.w2 + F.linear(s.part(x), s.w3), part=nn.Linear(64, 6))
    for name, shape in {"w1": (64, 24), "b1": (24,), "w2": (24, 10), "w3": (10, 6)}.items():
        setattr(model, name, nn.Parameter(torch.randn(shape) / 8))
    return model


def _shared() -> nn.Module:
    parts = {"first": nn.Linear(64, 24), "again": nn.Linear(24, 24), "head": nn.Linear(24, 10)}
    return Step(lambda s, x: s.head(s.again(torch.tanh(s.again(torch.tanh(s.first(x)))))), **parts)


class _OwnLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.shift = nn.Parameter(torch.randn(10, 64)), nn.Parameter(torch.randn(10))

    def forward(self, x):
        return F.linear(x, self.weight) * 2 + self.shift


MODELS = {
    "bare": _bare,
    "shared": _shared,
    "gated": GatedNet,
    "encoder": lambda: Encoder(copies=False),
    "cnn": example("cnn"),
    "resnet": example("resnet"),
    "transformer": example("transformer"),
    "lstm": example("lstm"),
}


def test_rows_stand_in_order_of_execution_under_their_dotted_names():
    names = [row.name for row in _rows(example("lstm")())]
    assert names == ["embed", "lstm", "head"]


def test_the_second_call_is_numbered_and_shares_its_parameters():
    rows = {row.name: row for row in _rows(_shared())}
    assert list(rows) == ["first", "again", "again#2", "head"]
    assert rows["again"].parameters == rows["again#2"].parameters == ("again.weight", "again.bias")


def test_bare_parameters_are_rows_of_their_own():
    rows = {row.name: row for row in _rows(_bare())}
    assert list(rows) == ["w1", "b1", "w2", "part", "w3"]
    assert [rows[name].linear for name in rows] == [True, False, True, True, True]
    assert rows["b1"].parameters == ("b1",)
    assert rows["w1"].shape == (24,)


def test_a_leaf_of_the_users_shows_its_map_and_keeps_the_rest_of_its_parameters():
    rows = {row.name: row for row in _rows(nn.Sequential(_OwnLinear()))}
    assert list(rows) == ["0.weight", "0"]
    assert (rows["0.weight"].parameters, rows["0"].parameters) == (("0.weight",), ("0.shift",))


def test_attention_is_seen_as_its_projections_under_the_users_parameter_names():
    rows = {row.name: row for row in _rows(Encoder(copies=False))}
    projection = rows["layers.0.self_attn.in_proj"]
    assert projection.linear
    assert projection.parameters == ("layers.0.self_attn.in_proj_weight", "layers.0.self_attn.in_proj_bias")
    assert rows["layers.1.self_attn.out_proj"].parameters[0] == "layers.1.self_attn.out_proj.weight"


def test_a_tied_head_is_a_row_that_shares_the_embedding():
    def forward(s, x):
        return F.linear(s.mix(s.table((x.reshape(-1, 8, 8).mean(2) * 15).long())), s.table.weight).mean(1)[:, :10]

    rows = {row.name: row for row in _rows(Step(forward, table=nn.Embedding(16, 24), mix=nn.Linear(24, 24)))}
    assert list(rows) == ["table", "mix", "table.weight"]
    assert rows["table"].parameters == rows["table.weight"].parameters


@pytest.mark.parametrize("name", MODELS)
def test_measuring_and_forecasting_name_the_same_rows(name):
    x, y = digits(2)
    torch.manual_seed(0)
    draws = [MODELS[name]() for _ in range(3)]
    measured = measure_ensemble(draws, x, y, loss=F.cross_entropy)
    forecast = forecast_rows(draws, x, y, loss=F.cross_entropy, seeds=1, time_budget=600.0)
    assert [row.name for row in measured.rows] == [row.name for row in forecast.rows]
    assert not measured.error
    assert not forecast.error


@pytest.mark.parametrize("fails", [False, True])
def test_hooks_are_removed_also_after_an_error(fails):
    class Nothing:
        def linear(self, call, x):
            return call.literal(x)

        def output(self, row, tensor):
            if fails:
                raise ArithmeticError
            return tensor

    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    try:
        with watch(model, Nothing(), names={id(p): n for n, p in model.named_parameters()}):
            model(torch.zeros(2, 4))
    except ArithmeticError:
        assert fails
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_the_first_tensor_of_any_output_is_found_and_replaced():
    a, b, whole = torch.zeros(2), torch.ones(2), torch.zeros(2, dtype=torch.long)
    assert first_tensor((whole, [b], a)) is b
    assert first_tensor({"features": a, "logits": b}) is b
    assert first_tensor("text") is None
    assert first_tensor(with_first_tensor((whole, (a, b)), b)) is b

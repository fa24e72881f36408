"""Forecasts by mean-field replicas against ensembles of other draws; planted bugs are caught.

STATISTICAL: a cell is good within 10 % or 4 combined standard errors; at least 90 % of a model's cells must be. Cells of
one model move together, so the false-alarm rate of a model is at most that of one cell, P(|z| > 4) = 6e-5.
"""

import copy
import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rgflow.errors import SettingError
from rgflow.networks import emission, mean_field
from rgflow.networks.mean_field import forecast_rows
from tests.networks.ordinary_models import Encoder, GatedNet, PooledNet, Step, compared, digits, example, good_share

NEEDED = 0.9
FORECASTS = {
    "cnn": example("cnn"),
    "resnet": example("resnet"),
    "transformer": example("transformer"),
    "gated": GatedNet,
    "encoder": lambda: Encoder(copies=False),
    "lstm": example("lstm"),
}


def _forecast(build, *, count: int = 4, loss=F.cross_entropy, **settings):
    x, y = digits()
    torch.manual_seed(3)
    return forecast_rows([build() for _ in range(count)], x, y, loss=loss, **{"time_budget": 600.0, **settings})


def _by_name(result):
    return {row.name: row for row in result.rows}


@pytest.mark.parametrize("name", FORECASTS)
def test_ordinary_models_are_forecast(name):
    _assert_forecast(*compared(FORECASTS[name], seeds=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", FORECASTS)
def test_ordinary_models_are_forecast_with_twice_the_networks_and_seeds(name):
    _assert_forecast(*compared(FORECASTS[name], networks=64))


def _assert_forecast(measured, forecast):
    forward, cells = good_share(measured, forecast)
    backward, others = good_share(measured, forecast, ("gradient_square", "backward_square"))
    assert cells >= 6
    assert others >= 6
    assert forward >= NEEDED
    assert backward >= NEEDED


def test_a_forgotten_bias_is_caught(monkeypatch):
    scout_rows = mean_field.scout_rows

    def without_bias(*args, **kwargs):
        scout = scout_rows(*args, **kwargs)
        return replace(scout, maps={name: replace(plan, bias_variance=0.0) for name, plan in scout.maps.items()})

    monkeypatch.setattr(mean_field, "scout_rows", without_bias)
    assert good_share(*compared(example("cnn"), networks=16, seeds=1))[0] < NEEDED


def test_a_forgotten_fan_in_of_the_gradient_is_caught(monkeypatch):
    monkeypatch.setattr(emission, "gradient_square", lambda g, *, weights, bias: g.channels_out * (weights + bias))
    assert good_share(*compared(PooledNet, networks=16, seeds=1), ("gradient_square",))[0] < NEEDED


def test_a_covariance_diagonal_in_the_positions_is_caught(monkeypatch):
    correlate = emission.correlate

    def diagonal(moment, geometry, *, back=False):
        moved = correlate(moment, geometry, back=back)
        positions = len(moved) // geometry.batch
        same = torch.eye(positions).bool().repeat(geometry.batch, geometry.batch)
        return torch.where(same, moved, 0.0)

    assert good_share(*compared(PooledNet, seeds=1))[0] >= NEEDED
    monkeypatch.setattr(emission, "correlate", diagonal)
    assert good_share(*compared(PooledNet, seeds=1))[0] < NEEDED


def test_the_factor_route_agrees_with_the_matrix_route():
    matrix, factor = _forecast(PooledNet, count=8, seeds=1), _forecast(PooledNet, count=8, seeds=1, location_cap=100)
    for dense, sparse in zip(matrix.rows, factor.rows, strict=True):
        for name in ("signal", "spread", "gradient_square", "backward_square", "tangent_trace"):
            a, b = getattr(dense, name), getattr(sparse, name)
            # Beyond the cap second moments rest on 512 samples: 4 sigma of sqrt(2 / 512) per map, three maps.
            assert b.value == pytest.approx(a.value, rel=4 * math.sqrt(3 * 2 / 512)), (dense.name, name)


def test_a_map_on_the_data_is_forecast_exactly():
    x, _ = digits()
    torch.manual_seed(0)
    draws = [nn.Linear(64, 10) for _ in range(4)]
    weight = torch.stack([d.weight for d in draws]).double().pow(2).mean().item()
    bias = torch.stack([d.bias for d in draws]).double().pow(2).mean().item()
    x = x.double()
    row = forecast_rows(draws, x, None, loss=F.mse_loss).rows[0]
    # Orthonormal noise makes the moments exact up to the jitter of 1e-9 of each variance.
    assert row.signal.value == pytest.approx(bias + weight * float(x.pow(2).sum(1).mean()), rel=1e-8)
    assert row.spread.value == pytest.approx(weight * float(x.var(0).sum()), rel=1e-6)
    assert row.tangent_trace.value == pytest.approx(10 * float((x.pow(2).sum(1) + 1).sum()), rel=1e-6)


def test_a_deep_chain_resolves_a_spread_of_ten_to_minus_twenty():
    def build():
        layers = [part for _ in range(14) for part in (nn.Linear(64, 64), nn.Tanh())]
        for layer in layers[::2]:
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.constant_(layer.bias, 0.5)
        return nn.Sequential(*layers)

    measured, forecast = compared(build, networks=16, seeds=1)
    last = forecast.rows[-1]
    assert last.spread.value < 1e-20
    assert last.spread.value == pytest.approx(float(measured.spread[:, -1].mean()), rel=0.5)


def test_sources_say_how_each_row_was_obtained():
    rows = _by_name(_forecast(example("transformer"), seeds=1))
    assert (rows["embed"].source, rows["position"].source) == ("mean field", "simulated")
    assert rows["blocks.0.norm1"].source == "exact op"
    lstm = _by_name(_forecast(example("lstm"), seeds=1))["lstm"]
    assert lstm.source == "simulated"
    assert lstm.signal is not None
    assert "LSTM" in lstm.reason


def test_copied_layers_are_measured_and_what_follows_is_forecast():
    rows = _by_name(_forecast(lambda: Encoder(copies=True), seeds=1))
    copied = rows["layers.layers.1.linear1"]
    assert (copied.source, copied.reason, copied.signal) == ("measured", "layers start as copies of one", None)
    assert rows["head"].source == "mean field"
    independent = _by_name(_forecast(lambda: Encoder(copies=False), seeds=1))
    assert independent["layers.1.linear1"].source == "mean field"


def test_shared_and_tied_weights_are_measured():
    parts = {"first": (64, 20), "again": (20, 20), "head": (20, 10)}
    rows = _by_name(
        _forecast(
            lambda: Step(
                lambda s, x: s.head(s.again(s.again(s.first(x)).tanh()).tanh()),
                **{name: nn.Linear(*shape) for name, shape in parts.items()},
            )
        )
    )
    assert rows["again"].source == rows["again#2"].source == "measured"
    assert "more than once" in rows["again#2"].reason
    assert rows["head"].signal is not None


def test_python_that_depends_on_values_stops_the_forecast_there():
    def forward(s, x):
        hidden = s.first(x)
        return s.head(hidden * (2 if hidden.mean().item() > 0 else 1))

    result = _forecast(lambda: Step(forward, first=nn.Linear(64, 20), head=nn.Linear(20, 10)))
    rows = _by_name(result)
    assert rows["first"].signal is not None
    assert (rows["head"].source, rows["head"].signal) == ("measured", None)
    assert ".item()" in rows["head"].reason
    assert "\n" not in rows["head"].reason


def test_a_model_that_raises_keeps_the_rows_before():
    result = _forecast(lambda: nn.Sequential(nn.Linear(64, 20), nn.Linear(21, 10)))
    assert "shapes cannot be multiplied" in result.error
    assert [(row.name, row.signal is not None) for row in result.rows] == [("0", True)]


def test_maps_that_mix_positions_are_limited():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.norm = nn.Linear(8, 32), nn.LayerNorm(32)
            self.tokens, self.channels = nn.Linear(8, 8), nn.Linear(32, 32)

        def forward(self, x):
            h = self.embed(x.reshape(-1, 8, 8))
            h = h + self.tokens(self.norm(h).transpose(1, 2)).transpose(1, 2)
            return self.channels(h).mean(1)[:, :10]

    measured, forecast = compared(Mixing, seeds=1)
    rows = _by_name(forecast)
    assert (rows["tokens"].source, rows["tokens"].reason) == ("simulated", "limited: mixes positions")
    assert rows["channels"].source == "mean field"
    assert all(row.gradient_square is None for row in forecast.rows)
    assert any("mix positions" in note for note in forecast.notes)
    assert good_share(measured, forecast)[0] >= NEEDED


def test_weights_with_a_mean_are_remarked_on():
    def build():
        layer = nn.Linear(64, 10)
        nn.init.uniform_(layer.weight, 0.0, 0.1)
        return nn.Sequential(layer)

    assert "mean" in _forecast(build).rows[0].reason


def test_large_maps_and_spent_budgets_are_left_to_measuring():
    large = _forecast(PooledNet, location_cap=60)
    late = _forecast(PooledNet, time_budget=0.0)
    for result, word in ((large, "locations"), (late, "longer")):
        assert {row.source for row in result.rows} == {"measured"}
        assert all(word in row.reason and row.signal is None for row in result.rows)


def test_user_code_that_writes_in_place_is_forecast():
    def forward(s, x):
        states = torch.zeros(len(x), 4, 24)
        for token, part in enumerate(s.parts):
            states[:, token] = part(x.reshape(-1, 4, 16)[:, token])
        return s.head(F.relu(states.clone(), inplace=True).flatten(1))

    def build():
        parts = nn.ModuleList([nn.Linear(16, 24) for _ in range(4)])
        return Step(forward, parts=parts, head=nn.Linear(96, 10))

    assert good_share(*compared(build, seeds=1))[0] >= NEEDED


def test_random_buffers_belong_to_their_own_draw():
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("directions", torch.randn(64, 40) / 4)
            self.head = nn.Linear(40, 10)

        def forward(self, x):
            return self.head(torch.cos(x @ self.directions))

    assert good_share(*compared(Features, seeds=1))[0] >= NEEDED


def test_the_seed_decides_and_nothing_of_the_users_changes():
    torch.manual_seed(0)
    draws = [Encoder(copies=False) for _ in range(3)]
    kept, state, threads = (
        [copy.deepcopy(d.state_dict()) for d in draws],
        torch.get_rng_state(),
        torch.get_num_threads(),
    )
    x, y = digits()
    runs = [forecast_rows(draws, x, y, loss=F.cross_entropy, seeds=1, seed=seed) for seed in (0, 0, 1)]
    values = [[row.spread.value for row in run.rows] for run in runs]
    assert values[0] == values[1]
    assert values[0] != values[2]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    for draw, before in zip(draws, kept, strict=True):
        assert all(torch.equal(before[name], tensor) for name, tensor in draw.state_dict().items())
        assert all(p.grad is None for p in draw.parameters())
        assert not any(m._forward_hooks for m in draw.modules())


def test_no_draws_and_no_seeds_are_refused():
    with pytest.raises(SettingError, match="at least 1"):
        _forecast(PooledNet, count=0)
    with pytest.raises(SettingError, match="at least 1"):
        _forecast(PooledNet, seeds=0)

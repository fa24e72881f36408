"""Tuning: every layer of the tuned ensemble carries the kernel it should, and what must stay stays."""

import copy
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rgflow.errors import ModelError, SettingError
from rgflow.records import Dataset
from rgflow.studies.tuning import Tuned, tune
from tests.tolerances import z_limit

CHANNELS = 128


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices gain little from a second thread and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def blobs(features: int = 20, *, classes: int = 3, scale: float = 5.0, samples: int = 60) -> Dataset:
    """Data of mean square far from 1, with one constant and one zero feature."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(samples) % classes
    centres = torch.randn(classes, features, generator=generator, dtype=torch.float64)
    x = scale * (centres[labels] + torch.randn(samples, features, generator=generator, dtype=torch.float64))
    x[:, 0], x[:, 1] = 0.0, 0.0
    return Dataset("blobs", x, labels, "classification", classes)


def chain(act=nn.ReLU, depth: int = 6, *, features: int = 20, outputs: int = 3) -> nn.Sequential:
    widths = [features] + [CHANNELS] * depth
    layers = [m for a, b in pairwise(widths) for m in (nn.Linear(a, b), act())]
    return nn.Sequential(*layers, nn.Linear(CHANNELS, outputs))


def kernels(tuned: Tuned, data: Dataset, *, networks: int = 24) -> torch.Tensor:
    """Mean squares of every linear map's output, (networks, maps), over redraws of the tuned model."""
    rows = []
    for seed in range(networks):
        model = tuned.apply_(copy.deepcopy(tuned.model), seed=seed).double()
        squares: list[float] = []
        maps = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for module in maps:
            module.register_forward_hook(lambda m, i, o, s=squares: s.append(float(o.detach().square().mean())))
        with torch.no_grad():
            model(data.inputs)
        rows.append(squares)
    return torch.tensor(rows, dtype=torch.float64)


def scores(values: torch.Tensor, expected: float) -> torch.Tensor:
    """z of each layer's mean log kernel, with its O(1/n) shift -Var/2 taken out by the measured variance."""
    logs = values.log()
    centre = logs.mean(0) + logs.var(0) / 2
    return (centre - torch.tensor(expected, dtype=torch.float64).log()) / (logs.std(0) / len(values) ** 0.5)


class Gated(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


@pytest.mark.parametrize(
    ("act", "kernel"),
    [(nn.ReLU, 1.0), (lambda: nn.LeakyReLU(0.3), 1.0), (nn.GELU, (3 + 17**0.5) / 2)],
)
def test_every_hidden_layer_of_the_tuned_ensemble_carries_the_target_kernel(act, kernel):
    data = blobs()
    values = kernels(tune(chain(act), data), data)[:, :-1]
    assert float(scores(values, kernel).abs().max()) < z_limit(values.shape[1])


def test_a_chain_of_two_activations_hands_each_the_kernel_it_wants():
    data = blobs()
    acts = [nn.ReLU(), nn.GELU(), nn.GELU(), nn.Tanh(), nn.ReLU()]
    layers = [m for act, n in zip(acts, [20] + [CHANNELS] * 4, strict=True) for m in (nn.Linear(n, CHANNELS), act)]
    values = kernels(tune(nn.Sequential(*layers, nn.Linear(CHANNELS, 3)), data), data, networks=16)
    for layer, kernel in enumerate([1.0, (3 + 17**0.5) / 2, (3 + 17**0.5) / 2, 1.0, 1.0, 0.15]):
        assert abs(float(scores(values[:, layer : layer + 1], kernel))) < z_limit(6)


def test_the_stock_network_fails_the_same_test():
    data = blobs()
    stock = Tuned(chain(), (), (), ())
    rows = []
    for seed in range(12):
        torch.manual_seed(seed)
        rows.append(kernels(Tuned(chain(), (), (), ()), data, networks=1)[0, :-1])
    assert float(scores(torch.stack(rows), 1.0).abs().max()) > 10 * z_limit(6)
    assert stock.plan == ()


def test_tanh_starts_at_kernel_one_and_a_custom_activation_at_its_own_fixed_point():
    data = blobs()
    rows = tune(chain(nn.Tanh), data).changes
    assert [row.weight_variance_after for row in rows[1:-1]] == pytest.approx([1.0] * 5, rel=1e-8)
    custom = tune(chain(Gated), data).changes[2]
    # z sigmoid(1.702 z) is SiLU in units of 1.702: the same C_W, and C_b divided by 1.702^2.
    assert custom.weight_variance_after == pytest.approx(1.9880046783, rel=1e-6)
    assert custom.bias_variance_after == pytest.approx(0.5551431707 / 1.702**2, rel=1e-6)


def test_logits_are_of_order_one_and_regression_outputs_of_the_targets_order():
    data = blobs()
    logits = kernels(tune(chain(), data), data)[:, -1]
    assert float(scores(logits.unsqueeze(1), 0.15).abs()) < z_limit(1)
    targets = 7.0 * torch.randn(60, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fields = Dataset("field", data.inputs, targets, "regression")
    row = tune(chain(outputs=2), fields).changes[-1]
    assert row.weight_variance_after * 0.5 == pytest.approx(0.15 * float(targets.var(0).mean()))
    shifted = Dataset("field", data.inputs, targets + 1000.0, "regression")
    assert any("subtract the mean" in note for note in tune(chain(outputs=2), shifted).notes)


def test_convolutions_keep_their_mean_signal_in_spite_of_zero_padding():
    layers = [m for _ in range(6) for m in (nn.Conv2d(64, 64, 3, padding=1), nn.ReLU())]
    model = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), *layers, nn.Flatten(), nn.Linear(64 * 64, 3))
    x = 3.0 * torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    data = Dataset("maps", x, torch.arange(12) % 3, "classification", 3)
    values = kernels(tune(model, data), data, networks=16)[:, :-1]
    assert float(scores(values, 1.0).abs().max()) < z_limit(7)
    assert all("zero padding" in row.reason for row in tune(model, data).changes[:-1])


class Block(nn.Module):
    def __init__(self, width: int, *, norm: bool):
        super().__init__()
        self.n = nn.LayerNorm(width) if norm else nn.Identity()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.b(functional.relu(self.a(functional.relu(self.n(x)))))


def blocks(count: int, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 32), *(Block(32, norm=norm) for _ in range(count)), nn.ReLU(), nn.Linear(32, 3))


def test_residual_branches_without_norm_share_one_unit_of_gain():
    rows = {row.layer: row for row in tune(blocks(5, norm=False), blobs()).changes}
    assert rows["1.a"].weight_variance_after == pytest.approx(2.0)
    assert rows["3.b"].weight_variance_after == pytest.approx(2.0 / 5)


def test_behind_a_norm_only_the_last_map_of_each_branch_is_scaled_down():
    model = blocks(5, norm=True)
    tuned = tune(model, blobs())
    rows = {row.layer: row for row in tuned.changes}
    assert rows["1.b"].weight_variance_after == pytest.approx(rows["1.b"].weight_variance_before / 5)
    # The first map of a branch reads ReLU of a norm, so it follows the activation's own critical point.
    assert rows["1.n"].action == "kept"
    assert torch.equal(tuned.model[1].n.weight, model[1].n.weight)


def test_what_a_batch_norm_normalises_is_kept_with_the_note_that_tuning_gives_nothing():
    layers = [m for _ in range(3) for m in (nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU())]
    model = nn.Sequential(nn.Linear(20, 32), nn.BatchNorm1d(32), nn.ReLU(), *layers, nn.Linear(32, 3))
    tuned = tune(model, blobs())
    assert {row.action for row in tuned.changes} == {"kept"}
    assert tuned.plan == ()
    assert any("gives nothing" in note for note in tuned.notes)
    assert all(torch.equal(p, q) for p, q in zip(tuned.model.parameters(), model.parameters(), strict=True))


def test_zero_initialised_tied_and_recurrent_parts_are_kept():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = nn.LSTM(20, 8, batch_first=True)
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
            self.b.weight = self.a.weight
            nn.init.zeros_(self.c.weight)

        def forward(self, x):
            return self.c(torch.relu(self.b(torch.relu(self.a(self.cell(x.unsqueeze(1))[0][:, -1])))))

    model = Mixed()
    tuned = tune(model, blobs())
    assert tuned.plan == ()
    assert all(torch.equal(p, q) for p, q in zip(tuned.model.parameters(), model.parameters(), strict=True))
    reasons = {row.layer: row.reason for row in tuned.changes}
    assert "zero" in reasons["c"]
    assert "shared" in reasons["a"]
    assert reasons["cell"]


def test_an_encoder_made_of_copies_is_drawn_apart():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True)
    body = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)
    x = torch.randn(20, 5, 8, dtype=torch.float64)
    data = Dataset("tokens", x, torch.arange(20) % 2, "classification", 2)
    tuned = tune(nn.Sequential(nn.Linear(8, 16), body, nn.Flatten(), nn.Linear(80, 2)), data)
    one, two = (tuned.model[1].layers[i] for i in (0, 1))
    assert not torch.equal(one.linear1.weight, two.linear1.weight)
    assert not torch.equal(one.self_attn.in_proj_weight, two.self_attn.in_proj_weight)
    assert float(one.linear1.weight.detach().std()) == pytest.approx(48**-0.5, rel=0.1)  # PyTorch: 1 / sqrt(3 fan_in)


def test_an_activation_without_a_critical_point_gets_a_compromise_with_the_reason():
    row = tune(chain(nn.Sigmoid), blobs()).changes[2]
    assert row.action == "redrawn"
    assert row.reason.startswith("compromise, no usable critical point")


def test_the_model_and_global_state_stay_as_found_and_apply_reproduces_the_tuning():
    model, data = chain().eval(), blobs()
    state = copy.deepcopy(model.state_dict())
    states = (random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state(), torch.get_default_dtype())  # noqa: NPY002
    tuned = tune(model, data.inputs.numpy(), data.targets.numpy(), seed=3)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert random.getstate() == states[0]
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[2])
    assert torch.get_default_dtype() == states[3]
    assert not tuned.model.training
    applied = tuned.apply_(model)
    assert applied is model
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), tuned.model.parameters(), strict=True))


def test_same_seed_same_weights_two_seeds_two_weights_for_modules_and_factories():
    data, model = blobs(), chain()
    for source in (model, chain):
        one, again, other = (tune(source, data, seed=seed).model[2].weight for seed in (1, 1, 2))
        assert torch.equal(one, again)
        assert not torch.equal(one, other)


def test_groups_feed_stock_optimizers_and_rates_differ_only_when_asked_for():
    data = blobs()
    plain = tune(chain(), data)
    assert len(plain.parameter_groups) == 1
    assert torch.optim.AdamW(plain.parameter_groups, lr=0.5).param_groups[0]["lr"] == 0.5
    asked = tune(chain(), data, learning_rates=True)
    groups = asked.groups(asked.model, learning_rate=0.02)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert rates[id(asked.model[2].weight)] == pytest.approx(0.02)
    assert rates[id(asked.model[2].bias)] == pytest.approx(0.02 * CHANNELS)
    assert len(torch.optim.SGD(asked.parameter_groups, lr=1.0).param_groups) == 3
    normed = tune(blocks(2, norm=True), data, learning_rates=True)
    assert normed.multipliers == {}
    assert any("rates are left equal" in note for note in normed.notes)


def test_the_table_shows_every_layer_once_and_every_note():
    tuned = tune(chain(), blobs())
    lines = tuned.table().splitlines()
    assert [line.split()[0] for line in lines[1:8]] == ["0", "2", "4", "6", "8", "10", "12"]
    assert "-> 2.00" in lines[2]
    assert "2 of 20 input features are constant" in tuned.table()
    assert max(map(len, tuned.table(80).splitlines())) <= 80


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(SettingError, match="lion"):
        tune(chain(), blobs(), optimizer="lion")
    with pytest.raises(ModelError, match=r"\(60, 20\)"):
        tune(chain(features=7), blobs())

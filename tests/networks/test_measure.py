"""What an ensemble shows equals what a direct computation gives, and nothing of the user's is changed."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rgflow.errors import SettingError
from rgflow.networks.measure import measure_ensemble
from rgflow.networks.row_moments import spread
from tests.networks.ordinary_models import GatedNet, Step, digits, example
from tolerances import ROUNDING


def _measure(*models, loss=F.cross_entropy, targets=True, **settings):
    x, y = digits()
    return measure_ensemble(models, x, y if targets else None, loss=loss, **settings)


def _column(measured, name: str) -> int:
    return [row.name for row in measured.rows].index(name)


def _close(a, b) -> None:
    torch.testing.assert_close(torch.as_tensor(a), torch.as_tensor(b), rtol=ROUNDING, atol=0.0, check_dtype=False)


def test_every_number_equals_a_direct_computation():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 20), nn.Tanh(), nn.Linear(20, 10))
    measured = _measure(model)
    x, y = digits()
    twin = copy.deepcopy(model).double()
    z = twin[0](x.double())
    z.retain_grad()
    output = twin[2](twin[1](z))
    F.cross_entropy(output, y).backward()
    detached = z.detach()
    _close(measured.signal[0, 0], detached.pow(2).mean())
    _close(measured.spread[0, 0], detached.var(0).mean())
    _close(measured.backward_square[0, 0], z.grad.pow(2).sum())
    gradient = sum(p.grad.pow(2).sum() for p in twin[0].parameters())
    _close(measured.gradient_square[0, 0], gradient)
    _close(measured.loss[0], F.cross_entropy(output, y).detach())
    _close(measured.output_square[0], output.detach().pow(2).mean())
    assert math.isnan(measured.gradient_square[0, 1])


def test_spread_is_the_mean_over_pairs_of_half_squared_differences():
    z = torch.randn(1, 6, 3, 4, dtype=torch.float64)
    pairs = [(z[0, a] - z[0, b]).pow(2).mean() / 2 for a in range(6) for b in range(6) if a != b]
    _close(spread(z)[0], torch.stack(pairs).mean())


def test_a_spread_of_ten_to_minus_twenty_of_the_signal_keeps_its_digits():
    model = nn.Linear(64, 10)
    nn.init.ones_(model.bias)
    model.weight.data *= 1e-9
    measured = _measure(model)
    x, _ = digits()
    exact = (x.double() @ model.weight.double().T).var(0).mean()
    # Outputs near 1 are rounded to 1e-16, differences are 1e-9: 1e-7 relative each.
    torch.testing.assert_close(measured.spread[0, 0], exact.detach(), rtol=1e-6, atol=0.0)
    assert measured.spread[0, 0] < 1e-17 * measured.signal[0, 0]


def test_operations_in_place_do_not_change_what_was_recorded():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    written = nn.Sequential(plain[0], nn.ReLU(inplace=True), plain[2])
    a, b = _measure(plain), _measure(written)
    for name in ("signal", "spread", "dead", "gradient_square", "backward_square", "loss"):
        torch.testing.assert_close(getattr(a, name), getattr(b, name), rtol=0.0, atol=0.0, equal_nan=True)


def test_dead_channels_are_those_that_do_not_see_the_input():
    model = nn.Sequential(nn.Linear(64, 20), nn.ReLU(), nn.Linear(20, 10))
    model[0].bias.data[:5] = -1e3
    measured = _measure(model)
    assert measured.dead[0, 1] >= 5 / 20
    assert measured.dead[0, 0] == 0.0
    images = Step(lambda s, x: s.head(s.conv(x.reshape(-1, 1, 8, 8)).flatten(1)), conv=nn.Conv2d(1, 4, 3, padding=1))
    images.head = nn.Linear(4 * 64, 10)
    images.conv.weight.data[0] = 0.0
    assert _measure(images).dead[0, 0] == 1 / 4


def test_a_model_that_raises_midway_keeps_its_rows_and_says_why():
    measured = _measure(nn.Sequential(nn.Linear(64, 20), nn.Linear(21, 10)))
    assert [row.name for row in measured.rows] == ["0"]
    assert measured.signal.isfinite().all()
    assert "shapes cannot be multiplied" in measured.error
    assert "\n" not in measured.error


def test_an_empty_ensemble_is_refused():
    with pytest.raises(SettingError, match="at least 1"):
        _measure()


def test_without_targets_the_loss_is_the_mean_squared_output():
    measured = _measure(nn.Linear(64, 3), targets=False)
    _close(measured.loss, measured.output_square)
    assert measured.gradient_square.isfinite().all()


def test_outputs_in_dictionaries_and_recurrent_tuples_are_measured():
    assert _measure(GatedNet()).loss.isfinite().all()
    measured = _measure(example("lstm")())
    assert measured.gradient_square.isfinite().all()
    assert measured.rows[_column(measured, "lstm")].shape == (8, 64)


def test_rows_without_the_batch_in_front_have_a_signal_only():
    model = Step(lambda s, x: s.head(x.reshape(-1, 4, 16).transpose(0, 1)).mean(0), head=nn.Linear(16, 10))
    measured = _measure(model)
    assert measured.signal.isfinite().all()
    assert measured.spread.isnan().all()


def test_shared_weights_book_their_gradient_once():
    parts = {"first": nn.Linear(64, 20), "again": nn.Linear(20, 20)}
    measured = _measure(Step(lambda s, x: s.again(s.again(s.first(x)).tanh())[:, :10], **parts))
    assert measured.gradient_square[0, _column(measured, "again")].isfinite()
    assert measured.gradient_square[0, _column(measured, "again#2")].isnan()


def test_networks_that_take_different_branches_share_a_table():
    def forward(s, x):
        return s.head(s.a(x) if s.a.bias[0] > 0 else s.b(x))

    draws = []
    for sign in (1.0, -1.0):
        model = Step(forward, a=nn.Linear(64, 20), b=nn.Linear(64, 20), head=nn.Linear(20, 10))
        model.a.bias.data[0] = sign
        draws.append(model)
    measured = _measure(*draws)
    assert {row.name for row in measured.rows} == {"a", "b", "head"}
    assert measured.signal[:, _column(measured, "a")].isnan().tolist() == [False, True]


def test_code_that_asks_for_single_precision_still_runs():
    model = Step(lambda s, x: s.head(s.first(x.float()).relu().to(torch.float32)), first=nn.Linear(64, 9))
    model.head = nn.Linear(9, 10)
    assert _measure(model).error == ""


def test_dropout_is_active_in_train_mode_and_the_seed_rules_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 20), nn.Dropout(0.5), nn.Linear(20, 10))
    first, again, other = _measure(model), _measure(model), _measure(model, seed=5)
    assert torch.equal(first.loss, again.loss)
    assert not torch.equal(first.loss, other.loss)
    model.eval()
    assert torch.equal(_measure(model).loss, _measure(model, seed=5).loss)


def test_draws_random_state_and_default_dtype_are_left_as_found():
    model = example("resnet")()
    kept = copy.deepcopy(model.state_dict())
    state, dtype = torch.get_rng_state(), torch.get_default_dtype()
    x, y = digits()
    shown = x.clone()
    measured = measure_ensemble([model], x, y, loss=F.cross_entropy)
    assert not measured.error
    assert all(torch.equal(kept[name], tensor) for name, tensor in model.state_dict().items())
    assert model.training
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert torch.get_default_dtype() == dtype
    assert torch.equal(x, shown)

"""The laws of parameters, estimated from draws, against what PyTorch documents and what the tests themselves draw."""

import math
import warnings

import pytest
import torch
from torch import nn

from rgflow.errors import ModelError
from rgflow.networks.laws import initial_laws, law_of_kurtosis, orthogonal_rows

# z below this in every cell: about 200 cells are compared, so a false alarm happens once in 10^4 runs at most.
STATISTICAL = 5.0
EXACT = 0.0


@pytest.fixture(autouse=True)
def _one_thread():
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _draws(build, *, networks: int = 40, seed: int = 0):
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [build() for _ in range(networks)]


def _laws(build, **options):
    return {law.name: law for law in initial_laws(_draws(build, **options))}


# Module, parameter, fan-in, fan_in * Var of a weight or Var of a bias. Source: torch.nn documentation of each module.
TORCH_LAWS = [
    (lambda: nn.Linear(30, 40), "weight", 30, 1 / 3),
    (lambda: nn.Linear(30, 40), "bias", None, 1 / 90),
    (lambda: nn.Conv2d(8, 12, 3, groups=2), "weight", 36, 1 / 3),
    (lambda: nn.Conv1d(6, 20, 5), "bias", None, 1 / 90),
    # torch takes the fan from C_out/groups * k; one output of stride 2 in 2-D sums C_in k / 4 terms.
    (lambda: nn.ConvTranspose2d(16, 8, 4, stride=2), "weight", 64, 64 / (3 * 8 * 16)),
    (lambda: nn.Embedding(50, 20), "weight", 1, 1.0),
    (lambda: nn.MultiheadAttention(24, 2), "in_proj_weight", 24, 1 / 2),
    (lambda: nn.MultiheadAttention(24, 2), "out_proj.weight", 24, 1 / 3),
    (lambda: nn.LSTM(5, 16), "weight_ih_l0", 5, 5 / 48),
    (lambda: nn.LSTM(5, 16), "bias_hh_l0", None, 1 / 48),
    (lambda: nn.Bilinear(6, 5, 7), "weight", 30, 30 / 18),
]


@pytest.mark.parametrize("case", range(len(TORCH_LAWS)))
def test_torchs_own_initialisations_are_read_off_the_draws(case):
    build, name, fan, value = TORCH_LAWS[case]
    law = _laws(build)[name]
    assert law.fan_in == fan
    assert abs(law.scaled_variance.value - value) < STATISTICAL * law.scaled_variance.error
    # The smallest bias seen is 5 standard errors: at least 5 % here.
    assert law.scaled_variance.error < 0.01 * max(value, 1e-9) * 5
    assert abs(law.mean_z) < STATISTICAL
    gaussian = name == "weight" and isinstance(build(), nn.Embedding)
    assert law.law == ("gaussian" if gaussian else "uniform")
    assert abs(law.kurtosis.value - (0.0 if gaussian else -1.2)) < STATISTICAL * law.kurtosis.error


def test_constants_zeros_and_others_are_named():
    def build():
        model = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 8, bias=False))
        nn.init.zeros_(model[1].bias)
        nn.init.trunc_normal_(model[1].weight, std=1.0, a=-2.0, b=2.0)
        return model

    laws = _laws(build)
    assert [laws[n].law for n in ("0.weight", "0.bias", "1.bias")] == ["constant", "zero", "zero"]
    assert laws["0.weight"].kurtosis is None
    assert laws["0.weight"].role == "other"
    assert laws["1.weight"].law == "other"
    assert laws["2.weight"].law == "uniform"
    assert laws["1.bias"].scaled_variance.value == EXACT


def test_a_mean_shows_in_z_and_in_the_second_moment():
    def build():
        layer = nn.Linear(50, 50)
        nn.init.normal_(layer.weight, mean=0.02, std=0.1)
        return layer

    law = _laws(build)["weight"]
    assert abs(law.mean.value - 0.02) < STATISTICAL * law.mean.error
    assert law.mean_z > 10 * STATISTICAL
    assert abs(law.variance.value - (0.02**2 + 0.1**2)) < STATISTICAL * law.variance.error
    assert law.law == "gaussian"
    assert law.scaled_variance.value == pytest.approx(50 * law.variance.value, rel=1e-12)


@pytest.mark.parametrize("networks", [1, 5, 20])
def test_moments_of_shifted_skewed_entries_are_those_computed_directly(networks):
    generator = torch.Generator().manual_seed(0)
    draws = [nn.Linear(30, 20, bias=False).double() for _ in range(networks)]
    for layer in draws:
        layer.weight.data.exponential_(generator=generator).add_(0.5)
    law = initial_laws(draws)[0]
    w = torch.stack([layer.weight.detach() for layer in draws]).flatten(1)
    squares = w.square()
    assert law.variance.value == pytest.approx(float(squares.mean()), rel=1e-12)
    assert law.mean.value == pytest.approx(float(w.mean()), rel=1e-12)
    z = (w - w.mean()) / w.std(correction=0)
    assert law.kurtosis.value == pytest.approx(float(z.pow(4).mean()) - 3, rel=1e-11)
    if networks < 8:
        assert law.variance.error == pytest.approx(float(squares.std(correction=0)) / w.numel() ** 0.5, rel=1e-11)
        assert law.mean.error == pytest.approx(float(w.std(correction=0)) / w.numel() ** 0.5, rel=1e-11)
    else:
        assert law.variance.error == pytest.approx(float(squares.mean(1).std()) / networks**0.5, rel=1e-10)


def test_a_few_draws_of_one_entry_that_agree_by_chance_are_no_mean():
    draws = []
    for value in (-0.022, 0.065, 0.113, -0.023, 0.084, 0.007, 0.025, 0.067, 0.099, 0.056, 0.121, 0.099):
        layer = nn.Linear(1, 1, bias=False)
        layer.weight.data.fill_(value)
        draws.append(layer)
    law = initial_laws(draws)[0]
    # Twelve values of modulus r at most deviate from 0 by sqrt(12) errors, whatever their signs.
    assert law.mean_z < 12**0.5 < law.mean.value / law.mean.error


def test_orthogonal_weights_are_found_and_random_ones_are_not():
    def build(orthogonal: bool):
        layer = nn.Sequential(nn.Linear(12, 30), nn.Linear(30, 12), nn.Conv2d(4, 8, 3))
        for part in layer if orthogonal else ():
            nn.init.orthogonal_(part.weight, gain=1.7)
        return layer

    found = initial_laws(_draws(lambda: build(True), networks=3))
    assert [law.orthogonal for law in found if law.role == "weight"] == [True, True, True]
    assert not any(law.orthogonal for law in initial_laws(_draws(lambda: build(False), networks=3)))
    nearly = nn.init.orthogonal_(torch.empty(8, 8))
    nearly[0, 0] += 1e-2
    assert not orthogonal_rows(nearly)
    assert not orthogonal_rows(torch.zeros(4, 4))
    assert not orthogonal_rows(torch.randn(1, 5))


def test_a_tied_weight_appears_under_both_names_and_points_to_the_first():
    def build():
        model = nn.Sequential(nn.Embedding(9, 5), nn.Linear(5, 9))
        model[1].weight = model[0].weight
        return model

    laws = _laws(build, networks=4)
    assert laws["1.weight"].tied_to == "0.weight"
    assert laws["0.weight"].tied_to == ""
    assert laws["1.weight"].kind == "Linear"


@pytest.mark.parametrize("networks", [1, 12])
def test_standard_errors_are_those_of_repeated_estimates(networks):
    laws = [_laws(lambda: nn.Linear(20, 20, bias=False), networks=networks, seed=seed)["weight"] for seed in range(40)]
    for quantity in ("variance", "mean", "kurtosis"):
        values = torch.tensor([getattr(law, quantity).value for law in laws], dtype=torch.float64)
        claimed = torch.tensor([getattr(law, quantity).error for law in laws], dtype=torch.float64).mean()
        # The standard deviation of 40 values is known to 11 %, the claimed error of 12 draws to 21 % each.
        assert 0.6 < float(values.std() / claimed) < 1.6


def test_correlated_entries_are_seen_by_the_error_between_draws():
    def build():
        layer = nn.Linear(30, 30, bias=False)
        nn.init.normal_(layer.weight)
        layer.weight.data *= torch.randn(()).abs()  # one common scale for each draw
        return layer

    law = _laws(build, networks=200)["weight"]
    # Var s^2 = 2 for a standard normal s, so the error is about sqrt(2 / 200); entries alone would claim 0.004.
    assert 0.5 < law.variance.error / math.sqrt(2 / 200) < 2.0


def test_a_law_is_only_named_where_the_other_is_excluded():
    assert law_of_kurtosis(-1.2, entries=10_000) == "uniform"
    assert law_of_kurtosis(0.0, entries=10_000) == "gaussian"
    assert law_of_kurtosis(-0.6, entries=10_000) == "other"
    assert law_of_kurtosis(-0.6, entries=30) == "other"


@pytest.mark.parametrize("entries", [20, 100, 400, 5000])
def test_a_small_sample_is_left_unnamed_rather_than_called_by_the_wrong_name(entries):
    generator = torch.Generator().manual_seed(entries)
    for _ in range(50):
        for draw, right in ((torch.randn, "gaussian"), (torch.rand, "uniform")):
            layer = nn.Linear(entries, 1, bias=False)
            layer.weight.data = draw((1, entries), generator=generator) - (0.5 if right == "uniform" else 0.0)
            allowed = {right} if entries >= 400 else {right, "other"}
            assert initial_laws([layer])[0].law in allowed


def test_large_tensors_are_sampled_evenly_and_keep_their_range():
    layer = nn.Linear(1024, 1024, bias=False)
    law = initial_laws([layer])[0]
    assert law.law == "uniform"
    assert abs(law.scaled_variance.value - 1 / 3) < STATISTICAL * law.scaled_variance.error
    assert law.scaled_variance.error < 0.002


def test_no_draws_and_changing_models_are_refused():
    with pytest.raises(ModelError, match="no drawn network"):
        initial_laws([])
    with pytest.raises(ModelError, match="different parameters"):
        initial_laws([nn.Linear(2, 2), nn.Linear(2, 2, bias=False)])

"""Independent draws of factories and of module instances, each by its own law or not at all."""

# ruff: noqa: NPY002 - factories draw from numpy's legacy global state, so that is what must be seeded and kept

import random
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from rgflow.errors import ModelError, SettingError
from rgflow.networks.equality import cloned_layers
from rgflow.networks.laws import initial_laws
from rgflow.networks.redraw import draw_networks

# z below this for each of some 50 second moments: false-alarm rate 3e-5 in all.
STATISTICAL = 5.0


@pytest.fixture(autouse=True)
def _one_thread():
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _mlp(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for fan_in, width in pairwise(widths[:-1]):
        layers += [nn.Linear(fan_in, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def _with(model: nn.Module, initialise, bias=nn.init.zeros_) -> nn.Module:
    for parameter in model.parameters():
        initialise(parameter) if parameter.ndim > 1 else bias(parameter)
    return model


def _weights(draws) -> torch.Tensor:
    return torch.stack([torch.cat([p.detach().flatten() for p in network.parameters()]) for network in draws])


def test_the_same_seed_gives_the_same_networks_and_another_seed_others():
    def build():
        network = _mlp(5, 4, 3)
        network[0].bias.data[0] = random.random()
        network[0].bias.data[1] = np.random.rand()
        return network

    first, again, other = (_weights(draw_networks(build, networks=4, seed=seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not (first[:, :, None] == other[:, None, :]).any(1).all()
    assert len(torch.unique(first, dim=0)) == 4
    # Python's and numpy's streams are seeded too.
    column = _mlp(5, 4, 3)[0].weight.numel()
    assert len(torch.unique(first[:, column])) == len(torch.unique(first[:, column + 1])) == 4


def test_network_i_does_not_depend_on_how_many_are_drawn_or_on_the_order():
    draws = draw_networks(lambda: _mlp(5, 4, 3), networks=5, seed=3)
    fewer = draw_networks(lambda: _mlp(5, 4, 3), networks=2, seed=3)
    assert len(draws) == draws.networks == 5
    assert torch.equal(_weights(draws)[:2], _weights(fewer))
    assert torch.equal(_weights([draws.draw(4)])[0], _weights(draws)[4])


def test_neighbouring_seeds_share_no_network():
    pool = torch.cat([_weights(draw_networks(lambda: _mlp(5, 4), networks=8, seed=seed)) for seed in range(4)])
    assert len(torch.unique(pool, dim=0)) == 32


def test_draws_of_a_factory_are_uncorrelated_between_seeds():
    values = _weights(draw_networks(lambda: _mlp(40, 40, 40), networks=20, seed=0)).double()
    correlation = torch.corrcoef(values)
    off = correlation[~torch.eye(20, dtype=torch.bool)]
    assert float(off.abs().max()) < STATISTICAL / values.shape[1] ** 0.5


def test_global_state_survives_drawing_even_with_a_factory_that_disturbs_it():
    def build():
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(int(torch.randint(2**31, ())))
        torch.set_grad_enabled(False)
        np.random.seed(0)
        return nn.Linear(3, 3)

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    state = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    draws = list(draw_networks(build, networks=3, seed=0))
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == state
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert {draw.weight.dtype for draw in draws} == {torch.float64}
    assert len({float(draw.weight.detach()[0, 0]) for draw in draws}) == 3


def test_a_factory_that_seeds_itself_is_one_draw_and_says_so():
    def build():
        torch.manual_seed(0)
        return nn.Linear(3, 3)

    draws = draw_networks(build, networks=8, seed=0)
    assert (draws.networks, draws.redrawn, draws.identical) == (1, False, True)
    assert "one draw: no error bars over seeds" in draws.reason
    assert len(list(draws)) == 1


def test_a_factory_that_returns_one_and_the_same_object_is_treated_as_an_instance():
    model = _mlp(30, 40, 3)
    before = _weights([model])
    draws = draw_networks(lambda: model, networks=3, seed=0)
    assert draws.redrawn
    assert len(torch.unique(_weights(draws), dim=0)) == 3
    assert torch.equal(_weights([model]), before)


def test_changing_shapes_bad_counts_and_bad_seeds_are_refused():
    with pytest.raises(ModelError, match="builds a different network on each call"):
        draw_networks(lambda: nn.Linear(3, random.randint(1, 10**6)), networks=4, seed=0)
    with pytest.raises(SettingError, match="networks is 0"):
        draw_networks(lambda: nn.Linear(1, 1), networks=0, seed=0)
    with pytest.raises(SettingError, match="seed is -1"):
        draw_networks(lambda: nn.Linear(1, 1), networks=2, seed=-1)


def test_lazy_layers_are_sized_on_the_example_or_refused():
    def build():
        return nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())

    with pytest.raises(ModelError, match="lazy layers"):
        draw_networks(build, networks=2, seed=0)
    draws = draw_networks(build, networks=2, seed=0, example=torch.randn(3, 5))
    assert next(iter(draws))[0].weight.shape == (4, 5)
    instance = nn.Sequential(nn.LazyLinear(4))
    assert draw_networks(instance, networks=2, seed=0, example=torch.randn(3, 5)).draw(1)[0].weight.shape == (4, 5)
    assert isinstance(instance[0].weight, nn.UninitializedParameter)
    with pytest.raises(ModelError, match="cannot be copied"):
        draw_networks(build(), networks=2, seed=0, example=torch.randn(3, 5))


def test_a_stock_instance_is_redrawn_by_its_resets_and_left_alone():
    model = _mlp(64, 64, 64, 10)
    model[2].eval()
    model[0].weight.grad = torch.ones(64, 64)
    before = _weights([model])
    draws = draw_networks(model, networks=16, seed=0)
    assert draws.redrawn
    assert draws.reason == "all parameters redrawn through reset_parameters()"
    laws = [law for law in initial_laws(draws) if law.role == "weight"]
    assert all(abs(law.scaled_variance.value - 1 / 3) < STATISTICAL * law.scaled_variance.error for law in laws)
    assert torch.equal(_weights([model]), before)
    assert torch.equal(model[0].weight.grad, torch.ones(64, 64))
    assert not next(iter(draws))[2].training
    assert len(torch.unique(_weights(draws), dim=0)) == 16


# Initialisation of the instance, its C_W in a 64 -> 64 layer, and the law that its draws must show.
CUSTOM = {
    "he": (lambda p: nn.init.kaiming_normal_(p, nonlinearity="relu"), 2.0, "gaussian"),
    "gpt": (lambda p: nn.init.normal_(p, std=0.02), 64 * 4e-4, "gaussian"),
    "xavier": (nn.init.xavier_uniform_, 1.0, "uniform"),
    "same variance, other law": (lambda p: nn.init.normal_(p, std=(3 * p.shape[1]) ** -0.5), 1 / 3, "gaussian"),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_an_instance_of_another_law_is_drawn_from_that_law(name):
    initialise, value, law = CUSTOM[name]
    torch.manual_seed(4)
    draws = draw_networks(_with(_mlp(64, 64, 64, 10), initialise), networks=16, seed=0)
    assert draws.redrawn
    assert "measured variance" in draws.reason
    found = {one.name: one for one in initial_laws(draws)}
    for layer in ("0.weight", "2.weight"):
        assert found[layer].law == law
        # The variance itself was measured on 4096 entries: 2.2 % for a Gaussian.
        assert abs(found[layer].scaled_variance.value / value - 1) < STATISTICAL * 0.022
    assert found["0.bias"].law == "zero"


def test_a_uniform_embedding_is_not_taken_for_torchs_gaussian_one_of_the_same_variance():
    embedding = nn.Embedding(100, 32)
    nn.init.uniform_(embedding.weight, -(3**0.5), 3**0.5)
    draws = draw_networks(embedding, networks=8, seed=0)
    assert "drawn uniform" in draws.reason
    assert initial_laws(draws)[0].law == "uniform"


class _Resetting(nn.Module):
    """A container whose own reset_parameters() is the law of its children."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(40, 40), nn.Linear(40, 40)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in (self.a, self.b):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias)


def test_the_reset_of_a_container_has_the_last_word_over_its_children():
    draws = draw_networks(_Resetting(), networks=8, seed=0)
    assert draws.reason == "all parameters redrawn through reset_parameters()"
    laws = {law.name: law for law in initial_laws(draws)}
    assert abs(laws["a.weight"].scaled_variance.value - 2.0) < STATISTICAL * laws["a.weight"].scaled_variance.error


def test_an_orthogonal_instance_stays_orthogonal_with_its_gain():
    draws = draw_networks(_with(_mlp(20, 30, 10), lambda p: nn.init.orthogonal_(p, gain=1.4)), networks=4, seed=0)
    laws = [law for law in initial_laws(draws) if law.role == "weight"]
    assert all(law.orthogonal for law in laws)
    assert laws[0].variance.value == pytest.approx(1.4**2 / 30, rel=1e-5)
    assert len(torch.unique(_weights(draws), dim=0)) == 4


def test_constants_that_resets_would_draw_are_kept():
    model = nn.Sequential(nn.Linear(50, 50), nn.Linear(50, 3))
    nn.init.zeros_(model[0].bias)
    nn.init.constant_(model[1].bias, -4.6)
    nn.init.zeros_(model[1].weight)
    for draw in draw_networks(model, networks=3, seed=0):
        assert not draw[0].bias.any()
        assert not draw[1].weight.any()
        assert bool((draw[1].bias == -4.6).all())


class _Bare(nn.Module):
    def __init__(self, start) -> None:
        super().__init__()
        self.position = nn.Parameter(start)
        self.layer = nn.Linear(4, 4)


def _trained() -> nn.Module:
    torch.manual_seed(0)
    model, x = _mlp(20, 64, 64, 5), torch.randn(256, 20)
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), x[:, :5].argmax(1)).backward()
        optimizer.step()
    return model


def _with_one_strong_direction(weight: torch.Tensor) -> None:
    """Entries look Gaussian, but one singular value is 40 where chance allows 16."""
    signs = torch.tensor([1.0, -1.0]).repeat(32)
    nn.init.normal_(weight)
    weight.data += 40 * torch.outer(signs, signs) / 64


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: _Bare(torch.randn(4, 4)), "position"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "original0"),
        (_trained, "no law"),
        (lambda: _with(_mlp(3, 8, 2), nn.init.normal_), "no law"),
        (lambda: _with(_mlp(64, 64, 64), _with_one_strong_direction), "no law"),
        (lambda: _with(_mlp(64, 64, 64), lambda p: nn.init.trunc_normal_(p, std=0.1, a=-0.2, b=0.2)), "no law"),
    ],
)
def test_what_cannot_be_redrawn_is_one_draw_as_it_is(build, word):
    model = build()
    draws = draw_networks(model, networks=8, seed=0)
    assert (draws.networks, draws.redrawn) == (1, False)
    assert draws.reason.startswith("one draw: no error bars over seeds")
    assert word in draws.reason
    (only,) = draws
    assert only is not model
    assert torch.equal(_weights([only]), _weights([model]))


def test_a_constant_bare_parameter_is_no_obstacle():
    draws = draw_networks(_Bare(torch.full((4, 4), 1e-4)), networks=3, seed=0)
    assert draws.redrawn
    assert all(bool((draw.position == 1e-4).all()) for draw in draws)


def test_attention_keeps_the_law_that_its_parent_gives_its_children():
    draws = draw_networks(nn.MultiheadAttention(32, 4), networks=8, seed=0)
    assert draws.redrawn
    assert not any(draw.out_proj.bias.any() for draw in draws)
    laws = {law.name: law.scaled_variance for law in initial_laws(draws)}
    assert abs(laws["in_proj_weight"].value - 0.5) < STATISTICAL * laws["in_proj_weight"].error


def test_an_instance_whose_layers_are_clones_is_redrawn_with_clones():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32), 3)
    draws = draw_networks(model, networks=3, seed=0)
    assert draws.redrawn
    assert cloned_layers([model]) == cloned_layers(draws) != ()
    assert len(torch.unique(_weights(draws), dim=0)) == 3


def test_recurrent_and_normalised_instances_are_redrawn():
    for model in (nn.LSTM(8, 16), nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Embedding(20, 8))):
        draws = draw_networks(model, networks=3, seed=0)
        assert draws.redrawn, draws.reason
        assert len(torch.unique(_weights(draws), dim=0)) == 3


def test_stock_instances_are_hardly_ever_taken_for_something_else():
    # 80 tensors; each test errs at 5 standard errors, so 1 in 10^4 such sets of seeds would fail by chance.
    torch.manual_seed(0)
    for _ in range(8):
        assert draw_networks(_mlp(7, 9, 33, 65, 31, 1), networks=2, seed=0).reason.startswith("all parameters")


def test_a_module_that_cannot_be_copied_asks_for_a_factory():
    model = nn.Linear(2, 2)
    model.cache = model.weight * 2
    with pytest.raises(ModelError, match="cannot be copied"):
        list(draw_networks(model, networks=2, seed=0))

"""What precedes and follows each linear map, found by running models written in every style."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from rgflow.errors import ModelError
from rgflow.networks.following import map_uses


def uses(model: nn.Module, inputs: torch.Tensor) -> dict:
    return {use.weight: use for use in map_uses(model, inputs)}


def vectors(features: int = 6) -> torch.Tensor:
    return torch.randn(16, features, generator=torch.Generator().manual_seed(0))


def images() -> torch.Tensor:
    return torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Gated(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.702 * x)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (nn.ReLU(), "relu"),
        (nn.ReLU(inplace=True), "relu"),
        (nn.Tanh(), "tanh"),
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
        (nn.LeakyReLU(0.2), "leaky_relu(0.2)"),
        (nn.LeakyReLU(), "leaky_relu(0.01)"),
        (nn.ELU(0.7), "elu(0.7)"),
        (nn.SiLU(), "silu"),
        (nn.SELU(), "selu"),
        (nn.Hardtanh(), "hardtanh"),
        (nn.Sigmoid(), "sigmoid"),
        (nn.Softsign(), "softsign"),
    ],
)
def test_a_standard_activation_is_recognised_by_its_name(module, name):
    found = uses(nn.Sequential(nn.Linear(6, 5), module, nn.Linear(5, 2)), vectors())
    assert found["0.weight"].after.name == name
    assert found["2.weight"].before.name == name
    assert found["2.weight"].after is None
    assert [use.role for use in found.values()] == ["first", "head"]


def test_a_custom_activation_becomes_a_function_with_the_same_values():
    found = uses(nn.Sequential(nn.Linear(6, 5), Gated(), nn.Linear(5, 5), Gated(), nn.Linear(5, 2)), vectors())
    points = torch.linspace(-5, 5, 41, dtype=torch.float64)
    for name in ("2.weight", "4.weight"):
        torch.testing.assert_close(found[name].before(points), Gated()(points), rtol=1e-12, atol=0)
    assert found["2.weight"].before is found["4.weight"].before


def test_functions_of_several_entries_are_not_taken_for_activations():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(3, 2)

        def forward(self, x):
            soft = torch.softmax(self.a(x), -1)
            left, right = self.b(soft).chunk(2, -1)
            return self.c(left * torch.sigmoid(right))

    found = uses(Mixed(), vectors())
    assert found["b.weight"].before is None
    assert found["b.weight"].role == "other"
    assert "softmax" in found["b.weight"].reason
    assert found["c.weight"].before is None


def test_dropout_views_and_pooling_do_not_hide_the_activation():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(36, 2)
    )
    found = uses(model, images())
    assert found["5.weight"].before.name == "relu"
    assert found["5.weight"].role == "head"


def test_matrix_products_with_bare_parameters_are_maps_with_their_bias():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.w, self.b = nn.Parameter(torch.randn(6, 5)), nn.Parameter(torch.randn(5))
            self.out = nn.Linear(5, 2)

        def forward(self, x):
            return self.out(torch.tanh(x @ self.w + self.b))

    found = uses(Bare(), vectors())
    assert (found["w"].bias, found["w"].fan, found["w"].after.name) == ("b", 6, "tanh")


def test_the_feed_counts_only_features_that_vary():
    inputs = vectors()
    inputs[:, 0], inputs[:, 1] = 0.0, 100.0
    feed = uses(nn.Sequential(nn.Linear(6, 2)), inputs)["0.weight"].feed
    assert (feed.features, feed.constants) == (6, 2)
    assert feed.varying == pytest.approx(float(inputs[:, 2:].square().mean(0).sum()), rel=1e-6)
    assert feed.constant == pytest.approx(1e4)


def test_zero_padding_is_measured_by_averaging_position_variances():
    layers = [nn.Conv2d(1, 4, 3, padding=1), *(nn.Conv2d(4, 4, 3, padding=1) for _ in range(25))]
    constant = (1.0 + torch.rand(4, 1, 1, 1)).expand(4, 1, 8, 8).contiguous()
    found = list(uses(nn.Sequential(*layers), constant).values())
    # A constant map loses (1 - 2 / 24)^2; deep in the stack the leak is the top eigenvalue of the window average,
    # ((1 + 2 cos(pi / 9)) / 3)^2 per layer on 8 x 8.
    assert 1 / found[0].boundary == pytest.approx((22 / 24) ** 2, rel=1e-9)
    top = ((1 + 2 * torch.cos(torch.tensor(torch.pi / 9, dtype=torch.float64))) / 3) ** 2
    assert 1 / found[-1].boundary == pytest.approx(float(top), rel=1e-3)
    circular = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
    assert next(iter(uses(nn.Sequential(circular), constant).values())).boundary == pytest.approx(1.0)


def test_fans_of_grouped_and_transposed_convolutions():
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, groups=4), nn.ConvTranspose2d(8, 6, 4, stride=2))
    assert [use.fan for use in map_uses(model, images())] == [9, 18, 8 * 16 / 4]


class Residual(nn.Module):
    def __init__(self, norm: bool, after: bool = False):
        super().__init__()
        self.n = nn.LayerNorm(6) if norm else nn.Identity()
        self.m = nn.LayerNorm(6) if after else nn.Identity()
        self.a, self.b = nn.Linear(6, 12), nn.Linear(12, 6)

    def forward(self, x):
        return self.m(x + self.b(functional.relu(self.a(self.n(x)))))


@pytest.mark.parametrize(("norm", "after", "role"), [(False, False, "residual"), (True, False, "residual")])
def test_the_last_map_of_a_residual_branch_is_found(norm, after, role):
    found = uses(nn.Sequential(nn.Linear(6, 6), Residual(norm), Residual(norm), nn.Linear(6, 2)), vectors())
    assert found["0.weight"].role == "first"
    for name in ("1.b.weight", "2.b.weight"):
        assert (found[name].role, found[name].branches, found[name].normed_branch) == (role, 2, norm)
    assert found["3.weight"].role == "head"


def test_a_post_norm_sum_is_left_alone():
    found = uses(nn.Sequential(Residual(False, after=True), Residual(False, after=True)), vectors())
    assert found["0.b.weight"].role == "other"
    assert "norm follows" in found["0.b.weight"].reason


def test_a_projection_skip_is_not_taken_for_a_branch():
    class Projected(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip, self.a, self.b = nn.Linear(6, 5), nn.Linear(6, 8), nn.Linear(8, 5)

        def forward(self, x):
            x = functional.relu(x)
            return self.skip(x) + self.b(functional.relu(self.a(x)))

    found = uses(nn.Sequential(nn.Linear(6, 6), Projected(), nn.Linear(5, 2)), vectors())
    assert found["1.b.weight"].role == "residual"
    assert found["1.skip.weight"].role == "hidden"


def test_a_projection_beside_a_batch_norm_stays():
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.skip, self.a, self.norm = nn.Linear(6, 6), nn.Linear(6, 6), nn.BatchNorm1d(6)

        def forward(self, x):
            x = functional.relu(x)
            return self.skip(x) + self.norm(self.a(x))

    use = uses(nn.Sequential(nn.Linear(6, 6), Normed(), nn.ReLU(), nn.Linear(6, 2)), vectors())["1.skip.weight"]
    assert use.role == "other"
    assert "norm's output" in use.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: setattr(m[2], "weight", m[4].weight), "times"),
        (lambda m: nn.init.zeros_(m[2].weight), "zero on purpose"),
        (lambda m: m.insert(3, nn.LayerNorm(6)), "norm follows"),
    ],
)
def test_shared_zero_and_normed_maps_are_set_apart_with_the_reason(change, words):
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    change(model)
    use = uses(model, vectors())["2.weight"]
    assert use.role in ("other", "normed")
    assert words in use.reason


def test_an_encoder_layer_shows_its_branches_and_keeps_its_attention():
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True, norm_first=True)
    found = uses(nn.Sequential(nn.Linear(6, 6), layer, nn.Linear(6, 2)), torch.randn(4, 5, 6))
    assert found["1.self_attn.out_proj.weight"].role == "residual"
    assert found["1.linear2.weight"].role == "residual"
    assert found["1.linear1.weight"].role == "other"


def test_the_model_and_the_random_state_stay_as_found():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 2)
    ).eval()
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    map_uses(model, images())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert torch.equal(torch.get_rng_state(), random)


def test_a_model_that_raises_is_reported_with_the_shape():
    with pytest.raises(ModelError, match=r"\(16, 6\)"):
        map_uses(nn.Linear(7, 2), vectors())

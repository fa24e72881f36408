"""Which models are chains of linear maps and pointwise functions, whatever their Python, and which are not."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rgflow.networks.chain import Chain, NotAChain, recognise_chain
from rgflow.networks.factories import load_factory

# Two routes to the same float64 numbers.
ROUNDING = 1e-12

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def _one_thread():
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Functional(nn.Module):
    """16 -> 24 -> 24 -> 1 with any function between, before and behind."""

    def __init__(self, between, *, before=None, behind=None) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(16, 24), nn.Linear(24, 24, bias=False), nn.Linear(24, 1)])
        self.between, self.before, self.behind = between, before or (lambda x: x), behind or (lambda z: z)

    def forward(self, x):
        h = self.before(x)
        for layer in self.layers[:-1]:
            h = self.between(layer(h))
        return self.behind(self.layers[-1](h))


class Snake(nn.Module):
    def forward(self, z):
        return z + torch.sin(3 * z).square() / 3


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (ctx.saved_tensors[0] > 0)


class ByHand(nn.Module):
    """A linear layer of one's own, and the bias-free form written as a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.shift = nn.Parameter(torch.randn(5, 16)), nn.Parameter(torch.randn(5))
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        return self.head(torch.tanh(F.linear(x, self.matrix, self.shift)))


@pytest.fixture
def batch() -> torch.Tensor:
    return torch.randn(12, 16, generator=torch.Generator().manual_seed(0))


def _chain(model, batch) -> Chain:
    found = recognise_chain(model, batch)
    assert isinstance(found, Chain), found
    return found


NAMED = {
    "relu": (F.relu, torch.relu, nn.ReLU(), nn.ReLU(inplace=True), F.relu_, lambda z: z.clamp(min=0), Clipped.apply),
    "gelu": (nn.GELU(), F.gelu),
    "silu": (nn.SiLU(), lambda z: z * torch.sigmoid(z)),
    "tanh": (torch.tanh, lambda z: (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())),
    "sin": (torch.sin,),
    "selu": (nn.SELU(),),
    "elu": (nn.ELU(),),
    "hardswish": (nn.Hardswish(),),
    "identity": (nn.Identity(), lambda z: z.view(-1).reshape(z.shape), lambda z: F.dropout(z, 0.3, training=False)),
    "leaky_relu(0.25)": (nn.PReLU(), nn.PReLU(24), nn.LeakyReLU(0.25), lambda z: torch.where(z > 0, z, 0.25 * z)),
    "squared_relu": (lambda z: F.relu(z) ** 2,),
}


@pytest.mark.parametrize(("name", "which"), [(name, i) for name, forms in NAMED.items() for i in range(len(forms))])
def test_activations_are_recognised_by_what_they_compute(batch, name, which):
    chain = _chain(Functional(NAMED[name][which]), batch)
    assert [activation.name for activation in chain.activations] == [name, name]
    assert chain.linears == ("layers.0", "layers.1", "layers.2")
    assert chain.widths == (16, 24, 24, 1)
    assert chain.bias == (True, False, True)
    assert chain.weights == tuple(f"layers.{i}.weight" for i in range(3))
    assert chain.biases == ("layers.0.bias", "", "layers.2.bias")


@pytest.mark.parametrize(
    ("function", "name"),
    [(Snake(), "Snake"), (lambda z: z * torch.sigmoid(1.7 * z), "mul+sigmoid+mul")],
)
def test_functions_without_a_name_become_activations_of_the_same_values_and_slopes(batch, function, name):
    chain = _chain(Functional(function), batch)
    assert {activation.name for activation in chain.activations} == {name}
    assert chain.activations[0] is chain.activations[1]
    z = torch.linspace(-3, 3, 41, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(chain.activations[0](z).detach(), function(z).detach(), rtol=ROUNDING, atol=ROUNDING)
    (slope,) = torch.autograd.grad(function(z).sum(), z)
    torch.testing.assert_close(chain.activations[0].derivative(z.detach()), slope, rtol=ROUNDING, atol=ROUNDING)


def test_each_layer_may_have_its_own_activation(batch):
    model = nn.Sequential(nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    chain = _chain(model, batch)
    assert [a.name for a in chain.activations] == ["tanh", "identity", "relu"]
    assert chain.summary == "MLP 16-[8 x 3]-2 tanh, identity, relu"
    assert chain.output_activation is None


def test_what_surrounds_the_layers_is_seen_through(batch):
    images = batch.view(12, 1, 4, 4)
    flat = _chain(
        nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 1)).eval(), images
    )
    assert flat.widths == (16, 8, 1)
    torch.testing.assert_close(flat.features, batch.double(), rtol=0, atol=0)
    squeezed = _chain(Functional(F.relu, behind=lambda z: z.squeeze(-1)), batch)
    assert squeezed.output_activation is None
    scaled = _chain(Functional(F.relu, before=lambda x: x / 16 - 1), batch)
    torch.testing.assert_close(scaled.features, batch.double() / 16 - 1, rtol=ROUNDING, atol=ROUNDING)
    assert "before the first layer" in scaled.notes[0]
    assert _chain(Functional(F.relu, behind=torch.sigmoid), batch).output_activation.name == "sigmoid"


def test_a_single_layer_a_layer_by_hand_and_the_deep_example_are_chains(batch):
    assert _chain(nn.Linear(16, 3), batch).linears == ("model",)
    by_hand = _chain(ByHand(), batch)
    assert (by_hand.linears, by_hand.weights[0], by_hand.biases[0]) == (("matrix", "head"), "matrix", "shift")
    deep = _chain(load_factory("mlp:16-9x12-10:relu")(), batch)
    assert deep.summary == "MLP 16-[9 x 12]-10 relu"
    assert len(deep.activations) == 12


@pytest.mark.parametrize(
    ("name", "summary", "features"),
    [
        ("deep_relu", "MLP 64-[64 x 12]-10 relu", 64),
        ("selu_tabular", "MLP 30-[64 x 6]-2 selu", 30),
        ("tanh_pinn", "MLP 2-[64 x 5]-1 tanh", 2),
        ("sine_pinn", "MLP 2-[64 x 5]-1 Sine, sin", 2),
        ("custom_activation", "MLP 64-[96 x 6]-10 Snake", 64),
    ],
)
def test_the_examples_are_chains(name, summary, features):
    assert _chain(load_factory(f"{EXAMPLES / name}.py:build")(), torch.randn(6, features)).summary == summary


class Skip(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        return self.b(F.relu(self.a(x)) + x)


class LongSkip(Skip):
    def forward(self, x):
        return self.b(F.relu(self.a(x))) + self.b(x)


class Branch(Skip):
    def forward(self, x):
        return self.b(x) + self.a(x)[:, :2]


class Reshaped(nn.Module):
    """The second map sees another grouping of the first one's outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        return self.b(F.relu(self.a(x)).view(4, -1, 4).transpose(0, 2).reshape(-1, 16))


class ScaledWeights(Skip):
    def forward(self, x):
        return self.b(F.relu(F.linear(x, 2 * self.a.weight, self.a.bias)))


class Alternating(Functional):
    """Another function on every second call."""

    def __init__(self) -> None:
        super().__init__(None)
        self.calls = 0

    def forward(self, x):
        self.between = (F.relu, torch.tanh)[self.calls % 2]
        self.calls += 1
        return super().forward(x)


class Tupled(Skip):
    def forward(self, x):
        return self.b(self.a(x)), x


_shared = nn.Linear(16, 16)

NOT_CHAINS = {
    "skip": (Skip, "skip connection"),
    "long skip": (LongSkip, "more than once"),
    "branch": (Branch, ""),
    "permuted": (Reshaped, "do not reproduce"),
    "scaled weights": (ScaledWeights, ""),
    "state": (Alternating, "do not reproduce"),
    "tuple": (Tupled, "returns a tuple"),
    "shared": (lambda: nn.Sequential(_shared, nn.ReLU(), _shared), "used more than once"),
    "batch norm": (lambda: nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)), "batch_norm"),
    "batch norm, eval": (
        lambda: nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)).eval(),
        "batch_norm",
    ),
    "layer norm": (lambda: Functional(lambda z: F.layer_norm(z, (24,))), "layer_norm"),
    "dropout": (lambda: nn.Sequential(nn.Linear(16, 8), nn.Dropout(0.1), nn.Linear(8, 2)), "dropout with p = 0.1"),
    "functional dropout": (lambda: Functional(lambda z: F.dropout(z, 0.3, training=True)), "do not reproduce"),
    "noise": (lambda: Functional(lambda z: z + torch.randn_like(z)), ""),
    "softmax": (lambda: Functional(lambda z: F.softmax(z, 1)), "softmax"),
    "log softmax at the end": (lambda: nn.Sequential(nn.Linear(16, 8), nn.LogSoftmax(1)), "log_softmax"),
    "mean over features": (lambda: Functional(lambda z: z - z.mean(1, keepdim=True)), "sum of several results"),
    "data-dependent scale": (lambda: Functional(lambda z: z / float(z.abs().max())), "__float__"),
    "data-dependent branch": (lambda: Functional(lambda z: F.relu(z) if z.sum() > 0 else torch.tanh(z)), "__bool__"),
    "branch on the batch size": (lambda: Functional(lambda z: F.relu(z) if len(z) < 7 else torch.tanh(z)), "reproduce"),
    "not finite": (lambda: Functional(lambda z: z + math.inf), ""),
    "scale by one channel": (lambda: Functional(lambda z: z * torch.linspace(1, 2, 24)), ""),
    "flip": (lambda: Functional(lambda z: z.flip(1)), "do not reproduce"),
    "random slope": (lambda: Functional(nn.RReLU()), "rrelu"),
    "lstm": (lambda: nn.LSTM(16, 8), "tuple"),
    "wrong width": (lambda: nn.Linear(15, 8), "cannot be run"),
    "no map": (lambda: nn.ReLU(), "no linear map"),
    "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(16, 4)), "no linear map"),
}


@pytest.mark.parametrize("name", NOT_CHAINS)
def test_everything_else_is_no_chain_for_a_stated_reason(batch, name):
    build, word = NOT_CHAINS[name]
    found = recognise_chain(build(), batch)
    assert isinstance(found, NotAChain), found
    assert word in found.reason
    assert "\n" not in found.reason


def test_convolutions_and_tokens_are_no_chains(batch):
    convolution = recognise_chain(nn.Sequential(nn.Conv1d(16, 3, 1), nn.Flatten()), batch[:, :, None])
    assert "conv1d" in convolution.reason
    tokens = recognise_chain(
        nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1)), batch[:, None].expand(12, 3, 16)
    )
    assert "one vector per sample" in tokens.reason
    embedding = nn.Sequential(nn.Embedding(9, 16), nn.Flatten(), nn.Linear(48, 2))
    assert isinstance(recognise_chain(embedding, torch.randint(9, (12, 3))), NotAChain)


def test_a_slope_that_differs_between_units_is_no_pointwise_function(batch):
    slopes = nn.PReLU(24)
    slopes.weight.data[3] = 0.5
    assert isinstance(recognise_chain(Functional(slopes), batch), NotAChain)


def test_parameters_of_no_linear_layer_are_mentioned(batch):
    assert "between.weight" in _chain(Functional(nn.PReLU()), batch).notes[0]


def test_recognising_leaves_the_model_and_the_process_as_found(batch):
    model = Functional(nn.PReLU(24))
    model.layers[0].weight.grad = torch.ones(24, 16)
    model.layers[1].eval()
    state, before = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    _chain(model, batch)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.layers[0].weight.dtype == torch.float32
    assert model.between.weight.numel() == 24
    assert torch.equal(model.layers[0].weight.grad, torch.ones(24, 16))
    assert not model.layers[1].training
    assert not any(part._forward_hooks for part in model.modules())

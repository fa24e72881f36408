"""Top curvature and tangent-kernel traces against explicit Jacobians, and against what gradient descent does."""

import math
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rgflow.errors import DataError, ModelError, SettingError
from rgflow.networks.factories import load_factory
from rgflow.networks.lanczos import largest_eigenvalue
from rgflow.networks.loss_curvature import root_of_curvature
from rgflow.networks.redraw import draw_networks
from rgflow.networks.stability import curvature_top

# Two routes to one number in float64: Lanczos to a residual of 1e-10 against a dense eigenvalue solver.
TWO_ROUTES = 1e-8
# z below this in about 100 traces: false-alarm rate 6e-5.
STATISTICAL = 5.0


@pytest.fixture(autouse=True)
def _one_thread():
    """Small matrices gain nothing from threads, and lose much on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


LOSSES = {
    "cross_entropy": lambda f, y: F.cross_entropy(f, y),
    "binary_cross_entropy": lambda f, y: F.binary_cross_entropy_with_logits(f, (y[:, None] % 2).expand_as(f).to(f)),
    "mse": lambda f, y: F.mse_loss(f, y[:, None].expand_as(f).to(f)),
    "mean_square_output": lambda f, y: f.square().mean(),
}


def _inputs(samples: int = 10) -> torch.Tensor:
    return torch.randn(samples, 6, generator=torch.Generator().manual_seed(1))


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 4))


def _normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 4))


class _Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.head = nn.Linear(3, 12), nn.Linear(4, 4)

    def forward(self, x):
        q, k, v = self.q(x.view(len(x), 2, 3)).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])[:, 0].mean(1))


def _jacobian(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """d outputs / d parameter, row by row with plain backward passes."""
    outputs = network.double()(x.double())
    parameters = dict(network.named_parameters())
    rows = [torch.autograd.grad(f, list(parameters.values()), retain_graph=True) for f in outputs.flatten()]
    return {name: torch.stack([row[i].flatten() for row in rows]) for i, name in enumerate(parameters)}


def _hessian(loss, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    size = outputs.numel()
    found = torch.autograd.functional.hessian(lambda f: loss(f.view_as(outputs), targets), outputs.detach().flatten())
    return found.reshape(size, size)


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("build", [_mlp, _normed, _Attending])
def test_the_top_curvature_is_that_of_the_explicit_gauss_newton_matrix(kind, build):
    x, y = _inputs(), torch.arange(10) % 4
    draws = draw_networks(build, networks=2, seed=0)
    found = curvature_top(draws, x, y, task_loss=kind, networks=2, iterations=200, tolerance=1e-10)
    for network, top in zip(draws, found.tops, strict=True):
        jacobian = torch.cat(list(_jacobian(network, x).values()), dim=1)
        curvature = jacobian.T @ _hessian(LOSSES[kind], network(x.double()), y) @ jacobian
        assert top == pytest.approx(float(torch.linalg.eigvalsh(curvature)[-1]), rel=TWO_ROUTES)
    assert found.top.value == pytest.approx(sum(found.tops) / 2, rel=1e-12)
    assert found.stable_step.value == pytest.approx(2 / found.top.value, rel=1e-12)


@pytest.mark.parametrize("build", [_mlp, _normed, _Attending])
def test_the_traces_by_parameter_are_unbiased(build):
    x = _inputs()
    draws = list(draw_networks(build, networks=1, seed=0))
    samples = torch.cat([curvature_top(draws, x, task_loss="mse", networks=1, seed=seed).traces for seed in range(40)])
    exact = torch.stack([j.square().sum() for j in _jacobian(draws[0], x).values()])
    error = samples.std(0) / math.sqrt(40)
    # The output bias has a diagonal tangent kernel: signs give its trace exactly.
    assert bool(((samples.mean(0) - exact).abs() <= STATISTICAL * error + 1e-9 * exact.max()).all())
    # The bias before BatchNorm has no effect at all.
    assert bool((error < 0.1 * exact + 1e-9 * exact.max()).all())


def test_probing_the_common_direction_apart_keeps_traces_of_collapsed_networks_sharp():
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0)).abs()
    draws = draw_networks(load_factory("mlp:64-64x12-10:relu"), networks=1, seed=0)
    samples = torch.cat([curvature_top(draws, x, task_loss="mse", networks=1, seed=s).traces for s in range(8)]).sum(1)
    # Plain random signs would fluctuate by sqrt(2) of the trace here, divided by the two probes: 100 %.
    assert float(samples.std() / samples.mean()) < 0.1


def test_shares_and_sums_of_traces_add_up():
    draws = draw_networks(_mlp, networks=6, seed=0)
    found = curvature_top(draws, _inputs(), task_loss="mse", networks=6)
    assert found.names == ("0.weight", "0.bias", "2.weight", "2.bias")
    assert found.traces.shape == (6, 4)
    layers = (("0.weight", "0.bias"), ("2.weight", "2.bias"))
    assert sum(found.share(names).value for names in layers) == pytest.approx(1.0, rel=1e-12)
    assert sum(found.trace_of(names).value for names in layers) == pytest.approx(found.trace.value * 40, rel=1e-12)
    assert found.outputs == 40
    # The last layer's bias contributes exactly 1 per input and output.
    assert found.trace_of(("2.bias",)).value == pytest.approx(40, rel=1e-12)
    with pytest.raises(SettingError, match="nope"):
        found.trace_of(("nope",))


def test_gradient_descent_is_stable_below_and_unstable_above_the_step():
    torch.manual_seed(0)
    network, x, y = nn.Linear(6, 4).double(), _inputs().double(), torch.randn(10, 4, dtype=torch.float64)
    step = curvature_top([network], x, y, task_loss="mse", networks=1, tolerance=1e-9).stable_step.value
    growth = {}
    for factor in (0.98, 1.02):
        model = nn.Linear(6, 4).double()
        model.load_state_dict(network.state_dict())
        losses = []
        for _ in range(1500):
            loss = F.mse_loss(model(x), y)
            losses.append(loss.item())
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= factor * step * gradient
        growth[factor] = losses[-1] / losses[0]
    assert growth[0.98] < 1.0 < 1e6 < growth[1.02]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_other_probes():
    draws = draw_networks(_mlp, networks=2, seed=0)
    first, again, other = (curvature_top(draws, _inputs(), task_loss="mse", seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.traces, again.traces)
    assert not torch.equal(first.traces, other.traces)
    assert first.networks == 2


def test_dropout_is_frozen_and_nothing_of_the_model_or_process_changes():
    network = nn.Sequential(nn.Linear(6, 30), nn.BatchNorm1d(30), nn.Dropout(0.5), nn.Linear(30, 4))
    state, random_state = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    tops = {curvature_top([network], _inputs(), task_loss="cross_entropy", tolerance=1e-9).tops for _ in range(3)}
    assert len(tops) == 1
    assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(p.grad is None for p in network.parameters())
    assert network[0].weight.dtype == torch.float32


def test_frozen_parameters_do_not_count():
    network = _mlp()
    network[0].requires_grad_(False)
    found = curvature_top([network], _inputs(), task_loss="mse", networks=1)
    assert found.names == ("2.weight", "2.bias")
    network.requires_grad_(False)
    with pytest.raises(ModelError, match="no parameter that is trained"):
        curvature_top([network], _inputs(), task_loss="mse")


def test_a_dead_network_has_curvature_zero_and_no_finite_limit():
    network = _mlp()
    for parameter in (network[0].weight, network[0].bias, network[2].weight):
        nn.init.zeros_(parameter)
    network[2].bias.requires_grad_(False)
    found = curvature_top([network], _inputs(), task_loss="mse", networks=1)
    assert found.tops == (0.0,)
    assert found.stable_step.value == math.inf


def test_one_network_has_no_error_bar():
    found = curvature_top([_mlp()], _inputs(), task_loss="mse")
    assert found.top.error == math.inf
    assert found.networks == 1


def test_a_time_budget_stops_after_two_networks_and_says_so():
    draws = draw_networks(_mlp, networks=8, seed=0)
    found = curvature_top(draws, _inputs(), task_loss="mse", seconds=0.0)
    assert (found.networks, found.complete) == (2, False)
    assert curvature_top(draws, _inputs(), task_loss="mse", seconds=1e6).complete


def test_twelve_layers_on_256_inputs_take_at_most_two_seconds_of_one_core():
    draws = draw_networks(load_factory("mlp:64-64x12-10:relu"), networks=8, seed=0)
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))
    start = time.process_time()
    found = curvature_top(draws, x, task_loss="cross_entropy")
    # CPU time, so that a busy machine does not fail the test.
    assert time.process_time() - start < 2.0
    assert found.networks == 8


def test_wrong_settings_data_and_models_are_refused():
    with pytest.raises(SettingError, match="'hinge'"):
        curvature_top([_mlp()], _inputs(), task_loss="hinge")
    with pytest.raises(SettingError, match="networks is 0"):
        curvature_top([_mlp()], _inputs(), task_loss="mse", networks=0)
    with pytest.raises(SettingError, match="no networks"):
        curvature_top([], _inputs(), task_loss="mse")
    with pytest.raises(DataError, match="10 inputs but 3 targets"):
        curvature_top([_mlp()], _inputs(), torch.zeros(3), task_loss="mse")
    with pytest.raises(ModelError, match="cannot be measured: RuntimeError"):
        curvature_top([nn.Linear(5, 2)], _inputs(), task_loss="mse")
    with pytest.raises(ModelError, match=r"needs \(samples, classes\)"):
        curvature_top([nn.Sequential(nn.Linear(6, 1), nn.Flatten(0))], _inputs(), task_loss="cross_entropy")


@pytest.mark.parametrize("kind", LOSSES)
def test_the_root_of_the_loss_curvature_squares_to_the_hessian(kind):
    outputs = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    root = root_of_curvature(outputs, task_loss=kind)
    unit = torch.eye(12, dtype=torch.float64)
    square = torch.stack([root.apply(root.transpose(u.view(3, 4))).flatten() for u in unit])
    torch.testing.assert_close(square, _hessian(LOSSES[kind], outputs, torch.arange(3)), rtol=1e-12, atol=1e-14)
    transposed = torch.stack([root.transpose(u.view(3, 4)).flatten() for u in unit])
    applied = torch.stack([root.apply(u.view(3, 4)).flatten() for u in unit])
    torch.testing.assert_close(transposed.T, applied, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("size", [1, 2, 30])
def test_lanczos_finds_the_top_eigenvalue_and_its_bound_holds(size):
    generator = torch.Generator().manual_seed(size)
    factor = torch.randn(size, size, dtype=torch.float64, generator=generator)
    matrix, start = factor @ factor.T, torch.randn(size, dtype=torch.float64, generator=generator)
    values = torch.linalg.eigvalsh(matrix)
    exact = largest_eigenvalue(matrix.mv, start=start, iterations=200, tolerance=0.0)
    assert exact.value == pytest.approx(float(values[-1]), rel=1e-12)
    rough = largest_eigenvalue(matrix.mv, start=start, iterations=4, tolerance=0.0)
    assert rough.value <= float(values[-1]) * (1 + 1e-12)
    assert float((values - rough.value).abs().min()) <= rough.error + 1e-12 * float(values[-1])


def test_lanczos_survives_a_degenerate_spectrum():
    found = largest_eigenvalue(lambda v: 3.0 * v, start=torch.ones(5, dtype=torch.float64), iterations=9, tolerance=0.0)
    assert found.value == pytest.approx(3.0, rel=1e-14)

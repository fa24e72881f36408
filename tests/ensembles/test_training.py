"""Stacked training against stock optimizers on single modules, step by step, and the fairness of an arm."""

import copy

import pytest
import torch
from torch import nn

from rgflow.ensembles.scores import chance_score, sample_losses, score
from rgflow.ensembles.training import TrainingPlan, train_arm
from rgflow.errors import DataError, ModelError, SettingError
from rgflow.records import Dataset

# Two float64 routes to one trained network: rounding grows along the trajectory.
TRAJECTORY = 1e-8


@pytest.fixture(autouse=True)
def one_thread():
    """Small matrices gain little from a second thread and lose much where the cores are busy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def regression(samples: int, seed: int, *, features: int = 4) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    y = torch.sin(x.sum(1, keepdim=True)) + 0.1 * torch.randn(samples, 1, generator=generator, dtype=torch.float64)
    return Dataset("sine", x, y, "regression")


def classification(samples: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 4, generator=generator, dtype=torch.float64)
    return Dataset("signs", x, (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long(), "classification", 4)


PARTS = {"train": regression(50, 0), "validation": regression(30, 1), "test": regression(30, 2)}


def network(seed: int, *, norm: bool = False, looped: bool = False) -> nn.Module:
    torch.manual_seed(seed)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.Identity(), nn.Tanh(), nn.Linear(8, 1)]
    return (Branching if looped else nn.Sequential)(*layers).double()


class Branching(nn.Sequential):
    """The same network with a Python branch on its data, which cannot be vectorised."""

    def forward(self, x):
        return super().forward(x) if float(x.sum().abs()) < 1e9 else x


def by_hand(module: nn.Module, plan: TrainingPlan, rate: float, *, seed: int, multipliers=None) -> float:
    """Train one module with the stock optimizer and return its test R^2."""
    module = copy.deepcopy(module).train()
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[plan.optimizer]
    groups = [{"params": [p], "lr": rate * (multipliers or {}).get(n, 1.0)} for n, p in module.named_parameters()]
    optimizer = kind(groups, lr=rate)
    generator = torch.Generator().manual_seed(seed)
    x, y = PARTS["train"].inputs, PARTS["train"].targets
    order = torch.cat([torch.randperm(50, generator=generator) for _ in range(plan.steps)])
    for step in range(plan.steps):
        rows = order[step * plan.batch_size : (step + 1) * plan.batch_size]
        optimizer.zero_grad()
        nn.functional.mse_loss(module(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = module.eval()(PARTS["test"].inputs)
    targets = PARTS["test"].targets
    return float(1 - (outputs - targets).square().sum() / (targets - targets.mean()).square().sum())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize("norm", [False, True])
def test_every_member_trains_exactly_as_the_stock_optimizer_would(optimizer, looped, norm):
    plan = TrainingPlan((0.003, 0.03), 25, 7, optimizer)
    modules = [network(seed, norm=norm, looped=looped) for seed in (0, 1)]
    multipliers = {"0.bias": 3.0, "3.weight": 0.5}
    arm = train_arm(modules, plan, **PARTS, seeds=[10, 11], multipliers=multipliers)
    expected = [
        [by_hand(m, plan, rate, seed=seed, multipliers=multipliers) for rate in plan.rates]
        for m, seed in zip(modules, (10, 11), strict=True)
    ]
    torch.testing.assert_close(arm.test, torch.tensor(expected, dtype=torch.float64), rtol=TRAJECTORY, atol=TRAJECTORY)


def test_a_member_does_not_depend_on_its_neighbours():
    modules = [network(seed) for seed in range(3)]
    many = train_arm(modules, TrainingPlan((0.01, 0.1, 1e6), 20, 8), **PARTS, seeds=[1, 2, 3])
    one = train_arm(modules[1:2], TrainingPlan((0.1,), 20, 8), **PARTS, seeds=[2])
    torch.testing.assert_close(many.test[1, 1], one.test[0, 0], rtol=TRAJECTORY, atol=0)


def test_a_diverged_network_scores_chance_and_is_marked_not_dropped():
    arm = train_arm([network(0), network(1)], TrainingPlan((0.01, 1e9), 120, 8), **PARTS, seeds=[1, 2])
    assert arm.failed.tolist() == [[False, True], [False, True]]
    assert arm.test[:, 1].tolist() == [0.0, 0.0]
    parts = {"train": classification(40, 0), "validation": classification(25, 1), "test": classification(25, 2)}
    torch.manual_seed(0)
    lost = train_arm(
        [nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))], TrainingPlan((1e30,), 60, 8), **parts, seeds=[1]
    )
    common = parts["train"].targets.mode().values
    assert float(lost.test) == pytest.approx(float((parts["test"].targets == common).double().mean()))
    assert bool(lost.failed.all())


def test_same_seeds_same_scores_two_seeds_two_scores():
    plan = TrainingPlan((0.03,), 20, 8)
    one, again, other = (train_arm([network(0)], plan, **PARTS, seeds=[seed]).test for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_modules_and_the_global_random_state_stay_as_found():
    torch.manual_seed(5)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)).double().eval()
    state, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    train_arm([model], TrainingPlan((0.1,), 10, 8), **PARTS, seeds=[0])
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_frozen_parameters_stay_frozen():
    model = network(0)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model[3].bias.requires_grad_(True)
    before, after = (train_arm([model], TrainingPlan((1e-12, 0.1), 20, 8), **PARTS, seeds=[0]).test[0]).tolist()
    assert before != after
    everything = float(train_arm([network(0)], TrainingPlan((0.1,), 20, 8), **PARTS, seeds=[0]).test)
    assert after != pytest.approx(everything, rel=1e-3)


def test_progress_counts_every_member_step():
    done = []
    train_arm([network(0), network(1)], TrainingPlan((0.1, 0.2), 5, 8), **PARTS, seeds=[0, 1], progress=done.append)
    assert sum(done) == 2 * 2 * 5


def test_small_networks_train_on_one_thread_and_the_count_found_is_put_back_even_after_an_error():
    seen = []

    class Watching(nn.Linear):
        def forward(self, x):
            seen.append(torch.get_num_threads())
            return super().forward(x)

    torch.set_num_threads(2)
    train_arm([Watching(4, 1).double()], TrainingPlan((0.1,), 2, 8), **PARTS, seeds=[0])
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    with pytest.raises(DataError):
        train_arm([nn.Linear(4, 3).double()], TrainingPlan((0.1,), 5, 8), **PARTS, seeds=[1])
    assert torch.get_num_threads() == 2
    seen.clear()
    wide = nn.Sequential(Watching(4, 2**18 + 1), nn.Linear(2**18 + 1, 1)).double()
    train_arm([wide], TrainingPlan((0.1,), 1, 2), **PARTS, seeds=[0])
    assert set(seen) == {2}


def test_losses_and_scores_are_those_of_torch_and_scikit_learn():
    from sklearn.metrics import r2_score

    generator = torch.Generator().manual_seed(0)
    outputs, labels = torch.randn(3, 20, 5, generator=generator), torch.randint(5, (3, 20), generator=generator)
    losses = sample_losses(outputs, labels)
    torch.testing.assert_close(losses[1].mean(), nn.functional.cross_entropy(outputs[1], labels[1]))
    targets = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    expected = [r2_score(targets.numpy(), o.double().numpy()) for o in outputs]
    assert score(outputs, targets).tolist() == pytest.approx(expected)
    logits = torch.tensor([[[2.0], [-1.0], [3.0]]])
    assert score(logits, torch.tensor([1, 1, 1])).tolist() == pytest.approx([2 / 3])
    outputs[2, 4, 1] = torch.inf
    assert bool(score(outputs, targets)[2].isnan())


def test_chance_is_the_most_frequent_training_class_or_zero():
    train = Dataset("d", torch.zeros(4, 1), torch.tensor([0, 1, 1, 2]), "classification", 3)
    held_out = Dataset("d", torch.zeros(4, 1), torch.tensor([1, 0, 0, 2]), "classification", 3)
    assert chance_score(train, held_out) == 0.25
    assert chance_score(PARTS["train"], PARTS["test"]) == 0.0


def test_bad_settings_are_refused():
    with pytest.raises(SettingError, match="rates"):
        TrainingPlan((0.1, -1.0), 5, 8)
    with pytest.raises(SettingError, match="lion"):
        TrainingPlan((0.1,), 5, 8, "lion")
    with pytest.raises(SettingError, match="seed"):
        train_arm([network(0)], TrainingPlan((0.1,), 5, 8), **PARTS, seeds=[1, 2])
    with pytest.raises(DataError, match="3 outputs"):
        train_arm([nn.Linear(4, 3).double()], TrainingPlan((0.1,), 5, 8), **PARTS, seeds=[1])
    with pytest.raises(ModelError, match="no parameters"):
        train_arm([nn.ReLU()], TrainingPlan((0.1,), 5, 8), **PARTS, seeds=[1])

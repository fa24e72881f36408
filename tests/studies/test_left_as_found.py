"""Whatever `check` and `tune` do inside, the user's module and the global settings are left as they were.

EXACT: every tensor, mode, hook table and random state is compared bit by bit.
"""

import random
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rgflow import check, tune
from rgflow.errors import ModelError, RgflowError
from tests.studies.chain_checks import points


class Mixed(nn.Module):
    """A network with running statistics and dropout, which draws from all three random generators."""

    def __init__(self, *, broken: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(12, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.3)
        self.second = nn.Linear(16, 16)
        self.head = nn.Linear(8 if broken else 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        random.random()
        np.random.rand()  # noqa: NPY002 - the legacy global state is what users' code draws from
        return self.head(torch.relu(self.second(self.drop(torch.relu(self.norm(self.first(x)))))))


def used(*, broken: bool = False) -> Mixed:
    """A module in the middle of its life: gradients, running statistics, one frozen layer, mixed modes, hooks."""
    torch.manual_seed(4)
    module = Mixed(broken=broken)
    x = points()[0].to(torch.get_default_dtype())
    module.norm(module.first(x)).square().sum().backward()
    module.second.weight.requires_grad_(False)
    module.norm.eval()
    module.first.register_forward_hook(lambda *_: None)
    module.register_forward_pre_hook(lambda *_: None)
    return module


def of_module(module: nn.Module) -> dict[str, Any]:
    """Everything of a module that `check` must leave alone, copied."""
    seen: dict[str, Any] = {}
    for name, parameter in module.named_parameters():
        gradient = None if parameter.grad is None else parameter.grad.clone()
        seen[f"parameter {name}"] = (id(parameter), parameter.data_ptr(), parameter.detach().clone())
        seen[f"gradient {name}"] = (id(parameter.grad), parameter.requires_grad, gradient)
    for name, buffer in module.named_buffers():
        seen[f"buffer {name}"] = (id(buffer), buffer.clone())
    for name, part in module.named_modules():
        hooks = [list(table.items()) for key, table in vars(part).items() if "hooks" in key and isinstance(table, dict)]
        seen[f"module {name}"] = (id(part), part.training, hooks, sorted(vars(part)))
    return seen


def of_process() -> dict[str, Any]:
    """Global state, copied."""
    legacy = cast(tuple, np.random.get_state())  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (legacy[0], torch.tensor(legacy[1].astype("int64")), *legacy[2:]),
        "torch": torch.get_rng_state(),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
    }


def same(one: Any, other: Any) -> bool:
    """Whether two states agree to the last bit."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of the entries that differ."""
    return [name for name in before | after if not same(before.get(name), after.get(name))]


def checked(model: "nn.Module | Callable[[], nn.Module]") -> None:
    x, y = points()
    check(model, x, y, networks=3)


def tuned(model: "nn.Module | Callable[[], nn.Module]") -> None:
    x, y = points()
    tune(model, x, y)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def settings(request: pytest.FixtureRequest):
    """Two threads and a default dtype of the user's choice, which a careless study would leave changed."""
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(2)
    torch.set_default_dtype(request.param)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "raises midway"])
@pytest.mark.parametrize("job", [checked, tuned])
def test_a_module_and_the_process_are_left_as_found(job: Callable[[nn.Module], None], *, broken: bool) -> None:
    module = used(broken=broken)
    before, process = of_module(module), of_process()
    run_to_the_end(job, module)
    assert changed(process, of_process()) == []
    assert changed(before, of_module(module)) == []


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("broken", [False, True], ids=["sound", "raises midway"])
@pytest.mark.parametrize("job", [checked, tuned])
def test_a_factory_leaves_the_process_as_found(job: Callable[[Callable[[], nn.Module]], None], *, broken: bool) -> None:
    process = of_process()
    run_to_the_end(job, lambda: Mixed(broken=broken))
    assert changed(process, of_process()) == []


def run_to_the_end(job: Callable[[Any], None], model: Any) -> None:
    """Run a job; where the model raises midway, tuning refuses with one sentence, and that counts as an end."""
    try:
        job(model)
    except RgflowError:
        assert job is tuned


def test_a_factory_that_raises_leaves_the_process_as_found() -> None:
    def build() -> nn.Module:
        torch.set_default_dtype(torch.float64)
        torch.manual_seed(1)
        raise ValueError("no such size")

    process = of_process()
    for job in (checked, tuned):
        with pytest.raises(ModelError, match="no such size"):
            job(build)
    assert changed(process, of_process()) == []


def test_the_comparison_sees_each_kind_of_change() -> None:
    """Negative control: every planted change is named."""
    plants: dict[str, Callable[[Mixed], object]] = {
        "parameter first.weight": lambda m: m.first.weight.data.mul_(2),
        "gradient first.bias": lambda m: m.first.bias.grad.zero_(),  # type: ignore[union-attr]
        "buffer norm.running_mean": lambda m: m.norm.running_mean.add_(1),  # type: ignore[union-attr]
        "module norm": lambda m: m.norm.train(),
        "module second": lambda m: m.second.register_forward_hook(lambda *_: None),
    }
    for name, plant in plants.items():
        module = used()
        before = of_module(module)
        plant(module)
        assert changed(before, of_module(module)) == [name]
    before = of_process()
    random.random()
    np.random.rand()  # noqa: NPY002
    torch.rand(1)
    assert changed(before, of_process()) == ["python", "numpy", "torch"]

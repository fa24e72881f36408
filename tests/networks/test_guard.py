"""What `untouched` and everything built on it must leave as found."""

# ruff: noqa: NPY002 - users' code draws from numpy's legacy global state, so that is what must be kept

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from rgflow.networks.guard import untouched


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)))


def _disturb_globals() -> None:
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_num_threads(1 if torch.get_num_threads() != 1 else 2)
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("medium")
    nn.modules.module.register_module_forward_hook(lambda *_: None)
    sys.dont_write_bytecode = not sys.dont_write_bytecode


def _global_state() -> tuple:
    return (
        random.getstate(),
        np.random.get_state()[1].tolist(),
        np.random.get_state()[2:],
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
        len(nn.modules.module._global_forward_hooks),
        sys.dont_write_bytecode,
    )


@pytest.mark.parametrize("ending", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_global_state_is_put_back_however_the_block_ends(ending):
    before = _global_state()
    try:
        with untouched():
            _disturb_globals()
            assert sum(a != b for a, b in zip(_global_state(), before, strict=True)) == len(before)
            if ending is not None:
                raise ending
    except (ValueError, KeyboardInterrupt, SystemExit):
        assert ending is not None
    assert _global_state() == before


def test_the_random_streams_go_on_as_if_nothing_had_been_drawn():
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    expected = (torch.rand(3).tolist(), random.random(), np.random.rand())
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    with untouched():
        torch.rand(7), random.random(), np.random.rand(9)
    assert (torch.rand(3).tolist(), random.random(), np.random.rand()) == expected


def _module_state(model: nn.Module) -> list:
    tensors = [*model.parameters(), *model.buffers()]
    return [
        [(id(t), t.dtype, t.requires_grad, t.tolist(), t.data_ptr()) for t in tensors],
        [None if p.grad is None else (id(p.grad), p.grad.tolist()) for p in model.parameters()],
        [(name, id(part), part.training, list(part._forward_hooks)) for name, part in model.named_modules()],
        [list(part._non_persistent_buffers_set) for part in model.modules()],
    ]


def _train_step(model: nn.Module) -> None:
    model(torch.randn(5, 3)).sum().backward()
    torch.optim.SGD(model.parameters(), 0.1).step()


def _ruin(model: nn.Module) -> None:
    model.double().eval()
    model[0].weight.requires_grad_(False)
    model[0].bias.data.fill_(float("nan"))
    model[0].weight = nn.Parameter(torch.zeros(4, 3))
    model[1].register_buffer("extra", torch.zeros(1), persistent=False)
    model[2][1] = nn.Identity()
    model[0].register_forward_hook(lambda *_: None)
    model.append(nn.ReLU())


def _replace_gradient(model: nn.Module) -> None:
    model[0].weight.grad = torch.ones(4, 3)


@pytest.mark.parametrize("harm", [_train_step, _ruin, _replace_gradient, lambda m: m.requires_grad_(False)])
@pytest.mark.parametrize("with_gradient", [True, False])
def test_a_module_is_put_back_in_every_part(harm, with_gradient):
    model = _model()
    if with_gradient:
        model(torch.randn(5, 3)).sum().backward()
    before = _module_state(model)
    with untouched(model):
        harm(model)
        assert _module_state(model) != before
    assert _module_state(model) == before


def test_an_optimizer_made_before_still_steps_the_parameters_afterwards():
    model = _model()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with untouched(model):
        model.double()
    before = model[0].weight.detach().clone()
    model(torch.randn(5, 3)).sum().backward()
    optimizer.step()
    assert not torch.equal(model[0].weight, before)


def test_lazy_modules_and_nan_entries_do_not_disturb_it():
    model = nn.Sequential(nn.LazyLinear(3))
    with untouched(model):
        pass
    broken = nn.Linear(2, 2)
    broken.weight.data.fill_(float("nan"))
    version = broken.weight._version
    with untouched(broken):
        pass
    assert broken.weight._version == version


def test_the_guard_is_cheap_and_does_not_load_the_compiler():
    program = (
        "import sys\n"
        "from rgflow.networks.guard import untouched\n"
        "with untouched():\n    pass\n"
        "assert 'torch._dynamo' not in sys.modules and 'torch._inductor' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

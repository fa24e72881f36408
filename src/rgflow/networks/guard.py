"""Leaving everything as found: a context in which code may do as it likes with global state and with one module.

Kept: random states of python, numpy and torch, default dtype and device, thread count, gradient mode, deterministic
flags; of the module its submodules, parameters, buffers, gradients, `requires_grad`, train/eval modes and hooks.
"""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_globals
from torch.nn.parameter import is_lazy

__all__ = ["untouched"]

_Undo = Callable[[], object]


@contextmanager
def untouched(module: nn.Module | None = None) -> Iterator[None]:
    """Return a context that puts global state, and `module` if given, back on exit, whatever happened inside.

    Tensors get their old values back in their old storage, so optimizers and views that point there stay valid.
    Errors: numpy's state is kept only if numpy is loaded on entry, CUDA's only if CUDA runs on entry (a CUDA that is
    started inside is seeded like the CPU on exit); attributes that are no parameter, buffer or module are not kept.
    """
    with ExitStack() as undo:
        for action in _global_undos():
            undo.callback(action)
        if module is not None:
            undo.callback(_module_undo(module))
        yield


def _global_undos() -> list[_Undo]:
    return [*_random_undos(), *_setting_undos(), _registries_undo(_global_hooks())]


def _random_undos() -> list[_Undo]:
    python, cpu = random.getstate(), torch.get_rng_state()
    undos: list[_Undo] = [lambda: random.setstate(python), lambda: torch.set_rng_state(cpu)]
    if "numpy" in sys.modules:
        from numpy import random as numpy_random

        state = numpy_random.get_state()  # noqa: NPY002 - the legacy global state is what users' code draws from
        undos.append(lambda: numpy_random.set_state(state))  # noqa: NPY002
    if torch.cuda.is_available():
        undos.append(_cuda_undo())
    return undos


def _cuda_undo() -> _Undo:
    if torch.cuda.is_initialized():
        states = torch.cuda.get_rng_state_all()
        return lambda: torch.cuda.set_rng_state_all(states)
    # Starting CUDA only to read its seed would itself change the process (it breaks later forks). Undos run in
    # reverse order of the list, so the seed is read now.
    seed = torch.initial_seed()
    return lambda: torch.cuda.manual_seed_all(seed)


def _setting_undos() -> list[_Undo]:
    dtype, device, threads = torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()
    gradients, anomalies, precision = (
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_float32_matmul_precision(),
    )
    check_anomalies = torch.is_anomaly_check_nan_enabled()
    deterministic = _determinism()
    cudnn = {name: getattr(torch.backends.cudnn, name) for name in ("deterministic", "benchmark", "enabled")}
    bytecode = sys.dont_write_bytecode
    return [
        lambda: torch.set_default_dtype(dtype),
        lambda: _restore_device(device),
        lambda: torch.get_num_threads() == threads or torch.set_num_threads(threads),
        lambda: torch.set_grad_enabled(gradients),
        lambda: torch.autograd.set_detect_anomaly(anomalies, check_nan=check_anomalies),
        lambda: torch.get_float32_matmul_precision() == precision or torch.set_float32_matmul_precision(precision),
        # Only where it changed: setting it loads torch's compiler, which takes seconds.
        lambda: (
            _determinism() == deterministic
            or torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        ),
        lambda: [setattr(torch.backends.cudnn, name, value) for name, value in cudnn.items()],
        lambda: setattr(sys, "dont_write_bytecode", bytecode),
    ]


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _restore_device(device: torch.device) -> None:
    if torch.get_default_device() != device:
        # "cpu" is what torch reports when nothing was ever set; None takes the override away again.
        torch.set_default_device(None if device == torch.device("cpu") else device)


def _global_hooks() -> list[dict]:
    return [value for name, value in vars(module_globals).items() if _is_registry(name, value, prefix="_global_")]


def _hooks(module: nn.Module) -> list[dict]:
    return [value for name, value in vars(module).items() if _is_registry(name, value, prefix="_")]


def _is_registry(name: str, value: Any, *, prefix: str) -> bool:
    return name.startswith(prefix) and "hooks" in name and isinstance(value, dict)


def _registries_undo(registries: list[dict]) -> _Undo:
    kept = [(registry, dict(registry)) for registry in registries]

    def undo() -> None:
        for registry, entries in kept:
            _refill(registry, entries)

    return undo


def _refill(registry: dict, entries: dict) -> None:
    if list(registry.items()) != list(entries.items()):
        registry.clear()
        registry.update(entries)


def _module_undo(module: nn.Module) -> _Undo:
    submodules = list(module.modules())
    undos: list[_Undo] = [_submodule_undo(submodule) for submodule in submodules]
    tensors = {id(t): t for s in submodules for t in (*s._parameters.values(), *s._buffers.values()) if t is not None}
    # A lazy parameter has no values yet to be kept.
    undos += [_tensor_undo(tensor) for tensor in tensors.values() if not is_lazy(tensor)]

    def undo() -> None:
        for action in undos:
            action()

    return undo


def _submodule_undo(module: nn.Module) -> _Undo:
    training, hooks = module.training, _registries_undo(_hooks(module))
    members: list[tuple[dict, dict]] = [
        (table, dict(table)) for table in (module._parameters, module._buffers, module._modules)
    ]
    transient = set(module._non_persistent_buffers_set)

    def undo() -> None:
        module.training = training
        for table, entries in members:
            if [(k, id(v)) for k, v in table.items()] != [(k, id(v)) for k, v in entries.items()]:
                table.clear()
                table.update(entries)
        module._non_persistent_buffers_set.clear()
        module._non_persistent_buffers_set.update(transient)
        hooks()

    return undo


def _tensor_undo(tensor: Tensor) -> _Undo:
    wanted, values = tensor.requires_grad, _values_undo(tensor.data)
    gradient = tensor.grad if tensor.is_leaf else None
    old_gradient = None if gradient is None else _values_undo(gradient.data)

    def undo() -> None:
        tensor.data = values()
        if not tensor.is_leaf:
            return
        tensor.requires_grad_(wanted)
        if gradient is not None and old_gradient is not None:
            gradient.data = old_gradient()
        tensor.grad = gradient

    return undo


def _values_undo(data: Tensor) -> Callable[[], Tensor]:
    copy = data.clone()

    def undo() -> Tensor:
        # Unchanged memory must not be written: it may be shared with other processes.
        if data.layout != torch.strided or not torch.equal(_bits(data), _bits(copy)):
            data.copy_(copy)
        return data

    return undo


def _bits(data: Tensor) -> Tensor:
    """The bytes of a tensor: NaN equals NaN there, and 0 differs from -0."""
    return data.detach().contiguous().flatten().view(torch.uint8)

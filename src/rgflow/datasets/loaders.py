"""Data from a function of the user's: `path/file.py:loader`, called without arguments.

The function returns inputs, (inputs, targets) or a Dataset; torch integer tensors stay integers (token indices).
"""

import importlib
import importlib.util
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from rgflow.datasets.arrays import as_dataset, with_source
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["LoadedPair", "load_with_function", "returned_by"]


@dataclass(frozen=True, eq=False)
class LoadedPair:
    """Inputs and targets as a function of the user's gives them, before any judgement, and where they come from."""

    inputs: Any
    targets: Any
    source: str


def load_with_function(path: Path, *, function: str) -> Dataset:
    """Return what `function` of the Python file `path` gives, as a Dataset.

    Raises: DataError if the file or function is missing or fails, needs arguments, or returns something else.
    """
    found = returned_by(path, function=function)
    if isinstance(found, Dataset):
        return found
    data = as_dataset(found.inputs, found.targets, name=f"{path.name}:{function}")
    return with_source(data, provenance=found.source)


def returned_by(path: Path, *, function: str) -> Dataset | LoadedPair:
    """Return what `function` gives, as it is: a Dataset, or inputs with targets or None.

    Raises: DataError if the file or function is missing or fails, needs arguments, or returns something else.
    """
    with _as_found(path.resolve().parent):
        found = _function(_module(path), name=function, path=path)
        result = _called(found, spec=f"{path}:{function}")
    if isinstance(result, Dataset):
        return result
    inputs, targets = result, None
    if isinstance(result, tuple | list) and not _is_rows(result):
        if len(result) != 2:
            raise DataError(f"{path}:{function} returns {len(result)} things; return inputs, or (inputs, targets)")
        inputs, targets = result
    if inputs is None or isinstance(inputs, str | bytes | dict):
        raise DataError(f"{path}:{function} returns {_kind(inputs)}; return inputs, (inputs, targets) or a Dataset")
    return LoadedPair(inputs, targets, f"function {function} of {path.name}")


def _is_rows(result: tuple | list) -> bool:
    """Whether a sequence is a list of rows of numbers rather than a pair of arrays."""
    return isinstance(result, list) and all(isinstance(row, list | tuple | int | float) for row in result)


def _module(path: Path) -> ModuleType:
    name = f"_rgflow_loader_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise DataError(f"{path} cannot be imported as a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise DataError(f"{path} fails on import with {_said(error)}") from error
    return module


@contextmanager
def _as_found(folder: Path) -> Iterator[None]:
    """Let code of the user run as if started in `folder`, then put back paths, neighbours, random states and dtype."""
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - only kept
    dtype, paths, known = torch.get_default_dtype(), list(sys.path), set(sys.modules)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:], sys.dont_write_bytecode = paths, bytecode
        for name in [n for n in sys.modules if n not in known and _lies_in(sys.modules[n], folder=folder)]:
            del sys.modules[name]
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        torch.set_rng_state(cpu)
        torch.set_default_dtype(dtype)


def _lies_in(module: ModuleType, *, folder: Path) -> bool:
    """Whether a module is a neighbour of the user's file, so that another file may have one of the same name."""
    place = getattr(module, "__file__", None)
    return place is not None and Path(place).parent == folder


def _function(module: ModuleType, *, name: str, path: Path) -> Callable[[], Any]:
    found = getattr(module, name, None)
    if found is None:
        own = [n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__]
        raise DataError(f"{path} has no function {name!r}; it defines {', '.join(own) or 'no functions'}")
    if not callable(found):
        raise DataError(f"{path}:{name} is {_kind(found)}, not a function")
    try:
        needed = [
            p.name
            for p in inspect.signature(found).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        needed = []
    if needed:
        raise DataError(
            f"{path}:{name} needs arguments ({', '.join(needed)}); a loader is called without any: give them defaults"
        )
    return found


def _called(function: Callable[[], Any], *, spec: str) -> Any:
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise DataError(f"{spec} fails with {_said(error)}") from error


def _said(error: BaseException) -> str:
    detail = " ".join(str(error).split())
    return f"{type(error).__name__}: {detail}" if detail else type(error).__name__


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"

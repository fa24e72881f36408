"""From what a user writes to a factory: `path/file.py:factory`, `package.module:factory`, or `mlp:64-64x12-10:relu`.

A factory takes no argument and returns a new `nn.Module` each time. A user's file is imported under a private module
name; its directory is on the import path only while the file or the factory runs, and no bytecode is written.
"""

import copy
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rgflow.errors import ModelError
from rgflow.networks.guard import untouched
from rgflow.networks.imports import import_file, import_named, importable, says
from rgflow.networks.shorthand import is_shorthand, plain_mlp

__all__ = ["Factory", "as_factory", "load_factory"]


@dataclass(frozen=True)
class Factory:
    """A callable that builds the user's network, with the name under which reports speak of it.

    `path` is the file it came from, if any; `instance` the module itself where the user gave one instead of a factory;
    `dtype` the default dtype that the user's file sets on import, under which its networks are built.
    """

    name: str
    build: Callable[[], nn.Module]
    path: Path | None = None
    instance: nn.Module | None = None
    dtype: torch.dtype | None = None

    def __call__(self) -> nn.Module:
        """Return a new network, drawn from the global random state; global settings are left as found.

        Raises: ModelError if the factory raises or returns something that is not an `nn.Module`.
        """
        before = torch.get_default_dtype()
        try:
            with ExitStack() as scope:
                scope.callback(torch.set_default_dtype, before)
                torch.set_default_dtype(self.dtype or before)
                if self.path is not None:
                    scope.enter_context(importable(self.path.resolve().parent))
                built = self.build()
        except (Exception, SystemExit) as error:
            raise ModelError(f"the factory {self.name} raised {says(error)}") from error
        if not isinstance(built, nn.Module):
            raise ModelError(f"the factory {self.name} returned {_kind(built)}; it must return an nn.Module")
        return built


def load_factory(spec: str) -> Factory:
    """Return the factory that `spec` names.

    Raises: ModelError, one sentence, if the file or factory is missing, fails on import, or needs arguments.

    Example:
    >>> load_factory("mlp:64-64x12-10:relu").name
    'mlp:64-64x12-10:relu'
    """
    if is_shorthand(spec):
        return Factory(spec, plain_mlp(spec))
    place, _, attribute = spec.rpartition(":")
    if not place or not attribute or attribute.endswith(".py"):
        raise ModelError(_no_colon(spec))
    path = Path(place) if place.endswith(".py") or "/" in place or Path(place).is_file() else None
    with untouched():
        module = import_named(place) if path is None else import_file(path)
        dtype = torch.get_default_dtype()
    name = f"{path.name if path else place}:{attribute}"
    found = _attribute(module, attribute, place=place)
    if isinstance(found, nn.Module):
        return Factory(name, lambda: copy.deepcopy(found), path, found, dtype)
    _refuse_arguments(found, name=name)
    return Factory(name, found, path, None, dtype)


def as_factory(model: "nn.Module | Factory | Callable[[], nn.Module]") -> Factory:
    """Return `model` as a `Factory`: a module instance, a callable without arguments, or a `Factory` as it is.

    Raises: ModelError if it is none of these, or a callable that needs arguments.
    """
    if isinstance(model, Factory):
        return model
    if isinstance(model, nn.Module):
        return Factory(type(model).__name__, lambda: copy.deepcopy(model), None, model)
    if not callable(model):
        raise ModelError(
            f"the model is {_kind(model)}; give an nn.Module or a function without arguments that builds one"
        )
    name = getattr(model, "__name__", type(model).__name__)
    _refuse_arguments(model, name=name)
    return Factory(name, model)


def _attribute(module: Any, name: str, *, place: str) -> Any:
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            offers = ", ".join(_offers(module)) or "no factory"
            raise ModelError(f"{place} has no factory {name!r}; it offers {offers}")
        found = getattr(found, part)
    if not isinstance(found, nn.Module) and not callable(found):
        raise ModelError(
            f"{place}:{name} is {_kind(found)}; name a function without arguments that builds an nn.Module"
        )
    return found


def _offers(module: Any) -> list[str]:
    """Names in the user's own module that could serve: functions and module classes without needed arguments."""
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return [
        name
        for name, value in own.items()
        if isinstance(value, nn.Module)
        or (
            callable(value)
            and getattr(value, "__module__", None) == module.__name__
            and (not isinstance(value, type) or issubclass(value, nn.Module))
            and not _needed(value)
        )
    ]


def _needed(function: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _refuse_arguments(function: Callable[..., Any], *, name: str) -> None:
    needed = _needed(function)
    if needed:
        raise ModelError(
            f"the factory {name} needs the argument{'s' * (len(needed) > 1)} {', '.join(needed)}; "
            "write defaults in its definition, or name a function without arguments that builds the model"
        )


def _no_colon(spec: str) -> str:
    path = Path(spec.rstrip(":"))
    allowed = "path/file.py:factory, package.module:factory or mlp:64-64x12-10:relu"
    if not path.is_file():
        missing = "names a file that does not exist" if path.suffix == ".py" else "names no factory"
        return f"the model {spec!r} {missing}; write {allowed}"
    with untouched():
        offers = _offers(import_file(path))
    hint = f"write for instance {path}:{offers[0]}" if offers else f"write {allowed}"
    return f"the model {spec!r} names no factory; {hint} (the file offers {', '.join(offers) or 'no factory'})"


def _kind(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"{'an' if type(value).__name__[0].lower() in 'aeiou' else 'a'} {type(value).__name__}"

"""One-line bugs, planted in the running package and taken out again: the mechanism behind every list of planted bugs.

`planted`: the mutated source is compiled and the code of each function and method replaced in place, so that it runs
wherever the function was imported; frozen dataclasses, properties and wrapped methods included. `reimported`: the mutated
module and all that may hold something of it are imported afresh; for bugs in constants, tables and class bodies.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["planted", "raises", "reimported"]


@contextmanager
def planted(module_name: str, sound: str, broken: str) -> Iterator[None]:
    """Run with one line of `rgflow.<module_name>` replaced; `sound` must stand exactly once in its source."""
    module = importlib.import_module(f"rgflow.{module_name}")
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    assert text.count(sound) == 1, f"{sound!r} stands {text.count(sound)} times in {module_name}"
    mutated = dict(vars(module))
    exec(compile(text.replace(sound, broken), str(path), "exec"), mutated)
    changed = dict(_own(module, mutated))
    pairs = [(function, function.__code__, changed[name].__code__) for name, function in _own(module, vars(module))]
    try:
        for function, _, code in pairs:
            if len(function.__code__.co_freevars) == len(code.co_freevars):
                function.__code__ = code
        yield
    finally:
        for function, code, _ in pairs:
            function.__code__ = code


@contextmanager
def reimported(module_name: str, sound: str, broken: str, *, modules: Collection[str]) -> Iterator[None]:
    """Run with one line of `rgflow.<module_name>` replaced and all of `modules` ("room." or "room.module") imported anew.

    `sound` must stand exactly once in the source; `broken` equal to `sound` only imports anew. All is put back at the end.
    """
    place = importlib.import_module(f"rgflow.{module_name}").__file__
    source = Path(str(place)).read_text(encoding="utf-8")
    assert source.count(sound) == 1, f"{sound!r} stands {source.count(sound)} times in {module_name}"
    rooms = {name.split(".")[0] for name in modules}
    packages = [importlib.import_module(f"rgflow.{room}") for room in sorted(rooms)]
    attributes = [dict(vars(package)) for package in packages]
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if _among(name, modules)}
    finder = _Mutant(f"rgflow.{module_name}", source.replace(sound, broken))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _among(name, modules)]:
            del sys.modules[name]
        sys.modules.update(real)
        for package, before in zip(packages, attributes, strict=True):
            vars(package).clear()
            vars(package).update(before)


def raises(checks: Collection[Callable[[Any], None]], room: Any) -> bool:
    """Whether one of the checks objects to the room."""
    for check in checks:
        try:
            check(room)
        except Exception:
            return True
    return False


class _Mutant(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the package from changed source."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(self, fullname: str, path: object = None, target: object = None):
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.source, self.name, "exec"), module.__dict__)


def _among(name: str, modules: Collection[str]) -> bool:
    own = name.removeprefix("rgflow.")
    return own != name and any(own == given or (given.endswith(".") and own.startswith(given)) for given in modules)


def _own(module: ModuleType, names: dict[str, Any]) -> Iterator[tuple[str, FunctionType]]:
    """Functions and methods that a module defines, by qualified name."""
    for value in names.values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value.__qualname__, value
        if isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                method = getattr(member, "__wrapped__", getattr(member, "func", getattr(member, "fget", member)))
                if isinstance(method, FunctionType):
                    yield f"{value.__qualname__}.{method.__name__}", method

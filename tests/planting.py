"""One-line bugs, planted in the running package and taken out again: the mechanism behind every list of planted bugs.

The mutated source is compiled and the code of each function and method replaced in place, so that it runs wherever the
function was imported; frozen dataclasses, properties and wrapped methods included.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["planted"]


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

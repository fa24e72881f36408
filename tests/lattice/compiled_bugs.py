"""One-line bugs planted in compiled loops: the module is compiled again with the bug, and taken out afterwards.

`tests.planting` replaces the code of Python functions; compiled ones are replaced as attributes of their module, which is how
the package reaches them.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numba.core.dispatcher import Dispatcher

__all__ = ["planted_in_loop"]


@contextmanager
def planted_in_loop(module_name: str, sound: str, broken: str) -> Iterator[None]:
    """Run with one line of `rgflow.lattice.<module_name>` replaced; `sound` must stand exactly once in its source."""
    module = importlib.import_module(f"rgflow.lattice.{module_name}")
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    assert text.count(sound) == 1, f"{sound!r} stands {text.count(sound)} times in {module_name}"
    mutated = dict(vars(module))
    exec(compile(text.replace(sound, broken).replace('"cache": True', '"cache": False'), str(path), "exec"), mutated)
    kept = {name: value for name, value in vars(module).items() if isinstance(value, Dispatcher)}
    try:
        for name, value in kept.items():
            if value.py_func.__module__ == module.__name__:
                setattr(module, name, mutated[name])
        yield
    finally:
        for name, value in kept.items():
            setattr(module, name, value)

"""One-line bugs in compiled loops: the mutated module is compiled afresh and its functions stand in for the sound ones.

`tests.planting.planted` replaces the code of Python functions, which compiled loops have left behind. Callers must reach the
loops through their module (`potts_loops.cluster_sweep`). The cache is switched off: it does not tell constants apart.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["planted_loop"]


@contextmanager
def planted_loop(module_name: str, sound: str, broken: str) -> Iterator[None]:
    """Run with one line of the loops in `rgflow.<module_name>` replaced; `sound` must stand exactly once in its source."""
    module = importlib.import_module(f"rgflow.{module_name}")
    path = Path(str(module.__file__))
    text = path.read_text(encoding="utf-8")
    assert text.count(sound) == 1, f"{sound!r} stands {text.count(sound)} times in {module_name}"
    mutated = dict(vars(module))
    exec(compile(text.replace(sound, broken).replace("cache=True", "cache=False"), str(path), "exec"), mutated)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in vars(module).items():
            if hasattr(value, "py_func"):
                patch.setattr(module, name, mutated[name])
        yield

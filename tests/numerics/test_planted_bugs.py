"""One-line mutations of this room, each of which one of its checks must catch.

The mutated source is compiled in memory and imported in place of the real module; the real room is restored after.
"""

import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import rgflow.numerics
from tests.numerics.checks import CHECKS, load_room

FOLDER = Path(rgflow.numerics.__file__).parent

# module, the line as it is, the line with the bug
BUGS = [
    ("gaussian", "x**4 - 6.0 * x * x + 3.0", "x**4 - 6.0 * x * x + 1.0"),
    ("gaussian", "(weighted * (x * x - 1.0)).sum(-1) / 2.0", "(weighted * (x * x - 1.0)).sum(-1)"),
    ("gaussian", "decayed = edge <= 1e-16 * integrand.amax(-1)", "decayed = edge <= 1e16 * integrand.amax(-1)"),
    ("gaussian", "torch.where(edge <= 1e-16 * size, edge, math.inf)", "edge"),
    ("gaussian", "_ORDER = 24", "_ORDER = 6"),
    ("panels", "_RESOLVED = 1e-11", "_RESOLVED = 1e-1"),
    ("pairs", "difference=gap * even + (a + b) * odd", "difference=gap * even + 2 * a * odd"),
    ("pairs", "difference=gap * even + (a + b) * odd", "difference=a * (even + odd) - b * (even - odd)"),
    ("pairs", "soft_b.unsqueeze(1) + own", "soft_b.unsqueeze(1) - own"),
    ("pairs", "(hard_a.unsqueeze(-1) - hard_b.unsqueeze(-2))", "(hard_a.unsqueeze(-1) + hard_b.unsqueeze(-2) + 1)"),
    ("pairs", "mesh.edges if mesh is not None and width > 1.0 else ()", "()"),
    ("pairs", "torch.where(root.cosine < root.sine, -1.0, 1.0)", "torch.where(root.cosine < root.sine, 1.0, 1.0)"),
    ("closed_forms", "-8.0 * y / (math.pi * p * e.sqrt())", "-8.0 * y / (math.pi * q * e.sqrt())"),
    ("closed_forms", "factor = 2.0 * odd**2 / math.pi", "factor = odd**2 / math.pi"),
    ("closed_forms", "first + second + ends * y / e", "first + second"),
    (
        "hermite",
        "(x * current - k**0.5 * previous) / (k + 1) ** 0.5",
        "(x * current - k * previous) / (k + 1) ** 0.5",
    ),
    ("second_moments", "result[b, a] = values", "pass"),
    ("kink_search", "left = (value - at_lower).abs() >= (at_upper - value).abs()", "left = value > at_lower"),
    ("kink_search", "_REAL = (1e-8, 1e-7, 1e-5)", "_REAL = (1e-8, 10.0, 1e-5)"),
    ("kink_search", "_rounded(a, b) for a, b", "_rounded(a, b + 0.1) for a, b"),
    ("catalogue", "lambda z: _cumulative(z) + z * _normal(z)", "lambda z: _cumulative(z)"),
    ("piecewise", "alpha / length**power", "alpha * length**power * 0.5**power"),
    ("small_kernel", "first = 1 if kinked else 2", "first = 2"),
    ("small_kernel", "1.5 * (upper**4 + lower**4)", "3.0 * (upper**4 + lower**4)"),
    ("fixed_points", "weight * float(near.bend) / (8.0 * kernel**2)", "weight * float(near.bend) / (4.0 * kernel**2)"),
    ("fixed_points", "float(near.fourth) - float(near.square) ** 2", "float(near.fourth)"),
    ("fixed_points", "kernel - weight * float(near.square)", "weight * float(near.square)"),
    ("criticality", "if origin is not None and origin.stable:", "if origin is not None:"),
    ("criticality", "origin.amplitude / 3.0", "origin.amplitude"),
    ("statistics", "values.std(0) / math.sqrt(len(values))", "values.std(0) / len(values)"),
    ("statistics", "square**2 * (n - 3) / (n - 1)", "square**2 * (n - 1) / (n - 3)"),
    ("statistics", "(n - 1) / n * ((replicas", "1 / n * ((replicas"),
    ("statistics", "-float(ndtri(single / 2.0))", "-float(ndtri(single))"),
]


class _Mutant(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module of the room from changed source."""

    def __init__(self, module: str, source: str) -> None:
        self.name, self.source = f"rgflow.numerics.{module}", source

    def find_spec(self, fullname: str, path: object = None, target: object = None):
        return importlib.util.spec_from_loader(fullname, self) if fullname == self.name else None

    def exec_module(self, module) -> None:
        exec(compile(self.source, self.name, "exec"), module.__dict__)


@contextmanager
def _room_with(module: str, source: str) -> Iterator[object]:
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("rgflow.numerics.")}
    attributes = dict(vars(rgflow.numerics))
    finder = _Mutant(module, source)
    sys.meta_path.insert(0, finder)
    try:
        yield load_room()
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.startswith("rgflow.numerics.")]:
            del sys.modules[name]
        sys.modules.update(real)
        vars(rgflow.numerics).clear()
        vars(rgflow.numerics).update(attributes)


def _caught(room: object) -> bool:
    for check in CHECKS:
        try:
            check(room)
        except Exception:
            return True
    return False


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_room_as_it_is_passes_every_check(check):
    check(load_room())


@pytest.mark.parametrize(("module", "line", "bug"), BUGS, ids=lambda text: str(text)[:40])
def test_a_planted_bug_is_caught(module: str, line: str, bug: str):
    source = (FOLDER / f"{module}.py").read_text()
    assert source.count(line) == 1, f"the planted bug no longer fits {module}.py"
    with _room_with(module, source.replace(line, bug)) as room:
        assert _caught(room)


def test_reloading_the_room_unchanged_is_not_mistaken_for_a_bug():
    with _room_with("panels", (FOLDER / "panels.py").read_text()) as room:
        assert not _caught(room)

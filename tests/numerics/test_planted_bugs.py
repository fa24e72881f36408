"""One-line mutations of this room, each of which one of its checks must catch.

The mutated source is compiled in memory and imported in place of the real module; the real room is restored after.
"""

import pytest

from tests.numerics.checks import CHECKS, load_room
from tests.planting import raises, reimported

ROOM = ("numerics.",)

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


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_room_as_it_is_passes_every_check(check):
    check(load_room())


@pytest.mark.parametrize(("module", "line", "bug"), BUGS, ids=lambda text: str(text)[:40])
def test_a_planted_bug_is_caught(module: str, line: str, bug: str):
    with reimported(f"numerics.{module}", line, bug, modules=ROOM):
        assert raises(CHECKS, load_room())


def test_reloading_the_room_unchanged_is_not_mistaken_for_a_bug():
    line = BUGS[0][1]
    with reimported(f"numerics.{BUGS[0][0]}", line, line, modules=ROOM):
        assert not raises(CHECKS, load_room())

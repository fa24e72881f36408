"""One-line mutations of the compiler of polynomials, each of which one of its checks must catch.

The mutated source is compiled in memory and imported in place of the real module; the real room is restored after.
"""

import pytest

from tests.compile.checks import CHECKS, load_room
from tests.planting import raises, reimported

ROOM = ("compile.",)

# module, the line as it is, the line with the bug
BUGS = [
    ("unit", "return degree * scale**2 * top / (6.0 * abs(height))", "return scale**2 * top / (12.0 * abs(height))"),
    ("unit", "relative = 7.0 / 12.0 * scale**2", "relative = 7.0 / 120.0 * scale**2"),
    ("unit", "weights = counts / (2.0**degree * scale**degree * height)", "weights = counts / (2.0**degree * height)"),
    ("unit", "weights = total * np.array([1.0, -1.0, -1.0])", "weights = total * np.array([1.0, -1.0, 1.0])"),
    ("unit", "return (-1.0) ** minus * math.comb(power, minus)", "return (-1.0) ** minus"),
    ("unit", "return count * roundoff / (1.0 - count * roundoff)", "return 1e3 * count * roundoff"),
    ("kit", "SCALES = 2.0 ** np.arange(1, -31, -1)", "SCALES = 2.0 ** np.arange(1, -31, -8)"),
    ("kit", "np.array([0.25, 0.25, -0.25, -0.25]), 2.0", "np.array([0.25, 0.25, -0.25, -0.2]), 2.0"),
    ("smooth", "(order * inner(order - 1, z) if order else 0.0)", "(inner(order - 1, z) if order else 0.0)"),
    ("smooth", 'Smooth("gelu", nn.GELU, _times_z(_normal), "shift", lambda z: math.exp(-0.5 * z * z), 6.0)',
     'Smooth("gelu", nn.GELU, _times_z(_normal), "shift", lambda z: math.exp(-0.5 * z * z), 0.1)'),
    ("accuracy", "math.expm1(growth) + unit.error(added=added, roundoff=u)", "unit.error(added=added, roundoff=u)"),
    ("accuracy", "owed -= pays", "owed -= 0"),
    ("assembly", "/ divisors[index]\n            weight[start", "\n            weight[start"),
    ("sharing", "return common if len(common) < len(alone) else alone", "return alone"),
    ("sharing", "while _usable(pair, free) and sum(factors.values()) > room:", "if _usable(pair, free):"),
    ("layout", "for item in [*left] if item in values}", "for item in [*left][1:] if item in values}"),
    ("layered", "longest = count", "longest = 1"),
    ("tents", "[[2.0, 2.0, -4.0, -4.0]]", "[[2.0, 2.0, -4.0, -3.0]]"),
    ("tents", "return 2.0 ** (-2 * iterations - 2)", "return 2.0 ** (-2 * iterations - 1)"),
    ("two_valued", "centre = n - 1.0 if profile.hinge else n - 0.5", "centre = n - 1.0"),
    ("two_valued", "np.where(np.arange(n) % 2, 1.0, -1.0)", "np.where(np.arange(n) % 2, -1.0, 1.0)"),
    ("least_squares", "1.5 * np.sin(np.pi", "1.0 * np.sin(np.pi"),
    ("least_squares", "np.abs(misfit(0)).max() + gap**2", "np.abs(misfit(0)).mean() + gap**2"),
    ("text_reader", "negative ^= sign.text == \"-\"", "negative = False"),
    ("text_reader", "coefficient / number for monomial", "coefficient * number for monomial"),
    ("domain", "max(abs(float(bound[0])), abs(float(bound[1])))", "abs(float(bound[1]))"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "line", "bug"), BUGS, ids=lambda text: str(text)[:40])
def test_a_planted_bug_is_caught(module: str, line: str, bug: str):
    with reimported(f"compile.{module}", line, bug, modules=ROOM):
        assert raises(CHECKS, load_room())

"""Every rule of the house can fail: each catches a planted offender and lets the innocent neighbour pass."""

import pytest

from tests.house import rules
from tests.tolerances import z_limit

FUNCTION = 'def f(x):\n    """Return x."""\n' + "".join(f"    x += {n}\n" for n in range(10)) + "    return x\n"


def test_code_lines_leave_out_docstrings_comments_and_blank_lines():
    text = '"""Title\n\nmore"""\n\nimport os  # why\n# only a comment\n\n\nTEXT = """two\nlines"""\n'
    assert rules.code_lines(text) == 3


def test_a_long_function_is_caught_one_line_above_the_limit():
    assert rules.long_functions(FUNCTION, limit=11) == ["f has 12 lines, allowed are 11"]
    assert rules.long_functions(FUNCTION, limit=12) == []


def test_a_long_method_and_a_long_inner_function_are_caught():
    method = "class A:\n" + "".join(f"    {line}\n" for line in FUNCTION.splitlines())
    inner = "def g():\n" + "".join(f"    {line}\n" for line in FUNCTION.splitlines())
    assert rules.long_functions(method, limit=11)
    assert {offence.split()[0] for offence in rules.long_functions(inner, limit=11)} == {"f", "g"}


def test_a_third_positional_argument_is_caught():
    public = '__all__ = ["f"]\n'
    assert rules.many_positional(public + "def f(a, b, c): ...", limit=2)
    assert rules.many_positional(public + "def f(a, b, *, c): ...", limit=2) == []
    assert rules.many_positional(public + "def _g(a, b, c): ...", limit=2) == []


@pytest.mark.parametrize("text", ["x = 1", '"""Title."""', '"""Four words, no end"""', '"""\nUnfinished\n"""'])
def test_a_module_without_a_title_sentence_is_caught(text):
    assert rules.title_offence(text) is not None


def test_a_title_sentence_passes():
    assert rules.title_offence('"""The flow of the kernel from layer to layer.\n\nUnits: z**2.\n"""') is None


@pytest.mark.parametrize(
    ("text", "offence"),
    [
        ("def f(): ...", "no __all__"),
        ('__all__ = ["f"]\ndef f(): ...', "f has no docstring"),
        ('__all__ = ["g"]\ndef f():\n    """Return 1."""', "g is in __all__ but not defined"),
        ('__all__ = ["A"]\nclass A:\n    """A."""\n    def m(self): ...', "A.m has no docstring"),
    ],
)
def test_an_undocumented_or_missing_public_name_is_caught(text, offence):
    assert offence in rules.name_offences(text)


def test_documented_names_constants_and_private_functions_pass():
    text = '__all__ = ["A", "B", "f"]\nfrom x import B\nA: int = 1\ndef f():\n    """Return 1."""\ndef _g(): ...'
    assert rules.name_offences(text) == []


@pytest.mark.parametrize(
    "word", ["TO" + "DO", "FIX" + "ME", "/wo" + "rk/main", "/tm" + "p/x", "NotImplemented" + "Error"]
)
def test_a_forbidden_word_is_caught_with_its_line(word):
    assert rules.forbidden_words(f"x = 1\n# {word} later\n") == [f"line 2: # {word} later"]


def test_ordinary_words_are_not_forbidden():
    assert rules.forbidden_words("framework/x, method, mastodon, homework") == []


@pytest.mark.parametrize(
    ("stem", "vague"),
    [("utils", True), ("_helpers", True), ("common", True), ("tool2", True), ("commonplace", False), ("flow", False)],
)
def test_a_vague_module_name_is_caught(stem, vague):
    assert rules.vague_name(stem) is vague


def test_a_missing_and_a_loose_pin_are_caught():
    found = rules.unpinned(
        ["torch>=2", "lazy_loader", "rich[x]>=13"], constraints="Lazy.Loader==0.6\nrich>=13\n# note\n"
    )
    assert found == ["torch has no pin", "rich has no pin", "'rich>=13' is no exact pin"]


def test_exact_pins_pass():
    assert rules.unpinned(["torch>=2", "lazy-loader"], constraints="torch==2.13.0\nlazy_loader==0.6  # note\n") == []


def test_the_z_limit_grows_with_the_number_of_cells_and_matches_the_normal_law():
    # two-sided 5 % of one cell: the 97.5 % point of the normal law, 1.959964 in every table
    assert z_limit(1, false_alarm=0.05) == pytest.approx(1.959964, abs=1e-6)
    assert 4.8 < z_limit(1) < z_limit(100) < z_limit(10_000) < 7.0
    with pytest.raises(ValueError, match="cells"):
        z_limit(0)

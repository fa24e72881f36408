"""Text and SymPy expressions become the polynomials they mean, and every mistake is one sentence."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rgflow.compile.parsing import natural_order, parse
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import SparsePolynomial, from_terms, reduced
from tests.tolerances import ROUNDING

FAULTS = [
    ("", "empty"),
    ("   ", "empty"),
    ("x*", "character 3"),
    ("x y", "character 3"),
    ("2x", "write *"),
    ("x$y", "character 2"),
    ("(x", "not closed"),
    ("x)", "character 2"),
    ("sin(x)", "no polynomial"),
    ("x/y", "numbers only"),
    ("x/0", "divisor is 0"),
    ("x**-1", "whole number"),
    ("x**0.5", "whole number"),
    ("x**y", "whole number"),
    ("1j*x", "complex"),
    ("I*x", "complex"),
    ("3", "no variable"),
    ("1e999*x", "too large"),
    ("9**9**9*x", "too large"),
    ("x**99999", "degree"),
    ("(a+b+c+d+e)**300", "monomials"),
    ("(" * 5000 + "x", "nested"),
    ("__import__('os').system('true')", "character"),
    ("x if y else z", "write *"),
]


@pytest.mark.parametrize(("text", "part"), FAULTS, ids=[text[:20] or "nothing" for text, _ in FAULTS])
def test_a_fault_is_one_sentence_that_names_it(text, part):
    with pytest.raises(SettingError, match=part.replace("*", r"\*")) as caught:
        parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: sympy.sin(x),
        lambda x, y: 1 / x,
        lambda x, y: sympy.I * x,
        lambda x, y: x**y,
        lambda x, y: x**0.5,
        lambda x, y: sympy.Symbol("a") * x,
        lambda x, y: sympy.oo * x,
        lambda x, y: 3 + 4j,
        lambda x, y: {"x": 1},
    ],
)
def test_a_sympy_expression_that_is_no_real_polynomial_is_refused(make):
    with pytest.raises(SettingError):
        parse(make(*sympy.symbols("x y")), variables=("x", "y"))


def test_a_symbolic_coefficient_is_refused_where_the_variables_are_given():
    with pytest.raises(SettingError, match="variables are x, y"):
        parse("a*x + y", variables=("x", "y"))


def test_outputs_share_their_variables_in_natural_order():
    first, second = parse("x10*x2, x1 + 3")
    assert first.variables == second.variables == ("x1", "x2", "x10")
    assert natural_order(["b", "x10", "x9"]) == ("b", "x9", "x10")


_TEXTS = st.recursive(
    st.sampled_from(["x", "y", "z1", "2", "0.5", "pi", "1e-3"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" + ", "-", "*"]), inner).map(lambda t: f"({''.join(t)})"),
        inner.map(lambda t: f"-{t}"),
        st.tuples(inner, st.integers(0, 3)).map(lambda t: f"({t[0]})**{t[1]}"),
        inner.map(lambda t: f"({t})/4"),
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(_TEXTS)
def test_text_is_read_as_sympy_reads_it(text):
    ours = parse(f"({text}) + x*y*z1")[0]
    theirs = parse(sympy.expand(sympy.sympify(text) + sympy.sympify("x*y*z1")))[0]
    points = torch.tensor([[0.3, -0.7, 1.1], [-1.2, 0.4, 0.9]], dtype=torch.float64)
    a, b = (p.over(("x", "y", "z1"))(points) for p in (ours, theirs))
    size = 1.0 + ours.size([1.2] * 3)
    assert float((a - b).abs().max()) <= ROUNDING * size


def test_arithmetic_agrees_with_values():
    generator = np.random.default_rng(0)
    p, q = (SparsePolynomial(("x", "y"), generator.integers(0, 4, (5, 2)), generator.normal(size=5)) for _ in range(2))
    x = generator.uniform(-1, 1, (7, 2))
    for made, wanted in [(p + q, p(x) + q(x)), (p - q, p(x) - q(x)), (p * q, p(x) * q(x)), (p**3, p(x) ** 3)]:
        np.testing.assert_allclose(made(x), wanted, rtol=0, atol=ROUNDING * 100)
    assert p + q == q + p
    assert hash(p + q) == hash(q + p)
    assert p - p == p * 0
    assert (p - p).degree == 0


def test_derivatives_and_jets_are_those_of_the_monomials():
    p = parse("3*x**2*y + x - 5")[0]
    assert p.partial("x") == parse("6*x*y + 1")[0]
    assert p.jet((2, 1)) == 6.0
    assert p.jet((0, 0)) == -5.0
    assert p.degree == 3
    assert p.degrees == (2, 1)
    assert p.size([2.0, 1.0]) == 19.0


def test_bits_and_spins_reduce_powers():
    p = parse("x**3*y**2 + x")[0]
    assert reduced(p, "bit") == parse("x*y + x")[0]
    assert reduced(p, "spin") == parse("2*x")[0]


@pytest.mark.parametrize(
    ("variables", "exponents", "coefficients"),
    [(("x", "x"), [[1, 1]], [1.0]), (("x",), [[-1]], [1.0]), (("x",), [[1, 2]], [1.0]), (("x",), [[1]], [np.inf])],
)
def test_a_polynomial_of_wrong_parts_is_refused(variables, exponents, coefficients):
    with pytest.raises(SettingError):
        SparsePolynomial(variables, exponents, coefficients)


def test_ten_thousand_terms_are_read_in_seconds():
    generator = np.random.default_rng(1)
    words = ["*".join(f"x{i}" for i in generator.integers(0, 50, 4)) for _ in range(10_000)]
    p = parse(" + ".join(words))[0]
    assert p.coefficients.sum() == 10_000
    assert from_terms(dict(p.terms()), variables=p.variables) == p

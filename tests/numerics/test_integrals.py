"""One-dimensional Gaussian averages against a catalogue with exact answers; accuracy and honesty apart."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from rgflow.errors import SettingError
from rgflow.numerics.gaussian import PROMISED, expectation, integral
from tests.numerics.integrals import CATALOGUE, VARIANCES, Problem

CASES = [(problem, k) for problem in CATALOGUE for k in VARIANCES if k <= problem.largest]
IDS = [f"{problem.name}, K={k:g}" for problem, k in CASES]
# scipy's adaptive rule, told the breaks, on problems of size one.
CATALOGUE_CHECK = 1e-9


@pytest.mark.parametrize("problem", CATALOGUE, ids=lambda problem: problem.name)
def test_the_catalogue_itself_agrees_with_an_independent_adaptive_rule(problem: Problem):
    k = 1.0

    def integrand(x: float) -> float:
        z = torch.tensor([problem.mean + math.sqrt(k) * x], dtype=torch.float64)
        return float(problem.function(z)) * math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)

    breaks = sorted((kink - problem.mean) / math.sqrt(k) for kink in (*problem.kinks, 0.0, 3.0))
    edges = [-12.0, -1.0, -0.1, *breaks, 0.1, 12.0]
    pieces = [
        quad(integrand, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0] for a, b in itertools.pairwise(sorted(edges))
    ]
    assert sum(pieces) == pytest.approx(problem.exact(k), rel=CATALOGUE_CHECK)


@pytest.mark.parametrize(("problem", "k"), CASES, ids=IDS)
def test_averages_meet_the_promised_accuracy(problem: Problem, k: float):
    found = integral(problem.function, k, kinks=problem.kinks, mean=problem.mean)
    # The reported error is PROMISED times <|f|>; with declared kinks the rule does a hundred times better.
    assert abs(float(found.value) - problem.exact(k)) <= 0.01 * float(found.error)


@pytest.mark.parametrize(("problem", "k"), CASES, ids=IDS)
def test_the_reported_error_covers_the_true_one_also_without_declared_kinks(problem: Problem, k: float):
    for kinks in (problem.kinks, ()):
        found = integral(problem.function, k, kinks=kinks, mean=problem.mean)
        assert abs(float(found.value) - problem.exact(k)) <= float(found.error)


def test_an_average_whose_tails_do_not_decay_reports_an_infinite_error():
    assert math.isinf(float(integral(lambda z: torch.exp(3 * z), 16.0).error))


def test_many_variances_at_once_give_the_same_numbers_as_one_at_a_time():
    together = expectation(torch.tanh, torch.tensor([[0.1, 2.0], [30.0, 0.0]], dtype=torch.float64), mean=0.3)
    alone = [float(expectation(torch.tanh, k, mean=0.3)) for k in (0.1, 2.0, 30.0, 0.0)]
    torch.testing.assert_close(together.flatten(), torch.tensor(alone, dtype=torch.float64), rtol=1e-12, atol=0.0)
    assert alone[3] == pytest.approx(math.tanh(0.3), rel=1e-12)


@given(st.floats(1e-4, 50.0), st.floats(-3.0, 3.0), st.floats(-2.0, 2.0))
def test_averages_are_linear_and_integrate_by_parts(k: float, a: float, b: float):
    left = expectation(lambda z: z * (a * torch.tanh(z) + b * torch.sin(z)), k)
    right = k * expectation(lambda z: a / torch.cosh(z.clamp(-300, 300)) ** 2 + b * torch.cos(z), k)
    size = math.sqrt(k) * (abs(a) + abs(b)) + 1e-300
    assert abs(float(left - right)) <= 2 * PROMISED * size


def test_negative_variances_and_unresolvable_oscillations_are_refused():
    with pytest.raises(SettingError, match="variance"):
        expectation(torch.tanh, -1.0)
    with pytest.raises(SettingError, match="oscillates too fast"):
        expectation(lambda z: torch.sin(500.0 * z), 1e4)

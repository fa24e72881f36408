"""One-line mutations of comparing, forecasting and the theory behind them, each of which a named case must catch.

A function's source is compiled anew with one change and put where it is called; the check on one case must then fail
in the cells that the bug touches. The 1/n shift of a mean is a few percent: tests/theory/test_batch_forecast.py sees it.
"""

import inspect
import re
import types
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rgflow.networks import measure, row_moments
from rgflow.studies import checking, comparing, forecasting
from rgflow.theory import chain_forecast, gradient, tangent
from tests.studies.chain_checks import CASES, forecasts_agree, report_of


@dataclass(frozen=True)
class Bug:
    """`before` becomes `after` in `function` of `home`; `user` is the module that calls it.

    `case` must then disagree in the number called `cell`.
    """

    what: str
    home: types.ModuleType
    function: str
    before: str
    after: str
    case: str
    cell: str
    user: types.ModuleType | None = None


BUGS = [
    Bug(
        "the chain's C_b is dropped",
        forecasting,
        "_law",
        "bias.scaled_variance.value",
        "0.0",
        "relu, biased",
        "0 signal",
    ),
    Bug(
        "the chain's C_W is the bias's",
        forecasting,
        "_law",
        "weight_variance=weight.scaled_variance.value",
        "weight_variance=bias.scaled_variance.value",
        "relu, biased",
        "0 signal",
    ),
    Bug(
        "weights count as Gaussian",
        forecasting,
        "_law",
        "weight_kurtosis=_kurtosis(weight)",
        "weight_kurtosis=0.0",
        "uniform weights on one feature",
        "1 signal",
    ),
    Bug(
        "the measured spread is the biased variance",
        row_moments,
        "spread",
        " * (z.shape[1] / (z.shape[1] - 1))",
        "",
        "a batch of six",
        "0 spread",
        measure,
    ),
    Bug(
        "an exact op keeps the next layer's bias",
        comparing,
        "_before_map",
        "(estimate.value - offset) / scale",
        "estimate.value / scale",
        "relu, biased",
        "1 signal",
    ),
    Bug(
        "the gradient is not rooted",
        comparing,
        "_root",
        "math.sqrt(max(square.value, 0.0))",
        "square.value",
        "relu, He",
        "6 gradient",
    ),
    Bug(
        "the tangent kernel forgets the fan-in",
        tangent,
        "batch_tangent",
        "flow.widths[layer] * (kernels",
        "(kernels",
        "relu, He",
        "2 gradient",
        chain_forecast,
    ),
    Bug(
        "half the gradient of a squared error",
        gradient,
        "_errors",
        "return 2 * (z",
        "return (z",
        "regression",
        "0 gradient",
    ),
    Bug(
        "shares of the tangent kernel do not sum to one",
        comparing,
        "_share",
        "1 / total",
        "1.0",
        "relu, He",
        "sum of shares",
    ),
    Bug(
        "the limit is 1 / curvature",
        checking,
        "_inverse",
        "2 / curvature.value",
        "1 / curvature.value",
        "relu, He",
        "limit",
    ),
    Bug(
        "the output's deviation is not relative",
        comparing,
        "output_deviation",
        "Estimate(deviation.value / mean.value",
        "Estimate(deviation.value * mean.value",
        "relu, biased",
        "output deviation",
        checking,
    ),
]


def mutated(bug: Bug) -> Callable[..., object]:
    """Return the function with the bug, living among the names of its own module."""
    source = inspect.getsource(getattr(bug.home, bug.function))
    assert source.count(bug.before) == 1, f"{bug.what}: {bug.before!r} is not one place of {bug.function}"
    found: dict[str, Callable[..., object]] = {}
    exec(compile(source.replace(bug.before, bug.after), bug.what, "exec"), bug.home.__dict__, found)
    return found[bug.function]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.what)
def test_a_planted_bug_makes_its_case_fail(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug.user or bug.home, bug.function, mutated(bug))
    report = report_of(CASES[bug.case])
    with pytest.raises(AssertionError, match=re.escape(f"'{bug.cell}'")):
        forecasts_agree(report)

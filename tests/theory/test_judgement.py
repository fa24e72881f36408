"""Findings on constructed rows: each code fires just above its documented threshold and keeps silent just below it.

Thresholds are those of docs/findings.md, written anew here: a factor e^6 in a mean square, e^-3 in a share, one half of
a layer, the mean itself, twice ln(classes). EXACT: a finding is there or it is not.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rgflow.records import Estimate, Finding, LayerReport, Quantity
from rgflow.theory.judgement import WholeModel, judge, row_verdicts

TOLERATED = math.exp(6.0)  # docs/findings.md, "One tolerance"
ABOVE, BELOW = 1.001, 0.999  # just beyond a threshold and just within it


def known(value: float, *, error: float = 0.0) -> Quantity:
    """A measured number."""
    return Quantity(measured=Estimate(value, error, "statistical"))


def row(name: str, **fields: object) -> LayerReport:
    """A row of a healthy model: unit signal, half of it spread, unit gradient."""
    plain = LayerReport(
        name, "Linear", "theory", parametric=True, width=64, signal=known(1.0), spread=known(0.5), gradient=known(1.0)
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def rows(last: dict[str, object], **first: object) -> tuple[LayerReport, ...]:
    """Three rows, the last with other numbers."""
    return row("0", **first), row("2"), row("4", **last)


HEALTHY = (row("0"), row("2"), row("4"))
WHOLE = WholeModel(
    outputs_square=1.0,
    loss=1.0,
    target_square=None,
    classes=None,
    constant=(),
    features=12,
    scale_range=1.0,
    extremes=("x0", "x1"),
    learning_rate=None,
    optimizer="sgd",
    stable_limit=known(0.5, error=0.01),
    uncritical=(),
    clones=(),
    remedy="rgflow tune model --data digits",
)


def codes(layers: Sequence[LayerReport] = HEALTHY, **fields: object) -> list[tuple[str, str, str]]:
    """Code, layer and severity of each finding."""
    return [(f.code, f.layer, f.severity) for f in judge(layers, replace(WHOLE, **fields))]  # type: ignore[arg-type]


def shares(least: float) -> tuple[LayerReport, ...]:
    """Three rows, the first with `least` times an equal share of the tangent kernel."""
    rest = (1 - least / 3) / 2
    return tuple(row(n, tangent_share=known(s)) for n, s in (("0", least / 3), ("2", rest), ("4", rest)))


def varying(quantity: str, *, kernel: float, width: int, mean: float = 1.0) -> tuple[LayerReport, ...]:
    """Rows whose last one varies over seeds as a kernel of relative deviation `kernel` seen through `width` channels.

    Var(mean of n squares) = 2 <K^2> / n + Var(K): for K = 1 +- `kernel` that is (2 / n) (1 + kernel^2) + kernel^2.
    """
    relative = math.sqrt(2 / width * (1 + kernel**2) + kernel**2)
    return rows({quantity: known(mean), f"{quantity}_deviation": known(relative * mean), "width": width})


def test_a_healthy_model_has_no_finding() -> None:
    assert codes() == []
    assert row_verdicts(HEALTHY, ()) == ("ok", "ok", "ok")


@pytest.mark.parametrize(
    ("code", "beyond", "within"),
    [
        ("signal-vanishes", {"signal": known(1 / (TOLERATED * ABOVE))}, {"signal": known(1 / (TOLERATED * BELOW))}),
        ("signal-explodes", {"signal": known(TOLERATED * ABOVE)}, {"signal": known(TOLERATED * BELOW)}),
        ("inputs-collapse", {"spread": known(0.5 / (TOLERATED * ABOVE))}, {"spread": known(0.5 / (TOLERATED * BELOW))}),
    ],
)
def test_a_row_fires_its_code_just_beyond_the_factor_and_not_just_within(
    code: str, beyond: dict[str, object], within: dict[str, object]
) -> None:
    small = {"spread": known(1e-3)} if code == "signal-vanishes" else {}  # keeps spread / signal of the row moderate
    large = {"spread": known(200.0)} if code == "signal-explodes" else {}
    assert codes(rows(beyond | small | large)) == [(code, "4", "problem")]
    assert codes(rows(within | small | large)) == []


def test_a_row_without_spread_is_no_collapse_where_later_rows_have_it_again() -> None:
    constant = row("2", spread=known(0.0))
    assert codes((row("0"), constant, row("4"))) == []
    assert codes((row("0"), constant, row("4", spread=known(1e-9)))) == [("inputs-collapse", "2", "problem")]


@pytest.mark.parametrize(("code", "sign"), [("gradient-vanishes", -1), ("gradient-explodes", 1)])
def test_the_gradient_of_the_first_layer_is_judged_by_its_square_against_the_last(code: str, sign: int) -> None:
    assert codes(rows({}, gradient=known((TOLERATED * ABOVE) ** (sign / 2)))) == [(code, "0", "problem")]
    assert codes(rows({}, gradient=known((TOLERATED * BELOW) ** (sign / 2)))) == []


def test_gradients_of_exactly_zero_are_gated_and_not_vanishing() -> None:
    assert codes(rows({}, gradient=known(0.0))) == []
    assert codes((row("0", gradient=known(0.0)), row("2", gradient=known(0.0)), row("4"))) == []
    assert codes(rows({}, gradient=known(0.0), tangent_share=known(0.0))) == []


def test_speeds_are_a_note_below_e_3_of_an_equal_share_and_a_problem_below_e_6() -> None:
    assert codes(shares(math.exp(-3.0) * ABOVE)) == []
    assert codes(shares(math.exp(-3.0) * BELOW)) == [("unequal-speed", "0", "note")]
    assert codes(shares(math.exp(-6.0) * ABOVE)) == [("unequal-speed", "0", "note")]
    assert codes(shares(math.exp(-6.0) * BELOW)) == [("unequal-speed", "0", "problem")]


@pytest.mark.parametrize("quantity", ["signal", "spread"])
@pytest.mark.parametrize("width", [1, 10, 64])
def test_seeds_differ_where_the_kernel_varies_by_more_than_its_mean_at_any_width(quantity: str, width: int) -> None:
    mean = 1.0 if quantity == "signal" else 0.5
    assert codes(varying(quantity, kernel=ABOVE, width=width, mean=mean)) == [("seeds-differ", "4", "problem")]
    assert codes(varying(quantity, kernel=BELOW, width=width, mean=mean)) == []


def test_a_single_output_with_its_natural_spread_does_not_make_seeds_differ() -> None:
    natural = rows({"signal_deviation": known(math.sqrt(2.0)), "width": 1})
    assert codes(natural) == []
    assert codes((*natural[:2], replace(natural[2], width=64))) == [("seeds-differ", "4", "problem")]


def test_half_of_a_layer_may_not_be_dead() -> None:
    activation = LayerReport("3", "ReLU", "exact op", dead=0.5)
    assert codes((*HEALTHY, activation)) == [("dead-units", "3", "problem")]
    assert codes((*HEALTHY, replace(activation, dead=0.499))) == []


def test_a_learning_rate_above_the_measured_limit_is_a_finding_for_plain_sgd_only() -> None:
    assert codes(learning_rate=0.5 * ABOVE) == [("learning-rate", "", "problem")]
    assert codes(learning_rate=0.5 * BELOW) == []
    assert codes(learning_rate=5.0, optimizer="adam") == []
    assert codes(learning_rate=5.0, stable_limit=Quantity(reason="not measured")) == []


def test_constant_and_unscaled_features_are_named() -> None:
    found = judge(HEALTHY, replace(WHOLE, constant=("pixel_0",)))
    assert [(f.code, f.severity) for f in found] == [("constant-features", "note")]
    assert "1 of 12 input features are constant: pixel_0" in found[0].message
    found = judge(HEALTHY, replace(WHOLE, scale_range=math.exp(3.0) * ABOVE, extremes=("dust", "area")))
    assert [(f.code, f.severity) for f in found] == [("unscaled-features", "problem")]
    assert "area" in found[0].message
    assert "dust" in found[0].message
    assert codes(scale_range=math.exp(3.0) * BELOW) == []


@pytest.mark.parametrize("classes", [2, 10])
def test_an_initial_loss_above_twice_that_of_knowing_nothing_is_a_finding(classes: int) -> None:
    chance = math.log(classes)
    assert codes(classes=classes, loss=2 * chance * ABOVE) == [("output-scale", "4", "problem")]
    assert codes(classes=classes, loss=2 * chance * BELOW) == []


def test_outputs_far_from_the_scale_of_the_targets_are_a_finding_on_both_sides() -> None:
    for side in (1, -1):
        assert codes(target_square=2.0, outputs_square=2.0 * (TOLERATED * ABOVE) ** side) == [
            ("output-scale", "4", "problem")
        ]
        assert codes(target_square=2.0, outputs_square=2.0 * (TOLERATED * BELOW) ** side) == []
    assert codes(outputs_square=TOLERATED**2) == []  # no targets: no scale to compare with


def test_an_activation_without_critical_point_is_a_note_and_clones_are_a_problem() -> None:
    assert codes(uncritical=(("sigmoid", "no fixed point"),)) == [("no-critical-point", "", "note")]
    assert codes(clones=(("blocks.0", "blocks.1"),)) == [("cloned-layers", "blocks.0", "problem")]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_overflow_is_an_exploding_signal(value: float) -> None:
    assert codes(rows({"signal": known(value, error=math.inf), "spread": known(value)})) == [
        ("signal-explodes", "4", "problem")
    ]


def test_the_measurement_decides_where_forecast_and_measurement_differ() -> None:
    small = Estimate(1e-9, 0.0, "truncation")
    assert codes(rows({"signal": Quantity(small, Estimate(1.0, 0.1, "statistical"))})) == []
    found = judge(rows({"signal": Quantity(small), "spread": Quantity()}), WHOLE)
    assert [f.code for f in found] == ["signal-vanishes"]
    assert "forecast 1e-09" in str(found[0].evidence["here"])


def test_every_finding_quotes_its_threshold_and_has_a_remedy_and_problems_come_first() -> None:
    broken = rows({"signal": known(1e-4), "spread": known(1e-9), "dead": 0.9}, gradient=known(1e-4))
    found = judge(
        broken,
        replace(WHOLE, classes=3, loss=9.0, uncritical=(("sigmoid", "none"),), learning_rate=9.0, scale_range=99.0),
    )
    assert [f.code for f in found] == [
        "signal-vanishes",
        "inputs-collapse",
        "gradient-vanishes",
        "dead-units",
        "learning-rate",
        "unscaled-features",
        "output-scale",
        "no-critical-point",
    ]
    assert all(f.message and f.remedy and f.evidence for f in found)
    thresholds = {"tolerated factor", "tolerated", "limit"}
    assert all(thresholds & set(f.evidence) for f in found if f.severity == "problem")


def test_verdicts_mark_where_a_loss_lasts() -> None:
    five = (row("0"), LayerReport("1", "ReLU", "exact op"), row("2"), LayerReport("3", "ReLU", "exact op"), row("4"))
    collapse = Finding("inputs-collapse", "2", "", {}, "")
    gradient = Finding("gradient-vanishes", "2", "", {}, "")
    dead = Finding("dead-units", "3", "", {}, "")
    note = Finding("unequal-speed", "0", "", {}, "", "note")
    assert row_verdicts(five, (collapse,)) == ("ok", "ok", "inputs-collapse", "ok", "inputs-collapse")
    assert row_verdicts(five, (gradient,)) == ("gradient-vanishes", "ok", "gradient-vanishes", "ok", "ok")
    assert row_verdicts(five, (dead,)) == ("ok", "ok", "ok", "dead-units", "ok")
    assert row_verdicts(five, (note,)) == ("ok",) * 5
    assert row_verdicts(five, (collapse, gradient))[2] == "inputs-collapse, gradient-vanishes"

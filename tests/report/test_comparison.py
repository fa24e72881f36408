"""The proof of a tuning and its diff as text: everything that limits the result is on the page, in any width."""

from dataclasses import replace

import pytest

from rgflow.records import Arm, Comparison, Estimate, LayerChange
from rgflow.report import changes_table, comparison_table

STOCK = Arm("stock", (0.01, 0.1), (0.1, 0.1), (0, 0), 0.01, (0.1, 0.102), Estimate(0.101, 0.001, "statistical"))
TUNED = Arm("tuned", (0.01, 0.1), (0.5, 0.9), (0, 0), 0.1, (0.91, 0.93), Estimate(0.92, 0.01, "statistical"))
GAIN = Comparison(
    metric="accuracy",
    optimizer="adam",
    stock=STOCK,
    tuned=TUNED,
    difference=Estimate(0.819, 0.011, "statistical"),
    interval=(0.679, 0.959),
    verdict="tuned is better",
    chance=0.1,
    networks=2,
    steps=40,
    seed=7,
    notes=("the best rate of the tuned networks is the highest of the sweep: a better one may lie outside",),
)
ROW = LayerChange("0", "Linear", "redrawn", 0.334, 2.0, 0.005, 0.0, 1.0, "critical (scale-invariant)")


def test_the_proof_shows_both_sweeps_the_choices_the_interval_and_the_notes():
    text = comparison_table(GAIN)
    lines = text.splitlines()
    assert [line.split() for line in lines if line.strip().startswith("0.")] == [
        ["0.0100", "0.100", "*", "0.500"],
        ["0.100", "0.100", "0.900", "*"],
    ]
    assert "2 stock against 2 tuned networks, 40 steps of adam" in text
    assert "seed 7" in text
    assert "+0.819, 95 % interval [+0.679, +0.959]: tuned is better" in text
    assert "note  the best rate of the tuned networks is the highest" in text
    assert "diverged" not in text


def test_diverged_networks_are_counted_beside_the_scores():
    text = comparison_table(replace(GAIN, stock=replace(STOCK, failed=(0, 2))))
    (line,) = [line.split() for line in text.splitlines() if line.split()[:1] == ["0.100"]]
    assert line == ["0.100", "0.100", "2", "0.900", "*", "0"]


@pytest.mark.parametrize("verdict", ["tuned is better", "no benefit", "stock is better"])
def test_every_verdict_is_said_in_words(verdict):
    assert f"{verdict}" in comparison_table(replace(GAIN, verdict=verdict))


def test_small_differences_show_two_digits_of_their_error_and_huge_ones_stay_short():
    small = replace(GAIN, difference=Estimate(0.00021, 0.00011, "statistical"), interval=(-0.0012, 0.0016))
    assert "+0.00021, 95 % interval [-0.00120, +0.00160]" in comparison_table(small)
    huge = replace(GAIN, stock=replace(STOCK, validation=(-1.23456e6, 0.0)))
    assert "-1.23e+06" in comparison_table(huge)
    zero = replace(GAIN, difference=Estimate(-0.0, 0.0, "statistical"), interval=(-0.0, 0.0))
    assert "+0.000, 95 % interval [+0.000, +0.000]" in comparison_table(zero)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_asked_for(width):
    lost = replace(GAIN, stock=replace(STOCK, failed=(1, 2), validation=(-1.2e6, -3.4e6)))
    changes = [ROW, replace(ROW, layer="blocks.0.attention.out_proj", reason="a long reason " * 12)]
    for text in (comparison_table(lost, width=width), changes_table(changes, notes=["a note " * 40], width=width)):
        assert max(map(len, text.splitlines())) <= width
        assert not any(line.endswith(" ") for line in text.splitlines())


def test_reasons_that_do_not_fit_are_numbered_and_stand_below_once():
    long = "norm layers set the scale of this model; its ends are of order one as they are, and more of that kind"
    text = changes_table([ROW, replace(ROW, layer="2", reason=long), replace(ROW, layer="4", reason=long)])
    assert text.count(long) == 1
    assert [line.split()[-1] for line in text.splitlines()[1:4]] == ["[1]", "[2]", "[2]"]
    assert "[1] critical (scale-invariant)" in text
    assert "[1]" not in changes_table([ROW])


def test_zero_that_stays_zero_is_no_change_and_a_kept_layer_has_no_arrow():
    assert (
        "->"
        not in changes_table(
            [replace(ROW, action="kept", weight_variance_after=None, bias_variance_after=None)]
        ).splitlines()[1]
    )
    assert "0 -> 0" not in changes_table([replace(ROW, bias_variance_before=0.0)])
    assert "0.334 -> 2.00" in changes_table([ROW])

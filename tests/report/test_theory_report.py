"""Text, JSON and page of the effective theory say what the record says, at every width and for every gap in it."""

import json
import re

import pytest

from rgflow.report.theory_figures import theory_plots
from rgflow.report.theory_page import theory_html, write_theory_page
from tests.report.theory_examples import every_theory_example, gelu_report

EXAMPLES = every_theory_example()


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_no_line_of_the_text_is_wider_than_asked(name, width):
    lines = EXAMPLES[name].table(width).splitlines()
    narrowest = 86  # the columns that never give way: number, width, both quantities, control
    assert max(map(len, lines)) <= max(width, narrowest)


def test_the_text_shows_every_layer_its_z_and_a_mark_where_forecast_and_measurement_disagree():
    report = gelu_report()
    text = report.table(120)
    rows = [line for line in text.splitlines() if re.match(r"\s*\d+\s+\d+ ", line)]
    assert [int(row.split()[0]) for row in rows] == list(range(1, 13))
    assert "5.0!" in rows[6]
    assert sum("!" in row for row in rows) == 1
    assert f"{report.within} of {len(report.scored)}" in text
    assert report.within == len(report.scored) - 4


def test_a_deep_network_is_folded_and_says_so():
    text = EXAMPLES["deep"].table(120)
    assert "30 layers like these" in text


def test_a_single_input_has_no_distance_column_and_no_ensemble_no_tally():
    assert "distance\n" not in EXAMPLES["one input"].table(120)
    assert "forecasts within" not in EXAMPLES["no ensemble"].table(120)
    assert "r* =" not in EXAMPLES["no critical point"].table(120)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_json_holds_every_field_and_only_finite_numbers(name):
    document = json.loads(EXAMPLES[name].to_json(), parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    assert document["schema"] == "rgflow.theory/1"
    assert len(document["layers"]) == len(EXAMPLES[name].layers)
    first = document["layers"][1]["kernel"]
    assert first["predicted"] == EXAMPLES[name].layers[1].kernel.predicted.value
    assert ("z" in first) == (name != "no ensemble") or first["z"] is None


def test_plots_are_left_out_where_there_is_nothing_to_draw():
    names = {name: [plot.name for plot in theory_plots(report)] for name, report in EXAMPLES.items()}
    assert names["gelu"] == ["phase", "kernel", "distance", "vertex", "collapse"]
    assert "distance" not in names["one input"]
    assert "collapse" not in names["no ensemble"]
    assert "phase" not in names["residual"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_is_one_file_that_loads_nothing(name):
    page = theory_html(EXAMPLES[name])
    head = page[: page.index('id="plotly"')]
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", head)
    assert "default-src 'none'" in head
    assert head.count("<figure") == len(theory_plots(EXAMPLES[name]))


def test_names_are_escaped(tmp_path):
    from dataclasses import replace

    report = gelu_report()
    evil = replace(report, inputs="<script>alert(1)</script>", network=replace(report.network, activation="<b>x</b>"))
    write_theory_page(evil, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script>alert" not in text
    assert "<b>x</b>" not in text

"""The HTML page as text: self-contained, escaped, whole or not there at all."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from rgflow.errors import OutputError
from rgflow.report.figures import plots
from rgflow.report.files import write_complete
from rgflow.report.layer_rows import numbered
from rgflow.report.page import to_html, write_html
from tests.report import examples

EXAMPLES = examples.every_example()
PAGES = {name: to_html(report) for name, report in EXAMPLES.items()}
SECTIONS = ["findings", "summary", "plots", "layers", "learning-rate", "glossary", "provenance"]
LIMIT = 6 * 1024 * 1024


def body(name):
    """The page without its data, style and scripts."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", PAGES[name], flags=re.S)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_is_small_whole_and_loads_nothing(name):
    page = PAGES[name]
    assert len(page.encode()) <= LIMIT
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?(https?:)?//", page)
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


def test_a_network_of_400_layers_still_fits():
    row = EXAMPLES["collapsing"].layers[0]
    long = replace(EXAMPLES["collapsing"], layers=tuple(replace(row, name=f"block.{i}.linear") for i in range(400)))
    assert len(to_html(long).encode()) <= LIMIT


@pytest.mark.parametrize("name", EXAMPLES)
def test_sections_come_in_order_with_the_findings_first(name):
    assert re.findall(r'<section id="([a-z-]+)"', PAGES[name]) == SECTIONS


def test_names_that_look_like_html_are_text():
    page = PAGES["hostile"]
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "<svg onload" not in page
    assert "<u>why" not in page
    assert "&lt;script&gt;alert(1)&lt;/" in page
    assert "{{ 7 * 7 }}" in page
    assert "\x1b" not in page
    assert "\x07" not in page


@pytest.mark.parametrize("name", EXAMPLES)
def test_script_elements_are_only_ours(name):
    assert len(re.findall(r"<script\b", PAGES[name])) == len(re.findall(r"</script>", PAGES[name]))
    assert len(re.findall(r"<script\b", PAGES[name])) == 2 + PAGES[name].count('class="plot')


@pytest.mark.parametrize("name", EXAMPLES)
def test_figures_are_valid_json_and_valid_plotly(name):
    for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', PAGES[name], flags=re.S):
        figure = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
        go.Figure(figure)
        assert "<" not in text  # nothing in the data can end its script element


def test_hovering_shows_hostile_names_as_text():
    texts = [
        text for plot in plots(numbered(EXAMPLES["hostile"])) for trace in plot.figure.data for text in hovers(trace)
    ]
    assert any("&lt;script&gt;" in text for text in texts)
    assert all(set(re.findall(r"<[^>]*>", text)) <= {"<b>", "</b>", "<br>"} for text in texts)


def hovers(trace):
    return trace.hovertext or ()


def test_every_number_of_the_table_is_on_the_page():
    text = body("collapsing")
    for part in ("9.41e-13", "± 2.6e-14", "-7.6!", "inputs collapse, gradient uneven", "0.123 ± 0.0037", "46 of 46"):
        assert part in text


def test_evidence_and_remedy_stand_with_their_finding():
    text = body("collapsing")
    assert text.index("inputs-collapse") < text.index("forecast fall per layer") < text.index("add --verify")
    assert text.index("add --verify") < text.index('id="summary"')


def test_a_healthy_page_says_so_and_an_unfinished_one_does_not():
    assert "<b>Healthy.</b>" in PAGES["healthy"]
    assert "<b>Healthy.</b>" not in PAGES["errored"]
    assert "mat1 and mat2 shapes" in PAGES["errored"]


def test_all_six_plots_are_drawn_where_there_are_numbers_and_none_where_there_are_not():
    names = [plot.name for plot in plots(numbered(EXAMPLES["collapsing"]))]
    assert names == ["signal", "spread", "gradient", "plane", "z", "share"]
    assert plots(numbered(EXAMPLES["empty"])) == ()


def test_axes_have_titles_with_units_and_measured_points_error_bars():
    for plot in plots(numbered(EXAMPLES["collapsing"])):
        layout = plot.figure.layout
        assert layout.xaxis.title.text
        assert layout.yaxis.title.text
        if plot.name != "z":
            assert any(getattr(trace, "error_y", None) and trace.error_y.array for trace in plot.figure.data)


def test_bands_are_forecast_plus_minus_its_deviation():
    report = EXAMPLES["healthy"]
    first = report.layers[0]
    band = plots(numbered(report))[0].figure.data[0]
    value, deviation = first.signal.predicted.value, first.signal_deviation.predicted.value
    assert band.fill == "toself"
    assert band.y[0] == pytest.approx(value + deviation, rel=1e-12)
    assert band.y[-1] == pytest.approx(value - deviation, rel=1e-12)


def test_plots_show_the_records_numbers():
    layers = [row.layer for row in numbered(EXAMPLES["healthy"])]
    drawn = {plot.name: plot.figure.data for plot in plots(numbered(EXAMPLES["healthy"]))}
    for name in ("signal", "spread", "gradient"):
        line, dots = drawn[name][1:3]
        assert list(line.y) == [getattr(layer, name).predicted.value for layer in layers]
        assert list(dots.y) == [getattr(layer, name).measured.value for layer in layers]
        assert list(dots.error_y.array) == [2 * getattr(layer, name).measured.error for layer in layers]
    _, path, points = drawn["plane"]
    assert list(path.x) == [layer.signal.predicted.value for layer in layers]
    assert list(path.y) == [layer.spread.predicted.value for layer in layers]
    assert list(points.x) == [layer.signal.measured.value for layer in layers]
    assert list(points.error_y.array) == [2 * layer.spread.measured.error for layer in layers]
    assert [list(trace.y) for trace in drawn["z"]] == [
        [getattr(layer, name).z for layer in layers] for name in ("signal", "spread", "gradient")
    ]
    assert list(drawn["share"][0].y) == [layer.tangent_share.predicted.value for layer in layers]


def test_large_z_are_drawn_on_a_named_compressed_scale():
    row = examples.layer("far", signal=1.0, spread=0.5, gradient=0.1, z=300.0)
    figure = next(plot for plot in plots(numbered(examples.report([row]))) if plot.name == "z").figure
    assert "asinh" in figure.layout.yaxis.title.text
    assert figure.data[0].y[0] == pytest.approx(math.asinh(row.signal.z), rel=1e-12)
    assert figure.layout.yaxis.range[1] > figure.data[0].y[0]


def test_what_is_not_predicted_has_another_shape():
    gradient = next(plot for plot in plots(numbered(EXAMPLES["transformer"])) if plot.name == "gradient")
    hollow = [trace for trace in gradient.figure.data if trace.marker.symbol == "square-open"]
    assert len(hollow[0].x) == 36
    assert [key.meaning for key in gradient.legend] == ["measured, not predicted"]


def test_a_page_appears_whole_under_its_name_and_alone(tmp_path):
    write_html(EXAMPLES["healthy"], tmp_path / "page.html")
    assert os.listdir(tmp_path) == ["page.html"]
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == PAGES["healthy"]


@pytest.mark.parametrize("where", ["missing/page.html", ".", "file/page.html", "n" * 300 + ".html", "nul\0.html"])
def test_an_unwritable_path_is_one_sentence_and_leaves_nothing(tmp_path, where):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OutputError, match=r"^cannot write [^\n]*$"):
        write_html(EXAMPLES["empty"], tmp_path / where)
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "page.html"
    target.write_text("old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_complete(target, "new")
    assert os.listdir(tmp_path) == ["page.html"]
    assert target.read_text() == "old"


def test_importing_the_room_loads_neither_plotly_nor_jinja():
    code = "import sys, rgflow.report; print([m for m in ('plotly', 'jinja2', 'rich', 'torch') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

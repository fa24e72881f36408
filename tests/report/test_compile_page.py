"""The page and the text of a compilation: self-contained, escaped, and the same numbers as the record."""

import json
import re
from dataclasses import replace

import plotly.graph_objects as go
import pytest

from rgflow.report.compile_page import compile_page, compile_plots
from rgflow.report.compile_report import CompileReport, CountPoint, ErrorPoint, Neuron, ShallowMinimum

REPORT = CompileReport(
    version="0", expression="x*y", monomials=1, degree=2, outputs=1, variables=("x", "y"), domain=(1.0, 1.0), kind="real",
    activation="gelu", gates="taylor", dtype="float64", tolerance=1e-6, neurons=4, widths=(4,), layers=1, scales=(2.0**-16,),
    parameters=17, memory=136, error_bound=3e-10, error_bounds=(3e-10,), measured_error=1.5e-10, output_size=1.0,
    samples=4096, seed=0, products=1, products_alone=1, neurons_alone=4, shallow=ShallowMinimum(2, 4, "exact ranks"),
    curve=(ErrorPoint(1e-3, 7e-7, 7e-7, 6e-7), ErrorPoint(1e-5, 3e-10, 7e-11, 1e-10)),
    counts=(CountPoint(2, 4, 4, 4, 4), CountPoint(3, 8, 8, 8, 8)),
    wiring=tuple(Neuron(1, i, "x*y", "product", (0, 1), (0,)) for i in range(4)),
)  # fmt: skip
HOSTILE = replace(
    REPORT,
    expression="<script>alert(1)</script>",
    variables=("<u>why", "y"),
    wiring=tuple(replace(neuron, label="<img src=x>") for neuron in REPORT.wiring),
)
LARGE = replace(REPORT, wiring=tuple(replace(REPORT.wiring[0], neuron=i, outputs=(i,)) for i in range(5000)))
LINEAR = replace(REPORT, neurons=0, widths=(), layers=0, scales=(), curve=(), wiring=())
EXAMPLES = {"plain": REPORT, "hostile": HOSTILE, "large": LARGE, "linear": LINEAR}
PAGES = {name: compile_page(report) for name, report in EXAMPLES.items()}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_page_is_whole_small_and_loads_nothing(name):
    page = PAGES[name]
    assert len(page.encode()) <= 6 * 1024 * 1024
    assert page.rstrip().endswith("</html>")
    assert not re.search(r"(src|href|action|data)\s*=\s*[\"']?(https?:)?//", page)
    assert "default-src 'none'" in page
    assert len(re.findall(r"<script\b", page)) == 2 + page.count('class="plot')


@pytest.mark.parametrize("name", EXAMPLES)
def test_figures_are_valid(name):
    for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', PAGES[name], flags=re.S):
        go.Figure(json.loads(text, parse_constant=lambda constant: pytest.fail(constant)))
        assert "<" not in text


def test_names_that_look_like_html_are_text():
    assert "<script>alert" not in PAGES["hostile"]
    assert "<img src=x" not in PAGES["hostile"]
    assert "<u>why" not in PAGES["hostile"]


def test_the_plots_are_error_against_scale_counts_and_wiring_where_there_is_something_to_draw():
    assert [plot.name for plot in compile_plots(REPORT)] == ["scale", "counts", "wires"]
    assert [plot.name for plot in compile_plots(LARGE)] == ["scale", "counts"]
    assert [plot.name for plot in compile_plots(LINEAR)] == ["counts"]
    assert "more groups are left out" in PAGES["large"]


def test_text_json_and_page_say_the_same():
    text, document = REPORT.table(), json.loads(REPORT.to_json())
    for part in ("4 neurons in 1 hidden layer", "bound 3.0e-10", "measured 1.5e-10", "at least 4 without biases"):
        assert part in text
        assert part in PAGES["plain"]
    assert document["schema"] == "rgflow.compile/1"
    assert document["error_bound"] == 3e-10
    assert all(len(line) <= 60 for line in REPORT.table(60).splitlines())

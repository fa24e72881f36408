"""The pages of `theory`, `compile` and `data` in a real browser: drawn, silent, offline, nothing wider than a phone."""

import pytest

from rgflow.report.compile_page import compile_page, compile_plots
from rgflow.report.data_figures import data_plots
from rgflow.report.data_page import data_html
from rgflow.report.theory_figures import theory_plots
from rgflow.report.theory_page import theory_html
from tests.report.structure_examples import every_structure_example
from tests.report.test_browser import SIZES, gallery
from tests.report.test_compile_page import REPORT
from tests.report.theory_examples import every_theory_example

pytestmark = pytest.mark.page

THEORY = every_theory_example()
DATA = every_structure_example()
EXPECTED = {name: len(theory_plots(report)) for name, report in THEORY.items()}
EXPECTED |= {"compile": len(compile_plots(REPORT))}
EXPECTED |= {f"data {name}": len(data_plots(report.card).all) for name, report in DATA.items()}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    html = {name: theory_html(report) for name, report in THEORY.items()} | {"compile": compile_page(REPORT)}
    html |= {f"data {name}": data_html(report) for name, report in DATA.items()}
    return gallery(tmp_path_factory.mktemp("pages"), html)


def test_no_page_logs_or_requests_anything(pages):
    assert pages.console == []
    assert pages.hosts == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EXPECTED)
def test_a_page_shows_every_section_and_plot_and_fits(name, size, pages):
    frame = pages.frames[f"{name} {size}"]
    assert all(height > 40 for _, height in frame["seen"])
    assert len(frame["plots"]) == EXPECTED[name]
    assert all(abs(box - drawn) <= 1 and shapes > 5 for box, drawn, shapes in frame["plots"])
    assert frame["excuse"] is False
    assert frame["page"] <= frame["width"]
    assert frame["outside"] == []

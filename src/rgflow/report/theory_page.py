"""The effective theory of a network as one self-contained HTML page: phase diagram, flows, data collapse, table.

Everything is inside the file (`page_frame`), so it works offline.
"""

import os

from rgflow.report.files import check_writable, write_complete
from rgflow.report.page_frame import page_environment, page_frame
from rgflow.report.theory_figures import theory_plots
from rgflow.report.theory_report import TheoryReport

__all__ = ["theory_html", "write_theory_page"]


def write_theory_page(report: TheoryReport, path: str | os.PathLike[str]) -> None:
    """Write `report` as one self-contained HTML page; the file appears under `path` only when it is complete.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    check_writable(path)
    write_complete(path, theory_html(report))


def theory_html(report: TheoryReport) -> str:
    """Return `report` as the text of one HTML page."""
    environment = page_environment()
    return environment.get_template("theory.html.j2").render(
        report=report, plots=theory_plots(report), frame=page_frame(environment)
    )

"""A check as one self-contained HTML page: findings first, then summary, plots, tables, learning rate, glossary.

Everything is inside the file (`page_frame`), so it works offline.
"""

import os

from rgflow.report.check_report import CheckReport
from rgflow.report.figures import plots
from rgflow.report.files import check_writable, write_complete
from rgflow.report.layer_rows import numbered, reasons
from rgflow.report.page_frame import page_environment, page_frame

__all__ = ["to_html", "write_html"]


def write_html(report: CheckReport, path: str | os.PathLike[str]) -> None:
    """Write `report` as one self-contained HTML page; the file appears under `path` only when it is complete.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    check_writable(path)
    write_complete(path, to_html(report))


def to_html(report: CheckReport) -> str:
    """Return `report` as the text of one HTML page."""
    rows = numbered(report)
    environment = page_environment()
    return environment.get_template("check.html.j2").render(
        report=report,
        rows=rows,
        reasons=reasons(rows),
        plots=plots(rows),
        problems=[finding for finding in report.findings if finding.severity == "problem"],
        notes=[finding for finding in report.findings if finding.severity == "note"],
        frame=page_frame(environment),
    )

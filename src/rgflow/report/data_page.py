"""The structure card of a dataset as one self-contained HTML page: verdicts, nulls, ladder, couplings, symmetries, scales.

Everything is inside the file (`page_frame`), so it works offline.
"""

import os

from markupsafe import Markup, escape

from rgflow.report.data_figures import data_plots
from rgflow.report.data_report import DataReport, sentence
from rgflow.report.data_tables import reach_word, thinned_counts
from rgflow.report.data_text import held_out_in_words, in_words
from rgflow.report.digits import count, probability, with_error
from rgflow.report.files import check_writable, write_complete
from rgflow.report.page_frame import page_environment, page_frame

__all__ = ["data_html", "write_data_page"]


def write_data_page(report: DataReport, path: str | os.PathLike[str]) -> None:
    """Write `report` as one self-contained HTML page; the file appears under `path` only when it is complete.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    check_writable(path)
    write_complete(path, data_html(report))


def data_html(report: DataReport) -> str:
    """Return `report` as the text of one HTML page."""
    environment = page_environment()
    environment.filters.update(
        probability=probability, count=count, reach=reach_word, rung=_breakable, sentence=sentence
    )
    environment.filters["both"] = lambda estimate: (
        "–" if estimate is None else with_error(estimate.value, estimate.error)
    )
    return environment.get_template("data.html.j2").render(
        report=report,
        card=report.card,
        held_out=held_out_in_words(report.card.ladder),
        counts=thinned_counts(report.card),
        kind=in_words(report.card.kind),
        worded=any(row.sentence for row in report.card.hierarchy),
        plots=data_plots(report.card),
        frame=page_frame(environment),
    )


def _breakable(name: str) -> Markup:
    """Return the name of a rung, escaped, that may be broken after its plus signs."""
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    return Markup(str(escape(printable)).replace("+", "+<wbr>"))

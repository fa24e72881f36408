"""A check as one self-contained HTML page: findings first, then summary, plots, tables, learning rate, glossary.

Everything is inside the file (style, script, plotly.js, data); a content security policy forbids the page to load
anything, so it works offline and tells nobody. All texts are escaped by the template engine.
"""

import base64
import gzip
import json
import os
import re

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from rgflow.records.estimate import Estimate
from rgflow.report.check_report import CheckReport
from rgflow.report.digits import error_of, percent, seconds, short, z_score
from rgflow.report.figures import Plot, plots
from rgflow.report.files import check_writable, write_complete
from rgflow.report.layer_rows import numbered, reasons

__all__ = ["packed", "template_environment", "to_html", "write_html"]


def write_html(report: CheckReport, path: str | os.PathLike[str]) -> None:
    """Write `report` as one self-contained HTML page; the file appears under `path` only when it is complete.

    Raises: OutputError, one sentence, if the file cannot be written.
    """
    check_writable(path)
    write_complete(path, to_html(report))


def to_html(report: CheckReport) -> str:
    """Return `report` as the text of one HTML page."""
    rows = numbered(report)
    environment = template_environment()
    style, script = (environment.get_template(name).render() for name in ("check.css", "check.js"))
    return environment.get_template("check.html.j2").render(
        report=report,
        rows=rows,
        reasons=reasons(rows),
        plots=plots(rows),
        problems=[finding for finding in report.findings if finding.severity == "problem"],
        notes=[finding for finding in report.findings if finding.severity == "note"],
        style=Markup(style),
        script=Markup(script),
        plotly=packed(get_plotlyjs()),
    )


def packed(script: str) -> str:
    """Return a script as base64 of gzip: a third of its size; the page's own script unpacks and runs it."""
    return base64.b64encode(gzip.compress(script.encode(), compresslevel=9, mtime=0)).decode("ascii")


def template_environment() -> Environment:
    """Return the template engine with the filters of all pages; every text is escaped."""
    environment = Environment(
        loader=PackageLoader("rgflow.report", "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(short=short, percent=percent, z=z_score, seconds=seconds, evidence=_evidence)
    environment.filters.update(estimate=_estimate, share=_share, value=_value, error=_error)
    environment.filters.update(figure=_figure, printable=_printable, breakable=_breakable)
    return environment


def _estimate(estimate: Estimate | None) -> str:
    """Return "value ± error" for people."""
    return short(None) if estimate is None else f"{short(estimate.value)} ± {error_of(estimate.error)}"


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _error(estimate: Estimate | None) -> str:
    return short(None) if estimate is None else f"± {error_of(estimate.error)}"


def _share(estimate: Estimate | None) -> str:
    """Return "value ± error" in percent."""
    return percent(None) if estimate is None else f"{percent(estimate.value)} ± {percent(estimate.error)}"


def _evidence(value: float | int | str) -> str:
    return short(value) if isinstance(value, float) else str(value)


def _printable(text: str) -> str:
    """Return `text` with control characters, which HTML forbids, shown as escapes."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def _breakable(text: str) -> Markup:
    """Return a name, escaped, that may be broken after its dots, slashes and underscores."""
    return Markup(re.sub(r"([._/:]+)", r"\1<wbr>", str(escape(_printable(text)))))


def _figure(plot: Plot) -> Markup:
    """Return a figure as JSON that cannot end the script element it stands in."""
    text = json.dumps(json.loads(plot.figure.to_json() or "{}"), separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))

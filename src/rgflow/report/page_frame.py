"""What every page of rgflow is made of: the template environment, the style, the script and plotly, all inside the file.

A content security policy forbids pages to load anything, so they work offline and tell nobody. All texts are escaped
by the template engine.
"""

import base64
import gzip
import json
import re
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from rgflow.records.estimate import Estimate
from rgflow.report.digits import error_of, percent, seconds, short, z_score
from rgflow.report.plot_frame import Plot

__all__ = ["PageFrame", "page_environment", "page_frame"]


@dataclass(frozen=True)
class PageFrame:
    """The parts that every page carries inside: style sheet, script, and plotly.js as base64 of gzip."""

    style: Markup
    script: Markup
    plotly: str


def page_frame(environment: Environment) -> PageFrame:
    """Return the parts that every page carries."""
    style, script = (environment.get_template(name).render() for name in ("page.css", "page.js"))
    return PageFrame(Markup(style), Markup(script), _plotly())


@cache
def _plotly() -> str:
    """Return plotly.js as base64 of gzip: a third of its size; the page's own script unpacks and runs it."""
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), compresslevel=9, mtime=0)).decode("ascii")


def page_environment() -> Environment:
    """Return the environment of the templates, with the filters that write numbers, names and figures."""
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

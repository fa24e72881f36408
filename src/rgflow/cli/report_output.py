"""How a verb hands its report over: places judged before any work, then files written, then text or JSON printed.

Text is as wide as the terminal, 120 columns where there is none; JSON on standard output stands there alone.
"""

import shutil
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from rgflow.cli.output import distinct, json_output, output_path

__all__ = [
    "PagedReport",
    "Report",
    "ReportFiles",
    "print_report",
    "report_files",
    "standard_output_kept",
    "write_report",
]

_PIPE_WIDTH = 120  # columns where no terminal says otherwise
_STANDARD_OUTPUT = "-"


class Report(Protocol):
    """What every report can do: be a text of some width, and JSON."""

    def table(self, width: int = 120) -> str:
        """Return the report as text of at most `width` columns."""
        ...

    def to_json(self) -> str:
        """Return the report as JSON."""
        ...


class PagedReport(Report, Protocol):
    """A report that is a page, too: what a verb with an `--html` hands over."""

    def to_html(self, path: str) -> None:
        """Write the report as one self-contained HTML page."""
        ...


@dataclass(frozen=True)
class ReportFiles:
    """Where the page, the JSON and the weights go, after these places were judged; None where they are not wanted."""

    html: Path | None = None
    json: Path | None = None
    weights: Path | None = None


def report_files(*, html: str | None = None, json: str | None = None, weights: str | None = None) -> ReportFiles:
    """Return the files behind `--html`, `--json` and `--write`.

    Raises: OutputError, one sentence, for a place where no file can be made, or for two outputs in one file.
    """
    files = ReportFiles(output_path("--html", html), json_output(json), output_path("--write", weights))
    distinct(files.html, files.json, files.weights)
    return files


def standard_output_kept(json: str | None) -> AbstractContextManager[Any]:
    """Send what is printed meanwhile to stderr if standard output is kept for the JSON (`--json -`)."""
    return redirect_stdout(sys.stderr) if json == _STANDARD_OUTPUT else nullcontext()


def write_report(report: Report, *, files: ReportFiles) -> None:
    """Write the JSON and the page where they are wanted; each file appears only when it is complete."""
    from rgflow.report.files import write_complete

    if files.json is not None:
        write_complete(files.json, report.to_json() + "\n")
    if files.html is not None:
        cast(PagedReport, report).to_html(str(files.html))


def print_report(report: Report, *, json: str | None, quiet: bool, closing: Sequence[str] = ()) -> None:
    """Print the JSON if `--json -` asks for it, else the table and the lines `closing`, unless `quiet`."""
    from rgflow.report.spelling import Spelling

    if json == _STANDARD_OUTPUT:
        print(report.to_json())
    elif not quiet:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPE_WIDTH
        spell = Spelling(getattr(sys.stdout, "encoding", None) or "utf-8")
        for line in (*report.table(width).splitlines(), *closing):
            print(spell(line))

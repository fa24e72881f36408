"""A compilation as text: the polynomial, the network, its bound beside the measured error, and what else would do."""

import textwrap
from dataclasses import dataclass

from rgflow.report.compile_report import CompileReport
from rgflow.report.digits import error_of, short

__all__ = ["Line", "compile_lines", "compile_text"]

_LEAST_WIDTH = 60  # columns below which the lines are no longer readable
_WIDTHS_SHOWN = 12


@dataclass(frozen=True)
class Line:
    """One line: what it is about, and what is said."""

    head: str
    text: str


def compile_text(report: CompileReport, *, width: int = 120) -> str:
    """Return the report as plain text of at most `width` columns (never below 60)."""
    width = max(width, _LEAST_WIDTH)
    return "".join(
        textwrap.fill(f"{line.head:<11}{line.text}", width, subsequent_indent=" " * 11, break_on_hyphens=False) + "\n"
        for line in compile_lines(report)
    )


def compile_lines(report: CompileReport) -> tuple[Line, ...]:
    """Return what the text and the page both say, line by line."""
    return (
        Line("polynomial", _polynomial(report)),
        Line("inputs", _inputs(report)),
        Line("network", _network(report)),
        Line("weights", f"{report.parameters:,} numbers, {_bytes(report.memory)} in {report.dtype}"),
        Line("error", _error(report)),
        Line("sharing", _sharing(report)),
        Line("one layer", _shallow(report)),
    )


def _polynomial(report: CompileReport) -> str:
    outputs = "" if report.outputs == 1 else f", {report.outputs} outputs"
    return f"{report.expression}: {report.monomials} monomial{_s(report.monomials)}, degree {report.degree}{outputs}"


def _inputs(report: CompileReport) -> str:
    count = f"{len(report.variables)} {report.kind} variable{_s(len(report.variables))}"
    if report.kind != "real":
        return count + (", 0 or 1" if report.kind == "bit" else ", -1 or 1")
    widths = sorted(set(report.domain))
    span = short(widths[0]) if len(widths) == 1 else f"{short(widths[0])} to {short(widths[-1])}"
    return f"{count}, |x| <= {span}"


def _network(report: CompileReport) -> str:
    layers = f"{report.layers} hidden layer{_s(report.layers)}"
    shown = [str(width) for width in report.widths[:_WIDTHS_SHOWN]]
    widths = "-".join(shown + (["..."] if report.layers > _WIDTHS_SHOWN else []))
    scale = f", scale {short(min(report.scales))}" if report.gates == "taylor" and report.scales else ""
    products = f"{report.gates} products" if report.gates in ("taylor", "exact") else report.gates
    how = f"{report.activation}, {products}{scale}" if report.layers else "one linear layer"
    return f"{report.neurons:,} neurons in {layers}" + (f" ({widths})" if report.layers else "") + f"; {how}"


def _error(report: CompileReport) -> str:
    return (
        f"bound {error_of(report.error_bound)}, tolerance {short(report.tolerance)}; measured "
        f"{error_of(report.measured_error)} over {report.samples:,} inputs (seed {report.seed}), outputs up to "
        f"{short(report.output_size)}"
    )


def _sharing(report: CompileReport) -> str:
    return (
        f"{report.products:,} products (two-factor products without sharing: {report.products_alone:,}), "
        f"{report.neurons:,} neurons (without sharing: {report.neurons_alone:,})"
    )


def _shallow(report: CompileReport) -> str:
    found = report.shallow
    if found.biased is None and found.plain is None:
        return f"minimum undetermined: {found.source}"
    parts = [f"at least {found.plain:,} without biases"] if found.plain is not None else []
    parts += [f"at least {found.biased:,} with biases"] if found.biased is not None else []
    return f"{', '.join(parts)} (for its Taylor polynomial at 0; {found.source})"


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{short(count / size)} {unit}"
    return f"{count} bytes"


def _s(count: int) -> str:
    return "" if count == 1 else "s"

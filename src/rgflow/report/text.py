"""A check as text for a terminal: model, data, one row per layer, findings with evidence and remedy, and a last line.

Every number is a record's own; widths adapt from 60 columns up; what colour says is also said in words or signs.
"""

import io
from collections.abc import Iterator, Sequence

from rgflow.records.estimate import Estimate, Quantity
from rgflow.records.layer import Finding
from rgflow.report.check_report import CheckReport
from rgflow.report.digits import percent, relative, seconds, short, z_score
from rgflow.report.layer_rows import folded, numbered, parameterless, reasons
from rgflow.report.layer_table import layer_tables
from rgflow.report.spelling import Spelling
from rgflow.report.terminal import Console, Padding, RenderableType, Table, Text, cell_len

__all__ = ["print_report", "to_text"]

# Below 60 columns two numbers of eight characters and their z no longer fit beside a layer's name.
_LEAST_WIDTH = 60

_LEGEND = (
    "signal, spread: mean squares of the layer's output, over inputs and between inputs",
    "gradient: rms norm of the layer's parameter gradient (loss per unit of parameter)",
    "±sd: forecast seed-to-seed standard deviation, in % (±se, where shown: standard error of the measurement)",
    "z = (measured - forecast) / combined error, ! where |z| >= 4",
    "from: how the forecast was made",
    "all errors, units and sources in full: --json, --html",
)


def to_text(report: CheckReport, width: int = 120) -> str:
    """Return `report` as plain text of at most `width` columns (never below 60), without colour."""
    file = io.StringIO()
    console = Console(file=file, width=max(width, _LEAST_WIDTH), color_system=None, legacy_windows=False)
    print_report(report, console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def print_report(report: CheckReport, console: Console) -> None:
    """Print `report` on a rich console, in its width (at least 60 columns), colours and encoding."""
    width = max(console.width, _LEAST_WIDTH)
    for part in _parts(report, width=width, spell=Spelling(console.encoding)):
        console.print(part, width=width, crop=False, highlight=False, soft_wrap=False)


def _parts(report: CheckReport, *, width: int, spell: Spelling) -> Iterator[RenderableType]:
    yield _items("model  ", _model(report), width=width, spell=spell)
    yield _items("data   ", _data(report), width=width, spell=spell)
    if report.error:
        yield Text(spell(f"STOPPED  the model raised: {report.error}; the rows show what ran before"), style="bold red")
    yield Text("")
    yield from _table(report, width=width, spell=spell)
    yield Text("")
    yield from _findings(report, spell=spell)
    for note in report.notes:
        yield Padding(Text(spell(f"note: {note}")), (0, 0, 0, 2))
    yield Text("")
    yield _items("", _summary(report), width=width, spell=spell)


def _table(report: CheckReport, *, width: int, spell: Spelling) -> Iterator[RenderableType]:
    rows = numbered(report)
    if not rows:
        yield Text("no layer ran", style="dim")
        return
    for i, table in enumerate(layer_tables(folded(rows), width=width, spell=spell)):
        if i:
            yield Text("")
        yield table
    hidden = parameterless(report)
    if hidden:
        yield Text(f"{hidden} parameterless operation{'s' if hidden > 1 else ''}: see --json", style="dim")
    for number, reason in enumerate(reasons(rows), start=1):
        yield _items(f"[{number}] ", [reason], width=width, spell=spell, style="dim")
    yield _items("", _LEGEND, width=width, spell=spell, style="dim", separator="; ")


def _model(report: CheckReport) -> list[str]:
    model = report.model
    classes = [f"class {name}: {meaning}" for name, meaning in model.activation_classes.items()]
    control = [] if model.control is None else [f"control {short(model.control)}"]
    return [model.name, model.architecture, f"{model.parameters:,} parameters", *control, *classes]


def _data(report: CheckReport) -> list[str]:
    data = report.data
    shape = " x ".join(map(str, data.shape))
    classes = f" in {data.classes} classes" if data.classes else ""
    drawn = f"{report.networks} network{'s' if report.networks != 1 else ''} drawn, seed {report.seed}"
    return [f"{data.name} {shape}, batch {data.batch}, {data.task}{classes}, loss {data.loss}", drawn]


def _findings(report: CheckReport, *, spell: Spelling) -> Iterator[RenderableType]:
    problems = sum(finding.severity == "problem" for finding in report.findings)
    if report.verdict == "healthy" and report.error:
        yield Text("UNFINISHED  no problem found in the layers that ran", style="bold yellow")
    elif report.verdict == "healthy":
        yield Text("HEALTHY  no problem found", style="bold green")
    else:
        notes = len(report.findings) - problems
        count = f"{problems} problem{'s' * (problems != 1)}" + (f", {notes} note{'s' * (notes != 1)}" if notes else "")
        yield Text(f"FINDINGS  {count}", style="bold red")
    for finding in report.findings:
        yield from _finding(finding, spell=spell)


def _finding(finding: Finding, *, spell: Spelling) -> Iterator[RenderableType]:
    problem = finding.severity == "problem"
    head = f"{finding.code}  {finding.message}" if problem else f"{finding.code} (note)  {finding.message}"
    text = Text(spell(head))
    text.stylize("bold red" if problem else "bold", 0, len(spell(finding.code)))
    yield Padding(text, (0, 0, 0, 2))
    where = [f"layer {finding.layer}"] if finding.layer else []
    evidence = ", ".join(where + [f"{key} {_evidence(value)}" for key, value in finding.evidence.items()])
    if evidence:
        yield Padding(Text(spell(f"evidence: {evidence}")), (0, 0, 0, 4))
    if finding.remedy:
        yield Padding(Text(spell(f"remedy: {finding.remedy}")), (0, 0, 0, 4))


def _evidence(value: float | int | str) -> str:
    return short(value) if isinstance(value, float) else str(value)


def _summary(report: CheckReport) -> list[str]:
    rate, tally = report.learning_rate, report.tally
    given = "" if rate.given is None else f" (given {short(rate.given)})"
    total = report.timing.get("total", sum(report.timing.values()))
    return [
        f"stable SGD learning rate ≤ {_both(rate.stable_limit)}{given}",
        f"seed-to-seed spread of the output {_both(report.output_deviation, share=True)}",
        f"forecasts within 4 standard errors: {f'{tally.within} of {tally.cells}' if tally.cells else 'none to judge'}",
        seconds(total),
    ]


def _both(quantity: Quantity, *, share: bool = False) -> str:
    """Return forecast and measurement, each with its error, and z."""
    named = (("forecast", quantity.predicted), ("measured", quantity.measured))
    sides = [f"{name} {_with_error(estimate, share=share)}" for name, estimate in named if estimate is not None]
    if not sides:
        return f"undetermined ({quantity.reason})" if quantity.reason else "undetermined"
    z = [] if quantity.z is None else [f"z {z_score(quantity.z)}"]
    return ", ".join(sides + z)


def _with_error(estimate: Estimate, *, share: bool) -> str:
    if share:
        return f"{percent(estimate.value)} ± {percent(estimate.error)}"
    return f"{short(estimate.value)} {relative(estimate.error, estimate.value)}"


def _items(
    label: str, items: Sequence[str], *, width: int, spell: Spelling, style: str = "", separator: str = "   "
) -> RenderableType:
    """Return `items` behind `label`, as many on a line as fit; lines break between items where they can."""
    lines = [""]
    room = width - len(label)
    for item in map(spell, items):
        joined = f"{lines[-1]}{separator}{item}" if lines[-1] else item
        if lines[-1] and cell_len(joined) > room:
            lines[-1] += separator.rstrip()
            lines.append(item)
        else:
            lines[-1] = joined
    if not label:
        return Text("\n".join(lines), style=style)
    grid = Table.grid(padding=0)
    grid.add_column(width=len(label), no_wrap=True)
    grid.add_column(max_width=room, overflow="fold")
    grid.add_row(Text(label, style=style or "bold"), Text("\n".join(lines), style=style))
    return grid

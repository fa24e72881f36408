"""`rgflow data DATA`: how simple a dataset is: order, locality, geometry, symmetry, scales, each beside its nulls."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.endings import DONE, ended
from rgflow.cli.progress import progress_bar
from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.cli.settings import at_least, one_of, seed_in_range
from rgflow.errors import SettingError

if TYPE_CHECKING:
    from rgflow.report.data_report import DataReport

__all__ = ["DUPLICATES", "MISSING", "TEXT", "data"]

MISSING = ("drop", "mean", "refuse")
DUPLICATES = ("keep", "drop")
TEXT = ("drop", "encode", "refuse")
_LEAST_SAMPLES = 60  # below it the structure room refuses: no error on a card would mean anything
_LARGEST_ORDER = 4  # the largest order of the ladder's models


@dataclass(frozen=True)
class _Request:
    """What the user asked for, word by word."""

    data: str
    grid: str | None
    periodic: bool
    target: str | None
    missing: str
    duplicates: str
    text: str
    max_order: int
    samples: int | None
    shuffle: bool
    seed: int
    html: str | None
    json: str | None
    quiet: bool


@dataclass(frozen=True)
class _Plan:
    """Where results go and how the features lie, after they were checked."""

    files: ReportFiles
    grid: tuple[int, ...] | None


def data(
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="Bundled name, file, folder of images, or file.py:loader.")
    ],
    grid: Annotated[
        str | None,
        typer.Option(metavar="NxM", help="Lattice of the features, row by row, as in 8x8; found if not given."),
    ] = None,
    periodic: Annotated[bool, typer.Option("--periodic", help="The lattice closes on itself.")] = False,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Target column of a table, left out.")] = None,
    missing: Annotated[str, typer.Option(metavar="HOW", help=f"Missing values: {', '.join(MISSING)}.")] = "drop",
    duplicates: Annotated[str, typer.Option(metavar="HOW", help=f"Repeated rows: {', '.join(DUPLICATES)}.")] = "keep",
    text: Annotated[str, typer.Option(metavar="HOW", help=f"Columns of text: {', '.join(TEXT)}.")] = "drop",
    max_order: Annotated[int, typer.Option(metavar="K", help="Largest order of interaction that is tried.")] = 4,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Rows taken, drawn by the seed; all if not given.")
    ] = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Rows in random order, where theirs means nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every draw.")] = 0,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Show how simple a dataset is: order, locality, geometry, symmetries, scales, each beside its nulls."""
    request = _Request(
        data, grid, periodic, target, missing, duplicates, text, max_order, samples, shuffle, seed, html, json, quiet
    )
    return ended(lambda: _run(request), debug=debug)


def _run(request: _Request) -> int:
    plan = _checked(request)
    with standard_output_kept(request.json):
        report = _report(request, plan)
    write_report(report, files=plan.files)
    print_report(report, json=request.json, quiet=request.quiet)
    return DONE


def _checked(request: _Request) -> _Plan:
    """Judge every setting before any work."""
    one_of("--missing", request.missing, allowed=MISSING)
    one_of("--duplicates", request.duplicates, allowed=DUPLICATES)
    one_of("--text", request.text, allowed=TEXT)
    at_least("--max-order", request.max_order, least=1, why="since order 1 is no interaction at all")
    if request.max_order > _LARGEST_ORDER:
        raise SettingError(f"--max-order is {request.max_order}; it must be 1 to {_LARGEST_ORDER}")
    at_least("--samples", request.samples, least=_LEAST_SAMPLES, why="since errors of fewer mean nothing")
    seed_in_range(request.seed)
    grid = None if request.grid is None else _grid(request.grid)
    if request.periodic and grid is not None and min(grid) < 3:
        raise SettingError(f"--grid is {request.grid} beside --periodic; every side of a periodic lattice must be >= 3")
    return _Plan(report_files(html=request.html, json=request.json), grid)


def _grid(text: str) -> tuple[int, ...]:
    """Return "8x8" as (8, 8)."""
    try:
        sides = tuple(int(side) for side in text.lower().split("x"))
    except ValueError as error:
        raise SettingError(f"--grid is {text!r}; give the sides of the lattice, as in 8x8, 28x28 or 64") from error
    if any(side < 1 for side in sides):
        raise SettingError(f"--grid is {text!r}; every side must be >= 1, as in 8x8")
    return sides


def _report(request: _Request, plan: _Plan) -> "DataReport":
    from rgflow.studies.describing import describe

    with progress_bar(quiet=request.quiet) as progress:
        return describe(
            request.data,
            grid=plan.grid,
            periodic=request.periodic or None,
            target=request.target,
            missing=request.missing,
            duplicates=request.duplicates,
            text=request.text,
            max_order=request.max_order,
            samples=request.samples,
            shuffle=request.shuffle,
            seed=request.seed,
            progress=progress,
        )

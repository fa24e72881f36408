"""`rgflow check MODEL --data DATA`: forecast and measure a network before it is trained, and judge it."""

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.endings import DONE, FINDINGS, ended
from rgflow.cli.progress import progress_bar
from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.cli.settings import at_least, available_device, one_of, positive, seed_in_range

if TYPE_CHECKING:
    from rgflow.report.check_report import CheckReport

__all__ = ["OPTIMIZERS", "check"]

OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class _Request:
    """What the user asked for, word by word."""

    model: str
    data: str
    target: str | None
    optimizer: str
    learning_rate: float | None
    networks: int
    seed: int
    batch: int | None
    device: str
    html: str | None
    json: str | None
    quiet: bool


def check(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="file.py:factory, package.module:factory or mlp:64-64x12-10:relu")
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help="Bundled name, file, folder of images, or file.py:loader.")],
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Target column of a table.")] = None,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="sgd, adam or adamw.")] = "sgd",
    learning_rate: Annotated[
        float | None, typer.Option(metavar="RATE", help="Your learning rate, to be judged.")
    ] = None,
    networks: Annotated[int, typer.Option(metavar="N", help="Networks drawn for the measurement.")] = 64,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every draw.")] = 0,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Samples per batch; chosen if not given.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where the networks run: cpu, cuda, cuda:1.")] = "cpu",
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; the exit code tells.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Forecast what a network does before it is trained, measure it, and judge: exit code 0 healthy, 1 findings."""
    request = _Request(model, data, target, optimizer, learning_rate, networks, seed, batch, device, html, json, quiet)
    return ended(lambda: _run(request), debug=debug)


def _run(request: _Request) -> int:
    files = _checked(request)
    with standard_output_kept(request.json):
        report = _report(request)
    write_report(report, files=files)
    _print(report, request=request)
    return DONE if report.verdict == "healthy" else FINDINGS


def _checked(request: _Request) -> ReportFiles:
    """Judge every setting before any work."""
    at_least("--networks", request.networks, least=2, why="since a spread over seeds needs two networks")
    seed_in_range(request.seed)
    at_least("--batch", request.batch, least=2, why="since telling inputs apart needs two of them")
    positive("--learning-rate", request.learning_rate)
    one_of("--optimizer", request.optimizer, allowed=OPTIMIZERS)
    files = report_files(html=request.html, json=request.json)
    available_device(request.device)
    return files


def _report(request: _Request) -> "CheckReport":
    from rgflow.datasets import load
    from rgflow.networks.factories import load_factory

    factory, data = load_factory(request.model), load(request.data, target=request.target)
    from rgflow.studies.checking import check as check_study  # after what the user may have mistyped: it takes seconds

    with progress_bar(quiet=request.quiet) as progress:
        return check_study(
            factory,
            data,
            networks=request.networks,
            seed=request.seed,
            optimizer=request.optimizer,
            learning_rate=request.learning_rate,
            batch=request.batch,
            device=request.device,
            model_name=request.model,
            remedy=_remedy(request),
            progress=progress,
        )


def _remedy(request: _Request) -> str:
    """Return the command that tunes this model on these data, as one types it."""
    words = ["rgflow", "tune", request.model, "--data", request.data]
    return shlex.join(words + (["--target", request.target] if request.target else []))


def _print(report: "CheckReport", *, request: _Request) -> None:
    if not sys.stdout.isatty() or request.json == "-" or request.quiet:
        print_report(report, json=request.json, quiet=request.quiet)
        return
    from rich.console import Console

    from rgflow.report.text import print_report as print_in_colour

    print_in_colour(report, Console())

"""`rgflow tune MODEL --data DATA`: the same network with critical initialisation, as a diff, a file, and a proof."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.check import OPTIMIZERS
from rgflow.cli.endings import DONE, ended
from rgflow.cli.output import write_state
from rgflow.cli.progress import progress_bar
from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.cli.settings import at_least, number_list, one_of, seed_in_range
from rgflow.errors import SettingError

if TYPE_CHECKING:
    from rgflow.cli.tune_report import TuneReport
    from rgflow.networks.factories import Factory
    from rgflow.records import Comparison, Dataset
    from rgflow.studies.tuning import Tuned

__all__ = ["tune"]


@dataclass(frozen=True)
class _Request:
    """What the user asked for, word by word."""

    model: str
    data: str
    target: str | None
    optimizer: str
    learning_rates: bool
    seed: int
    write: str | None
    verify: bool
    networks: int
    steps: int | None
    rates: str | None
    json: str | None
    quiet: bool


@dataclass(frozen=True)
class _Plan:
    """Where results go and which rates are swept, after they were checked."""

    files: ReportFiles
    rates: tuple[float, ...] | None


def tune(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="file.py:factory, package.module:factory or mlp:64-64x12-10:relu")
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help="Bundled name, file, folder of images, or file.py:loader.")],
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="Target column of a table.")] = None,
    optimizer: Annotated[str, typer.Option(metavar="NAME", help="sgd, adam or adamw.")] = "sgd",
    learning_rates: Annotated[
        bool, typer.Option("--learning-rates", help="Also set a learning rate per layer.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every draw.")] = 0,
    write: Annotated[str | None, typer.Option(metavar="FILE.pt", help="Save the tuned state_dict.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Train stock against tuned and show the difference.")
    ] = False,
    networks: Annotated[int, typer.Option(metavar="N", help="Networks on each side of --verify.")] = 8,
    steps: Annotated[int | None, typer.Option(metavar="N", help="Training steps of --verify.")] = None,
    rates: Annotated[str | None, typer.Option(metavar="R,R,..", help="Learning rates that --verify sweeps.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the result as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Set critical variances for a network and its data: a diff, weights with --write, a proof with --verify."""
    request = _Request(
        model, data, target, optimizer, learning_rates, seed, write, verify, networks, steps, rates, json, quiet
    )
    return ended(lambda: _run(request), debug=debug)


def _run(request: _Request) -> int:
    plan = _checked(request)
    with standard_output_kept(request.json):
        report = _report(request, rates=plan.rates)
    if plan.files.weights is not None:
        write_state(plan.files.weights, report.tuned.model.state_dict())
    write_report(report, files=plan.files)
    print_report(report, json=request.json, quiet=request.quiet, closing=["", *_last_words(request)])
    return DONE


def _checked(request: _Request) -> _Plan:
    """Judge every setting before any work."""
    at_least("--networks", request.networks, least=2, why="since a confidence interval needs two pairs")
    seed_in_range(request.seed)
    at_least("--steps", request.steps, least=1, why="since untrained networks prove nothing")
    one_of("--optimizer", request.optimizer, allowed=OPTIMIZERS)
    for option, value in (("--steps", request.steps), ("--rates", request.rates)):
        if value is not None and not request.verify:
            raise SettingError(f"{option} belongs to the experiment of --verify; add --verify or leave {option} out")
    rates = number_list("--rates", request.rates)
    return _Plan(report_files(json=request.json, weights=request.write), rates)


def _report(request: _Request, *, rates: tuple[float, ...] | None) -> "TuneReport":
    from rgflow.cli.tune_report import TuneReport
    from rgflow.datasets import load
    from rgflow.networks.factories import load_factory

    factory, data = load_factory(request.model), load(request.data, target=request.target)
    from rgflow.studies.tuning import tune as tune_study  # after what the user may have mistyped: it takes seconds

    tuning = partial(tune_study, learning_rates=request.learning_rates)
    tuned = tuning(factory, data, optimizer=request.optimizer, seed=request.seed)
    comparison = _proof(request, factory=factory, tuning=tuning, data=data, rates=rates) if request.verify else None
    return TuneReport(request.model, data, request.optimizer, request.seed, tuned, comparison)


def _proof(
    request: _Request,
    *,
    factory: "Factory",
    tuning: "Callable[..., Tuned]",
    data: "Dataset",
    rates: tuple[float, ...] | None,
) -> "Comparison":
    """Return the paired experiment; it tunes on the training part alone, so that the test part stays unseen."""
    from rgflow.studies.verifying import verify as verify_study

    given = {} if request.steps is None else {"steps": request.steps}
    with progress_bar(quiet=request.quiet) as progress:
        return verify_study(
            factory,
            tuning,
            data,
            networks=request.networks,
            rates=rates,
            optimizer=request.optimizer,
            seed=request.seed,
            progress=progress,
            **given,
        )


def _last_words(request: _Request) -> list[str]:
    """Return what was written or not, and what a reader may want next."""
    proof = [] if request.verify else ["proof by experiment, stock against tuned networks: add --verify"]
    if request.write is None:
        return ["dry run: no weights written; save them with --write FILE.pt", *proof]
    written = f"written: {request.write}; in PyTorch: model.load_state_dict(torch.load({request.write!r}))"
    return [written, *proof]

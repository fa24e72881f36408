"""The command `rgflow`: its verbs, its version, and how every ending of a run becomes an exit code.

Nothing heavy is imported here: help, version and usage errors must answer before torch could be loaded.
"""

import io
import sys
from collections.abc import Sequence

import typer

from rgflow import __version__
from rgflow.cli.check import check
from rgflow.cli.compile import compile as compile_verb
from rgflow.cli.data import data
from rgflow.cli.endings import INTERRUPTED, USAGE, complain, reader_left
from rgflow.cli.theory import theory
from rgflow.cli.tune import tune

__all__ = ["application", "main"]

# typer brings its own copy of click in some releases; the base of all usage errors is found through a public subclass.
_USAGE_ERRORS: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

_HELP = "\n\n".join(
    (
        "The physics of deep learning as a tool: forecast, check and repair a network before it is trained, and measure "
        "how simple its data are.",
        "MODEL is file.py:factory, package.module:factory or mlp:64-64x12-10:relu.",
        "DATA is a bundled name (digits, breast_cancer, wine, iris, diabetes, photos), generated physics "
        "(ising:32x32:T=2.5, potts:, xy:, phi4:, gaussian:, glass:, noise:), a .npy, .npz, .csv or .parquet file, a folder "
        "of images with one subfolder per class, or file.py:loader.",
        "Exit codes: 0 healthy or done, 1 findings, 2 bad usage or bad input, 130 interrupted.",
    )
)


def application() -> typer.Typer:
    """Return the typer application with all its verbs."""
    app = typer.Typer(name="rgflow", help=_HELP, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(_options)
    app.command("check")(check)
    app.command("tune")(tune)
    app.command("theory")(theory)
    app.command("compile")(compile_verb)
    app.command("data")(data)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line `arguments` (those of the process if None) and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    _forgive_narrow_encodings()
    try:
        code = application()(words, prog_name="rgflow", standalone_mode=False)
        sys.stdout.flush()
    except _USAGE_ERRORS as error:
        complain(f"{_sentence(error)}; see {_help_of(error)}")
        return USAGE
    except typer.Abort:
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return reader_left()
    return code if isinstance(code, int) else 0


def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and leave.", is_eager=True, callback=lambda on: _version(on)
    ),
) -> None:
    """Options of the command itself."""


def _forgive_narrow_encodings() -> None:
    """Let a character that the terminal cannot show become "?" instead of ending the run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rgflow {__version__}")
        raise typer.Exit


def _sentence(error: Exception) -> str:
    text = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    return text.rstrip(".")


def _help_of(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"'{context.command_path} --help'" if context is not None else "'rgflow --help'"

"""`rgflow compile "x1*x2*x3 + 2*x1**2"`: a polynomial as an ordinary network, with an error bound that holds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.endings import DONE, ended
from rgflow.cli.output import write_state
from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.cli.settings import at_least, one_of, positive, seed_in_range
from rgflow.errors import SettingError

if TYPE_CHECKING:
    from rgflow.studies.compiling import Compiled

__all__ = ["compile"]

_DTYPES = ("float64", "float32")
_GATES = ("automatic", "taylor", "least-squares")
_KINDS = ("real", "bit", "spin")


@dataclass(frozen=True)
class _Request:
    """What the user asked for, word by word."""

    expression: str
    activation: str
    tolerance: float
    domain: str
    dtype: str
    layers: int | None
    gates: str
    kind: str
    variables: str | None
    samples: int
    seed: int
    write: str | None
    html: str | None
    json: str | None
    quiet: bool


@dataclass(frozen=True)
class _Plan:
    """Where results go and what the domain is, after they were checked."""

    files: ReportFiles
    domain: "float | list[float] | dict[str, float]"


def compile(
    expression: Annotated[str, typer.Argument(metavar="EXPRESSION", help="Such as 'x*y + 2*x**2'; commas: outputs.")],
    activation: Annotated[str, typer.Option(metavar="NAME", help="gelu, silu, tanh, relu, squared_relu, ...")] = "gelu",
    tolerance: Annotated[float, typer.Option(metavar="ERROR", help="Largest error on the domain.")] = 1e-6,
    domain: Annotated[str, typer.Option(metavar="R", help="|x| <= R: one number, R,R,.. or x=R,y=R.")] = "1",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float64 or float32.")] = "float64",
    layers: Annotated[
        int | None, typer.Option(metavar="K", help="At most K hidden layers; the product tree if not given.")
    ] = None,
    gates: Annotated[
        str, typer.Option(metavar="NAME", help="automatic, taylor, or least-squares (weights of order one).")
    ] = "automatic",
    kind: Annotated[str, typer.Option(metavar="NAME", help="Inputs: real, bit (0, 1) or spin (-1, 1).")] = "real",
    variables: Annotated[
        str | None, typer.Option(metavar="X,Y,..", help="Names and order of the inputs; found if not given.")
    ] = None,
    samples: Annotated[int, typer.Option(metavar="N", help="Inputs on which the error is measured.")] = 4096,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of these inputs.")] = 0,
    write: Annotated[str | None, typer.Option(metavar="FILE.pt", help="Save the state_dict.")] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Turn a polynomial into a network of ordinary layers: neurons, layers, error bound, measured error."""
    request = _Request(
        expression, activation, tolerance, domain, dtype, layers, gates, kind, variables, samples, seed, write, html,
        json, quiet,
    )  # fmt: skip
    return ended(lambda: _run(request), debug=debug)


def _run(request: _Request) -> int:
    plan = _checked(request)
    with standard_output_kept(request.json):
        compiled = _compiled(request, plan)
    if plan.files.weights is not None:
        write_state(plan.files.weights, compiled.network.module.state_dict())
    write_report(compiled.report, files=plan.files)
    closing = ["", *_last_words(compiled, request)]
    print_report(compiled.report, json=request.json, quiet=request.quiet, closing=closing)
    return DONE


def _checked(request: _Request) -> _Plan:
    """Judge every setting before any work."""
    if not request.expression.strip():
        raise SettingError("the expression is empty; give a polynomial such as 'x*y + 2*x**2'")
    positive("--tolerance", request.tolerance)
    at_least("--layers", request.layers, least=1, why="since a product needs a hidden layer")
    at_least("--samples", request.samples, least=4, why="since a quarter of them are corners of the domain")
    seed_in_range(request.seed)
    one_of("--dtype", request.dtype, allowed=_DTYPES)
    one_of("--gates", request.gates, allowed=_GATES)
    one_of("--kind", request.kind, allowed=_KINDS)
    domain = _domain(request.domain)
    return _Plan(report_files(html=request.html, json=request.json, weights=request.write), domain)


def _domain(text: str) -> "float | list[float] | dict[str, float]":
    """Return "2", "1,0.5" or "x=1,y=0.5" as a number, numbers in order, or numbers by name."""
    parts = [part.strip() for part in text.split(",")]
    try:
        if all("=" in part for part in parts):
            named = {name.strip(): float(number) for name, _, number in (part.partition("=") for part in parts)}
            for name, number in named.items():
                positive(f"--domain {name}", number)
            return named
        numbers = [float(part) for part in parts]
    except ValueError as error:
        raise SettingError(f"--domain is {text!r}; give a half-width such as 1, 2,0.5 or x=2,y=0.5") from error
    for number in numbers:
        positive("--domain", number)
    return numbers if len(numbers) > 1 else numbers[0]


def _compiled(request: _Request, plan: _Plan) -> "Compiled":
    import torch

    from rgflow.studies.compiling import compile_expression

    names = None if request.variables is None else tuple(name.strip() for name in request.variables.split(","))
    return compile_expression(
        request.expression,
        samples=request.samples,
        seed=request.seed,
        activation=request.activation,
        tolerance=request.tolerance,
        domain=plan.domain,
        dtype=getattr(torch, request.dtype),
        layers=request.layers,
        gates=request.gates,
        kind=request.kind,
        variables=names,
    )


def _last_words(compiled: "Compiled", request: _Request) -> list[str]:
    """Return what was written, and how PyTorch reads it."""
    if request.write is None:
        return ["no weights written; save them with --write FILE.pt, see all neurons with --html FILE"]
    return [
        f"written: {request.write}; in PyTorch:",
        f"  net = {compiled.network.spelled()}",
        f"  net.load_state_dict(torch.load({request.write!r}))",
    ]

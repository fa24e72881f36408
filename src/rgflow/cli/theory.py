"""`rgflow theory --widths 784,128x10,10 --activation gelu`: the effective theory of a network, beside an ensemble."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rgflow.cli.endings import DONE, ended
from rgflow.cli.progress import progress_bar
from rgflow.cli.report_output import ReportFiles, print_report, report_files, standard_output_kept, write_report
from rgflow.cli.settings import at_least, one_of, seed_in_range
from rgflow.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from rgflow.records import MLP
    from rgflow.report.theory_report import TheoryReport

__all__ = ["LAWS", "theory"]

LAWS = ("gaussian", "uniform", "rademacher", "truncated_normal")


@dataclass(frozen=True)
class _Request:
    """What the user asked for, word by word."""

    widths: str
    activation: str
    weight_variance: float | None
    bias_variance: float | None
    skip: float
    critical: bool
    weight_law: str
    bias_law: str
    inputs: str | None
    count: int
    networks: int
    seed: int
    html: str | None
    json: str | None
    quiet: bool


def theory(
    widths: Annotated[str, typer.Option(metavar="N,NxM,..", help="Widths, as in 784,128x10,10.")],
    activation: Annotated[str, typer.Option(metavar="NAME", help="Activation, as in gelu or leaky_relu(0.2).")],
    weight_variance: Annotated[
        float | None, typer.Option(metavar="C_W", help="fan_in * Var W; critical if not given.")
    ] = None,
    bias_variance: Annotated[
        float | None, typer.Option(metavar="C_B", help="Var b; 0 beside --weight-variance, else critical.")
    ] = None,
    skip: Annotated[float, typer.Option(metavar="G", help="Residual network: z' = G z + b + W s(z).")] = 0.0,
    critical: Annotated[bool, typer.Option("--critical", help="Variances of the critical point.")] = False,
    weight_law: Annotated[str, typer.Option(metavar="LAW", help=f"{', '.join(LAWS)}.")] = "gaussian",
    bias_law: Annotated[str, typer.Option(metavar="LAW", help="The same names.")] = "gaussian",
    inputs: Annotated[
        str | None, typer.Option(metavar="DATA", help="Rows of data, as for check; two standard inputs if not given.")
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="Rows of DATA that are taken.")] = 4,
    networks: Annotated[int, typer.Option(metavar="N", help="Networks drawn beside the theory; 0 for none.")] = 2000,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of every draw.")] = 0,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the report as one HTML page.")] = None,
    json: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is standard output.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Show the effective theory of a fully connected network layer by layer: kernel, fluctuations, class, couplings."""
    request = _Request(
        widths=widths,
        activation=activation,
        weight_variance=weight_variance,
        bias_variance=bias_variance,
        skip=skip,
        critical=critical,
        weight_law=weight_law,
        bias_law=bias_law,
        inputs=inputs,
        count=count,
        networks=networks,
        seed=seed,
        html=html,
        json=json,
        quiet=quiet,
    )
    return ended(lambda: _run(request), debug=debug)


def _run(request: _Request) -> int:
    files = _checked(request)
    with standard_output_kept(request.json):
        report = _report(request)
    write_report(report, files=files)
    print_report(report, json=request.json, quiet=request.quiet)
    return DONE


def _checked(request: _Request) -> ReportFiles:
    """Judge every setting before any work."""
    at_least("--count", request.count, least=1, why="since a flow needs an input")
    at_least("--networks", request.networks, least=0, why="0 for no ensemble")
    if 0 < request.networks < _LEAST_NETWORKS:
        raise SettingError(
            f"--networks is {request.networks}; it must be 0 or >= {_LEAST_NETWORKS}, since a deviation needs an error"
        )
    seed_in_range(request.seed)
    one_of("--weight-law", request.weight_law, allowed=LAWS)
    one_of("--bias-law", request.bias_law, allowed=LAWS)
    given = request.weight_variance is not None or request.bias_variance is not None
    if request.critical and given:
        raise SettingError(
            "--critical stands beside --weight-variance or --bias-variance; give either the critical point or variances"
        )
    if request.bias_variance is not None and request.weight_variance is None:
        raise SettingError("--bias-variance stands alone; give --weight-variance too")
    return report_files(html=request.html, json=request.json)


_LEAST_NETWORKS = 4  # the standard error of a variance needs four samples


def _report(request: _Request) -> "TheoryReport":
    network = _network(request)
    rows = _rows(request, network)
    from rgflow.studies.theorising import theorise  # after what the user may have mistyped: it takes seconds

    with progress_bar(quiet=request.quiet) as progress:
        return theorise(
            network,
            rows,
            name="" if rows is None else f"{len(rows)} rows of {request.inputs}",
            networks=request.networks,
            seed=request.seed,
            weight_law=request.weight_law,
            bias_law=request.bias_law,
            collapse=request.html is not None,
            progress=progress,
        )


def _network(request: _Request) -> "MLP":
    """Return the network; without variances, or with --critical, at its critical point."""
    from rgflow.records import MLP, width_list

    sizes = width_list(request.widths)
    given = {
        "weight_variance": 1.0 if request.weight_variance is None else request.weight_variance,
        "bias_variance": request.bias_variance or 0.0,
    }
    network = MLP(sizes, request.activation, skip=request.skip, **given)
    return network.critical() if request.weight_variance is None else network


def _rows(request: _Request, network: "MLP") -> "Tensor | None":
    """Return the chosen rows of the user's data, flat, in float64; None for the standard inputs."""
    if request.inputs is None:
        return None
    import torch

    from rgflow.datasets import load

    data = load(request.inputs).inputs.flatten(1).double()
    if data.shape[1] != network.widths[0]:
        raise SettingError(
            f"--inputs {request.inputs} has {data.shape[1]} features, but --widths begins with {network.widths[0]};"
            f" begin with {data.shape[1]}"
        )
    chosen = torch.randperm(len(data), generator=torch.Generator().manual_seed(request.seed))[: request.count]
    return data[chosen]

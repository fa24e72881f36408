"""The job of `rgflow theory`: the effective theory of one network on some inputs, beside an ensemble of its law.

The story: the flow of kernel, shift and vertex; where the kernel flow ends and what is critical; an ensemble of drawn
networks; both side by side; fluctuations at several widths on one scale, depth over width.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rgflow import __version__
from rgflow.ensembles import sample_kernels, sample_networks, sample_residual
from rgflow.errors import NoCriticalPoint
from rgflow.numerics import statistics
from rgflow.records import MLP, Estimate, Flow
from rgflow.report.theory_report import Collapse, Diagram, DiagramLine, TheoryCouplings, TheoryNetwork, TheoryReport
from rgflow.studies.flow_comparison import compared_layers
from rgflow.theory import criticality, flow, optimal_aspect_ratio
from rgflow.theory.growth import class_in_words
from rgflow.theory.phase_lines import FixedState, fixed_state, phase_lines

__all__ = ["standard_inputs", "theorise"]

Progress = Callable[[str, float], None]

COLLAPSE_WIDTHS = (32, 64, 128, 256)
COLLAPSE_DEPTH = 16  # hidden layers: depth / width from 1/256 to 1/2, through weak into strong coupling
COLLAPSE_NETWORKS = 1500  # a relative error of the variance of sqrt(2 / 1500) = 4 % for light tails
OVERLAP = 0.5  # correlation of the two standard inputs


def theorise(
    network: MLP,
    inputs: Tensor | None = None,
    *,
    name: str = "",
    networks: int = 2000,
    seed: int = 0,
    weight_law: str = "gaussian",
    bias_law: str = "gaussian",
    collapse: bool = False,
    progress: Progress | None = None,
) -> TheoryReport:
    """Return the effective theory of `network` on `inputs` (N, n_0), or on two standard inputs, beside drawn networks.

    `collapse` adds what the page alone shows: ensembles of four widths, which take some seconds more.
    Raises: SettingError, DataError as `theory.flow` and `ensembles.sample_kernels`.
    """
    said = progress or (lambda _stage, _fraction: None)
    clock = _Clock()
    rows = standard_inputs(network) if inputs is None else inputs
    said("theory", 0.0)
    found = flow(network, rows, order=1, weight_law=weight_law, bias_law=bias_law, seed=seed)
    clock.lap("theory")
    kernels = None
    if networks:
        kernels = _drawn(network, rows, networks=networks, seed=seed, laws=(weight_law, bias_law), progress=said)
    clock.lap("ensemble")
    curves, title = _collapse(network, seed=seed, progress=said) if networks and collapse else ((), "")
    clock.lap("collapse")
    end = _end(network)
    described = _described(network, end, laws=(weight_law, bias_law))
    outputs = network.widths[-1]
    ratio = None if described.growth is None else optimal_aspect_ratio(network.activation, outputs=outputs)
    report = TheoryReport(
        version=__version__,
        seed=seed,
        networks=networks,
        inputs=name or _standard_words(len(rows)),
        network=described,
        layers=compared_layers(found, kernels),
        couplings=_couplings(len(rows), neurons=outputs),
        collapse=curves,
        collapse_title=title,
        diagram=_diagram(network),
        optimal_aspect=None if ratio is None else ratio.ratio,
        aspect=sum(1.0 / width for width in network.widths[1:-1]),
        aspect_warning="" if ratio is None else _capital(ratio.warning),
        control=float(found.control[-1]),
        notes=_notes(found),
        timing=clock.laps,
    )
    said("done", 1.0)
    return report


class _Clock:
    """Wall-clock seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Note the seconds since the last lap under `stage`."""
        now = time.perf_counter()
        self.laps[stage], self._last = now - self._last, now


def standard_inputs(network: MLP) -> Tensor:
    """Return two inputs of entries +-r with correlation 1/2, r such that K^(1) is the critical kernel, or 1; one if n_0 < 4."""
    features = network.widths[0]
    point = criticality(network.activation)
    kernel = point.kernel if point.kernel is not None and point.kernel > 0 else 1.0
    weight, bias = network.weight_variance[0], network.bias_variance[0]
    size = math.sqrt(max(kernel - bias, 0.5 * kernel) / weight) if weight > 0 else 1.0
    rows = torch.full((2, features), size, dtype=torch.float64)
    rows[1, features - round(features * (1 - OVERLAP) / 2) :] *= -1.0
    return rows if features >= 4 else rows[:1]


def _standard_words(count: int) -> str:
    return "two standard inputs of correlation 1/2" if count == 2 else "one standard input"


def _drawn(
    network: MLP, rows: Tensor, *, networks: int, seed: int, laws: tuple[str, str], progress: Progress
) -> Tensor | None:
    """Return the kernels (networks, L, N, N) of drawn networks: exact in law, or with weights where they are not Gaussian.

    With a skip the averages of z_a z_b over each layer, whose mean is that of the kernel.
    """

    done = 0

    def heard(count: int) -> None:
        nonlocal done
        done += count
        progress("drawing networks", 0.2 + 0.5 * done / networks)

    if network.skip:
        return sample_residual(network, rows, networks=networks, seed=seed)
    if laws == ("gaussian", "gaussian"):
        drawn = sample_kernels(network, rows, networks=networks, seed=seed, keep_kernels=True, progress=heard)
    else:
        drawn = sample_networks(
            network,
            rows,
            networks=networks,
            seed=seed,
            weight_law=laws[0],
            bias_law=laws[1],
            keep_kernels=True,
            progress=heard,
        )
    return drawn.kernels


def _end(network: MLP) -> FixedState | None:
    """Return where the kernel of a deep network of the last layer's variances would end; None with a skip."""
    if network.skip:
        return None
    return fixed_state(
        network.activation, weight_variance=network.weight_variance[-1], bias_variance=network.bias_variance[-1]
    )


def _described(network: MLP, end: FixedState | None, *, laws: tuple[str, str]) -> TheoryNetwork:
    point = criticality(network.activation)
    return TheoryNetwork(
        widths=network.widths,
        activation=network.activation.name,
        universality=class_in_words(network.activation),
        skip=network.skip,
        weight_law=laws[0],
        bias_law=laws[1],
        critical_weight_variance=point.weight_variance,
        critical_bias_variance=point.bias_variance,
        critical_kernel=point.kernel,
        growth=None if network.skip else point.growth,
        settles=_settles(network, end),
        depth_parallel=math.nan if end is None else end.depth_parallel,
        depth_perpendicular=math.nan if end is None else end.depth_perpendicular,
    )


def _settles(network: MLP, end: FixedState | None) -> str:
    """Return one sentence on the end of the kernel flow."""
    if end is None:
        return f"residual network with skip {network.skip:g}: see the layers"
    scales = (
        f"chi_parallel {end.chi_parallel:.4g}, chi_perpendicular {end.chi_perpendicular:.4g}, depth scales"
        f" {_layers(end.depth_parallel)} (kernel) and {_layers(end.depth_perpendicular)} (distances)"
    )
    words = {
        "fixed": f"the kernel settles at {end.kernel:.4g}: {scales}",
        "drifting": f"the kernel drifts as a power of depth, {end.kernel:.3g} after 1000 layers: {scales}",
        "vanishing": f"the kernel vanishes exponentially: {scales}",
        "exploding": f"the kernel explodes: {scales}",
    }
    return words[end.kind]


def _layers(depth: float) -> str:
    return "infinite" if depth > 1e6 else f"{depth:.3g} layers"  # beyond: chi = 1 but for rounding


def _couplings(inputs: int, *, neurons: int) -> TheoryCouplings:
    pairs = inputs * (inputs + 1) // 2
    return TheoryCouplings(inputs, neurons, pairs, pairs * (pairs + 1) // 2, math.comb(inputs + 3, 4))


def _diagram(network: MLP) -> Diagram | None:
    """Return the phase diagram of the activation with the network's layers; None with a skip, which moves the lines."""
    if network.skip:
        return None
    lines = tuple(
        DiagramLine(line.level, _plain(line.weight_variance), _plain(line.bias_variance))
        for line in phase_lines(network.activation)
    )
    points = dict.fromkeys(zip(network.weight_variance, network.bias_variance, strict=True))
    return Diagram(lines, tuple(points))


def _plain(values: Tensor) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())


def _collapse(network: MLP, *, seed: int, progress: Progress) -> tuple[tuple[Collapse, ...], str]:
    """Return relative kernel variances of critical networks of several widths (of the network's own variances, where its
    activation has no critical point), and the words that say which."""
    try:
        MLP((4, 4), network.activation, weight_variance=1.0).critical()
        critical = True
    except NoCriticalPoint:
        critical = False
    curves = []
    for number, width in enumerate(COLLAPSE_WIDTHS):
        progress("collapse", 0.7 + 0.3 * number / len(COLLAPSE_WIDTHS))
        sizes = (4, *(width,) * COLLAPSE_DEPTH, 1)
        weight, bias = network.weight_variance[-1], network.bias_variance[-1]
        own = MLP(sizes, network.activation, weight_variance=weight, bias_variance=bias)
        curves.append(_curve(own.critical() if critical else own, seed=seed))
    state = "at the critical point" if critical else "at the network's own variances"
    return tuple(curves), f"One input, {network.activation.name} {state}, {COLLAPSE_NETWORKS} networks each"


def _curve(network: MLP, *, seed: int) -> Collapse:
    row = standard_inputs(network)[:1]
    found = flow(network, row, order=1)
    drawn = sample_kernels(network, row, networks=COLLAPSE_NETWORKS, seed=seed, keep_kernels=True)
    assert found.vertex is not None
    assert drawn.kernels is not None
    width = network.widths[1]
    predicted = found.vertex[1:, 0, 0] / width / found.kernel[1:, 0, 0] ** 2
    measured = statistics.variance(drawn.kernels[:, 1:, 0, 0] / found.kernel[1:, 0, 0])
    estimates = zip(measured.value.tolist(), measured.error.tolist(), strict=True)
    return Collapse(
        width,
        tuple(layer / width for layer in range(1, len(predicted) + 1)),
        tuple(predicted.tolist()),
        tuple(Estimate(value, error, "statistical") for value, error in estimates),
    )


def _notes(found: Flow) -> tuple[str, ...]:
    notes = []
    control = float(found.control[-1])
    if control >= 1.0:
        notes.append(f"control is {control:.3g}: the expansion in 1/width has failed; only the measured columns count")
    if found.network.skip:
        notes.append("residual network: deviations are between neurons and are not measured; means are")
    return tuple(notes)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

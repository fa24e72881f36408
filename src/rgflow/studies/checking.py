"""`rgflow.check`: read a model, forecast it, measure it, compare, judge. The story of the main job.

Everything the user owns is left as found: the model, random states, default dtype, thread counts.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

import rgflow
from rgflow.datasets import as_dataset, feature_census
from rgflow.errors import DeviceError, RgflowError, SettingError
from rgflow.networks import (
    Chain,
    CurvatureMeasurement,
    Draws,
    Factory,
    as_factory,
    cloned_layers,
    curvature_top,
    draw_networks,
    enclosing_blocks,
    initial_laws,
    measure_ensemble,
    untouched,
)
from rgflow.numerics.criticality import criticality
from rgflow.records import Dataset, EnsembleMeasurement, Estimate, Finding, LayerReport, Quantity
from rgflow.report import CheckData, CheckModel, CheckReport, LearningRateLimit
from rgflow.studies.batch_choice import BatchChoice, fitting_batch
from rgflow.studies.comparing import compared_rows, output_deviation, scaled, tally_of
from rgflow.studies.forecasting import ModelForecast, forecast_model
from rgflow.studies.task import Task, task_of
from rgflow.theory.growth import class_in_words, control_parameter
from rgflow.theory.judgement import WholeModel, judge, row_verdicts

__all__ = ["check"]

CURVATURE_NETWORKS = 8  # explicit networks on which the top curvature is measured: a standard error of about 10 %
LARGEST_BATCH = 4096  # the theory looks at all pairs of inputs: 1 GB beyond it
NARROW = 256  # widest chain that runs on one thread; wider ones gain from two
CURVATURE_FEW = 3  # networks where one of them is dear
DEAR = 2e8  # parameters x inputs x positions, about a second per network
Progress = Callable[[str, float], None]


def check(
    model_or_factory: "nn.Module | Factory | Callable[[], nn.Module]",
    inputs: Any,
    targets: Any = None,
    *,
    networks: int = 64,
    seed: int = 0,
    optimizer: str = "sgd",
    learning_rate: float | None = None,
    batch: int | None = None,
    device: str = "cpu",
    model_name: str | None = None,
    remedy: str = "rgflow.tune(model, inputs, targets)",
    progress: Progress | None = None,
) -> CheckReport:
    """Return the report of one check: every layer forecast, measured on drawn networks and judged.

    `model_or_factory` is a callable without arguments that builds the model, or a module; `inputs` an array, a tensor or
    a Dataset. A factory is drawn `networks` times; a module is copied and redrawn by its own laws where possible.
    `model_name` and `remedy` are how the report names the model and the way to tune it.
    Errors: each forecast carries its error bar, each measurement its standard error over networks.
    Raises: SettingError, DataError, ModelError, DeviceError, each with one sentence.

    Example:
    >>> from torch import nn
    >>> report = check(lambda: nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3)), torch.randn(32, 4))
    >>> report.verdict
    'healthy'
    """
    _checked(networks=networks, seed=seed, batch=batch, device=device, learning_rate=learning_rate, optimizer=optimizer)
    networks, seed, batch = int(networks), int(seed), None if batch is None else int(batch)  # numpy's integers
    clock = _Clock(progress or (lambda stage, fraction: None))
    factory = as_factory(model_or_factory)
    with untouched(factory.instance):
        data = as_dataset(inputs, targets)
        clock.enter("drawing networks", 0.02)
        draws = draw_networks(factory, networks=networks, seed=seed, example=data.inputs[:2])
        choice = fitting_batch(draws, data, size=batch, seed=seed)
        if isinstance(choice.structure, Chain) and max(choice.structure.widths) <= NARROW:
            torch.set_num_threads(1)  # small tensors: threads wait for each other longer than they work
        task = task_of(choice.batch, output_shape=choice.trial.output_shape)
        clock.enter("measuring", 0.1)
        on_device = (draw.to(device) for draw in draws)
        measured = measure_ensemble(
            on_device, choice.batch.inputs.to(device), task.targets_on(device), loss=task.loss, seed=seed
        )
        clock.enter("estimating the initialisation", 0.4)
        laws = initial_laws(draws)
        clones = () if len(draws) < 2 else enclosing_blocks(cloned_layers(_few(draws)))
        clock.enter("forecasting", 0.5)
        forecast = forecast_model(draws, choice, task=task, laws=laws, seed=seed + 1)
        clock.enter("stability", 0.85)
        curvature = _curvature(draws, choice, task, seed=seed)
        cells = len(choice.batch.inputs) * task.outputs
        rate = _learning_rate(curvature, forecast, cells=cells, given=learning_rate, optimizer=optimizer)
        clock.enter("judging", 0.97)
        rows = compared_rows(measured, forecast=forecast, laws=laws, curvature=curvature)
        name = model_name or factory.name
        whole = _whole(data, measured, task=task, rate=rate, forecast=forecast, clones=clones, remedy=remedy)
        findings = judge(rows, whole)
        clock.leave()
    about = _About(
        name,
        data,
        choice,
        task,
        draws,
        forecast,
        rate,
        seed,
        clock.seconds,
        given_instance=factory.instance is not None,
    )
    return _report(rows, findings, measured, about=about)


def _checked(
    *, networks: int, seed: int, batch: int | None, device: str, learning_rate: float | None, optimizer: str
) -> None:
    for name, number in (("networks", networks), ("seed", seed), ("batch", batch)):
        if number is not None and not isinstance(number, Integral):
            raise SettingError(f"{name} is {number!r}; it must be a whole number")
    if networks < 2:
        raise SettingError(f"networks is {networks}; at least 2 are needed for a spread over seeds")
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be a whole number >= 0")
    if batch is not None and not 2 <= batch <= LARGEST_BATCH:
        raise SettingError(f"batch is {batch}; it must lie between 2, to tell inputs apart, and {LARGEST_BATCH}")
    if learning_rate is not None and not (math.isfinite(learning_rate) and learning_rate > 0):
        raise SettingError(f"learning_rate is {learning_rate}; it must be a positive number")
    if optimizer not in ("sgd", "adam", "adamw"):
        raise SettingError(f"optimizer is {optimizer!r}; it must be 'sgd', 'adam' or 'adamw'")
    _device_exists(device)


def _device_exists(device: str) -> None:
    """Refuse what cannot compute here."""
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device {device!r} is unknown; use device='cpu' or device='cuda'") from error
    if found.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {device!r} is not supported; use device='cpu' or device='cuda'")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {device!r} is not available on this machine; use device='cpu'")


def _few(draws: Draws) -> list[nn.Module]:
    """Return two draws: copies that agree in both are copies by construction."""
    return [draws.draw(0), draws.draw(1)]


@dataclass
class _Clock:
    """Seconds by stage, and the word to whoever watches."""

    progress: Progress
    stage: str = ""
    since: float = 0.0

    def __post_init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def enter(self, stage: str, fraction: float) -> None:
        self.leave()
        self.stage, self.since = stage, time.perf_counter()
        self.progress(stage, fraction)

    def leave(self) -> None:
        if self.stage:
            self.seconds[self.stage] = time.perf_counter() - self.since


def _curvature(draws: Draws, choice: BatchChoice, task: Task, *, seed: int) -> "CurvatureMeasurement | str":
    """Return the curvature measured on a few networks, or why it could not be; their number depends on size alone."""
    batch = choice.batch
    cost = sum(p.numel() for p in draws.draw(0).parameters()) * len(batch.inputs) * choice.trial.positions
    count = CURVATURE_NETWORKS if cost < DEAR else CURVATURE_FEW
    try:
        return curvature_top(
            draws, batch.inputs, task.targets, task_loss=task.kind,
            networks=min(count, len(draws)), seed=seed,
        )  # fmt: skip
    except RgflowError as error:
        return f"the curvature could not be measured: {error}"


def _learning_rate(
    found: "CurvatureMeasurement | str",
    forecast: ModelForecast,
    *,
    cells: int,
    given: float | None,
    optimizer: str,
) -> LearningRateLimit:
    """Return the stability limit 2 / curvature, forecast where there is theory and measured; `cells` inputs x outputs."""
    trace = None if forecast.tangent_trace is None else scaled(forecast.tangent_trace, 1 / cells)
    if isinstance(found, str):
        return LearningRateLimit(
            Quantity(_inverse(forecast.curvature), reason=found), Quantity(trace, reason=found),
            Quantity(forecast.curvature, reason=found), optimizer, given,
        )  # fmt: skip
    why = "" if forecast.curvature else "no analytic forecast of the tangent kernel for this model"
    return LearningRateLimit(
        stable_limit=Quantity(_inverse(forecast.curvature), found.stable_step, why),
        tangent_trace=Quantity(trace, found.trace, why),
        tangent_top=Quantity(forecast.curvature, found.top, why),
        optimizer=optimizer,
        given=given,
    )


def _inverse(curvature: Estimate | None) -> Estimate | None:
    """Return the largest stable step 2 / curvature, with the relative error of the curvature."""
    if curvature is None or curvature.value <= 0:
        return None
    step = 2 / curvature.value
    return Estimate(step, step * curvature.error / curvature.value, curvature.kind)


def _whole(
    data: Dataset,
    measured: EnsembleMeasurement,
    *,
    task: Task,
    rate: LearningRateLimit,
    forecast: ModelForecast,
    clones: tuple[tuple[str, ...], ...],
    remedy: str,
) -> WholeModel:
    """Return what judging needs beyond the rows."""
    census = feature_census(data) if data.inputs.is_floating_point() else None
    targets = data.targets if data.task == "regression" else None
    activations = () if forecast.chain is None else dict.fromkeys(forecast.chain.activations)
    uncritical = [(a.name, point.reason) for a in activations if (point := criticality(a)).kind in ("none", "unstable")]
    return WholeModel(
        outputs_square=_average(measured.output_square),
        loss=_average(measured.loss),
        target_square=None if targets is None else float(targets.double().square().mean()),
        classes=data.classes if task.kind in ("cross_entropy", "binary_cross_entropy") else None,
        constant=() if census is None else census.constant_names,
        features=0 if census is None else census.features,
        scale_range=1.0 if census is None else census.peak_range,
        extremes=("", "") if census is None else (census.smallest, census.largest),
        learning_rate=rate.given,
        optimizer=rate.optimizer,
        stable_limit=rate.stable_limit,
        uncritical=tuple(uncritical),
        clones=clones,
        remedy=remedy,
        error=measured.error,
    )


def _average(samples: Tensor) -> float:
    return float(samples[~samples.isnan()].mean()) if bool((~samples.isnan()).any()) else math.nan


@dataclass(frozen=True)
class _About:
    """The header of a report."""

    name: str
    data: Dataset
    choice: BatchChoice
    task: Task
    draws: Draws
    forecast: ModelForecast
    rate: LearningRateLimit
    seed: int
    seconds: dict[str, float]
    given_instance: bool

    def model(self) -> CheckModel:
        """What was checked."""
        module = self.draws.draw(0)
        chain = self.choice.structure if isinstance(self.choice.structure, Chain) else None
        settings = self.forecast.chain
        depth = len(chain.linears) if chain else sum(1 for row in self.forecast.rows.values() if row.gradient_square)
        return CheckModel(
            name=self.name,
            architecture=chain.summary if chain else type(module).__name__,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
            depth=depth,
            control=None if settings is None else control_parameter(settings.widths, settings.activations),
            activation_classes={} if settings is None else {a.name: class_in_words(a) for a in settings.activations},
        )

    def notes(self) -> tuple[str, ...]:
        """Sentences about the run as a whole."""
        found = [*self.choice.notes, *self.forecast.notes, self.task.note]
        if self.choice.trial.error:  # a model that stops says so in a finding; what follows from it needs no note
            found = list(self.choice.notes)
        if self.given_instance or not self.draws.redrawn:
            found.append(self.draws.reason)
        if self.draws.identical:
            found.append("the factory returns the same parameters for every seed: there is no spread over seeds to see")
        return tuple(dict.fromkeys(note for note in found if note))


def _report(
    rows: tuple[LayerReport, ...], findings: tuple[Finding, ...], measured: EnsembleMeasurement, *, about: _About
) -> CheckReport:
    judged = tuple(
        replace(row, verdict=verdict) for row, verdict in zip(rows, row_verdicts(rows, findings), strict=True)
    )
    data = about.data
    return CheckReport(
        version=rgflow.__version__,
        seed=about.seed,
        networks=len(about.draws),
        verdict="findings" if any(finding.severity == "problem" for finding in findings) else "healthy",
        model=about.model(),
        data=CheckData(
            data.name,
            tuple(data.inputs.shape),
            len(about.choice.batch.inputs),
            data.task,
            about.task.words,
            data.classes,
        ),
        findings=findings,
        layers=judged,
        learning_rate=about.rate,
        output_deviation=output_deviation(measured, rows),
        tally=tally_of(rows),
        timing=about.seconds,
        notes=about.notes(),
        error=measured.error,
    )

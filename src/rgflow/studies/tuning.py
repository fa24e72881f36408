"""Tune a model before training: the same model with critical variances, and the diff that says what changed and why.

Convention: C_W = fan * Var W, C_b = Var b. Nothing that is given is changed: not the model, not the random state.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn

from rgflow.datasets.arrays import as_dataset
from rgflow.datasets.census import feature_census
from rgflow.datasets.sampling import batch_of
from rgflow.errors import SettingError
from rgflow.networks.equality import equal_parameters
from rgflow.networks.factories import Factory, as_factory
from rgflow.networks.following import MapUse, map_uses
from rgflow.networks.redraw import draw_networks
from rgflow.networks.write import ParameterGroup, Redraw, own_variance, parameter_groups, redraw_, redrawn
from rgflow.records.architecture import MLP
from rgflow.records.dataset import Dataset
from rgflow.records.tuning import LayerChange
from rgflow.report.tuning import changes_table
from rgflow.theory.judgement import DEPTH_TOLERANCE
from rgflow.theory.scaling import learning_rates as rates_of
from rgflow.theory.tuning_rule import (
    Prescription,
    first_map,
    head_for_classes,
    head_for_regression,
    hidden_map,
    residual_map,
)
from rgflow.theory.working_point import WorkingPoint, working_point

__all__ = ["Tuned", "tune"]

# As many samples as `check` looks at; the data's second moment is known to 1/sqrt(256) per feature.
_BATCH = 256
# The default rate of torch.optim.SGD, Adam and AdamW alike; used only where rates differ between layers.
_TORCH_RATE = 1e-3
_NO_GAIN = (
    "norm layers take the scale of {} of {} maps away: tuning these gives nothing there (measured, docs/tune.md), "
    "so they are kept"
)


@dataclass(frozen=True)
class Tuned:
    """A tuned copy of a model and everything needed to tune other draws of the same architecture.

    `changes` is the diff, one row per layer; `plan` the redrawn tensors; `multipliers` the rates that differ from 1.
    """

    model: nn.Module
    changes: tuple[LayerChange, ...]
    notes: tuple[str, ...]
    plan: tuple[Redraw, ...]
    multipliers: Mapping[str, float] = field(default_factory=dict)
    optimizer: str = "sgd"
    seed: int = 0

    @property
    def parameter_groups(self) -> list[ParameterGroup]:
        """Groups of `model`'s parameters for the stock optimizer; they carry rates only where these differ by layer."""
        return self.groups(self.model)

    def groups(self, model: nn.Module, *, learning_rate: float | None = None) -> list[ParameterGroup]:
        """Return the optimizer groups of any model of this architecture, at a base rate (PyTorch's default: 0.001)."""
        base = _TORCH_RATE if learning_rate is None and self.multipliers else learning_rate
        return parameter_groups(model, learning_rate=base, multipliers=self.multipliers)

    def apply_(self, model: nn.Module, *, seed: int | None = None) -> nn.Module:
        """Draw the tuned layers of `model` again, in place, and return it; `seed` defaults to the one of `tune`."""
        return redraw_(model, self.plan, seed=self.seed if seed is None else seed)

    def table(self, width: int = 120) -> str:
        """Return the diff as text, at most `width` columns wide."""
        return changes_table(self.changes, notes=self.notes, width=width)


def tune(
    model: "nn.Module | Factory | Callable[[], nn.Module]",
    inputs: Any,
    targets: Any = None,
    *,
    optimizer: str = "sgd",
    learning_rates: bool = False,
    seed: int = 0,
) -> Tuned:
    """Return a tuned copy of `model` for these data: critical variances, and unit scale at both ends.

    `inputs` may be a `Dataset`. Kept as they are: norms and what they normalise, zero-initialised branches, tied
    weights, embeddings, recurrent cells. `learning_rates=True` adds rates per layer (plain chains of Linear only).
    Errors: leading order in 1 / width; the data's scale is that of up to 256 samples.
    Raises: ModelError, DataError or SettingError, one sentence each.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 5 and 9; docs/tune.md.
    """
    if optimizer not in ("sgd", "adam", "adamw"):
        raise SettingError(f"optimizer is {optimizer!r}; it must be 'sgd', 'adam' or 'adamw'")
    data = as_dataset(inputs, targets)
    batch = batch_of(data, size=_BATCH, seed=seed)
    factory = as_factory(model)
    network = factory.instance
    if network is None:
        network = draw_networks(factory, networks=1, seed=seed, example=batch.inputs[:2]).draw(0)
    uses = map_uses(network, batch.inputs)
    tuning = _Tuning(network, uses, data)
    plan = tuning.plan()
    multipliers, rate_note = _multipliers(network, uses, optimizer=optimizer) if learning_rates else ({}, "")
    return Tuned(
        model=redrawn(network, plan, seed=seed),
        changes=tuning.changes(multipliers),
        notes=tuple(note for note in (*tuning.notes(), rate_note) if note),
        plan=plan,
        multipliers=multipliers,
        optimizer=optimizer,
        seed=seed,
    )


class _Tuning:
    """The prescription of every map of one network, and the rows and tensors that follow from it."""

    def __init__(self, network: nn.Module, uses: tuple[MapUse, ...], data: Dataset) -> None:
        self._parameters = dict(network.named_parameters())
        self._network, self._uses, self._data = network, uses, data
        self._normed = any(use.role == "normed" or use.normed_branch for use in uses)
        self._decided = {use.weight: self._decision(use) for use in uses}
        self._clones = tuple(name for group in equal_parameters(network) for name in group)

    def plan(self) -> tuple[Redraw, ...]:
        """Return the tensors to draw again."""
        entries = []
        for use in self._uses:
            rule = self._decided[use.weight]
            if isinstance(rule, Prescription):
                entries.append(Redraw(use.weight, rule.weight_variance / use.fan))
                if use.bias in self._parameters:
                    entries.append(Redraw(use.bias, rule.bias_variance))
        named = {entry.parameter for entry in entries}
        # Layers that start as copies of each other are drawn apart, each tensor at its own variance.
        apart = [name for name in self._clones if name not in named]
        return (*entries, *(Redraw(name, own_variance(self._parameters[name])) for name in apart))

    def changes(self, multipliers: Mapping[str, float]) -> tuple[LayerChange, ...]:
        """Return one row per layer with parameters, in the model's order."""
        uses = {use.weight.rpartition(".")[0] or use.weight: use for use in self._uses}
        rows = []
        for owner, module in self._network.named_modules():
            own = [name for name, _ in module.named_parameters(owner, recurse=False)]
            mapped = [uses.pop(key) for key in (owner, *own) if key in uses]
            rows += [self._row(use, multiplier=multipliers.get(use.weight, 1.0)) for use in mapped]
            if own and not mapped:
                rows += self._kept_rows(owner, module, own)
        return tuple(rows)

    def notes(self) -> tuple[str, ...]:
        """Return sentences about the model and the data as a whole."""
        taken = sum(1 for use in self._uses if use.role == "normed")
        notes = [_NO_GAIN.format(taken, len(self._uses))] if taken else []
        if not any(isinstance(rule, Prescription) for rule in self._decided.values()):
            notes.append("nothing to tune: every layer is kept")
        if self._clones:
            notes.append(f"{len(self._clones)} tensors started as copies of others and are drawn apart")
        return (*notes, *_data_notes(self._uses, self._data))

    def _decision(self, use: MapUse) -> Prescription | str:
        """Return the map's prescription, or the reason why it is kept."""
        square = use.feed.varying / use.feed.features
        before = _point(use.before)
        if use.role in ("normed", "other"):
            return use.reason
        if use.before is not None and before is None:
            return f"{use.before.name} has no slope to rely on: no variance preserves its gradients"
        if use.role == "residual":
            return self._residual(use, before)
        if self._normed and use.role in ("first", "head"):
            return "norm layers set the scale of this model; its ends are of order one as they are"
        if use.role == "head":
            own = square if use.reads in ("data", "embedding", "norm") else 1.0
            return self._head(use, square=before.second_moment if before else own)
        if use.role == "first":
            return (
                first_map(_point(use.after), square=square, boundary=use.boundary)
                if square > 0
                else "reads constants only"
            )
        return hidden_map(before, after=_point(use.after), boundary=use.boundary)

    def _residual(self, use: MapUse, before: WorkingPoint | None) -> Prescription:
        if not use.normed_branch:
            return residual_map(before, branches=use.branches, boundary=use.boundary)
        weight, bias = (self._parameters.get(name or "") for name in (use.weight, use.bias))
        return Prescription(
            own_variance(weight) * use.fan / use.branches if weight is not None else 0.0,
            own_variance(bias) / use.branches if bias is not None else 0.0,
            f"closes one of {use.branches} residual branches behind a norm: its own variance / {use.branches}",
        )

    def _head(self, use: MapUse, *, square: float) -> Prescription | str:
        if not square > 0:
            return "reads constants only"
        if self._data.task == "classification":
            return head_for_classes(square=square)
        if self._data.task == "regression":
            spread = cast("Tensor", self._data.targets).double().var(0).mean()
            return head_for_regression(square=square, target_variance=float(spread))
        return hidden_map(_point(use.before), boundary=use.boundary)

    def _row(self, use: MapUse, *, multiplier: float) -> LayerChange:
        rule = self._decided[use.weight]
        redraw = isinstance(rule, Prescription)
        bias = self._parameters.get(use.bias or "")
        return LayerChange(
            layer=use.weight.removesuffix(".weight"),
            kind=use.kind,
            action="redrawn" if redraw else "kept",
            weight_variance_before=use.fan * own_variance(self._parameters[use.weight]),
            weight_variance_after=rule.weight_variance if redraw else None,
            bias_variance_before=None if bias is None else own_variance(bias),
            bias_variance_after=rule.bias_variance if redraw and bias is not None else None,
            rate_multiplier=multiplier,
            reason=rule.reason if redraw else rule,
        )

    def _kept_rows(self, owner: str, module: nn.Module, names: list[str]) -> list[LayerChange]:
        """Return one row for a layer without a map, or one for each parameter that a block of layers owns itself."""
        if any(True for _ in module.children()):
            return [self._kept_row(name, "Parameter", [name]) for name in names]
        return [self._kept_row(owner or "(model)", type(module).__name__, names)]

    def _kept_row(self, owner: str, kind: str, names: list[str]) -> LayerChange:
        apart = set(names) & set(self._clones)
        noun = "parameter" if kind == "Parameter" else "layer"
        reason = "drawn apart from its copies, at its own variance" if apart else f"no rule for this kind of {noun}"
        reason = "scales and shifts of a norm stay" if "norm" in kind.lower() else reason
        action = "redrawn" if apart else "kept"
        return LayerChange(owner, kind, action, None, None, None, None, 1.0, reason)


def _point(activation: Any) -> WorkingPoint | None:
    return None if activation is None else working_point(activation)


def _data_notes(uses: tuple[MapUse, ...], data: Dataset) -> list[str]:
    notes = []
    census = feature_census(data) if data.inputs.is_floating_point() else None
    if census is not None and census.constant:
        notes.append(f"{len(census.constant)} of {census.features} input features are constant and do not count")
    if any(use.reads == "data" and use.feed.constant > use.feed.varying for use in uses):
        notes.append("constant input features outweigh those that vary: drop them, they act as one large bias")
    if census is not None and census.peak_range**2 > DEPTH_TOLERANCE:
        notes.append(
            f"input features have unequal scales (largest {census.largest}, {census.peak_range:.3g} times the smallest, "
            f"{census.smallest}): standardise each one; no initialisation repairs that"
        )
    if data.task == "regression" and data.targets is not None:
        mean, spread = float(data.targets.double().mean()), float(data.targets.double().std())
        if abs(mean) > spread:
            notes.append(f"targets have mean {mean:.3g} and standard deviation {spread:.3g}: subtract the mean first")
    return notes


def _multipliers(network: nn.Module, uses: tuple[MapUse, ...], *, optimizer: str) -> tuple[dict[str, float], str]:
    """Return rate multipliers by the equivalence principle for a plain chain, or none and the reason."""
    parameters = dict(network.named_parameters())
    roles = [use.role for use in uses]
    activations = {use.before.name for use in uses if use.before is not None}
    chain = roles == ["first", *["hidden"] * (len(uses) - 2), "head"] and all(u.kind == "Linear" for u in uses)
    if not chain or len(activations) != 1 or len(parameters) != sum(2 if use.bias else 1 for use in uses):
        return (
            {},
            "rates are left equal: rates per layer are offered for plain chains of Linear and one activation only",
        )
    activation = next(use.before for use in uses if use.before is not None)
    widths = [parameters[uses[0].weight].shape[1], *(parameters[use.weight].shape[0] for use in uses)]
    rates = rates_of(MLP(widths, activation, weight_variance=1.0), optimizer=optimizer).relative()
    multipliers = {use.weight: rate for use, rate in zip(uses, rates.weight, strict=True)}
    multipliers |= {use.bias: rate for use, rate in zip(uses, rates.bias, strict=True) if use.bias}
    return (
        multipliers,
        "rates per layer give every layer an equal share of the tangent kernel; no experiment here supports them",
    )

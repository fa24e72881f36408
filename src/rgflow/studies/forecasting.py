"""Which forecast a model gets: the analytic theory for fully connected chains, mean-field replicas for the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rgflow.errors import RgflowError
from rgflow.networks import Chain, Draws, ParameterLaw, forecast_rows
from rgflow.records import Estimate, RowForecast
from rgflow.studies.batch_choice import BatchChoice
from rgflow.studies.task import Task
from rgflow.theory.chain_forecast import ChainForecast, ChainSettings, forecast_chain
from rgflow.theory.laws import LayerLaw

__all__ = ["ModelForecast", "forecast_model"]

GAUSSIAN_KURTOSIS = 0.02  # estimated kurtoses this close to 0 or -6/5 are taken as exactly Gaussian or uniform
UNIFORM_KURTOSIS = -1.2
SAME_MEAN = 5.0  # standard errors beyond which the mean of a weight is not zero


@dataclass(frozen=True)
class ModelForecast:
    """Forecast rows by name, and for chains the whole-model numbers; `notes` say what could not be forecast."""

    rows: Mapping[str, RowForecast]
    chain: ChainSettings | None = None
    curvature: Estimate | None = None
    tangent_trace: Estimate | None = None
    notes: tuple[str, ...] = ()


def forecast_model(
    draws: Draws, choice: BatchChoice, *, task: Task, laws: Sequence[ParameterLaw], seed: int
) -> ModelForecast:
    """Return the best forecast of the model: theory where it applies, else mean field, with the reason."""
    structure = choice.structure
    reason = structure.reason if not isinstance(structure, Chain) else ""
    if isinstance(structure, Chain):
        chain = chain_settings(structure, laws)
        if isinstance(chain, ChainSettings):
            try:
                loss = None if structure.output_activation is not None else task.kind
                found = forecast_chain(chain, structure.features, targets=task.targets, loss=loss, seed=seed)
                return _from_theory(found, chain, notes=structure.notes)
            except RgflowError as error:
                reason = str(error)
        else:
            reason = chain
    found = forecast_rows(list(draws), choice.batch.inputs, task.targets, loss=task.loss, seed=seed)
    rows = {row.name: _with_reason(row, reason) for row in found.rows}
    why = (f"no analytic theory: {reason}",) if reason else ()
    return ModelForecast(rows, notes=(*why, *found.notes, *((found.error,) if found.error else ())))


def _from_theory(found: ChainForecast, chain: ChainSettings, *, notes: tuple[str, ...]) -> ModelForecast:
    rows = {row.name: row for row in found.rows}
    return ModelForecast(rows, chain, found.curvature, found.tangent_trace, notes)


def _with_reason(row: RowForecast, reason: str) -> RowForecast:
    """Say beside a mean-field row why it is not analytic."""
    if row.source != "mean field" or row.reason or not reason:
        return row
    return replace(row, reason=f"leading order: {reason}")


def chain_settings(chain: Chain, laws: Sequence[ParameterLaw]) -> "ChainSettings | str":
    """Return the chain with its estimated laws, or the reason why the theory of independent entries does not apply."""
    by_name = {law.name: law for law in laws}
    found = []
    for name, weight_name, bias_name in zip(chain.linears, chain.weights, chain.biases, strict=True):
        weight = by_name[weight_name]
        bias = by_name[bias_name] if bias_name else None
        refusal = _refusal(name, weight, bias)
        if refusal:
            return refusal
        found.append(_law(weight, bias))
    return ChainSettings(chain.linears, chain.widths, tuple(found), chain.activations, chain.bias)


def _refusal(name: str, weight: ParameterLaw, bias: ParameterLaw | None) -> str:
    if weight.orthogonal:
        return f"the weights of {name} are orthogonal: their rows are not independent"
    if weight.scaled_variance.value == 0.0:
        return f"the weights of {name} start at zero"
    if weight.tied_to:
        return f"the weights of {name} are tied to {weight.tied_to}"
    for law in (weight, bias):
        if law is not None and abs(law.mean_z) > SAME_MEAN:
            return f"{law.name} has mean {law.mean.value:.2g}, not zero"
    return ""


def _law(weight: ParameterLaw, bias: ParameterLaw | None) -> LayerLaw:
    return LayerLaw(
        weight_variance=weight.scaled_variance.value,
        bias_variance=0.0 if bias is None else bias.scaled_variance.value,
        weight_kurtosis=_kurtosis(weight),
        bias_kurtosis=0.0 if bias is None else _kurtosis(bias),
    )


def _kurtosis(law: ParameterLaw) -> float:
    """Return the excess kurtosis, exactly that of the recognised law where one is recognised."""
    if law.law == "uniform":
        return UNIFORM_KURTOSIS
    if law.law == "gaussian" or law.kurtosis is None or abs(law.kurtosis.value) < GAUSSIAN_KURTOSIS:
        return 0.0
    return max(law.kurtosis.value, -2.0)

"""The analytic forecast of a fully connected chain on a batch: one `RowForecast` for each weight layer.

Signal and spread carry their O(1/n) shifts and a truncation bar, their seed-to-seed deviations come from virtual
neurons, gradients are leading order with the bar of `truncation`. All errors are absolute, kind "truncation".
"""

import math
from dataclasses import dataclass

from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.records import Estimate, RowForecast
from rgflow.theory.batch_estimates import deviation_estimate, signal_estimate, spread_estimate
from rgflow.theory.batch_flow import BatchFlow, batch_flow
from rgflow.theory.gradient import BatchGradient, LossKind, batch_gradient
from rgflow.theory.laws import LayerLaw
from rgflow.theory.seed_deviation import Deviation, seed_deviation
from rgflow.theory.tangent import BatchTangent, batch_tangent
from rgflow.theory.truncation import curvature_bar, gradient_bar, tangent_bar

__all__ = ["ChainForecast", "ChainSettings", "forecast_chain"]


@dataclass(frozen=True)
class ChainSettings:
    """A fully connected chain as it is drawn: row names (L,), widths (L + 1,), laws (L,), activations (L - 1,), biases (L,)."""

    names: tuple[str, ...]
    widths: tuple[int, ...]
    laws: tuple[LayerLaw, ...]
    activations: tuple[Activation, ...]
    bias: tuple[bool, ...]


@dataclass(frozen=True)
class ChainForecast:
    """Forecast rows of the chain; `curvature` = top Gauss-Newton eigenvalue; `tangent_trace` = trace of the tangent kernel."""

    rows: tuple[RowForecast, ...]
    curvature: Estimate | None
    tangent_trace: Estimate
    flow: BatchFlow


def forecast_chain(
    chain: ChainSettings, inputs: Tensor, *, targets: Tensor | None, loss: LossKind | None, seed: int
) -> ChainForecast:
    """Return the forecast of `chain` on `inputs` (B, n_0) with `targets` as in a Dataset.

    Without `loss` (a loss of something else than the last layer's output) gradients and curvature are not forecast.

    Errors: see the module; `control` of a row is the relative variance of its kernel over seeds.
    Raises: SettingError where no kernel can flow (see `batch_flow`).
    """
    flow = batch_flow(inputs, widths=chain.widths, laws=chain.laws, activations=chain.activations, seed=seed)
    deviation = seed_deviation(flow, seed=seed + 1)
    tangent = batch_tangent(flow, bias=chain.bias)
    gradient = None
    if loss is not None:
        gradient = batch_gradient(tangent, targets=targets, outputs=chain.widths[-1], loss=loss, seed=seed + 2)
    rows = tuple(
        _row(chain, index, flow=flow, deviation=deviation, tangent=tangent, gradient=gradient)
        for index in range(len(chain.laws))
    )
    trace = chain.widths[-1] * float(tangent.total.trace())
    bar = sum(float(share) * tangent_bar(flow, layer=layer) for layer, share in enumerate(tangent.shares))
    return ChainForecast(
        rows,
        curvature=None if gradient is None else _curvature(flow, tangent, gradient),
        tangent_trace=Estimate(trace, trace * bar, "truncation"),
        flow=flow,
    )


def _curvature(flow: BatchFlow, tangent: BatchTangent, gradient: BatchGradient) -> Estimate:
    bar = gradient.curvature * curvature_bar(flow, tangent)
    return Estimate(gradient.curvature, math.hypot(gradient.curvature_error, bar), "truncation")


def _row(
    chain: ChainSettings,
    index: int,
    *,
    flow: BatchFlow,
    deviation: Deviation,
    tangent: BatchTangent,
    gradient: BatchGradient | None,
) -> RowForecast:
    mean, state = flow.means[index], flow.inputs[index]
    signal, spread = signal_estimate(mean), spread_estimate(mean)
    square, backward = (None, None) if gradient is None else _gradients(flow, gradient, layer=index)
    trace = chain.widths[-1] * float((tangent.weights[index] + tangent.biases[index]).trace())
    return RowForecast(
        name=chain.names[index],
        source="theory",
        signal=signal,
        spread=spread,
        signal_deviation=deviation_estimate(
            deviation.signal[index], deviation.signal_error[index], mean=signal, control=mean.control_signal
        ),
        spread_deviation=deviation_estimate(
            deviation.spread[index], deviation.spread_error[index], mean=spread, control=mean.control_spread
        ),
        gradient_square=square,
        backward_square=backward,
        tangent_trace=Estimate(trace, trace * tangent_bar(flow, layer=index), "truncation"),
        chi_parallel=None if state.parallel is None else float(state.parallel.mean()),
        chi_perpendicular=None if state.perpendicular is None else float(state.perpendicular.mean()),
        control=mean.control_signal,
    )


def _gradients(flow: BatchFlow, gradient: BatchGradient, *, layer: int) -> tuple[Estimate, Estimate]:
    """Return E|gradient|^2 of the layer's parameters and E|dL/dz|^2 of its outputs."""
    bar = gradient_bar(flow, gradient, layer=layer)
    square, backward = float(gradient.gradient_square[layer]), float(gradient.backward_square[layer])
    sampling = float(gradient.gradient_error[layer])
    return (
        Estimate(square, math.hypot(sampling, bar * square), "truncation"),
        Estimate(backward, bar * backward, "truncation"),
    )

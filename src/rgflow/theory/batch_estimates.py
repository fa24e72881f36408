"""Batch means and their seed-to-seed deviations as estimates: shifted by 1/n, with truncation and sampling in one bar."""

import math

from torch import Tensor

from rgflow.records import Estimate
from rgflow.theory.batch_flow import LayerMean
from rgflow.theory.truncation import deviation_bar, mean_bar

__all__ = ["deviation_estimate", "signal_estimate", "spread_estimate"]


def signal_estimate(mean: LayerMean) -> Estimate:
    """Return the batch's mean signal with its 1/n shift and truncation bar."""
    value = mean.signal * (1 + mean.signal_shift)
    return Estimate(value, value * mean_bar(control=mean.control_signal, shift=mean.signal_shift), "truncation")


def spread_estimate(mean: LayerMean) -> Estimate:
    """Return the batch's mean spread with its 1/n shift; the bar includes the sampling of pairs."""
    value = mean.spread * (1 + mean.spread_shift)
    bar = math.hypot(mean_bar(control=mean.control_spread, shift=mean.spread_shift), mean.sampling)
    return Estimate(value, value * bar, "truncation")


def deviation_estimate(value: Tensor, sampling: Tensor, *, mean: Estimate, control: float) -> Estimate:
    """Return a seed-to-seed deviation with its bar; `mean` is the quantity it belongs to, `sampling` its sampling error."""
    own = (float(value) / mean.value) ** 2 if mean.value > 0 else 0.0
    bar = float(value) * deviation_bar(control=control, own=own)
    return Estimate(float(value), math.hypot(bar, float(sampling)), "truncation")

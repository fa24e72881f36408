"""Truncation bars: how far forecasts of order 1/n may be off, from the size of their own corrections.

A bar covers the error in 95 of 100 cases. Its form is derived: the next order of a mean is a product of two small numbers,
control c (relative variance of the kernel over seeds) and relative shift, or of two controls; that of a logarithmic
standard deviation is linear in the larger variance. The coefficients are calibrated against exact ensembles
(docs/theory.md gives the cases and the coverage on fresh ones).
"""

from rgflow.theory.batch_flow import BatchFlow
from rgflow.theory.gradient import BatchGradient
from rgflow.theory.tangent import BatchTangent

__all__ = [
    "curvature_bar",
    "deviation_bar",
    "gradient_bar",
    "mean_bar",
    "plain_deviation_bar",
    "plain_mean_bar",
    "tangent_bar",
]


def mean_bar(*, control: float, shift: float) -> float:
    """Return the relative bar of a mean signal or spread: 0.2 c |shift| + 0.005 c^2."""
    return 0.2 * control * abs(shift) + 0.005 * control**2  # calibrated, docs/theory.md


def deviation_bar(*, control: float, own: float) -> float:
    """Return the relative bar of a seed-to-seed deviation: 0.15 max(c, own), own = (deviation / mean)^2 of the batch."""
    return 0.15 * max(control, own)  # calibrated, docs/theory.md


def plain_mean_bar(*, control: float, own: float, shift: float) -> float:
    """Return the relative bar of one entry's mean in the plain expansion K + G1 / n: 0.6 k |shift| + 0.03 k^2.

    One entry is K_aa or the distance (K_aa + K_bb) / 2 - K_ab; `own` is its relative variance V / (n K^2), `shift` its
    relative O(1/n) shift, k = max(control, own). For k < 1.
    """
    larger = max(control, own)
    return 0.6 * larger * abs(shift) + 0.03 * larger**2  # calibrated and checked on fresh networks, docs/theory.md


def plain_deviation_bar(*, control: float, own: float, shift: float) -> float:
    """Return the bar of ln(deviation) of one entry in the plain expansion sqrt(V / n): 0.7 k + 2.5 |shift|.

    Arguments as in `plain_mean_bar`.
    """
    return 0.7 * max(control, own) + 2.5 * abs(shift)  # calibrated and checked on fresh networks, docs/theory.md


def gradient_bar(flow: BatchFlow, gradient: BatchGradient, *, layer: int) -> float:
    """Return the relative bar of a squared gradient of one layer (0-based): 2 (n_L + 2) f sum_j e_j / n_j + control.

    Output errors that depend on the outputs (part f of the squared gradient) are made of the same weights that they are
    pulled back through. The sum runs over the hidden layers j from here to the output; e_j is the elasticity of the
    output's kernel to the weights on top of layer j (1 for bias-free ReLU, for which the formula is exact in this order).
    """
    outputs = flow.widths[-1]
    through = sum(_elasticity(flow, above=j) / flow.widths[j] for j in range(layer + 1, len(flow.laws)))
    return 2 * (outputs + 2) * float(gradient.feedback[layer]) * through + flow.means[-1].control_signal


def _elasticity(flow: BatchFlow, *, above: int) -> float:
    """Return d ln K^(L) / d ln C_W of the layer on top of hidden layer `above` (layers 1..L - 1), averaged over inputs."""
    kernel = flow.inputs[above].kernel
    result = (kernel - flow.laws[above].bias_variance) / kernel
    for state in flow.inputs[above + 1 :]:
        assert state.elasticity is not None
        result = result * state.elasticity
    return float(result.mean().abs())


def tangent_bar(flow: BatchFlow, *, layer: int) -> float:
    """Return the relative bar of one layer's part of the tangent kernel (0-based): half its relative variance over seeds.

    That part fluctuates with the activity below it, and with sum_j W_j^2 s'_j^2 of every hidden layer above it: one term
    of that sum has the relative variance (3 + kappa_W) (1 + slope scatter) - 1. The mean shifts at the same order.
    """
    variance = 0.0 if layer == 0 else flow.inputs[layer].activity_scatter / flow.widths[layer]
    for above in range(layer + 1, len(flow.laws)):
        slopes = flow.inputs[above].slope_scatter
        variance += ((3 + flow.laws[above].weight_kurtosis) * (1 + slopes) - 1) / flow.widths[above]
    return variance / 2


def curvature_bar(flow: BatchFlow, tangent: BatchTangent) -> float:
    """Return the relative bar of the top curvature: the output's control plus the bars of the layers by their shares.

    The mean of a top eigenvalue lies above the top eigenvalue of the mean by about half a relative variance.
    """
    bars = (float(share) * tangent_bar(flow, layer=layer) for layer, share in enumerate(tangent.shares))
    return flow.means[-1].control_signal + sum(bars)

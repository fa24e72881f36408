"""Truncation bars: how far forecasts of order 1/n may be off, from the size of their own corrections.

A bar covers the error in 95 of 100 cases. Its form is derived: the next order of a mean is a product of two small numbers,
control c (relative variance of the kernel over seeds) and relative shift, or of two controls; that of a logarithmic
standard deviation is linear in the larger variance. The coefficients are calibrated against exact ensembles
(docs/theory.md gives the cases and the coverage on fresh ones).
"""

from rgflow.theory.batch_flow import BatchFlow
from rgflow.theory.gradient import BatchGradient

__all__ = ["curvature_bar", "deviation_bar", "gradient_bar", "mean_bar"]


def mean_bar(*, control: float, shift: float) -> float:
    """Return the relative bar of a mean signal or spread: 0.2 c |shift| + 0.005 c^2."""
    return 0.2 * control * abs(shift) + 0.005 * control**2  # calibrated, docs/theory.md


def deviation_bar(*, control: float, own: float) -> float:
    """Return the relative bar of a seed-to-seed deviation: 0.15 max(c, own), own = (deviation / mean)^2 of the batch."""
    return 0.15 * max(control, own)  # calibrated, docs/theory.md


def gradient_bar(flow: BatchFlow, gradient: BatchGradient, *, layer: int) -> float:
    """Return the relative bar of a squared gradient of one layer (0-based): 2 (n_L + 2) sum 1/n f + control.

    The sum runs over the hidden layers between this one and the output. Output errors that depend on the outputs
    (fraction f of their square) are made of the same weights that the gradient is pulled back through.
    """
    outputs = flow.widths[-1]
    feedback = 2 * (outputs + 2) * gradient.feedback * sum(1 / n for n in flow.widths[layer + 1 : -1])
    return feedback + flow.means[-1].control_signal


def curvature_bar(flow: BatchFlow) -> float:
    """Return the relative bar of the top curvature: the control of the output's kernel."""
    return flow.means[-1].control_signal

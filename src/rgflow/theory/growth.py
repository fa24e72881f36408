"""The control parameter of a fully connected network, nu * sum(1/n_l) over hidden layers, and its class in words."""

from collections.abc import Sequence

from rgflow.numerics.activations import Activation
from rgflow.numerics.criticality import criticality

__all__ = ["class_in_words", "control_parameter"]


def control_parameter(widths: Sequence[int], activations: Sequence[Activation]) -> float | None:
    """Return sum over hidden layers of nu_l / n_l, the relative variance over seeds of the output's kernel at criticality.

    `widths` (n_0..n_L), one activation for each hidden layer; None where an activation has no critical growth nu.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, section 5.4.
    """
    growths = [criticality(activation).growth for activation in activations]
    known = [growth for growth in growths if growth is not None]
    if len(known) < len(growths):
        return None
    return sum(growth / width for growth, width in zip(known, widths[1:-1], strict=True))


def class_in_words(activation: Activation) -> str:
    """Return the universality class and the critical point, such as "scale-invariant (critical C_W 2, C_b 0)"."""
    point = criticality(activation)
    if point.weight_variance is None or point.bias_variance is None:
        return f"no critical point: {point.reason}"
    words = {
        "scale-invariant": "scale-invariant",
        "vanishing": "K* = 0",
        "half-stable": f"half-stable, K* = {point.kernel:.4g}" if point.kernel is not None else "half-stable",
        "unstable": "K* = 0 unstable",
    }
    return f"{words[point.kind]} (critical C_W {point.weight_variance:.5g}, C_b {point.bias_variance:.5g})"

"""What tuning changes: one record for each parameter tensor that is drawn again or left alone."""

from dataclasses import dataclass

__all__ = ["LayerChange"]


@dataclass(frozen=True)
class LayerChange:
    """One row of a tuning diff: variances before and after (C_W, C_b), the rate's multiplier, and why.

    `action` is "redrawn" or "kept"; variances are None where the layer is kept or has no such parameter.
    """

    layer: str
    kind: str
    action: str
    weight_variance_before: float | None
    weight_variance_after: float | None
    bias_variance_before: float | None
    bias_variance_after: float | None
    rate_multiplier: float
    reason: str

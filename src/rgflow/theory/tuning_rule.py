"""The variances that tuning gives to one linear map, from what precedes and follows it, the data and the targets.

Convention: Var W = weight_variance / fan, Var b = bias_variance; `square` is the mean square of one entering entry.
Each function returns a `Prescription`; `reason` says in one sentence where its numbers come from.
"""

from dataclasses import dataclass

from rgflow.theory.working_point import WorkingPoint

__all__ = ["Prescription", "first_map", "head_for_classes", "head_for_regression", "hidden_map", "residual_map"]

# Logits of variance 0.15 (C_W = 0.3 behind a critical ReLU layer, <s^2> = 1/2) start the loss within 0.08 of
# log(classes), since E[log sum exp] grows by half the variance; logits of order one never need more than C_W = 1.
# For regression the same share of the targets' variance did better than all of it (docs/tune.md).
_START, _LARGEST_HEAD = 0.15, 1.0


@dataclass(frozen=True)
class Prescription:
    """C_W and C_b of one map, and why."""

    weight_variance: float
    bias_variance: float
    reason: str


def first_map(after: WorkingPoint | None, *, square: float, boundary: float = 1.0) -> Prescription:
    """Return the variances that turn data of mean square `square` into the kernel that comes next."""
    kernel, bias = (1.0, 0.0) if after is None else (after.kernel, after.bias_variance)
    reason = f"data of mean square {square:.3g} become a kernel of {kernel:.3g}"
    return Prescription((kernel - bias) / square * boundary, bias, reason + _edges(boundary))


def hidden_map(
    before: WorkingPoint | None, *, after: WorkingPoint | None = None, boundary: float = 1.0
) -> Prescription:
    """Return the critical variances behind the activation that feeds the map; 1 and 0 behind none (a linear layer).

    Where the next activation is another one, C_W is what hands it the kernel that it wants.
    """
    if before is None:
        return Prescription(boundary, 0.0, "nothing nonlinear precedes: unit gain" + _edges(boundary))
    if after is not None and after != before:
        variance = (after.kernel - after.bias_variance) / before.second_moment
        reason = f"hands the next activation a kernel of {after.kernel:.3g}"
        return Prescription(variance * boundary, after.bias_variance, reason + _edges(boundary))
    return Prescription(before.weight_variance * boundary, before.bias_variance, before.reason + _edges(boundary))


def residual_map(before: WorkingPoint | None, *, branches: int, boundary: float = 1.0) -> Prescription:
    """Return the hidden map's C_W divided by the number of branches, so that the sum of all stays of order one."""
    inner = hidden_map(before, boundary=boundary)
    reason = f"closes one of {branches} residual branches without norm: C_W / {branches}"
    return Prescription(inner.weight_variance / branches, 0.0, reason + _edges(boundary))


def head_for_classes(*, square: float) -> Prescription:
    """Return the variances for logits of order one, C_W = min(1, 0.15 / square)."""
    variance = min(_LARGEST_HEAD, _START / square)
    return Prescription(variance, 0.0, f"logits of order one (variance {variance * square:.2g})")


def head_for_regression(*, square: float, target_variance: float) -> Prescription:
    """Return the variances for outputs of the targets' order, C_W = 0.15 target_variance / square."""
    variance = _START * target_variance
    return Prescription(variance / square, 0.0, f"outputs of the targets' order (variance {variance:.3g})")


def _edges(boundary: float) -> str:
    return f"; times {boundary:.3g} for what zero padding takes away" if boundary != 1.0 else ""

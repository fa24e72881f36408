"""How numerical errors of integration and of the kernel pass through one step of vertex and correction.

Everything is measured in units of s_a s_b, s_a = sqrt(K_aa), of its own layer; inputs without variance are left out,
for nothing of them fluctuates. Bounds are first order in the errors: products of two of them are dropped.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.kernel_derivatives import KernelResponse
from rgflow.theory.kernel_flow import KernelFlow
from rgflow.theory.pair_space import pair_space
from rgflow.theory.vertex_averages import VertexCurvature

__all__ = ["SENSITIVITY", "StepUnits", "pair_units", "step_units"]

# A relative error e of the kernel moves averages of four features, and the entries of M and H, by at most this many e:
# they are homogeneous of degree at most four in s_a, and each derivative with respect to rho counts one more.
SENSITIVITY = 8.0


@dataclass(frozen=True)
class StepUnits:
    """Units (P,) below and above a step, errors of the kernel below, and what they do to averages of derivatives.

    `derivative_error` is the relative error of averages of s' and s'' that the kernel's own error causes: kinks turn an
    error e of the correlation into the smaller of e / sqrt(1 - rho^2) and sqrt(2 e), for the closest two inputs.
    """

    below: Tensor
    above: Tensor
    kernel_error: float
    derivative_error: float

    def relative(self, values: Tensor) -> float:
        """Return the largest |entry| of values above the step (P,) or (P, P), in units of that layer."""
        return _largest(values, self.above)

    def relative_below(self, values: Tensor) -> float:
        """Return the same of values below the step."""
        return _largest(values, self.below)

    @property
    def slack(self) -> float:
        """Relative error of averages of undifferentiated features that the kernel's own error causes."""
        return SENSITIVITY * self.kernel_error

    def growth(self, answer: KernelResponse, weight: float) -> float:
        """Return the largest row sum of |M|."""
        absolute = KernelResponse(answer.slope.abs(), answer.bend.abs(), answer.error)
        return self.relative(absolute.apply(self.below, weight_variance=weight))

    def blur(self, answer: KernelResponse, weight: float) -> float:
        """Return a bound on the error of a row sum of |M|."""
        own = KernelResponse(answer.error, answer.error, answer.error)
        kernel = SENSITIVITY * self.derivative_error * self.growth(answer, weight)
        return self.relative(own.apply(self.below, weight_variance=weight)) + kernel

    def bend(self, bend: VertexCurvature) -> float:
        """Return a bound on the error of H[V]."""
        return self.relative(bend.error) + SENSITIVITY * self.derivative_error * self.relative(bend.size)


def step_units(kernels: KernelFlow, *, above: int, kinked: bool) -> StepUnits:
    """Return the units of the step into layer `above` (0-based)."""
    diagonal, off = float(kernels.diagonal_error[above - 1]), float(kernels.correlation_error[above - 1])
    gap = max(float(kernels.closeness[above - 1]), 1e-32) ** 0.5
    magnified = min(off / gap, (2.0 * off) ** 0.5) if kinked else off
    return StepUnits(
        pair_units(kernels.kernel[above - 1]), pair_units(kernels.kernel[above]), diagonal + off, diagonal + magnified
    )


def pair_units(kernel: Tensor) -> Tensor:
    """Return s_a s_b of every pair (P,)."""
    size = kernel.diagonal().clamp_min(0.0).sqrt()
    return pair_space(len(kernel)).vector(torch.outer(size, size))


def _largest(values: Tensor, units: Tensor) -> float:
    alive = units > 0
    if not bool(alive.any()):
        return 0.0
    kept = units[alive]
    if values.ndim == 1:
        return float((values[alive] / kept).abs().max())
    return float((values[alive][:, alive] / torch.outer(kept, kept)).abs().max())

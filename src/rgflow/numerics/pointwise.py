"""An activation as the theory sees it: a function of one number, its derivatives, and where it is not smooth.

Convention: `kinks` are all points where the function or one of its first two derivatives is discontinuous; `jumps` and
`steps` hold the discontinuity of the derivative and of the function there. Functions map float64 tensors elementwise.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Activation", "Pointwise", "differentiated"]

Pointwise = Callable[[Tensor], Tensor]

# Distance from a kink at which one-sided values are read; far below any feature, far above the smallest float64.
_ASIDE = 1e-30


@dataclass(frozen=True)
class Activation:
    """A pointwise nonlinearity s(z) with what is known exactly of it.

    `family` names the closed forms that apply ("scale-invariant", "erf", "sin", "gelu") or is "";
    `module` says how PyTorch spells the activation, or is "" where it has no spelling.
    """

    name: str
    function: Pointwise
    derivative: Pointwise
    second_derivative: Pointwise
    kinks: tuple[float, ...] = ()
    jumps: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    family: str = ""
    module: str = ""

    def __post_init__(self) -> None:
        for name in ("jumps", "steps"):
            if not getattr(self, name):
                object.__setattr__(self, name, (0.0,) * len(self.kinks))

    def __call__(self, z: Tensor) -> Tensor:
        """Return s(z)."""
        return self.function(z)

    @property
    def origin(self) -> float:
        """Value s(0)."""
        return float(self.function(torch.zeros(1, dtype=torch.float64)))

    @property
    def slopes(self) -> tuple[float, float]:
        """One-sided slopes (s'(0+), s'(0-))."""
        return one_sided(self.derivative, 0.0)

    @property
    def curvatures(self) -> tuple[float, float]:
        """One-sided second derivatives (s''(0+), s''(0-))."""
        return one_sided(self.second_derivative, 0.0)

    @property
    def scale_invariant(self) -> tuple[float, float] | None:
        """Slopes (a_plus, a_minus) if s(z) = a_plus z for z > 0 and a_minus z for z < 0, else None.

        Found numerically: s(z) / z must equal the slope of its side to 1e-12 from |z| = 1e-6 to 1e6.
        """
        if any(kink != 0.0 for kink in self.kinks) or self.origin != 0.0:
            return None
        z = torch.logspace(-6, 6, 97, dtype=torch.float64)
        upper, lower = self.function(z) / z, self.function(-z) / -z
        size = max(float(upper.abs().max()), float(lower.abs().max()))
        deviation = float(torch.cat([upper - upper[48], lower - lower[48]]).abs().max())
        # Negated, so that overflow to infinity or NaN counts as not scale-invariant.
        if not (0.0 < size < math.inf and deviation <= 1e-12 * size):
            return None
        return float(upper[48]), float(lower[48])


def one_sided(function: Pointwise, point: float) -> tuple[float, float]:
    """Return (f(point + 0), f(point - 0)), read next to the point."""
    aside = max(_ASIDE, 4 * torch.finfo(torch.float64).eps * abs(point))
    values = function(torch.tensor([point + aside, point - aside], dtype=torch.float64))
    return float(values[0]), float(values[1])


def differentiated(function: Pointwise) -> Pointwise:
    """Return the elementwise derivative of `function` by automatic differentiation; 0 where it does not depend on z."""

    def derivative(z: Tensor) -> Tensor:
        with torch.enable_grad():
            # A caller that differentiates again hands in a tensor that already needs a gradient.
            nested = z.requires_grad
            point = z if nested else z.detach().requires_grad_(True)
            total = function(point).sum()
            if not total.requires_grad:
                return torch.zeros_like(z)
            (slope,) = torch.autograd.grad(total, point, create_graph=nested, allow_unused=True)
        return torch.zeros_like(z) if slope is None else slope

    return derivative

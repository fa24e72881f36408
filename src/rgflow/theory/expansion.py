"""The Taylor expansion of a scalar functional of a kernel, by automatic differentiation.

Convention: g(K + u) = g + sum_ab Gamma_ab u_ab + g''[u, u] / 2 for symmetric u, sums over all a, b, Gamma symmetric.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["Expansion", "Functional", "expansion", "gradient_at"]

Functional = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Expansion:
    """`value` and `gradient` Gamma (N, N) of a functional at `point`, and its `slope`, differentiable once more."""

    value: float
    gradient: Tensor
    point: Tensor
    slope: Tensor

    def second(self, change: Tensor) -> float:
        """Return g''[u, u] along the symmetric change u (N, N); 0 for a linear functional."""
        if not self.slope.requires_grad:
            return 0.0
        (along,) = torch.autograd.grad(
            self.slope, self.point, grad_outputs=change, retain_graph=True, allow_unused=True
        )
        return 0.0 if along is None else float((along * change).sum())


def expansion(functional: Functional, kernel: Tensor) -> Expansion:
    """Return the expansion of `functional` at `kernel` (N, N).

    Raises: SettingError if the functional does not return one finite number that depends differentiably on the kernel.
    """
    point = kernel.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = functional(point)
        if not isinstance(value, Tensor) or value.numel() != 1 or not bool(torch.isfinite(value.detach()).all()):
            raise SettingError(f"the functional returns {_shown(value)}; it must return one finite number, as a tensor")
        if not value.requires_grad:
            raise SettingError(
                "the functional's value does not depend on the kernel by differentiable torch operations"
            )
        (slope,) = torch.autograd.grad(value.reshape(()), point, create_graph=True)
    gradient = slope.detach()
    if not bool(torch.isfinite(gradient).all()):
        raise SettingError(
            "the functional's gradient is not finite at the infinite-width kernel; smooth the functional"
        )
    return Expansion(float(value.detach()), 0.5 * (gradient + gradient.T), point, slope)


def gradient_at(functional: Functional, kernel: Tensor) -> Tensor:
    """Return Gamma (N, N), symmetric, of `functional` at `kernel`."""
    point = kernel.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(functional(point).reshape(()), point)
    return 0.5 * (slope + slope.T)


def _shown(value: object) -> str:
    return f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(type(value).__name__)

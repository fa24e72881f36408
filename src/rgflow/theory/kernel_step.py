"""One layer's map of kernels, K -> C_b + C_W <s s>_K, with its derivatives as elementwise linear algebra.

Convention: matrices (N, N) over inputs, gradients Gamma symmetric with dg = sum_ab Gamma_ab dK_ab over all a, b.
The next K_ab depends on K_aa, K_ab, K_bb only, so every product with a derivative costs O(N^2): no (pairs, pairs) matrix.
"""

from dataclasses import dataclass

from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.kernel_derivatives import kernel_curvature, kernel_response

__all__ = ["KernelStep", "kernel_step"]

# Relative error that averages over pairs may have: far below the sampling error of any number of neurons.
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class KernelStep:
    """A step between two layers and the gradient Gamma of a functional with respect to the later kernel.

    Shapes: (N, N), `own` (N,). `slope` = C_W <s'_a s'_b> and `bend` = C_W <s''_a s_b>; `own`, `mixed` and `square` are the
    coefficients of the form u -> sum_ab Gamma_ab F''_ab[u, u]; `earlier` the gradient with respect to the earlier kernel.
    """

    slope: Tensor
    bend: Tensor
    own: Tensor
    mixed: Tensor
    square: Tensor
    earlier: Tensor

    def pushed(self, change: Tensor) -> Tensor:
        """Return M u: the first-order change of the later kernel when the earlier one changes by u (N, N)."""
        half = (0.5 * change.diagonal()).unsqueeze(1) * self.bend
        return (change * self.slope).add_(half).add_(half.T)

    def curvature(self, change: Tensor) -> float:
        """Return sum_ab Gamma_ab F''_ab[u, u] for a symmetric u (N, N)."""
        diagonal = change.diagonal()
        total = self.own @ diagonal**2 + diagonal @ (self.mixed * change).sum(1)
        total = total + (self.square * change).mul_(change).sum() + diagonal @ (self.square @ diagonal) / 2
        return float(total)


def kernel_step(activation: Activation, kernel: Tensor, *, weight_variance: float, gradient: Tensor) -> KernelStep:
    """Return the step from `kernel` into a layer of `weight_variance`, given Gamma there: `gradient`.

    With T_pq = <s^(p)_a s^(q)_b>, F''_ab[u, u] / 2 C_W = u_aa^2 T40 / 8 + u_bb^2 T04 / 8 + u_ab^2 T22 / 2
    + u_aa u_bb T22 / 4 + u_ab (u_aa T31 + u_bb T13) / 2; and Gamma' = C_W Gamma T11 + C_W diag(sum_b Gamma_ab T20_ab).
    Errors: 1e-7 relative. Raises: SettingError as `kernel_response`.
    """
    response = kernel_response(activation, kernel, tolerance=_TOLERANCE)
    slope, bend = weight_variance * response.slope, weight_variance * response.bend
    earlier = gradient * slope
    earlier.diagonal().add_((gradient * bend).sum(1))
    second = kernel_curvature(activation, kernel, tolerance=_TOLERANCE)
    weighted = weight_variance * gradient
    contact = second.contact * weighted
    ratio = kernel / kernel.diagonal().unsqueeze(1)
    return KernelStep(
        slope,
        bend,
        own=(second.t40 * weighted + contact * ratio * ratio).sum(1) / 2,
        mixed=2 * (second.t31 * weighted - contact * ratio),
        square=second.t22 * weighted + contact,
        earlier=earlier,
    )

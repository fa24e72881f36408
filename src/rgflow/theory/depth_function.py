"""The kernel and the tangent kernel of a deep network as a function of two norms and an angle, for many pairs at once.

Convention: z' = b + W s(z), layers 1..L. A pair is a, b with first-layer deviations sqrt(K_aa), sqrt(K_bb) and an angle t,
K_ab = sqrt(K_aa K_bb) cos t. Its state is carried as excess e = sqrt(K_aa K_bb) - K_ab >= 0, so that small angles keep
their digits: with S = C_W <s s> and c = C_b,
    e' = C_W (sqrt(<s_a^2><s_b^2>) - <s_a s_b>) + c (sqrt S_aa - sqrt S_bb)^2 / (sqrt((S_aa+c)(S_bb+c)) + c + sqrt(S_aa S_bb)).
Tangent kernel: T' = bias_rate + weight_rate <s_a s_b> + C_W <s'_a s'_b> T,  T^(1) = bias_rate + weight_rate x_a.x_b / n_0.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.theory.pair_averages import pair_averages

__all__ = ["DepthLaw", "DepthValues", "depth_values"]


@dataclass(frozen=True)
class DepthLaw:
    """What the depth function depends on: activation, variances and rates of layers 1..L (tuples of L numbers)."""

    activation: Activation
    weight_variance: tuple[float, ...]
    bias_variance: tuple[float, ...]
    weight_rate: tuple[float, ...]
    bias_rate: tuple[float, ...]

    @property
    def homogeneous(self) -> bool:
        """Whether K_ab is sqrt(K_aa K_bb) times a function of the angle alone: scale-invariant activation, no bias."""
        return self.activation.scale_invariant is not None and not any(self.bias_variance)

    def with_rates(self, *, weights: bool, biases: bool) -> "DepthLaw":
        """Return the law in which only some of the parameters train."""
        none = (0.0,) * len(self.weight_rate)
        return replace(
            self,
            weight_rate=self.weight_rate if weights else none,
            bias_rate=self.bias_rate if biases else none,
        )


@dataclass(frozen=True)
class DepthValues:
    """Kernel and tangent kernel of the last layer.

    Shapes: `kernel_diagonal`, `tangent_diagonal` (m,), one for each deviation; `kernel`, `tangent` (P,) for each pair;
    `variance` (L, m) the kernel of each deviation with itself in every layer.
    """

    kernel_diagonal: Tensor
    tangent_diagonal: Tensor
    kernel: Tensor
    tangent: Tensor
    variance: Tensor


@dataclass(frozen=True)
class _State:
    variance: Tensor
    tangent_diagonal: Tensor
    excess: Tensor
    tangent: Tensor
    angle: Tensor | None = None


def depth_values(law: DepthLaw, deviation: Tensor, angle: Tensor, *, first: Tensor, second: Tensor) -> DepthValues:
    """Return kernel and tangent kernel after all layers for pairs (deviation[first], deviation[second], angle).

    Shapes: `deviation` (m,) = sqrt(K_aa^(1)); `angle` (P,) in [0, pi]; `first`, `second` (P,) indices into `deviation`.
    Errors: rounding for closed forms; 1e-12 relative to sqrt(K_aa K_bb) per layer for averages by series or quadrature.
    """
    state = _first_layer(law, deviation, angle, first, second)
    variance = [state.variance]
    for layer in range(1, len(law.weight_variance)):
        state = _next_layer(law, state, layer, first, second)
        variance.append(state.variance)
    product = (state.variance[first] * state.variance[second]).sqrt()
    return DepthValues(
        state.variance, state.tangent_diagonal, product - state.excess, state.tangent, torch.stack(variance)
    )


def _first_layer(law: DepthLaw, deviation: Tensor, angle: Tensor, first: Tensor, second: Tensor) -> _State:
    variance = deviation**2
    product = deviation[first] * deviation[second]
    excess = 2.0 * product * torch.sin(0.5 * angle) ** 2
    # x_a.x_b / n_0 = (K_ab - C_b) / C_W.
    scale, bias = law.weight_variance[0], law.bias_variance[0]
    own = law.bias_rate[0] + law.weight_rate[0] * (variance - bias) / scale
    mixed = law.bias_rate[0] + law.weight_rate[0] * (product - excess - bias) / scale
    return _State(variance, own, excess, mixed, angle)


def _next_layer(law: DepthLaw, state: _State, layer: int, first: Tensor, second: Tensor) -> _State:
    found = pair_averages(law.activation, state.variance, state.excess, first=first, second=second, angle=state.angle)
    scale, bias = law.weight_variance[layer], law.bias_variance[layer]
    root = (scale * found.square).sqrt()
    a, b = root[first], root[second]
    variance = bias + scale * found.square
    excess = scale * found.excess
    if bias > 0.0:
        outer = (variance[first] * variance[second]).sqrt()
        excess = excess + bias * (a - b) ** 2 / (outer + bias + a * b)
    activity = (found.square[first] * found.square[second]).sqrt() - found.excess
    rate_b, rate_w = law.bias_rate[layer], law.weight_rate[layer]
    own = rate_b + rate_w * found.square + scale * found.slope_square * state.tangent_diagonal
    mixed = rate_b + rate_w * activity + scale * found.slope * state.tangent
    return _State(variance, own, excess, mixed)

"""The kernel of any number of inputs through a network at infinite width, with its numerical error layer by layer.

K^(l+1) = C_b + C_W <s_a s_b>, biases as a mixture over their values. The error is carried as two numbers: the relative
error of the diagonal, and the error of the correlations rho = K_ab / sqrt(K_aa K_bb), which chaotic networks amplify.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.activations import Activation
from rgflow.numerics.gaussian import PROMISED
from rgflow.numerics.second_moments import derivative_moment, second_moment
from rgflow.theory.flow_setup import FlowSetup
from rgflow.theory.line_averages import line_averages
from rgflow.theory.parameter_laws import BiasNodes
from rgflow.theory.single_flow import SingleFlow

__all__ = ["KernelFlow", "averaged_over_bias", "correlations", "kernel_flow", "mixture_error", "shifted"]

ROUNDING = 4e-15  # a few dozen operations on float64, whose unit roundoff is 1.1e-16


@dataclass(frozen=True)
class KernelFlow:
    """Kernels (L, M, M); bounds on the relative error of their diagonal and on the error of correlations, each (L,).

    `closeness` (L,) is the smallest 1 - rho^2 of two different inputs (1 for a single one).
    """

    kernel: Tensor
    diagonal_error: Tensor
    correlation_error: Tensor
    closeness: Tensor

    @property
    def error(self) -> Tensor:
        """Bound on the error of every entry of each kernel (L,)."""
        return self.kernel.diagonal(dim1=1, dim2=2).amax(1) * (self.diagonal_error + self.correlation_error)


@lru_cache(maxsize=512)
def shifted(activation: Activation, value: float) -> Activation:
    """Return z -> s(z + value)."""
    if value == 0.0:
        return activation
    return Activation(
        f"{activation.name}(z + {value:.6g})",
        lambda z: activation.function(z + value),
        lambda z: activation.derivative(z + value),
        lambda z: activation.second_derivative(z + value),
        kinks=tuple(kink - value for kink in activation.kinks),
        jumps=activation.jumps,
        steps=activation.steps,
    )


def averaged_over_bias(
    average: Callable[[Activation, Tensor], Tensor],
    activation: Activation,
    *,
    kernel: Tensor,
    bias: BiasNodes,
    bias_variance: float,
) -> Tensor:
    """Return sum_k p_k average(s(. + value_k), kernel of the Gaussian part), for an average that is linear in the law."""
    total: Tensor | None = None
    for value, share, own in zip(bias.values, bias.probabilities, bias.variances, strict=True):
        part = share * average(shifted(activation, value), kernel - (bias_variance - own))
        total = part if total is None else total + part
    assert total is not None
    return total


def kernel_flow(setup: FlowSetup, single: SingleFlow) -> KernelFlow:
    """Return the kernels of layers 1..L; `single` holds the averages of single inputs.

    Errors: 1e-10 per layer, rounding for closed forms; the first layer's sampling, where its weights are not Gaussian.
    Raises: SettingError where a kernel is not finite: the activation grows too fast for its inputs.
    """
    network, kernels = setup.network, [setup.kernel]
    features = setup.inputs.shape[1]
    start = ROUNDING + features * torch.finfo(torch.float64).eps
    diagonal, correlation = [start], [start]
    for layer in range(network.depth - 1):
        kernel, own = _step(setup, kernels[-1], layer=layer)
        if not bool(torch.isfinite(kernel).all()):
            raise SettingError(
                f"the kernel of layer {layer + 2} is not finite: {network.activation.name} grows too fast for kernels of"
                f" {float(kernels[-1].diagonal().max()):.3g}; scale the inputs or the variances down"
            )
        growth = _growth(setup, single, kernels[-1], layer=layer)
        wider = growth.diagonal * diagonal[-1] + own
        correlation.append(growth.scale * diagonal[-1] + growth.correlation * correlation[-1] + own + wider)
        diagonal.append(wider)
        kernels.append(kernel)
    return KernelFlow(
        torch.stack(kernels),
        torch.tensor(diagonal, dtype=torch.float64),
        torch.tensor(correlation, dtype=torch.float64),
        torch.tensor([_closeness(kernel) for kernel in kernels], dtype=torch.float64),
    )


def _step(setup: FlowSetup, kernel: Tensor, *, layer: int) -> tuple[Tensor, float]:
    """Return the next kernel, and the error made in this step relative to sqrt(K_aa K_bb)."""
    network = setup.network
    activation, bias, variance = network.activation, setup.biases[layer], network.bias_variance[layer]
    weight, offset = network.weight_variance[layer + 1], network.bias_variance[layer + 1]
    if layer == 0 and setup.neurons is not None:
        moment = setup.neurons.average(lambda z: activation.function(z).T @ activation.function(z) / len(z))
        result = offset + weight * (moment.value + moment.value.T) / 2
        smallest = float(result.diagonal().min())
        return result, weight * moment.error / smallest if smallest > 0 else 0.0
    moment = averaged_over_bias(second_moment, activation, kernel=kernel, bias=bias, bias_variance=variance)
    result = offset + weight * moment
    error = _rule_error(activation, plain=len(bias.values) == 1) + mixture_error(setup, kernel, layer=layer)
    return result, error


def _rule_error(activation: Activation, *, plain: bool) -> float:
    """Return what `second_moment` promises: rounding for closed forms."""
    return ROUNDING if activation.family and plain else PROMISED


def mixture_error(setup: FlowSetup, kernel: Tensor, *, layer: int) -> float:
    """Return how far a coarser rule over the bias's values moves <s^2>, relative to it: more than the finer one errs."""
    coarse = setup.coarse_biases[layer]
    if coarse is None:
        return 0.0
    variance, activation = setup.network.bias_variance[layer], setup.network.activation
    few = _spread_of(kernel.diagonal())
    fine, rough = (
        line_averages(activation, few, bias=bias, bias_variance=variance).square
        for bias in (setup.biases[layer], coarse)
    )
    return float(((fine - rough).abs() / fine.clamp_min(1e-300)).max())


def _spread_of(values: Tensor, count: int = 8) -> Tensor:
    """Return at most `count` of the values, from the smallest to the largest."""
    ordered = torch.sort(values)[0]
    return ordered[torch.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().long()]


@dataclass(frozen=True)
class _Growth:
    """Growth in one step: of a relative diagonal error, from there to correlations, and of a correlation error."""

    diagonal: float
    scale: float
    correlation: float


def _growth(setup: FlowSetup, single: SingleFlow, kernel: Tensor, *, layer: int) -> _Growth:
    """Return bounds by Cauchy-Schwarz, with s_a = sqrt(K_aa) and d ln K the largest relative error of the diagonal:
    |dF_ab| <= d ln K C_W sqrt(<z^2 s'^2>_a <s^2>_b) + C_W s_a s_b <s'_a s'_b> |d rho|.
    """
    before, after = single.kernel[layer], single.kernel[layer + 1]
    alive = (before > 0) & (after > 0)
    if not bool(alive.any()) or (layer == 0 and setup.neurons is not None):
        return _Growth(0.0, 0.0, 0.0)
    diagonal = (single.chi_parallel[layer] * before / after)[alive].abs().max()
    scale = single.stretch[layer][alive].max().sqrt()
    ratio = before[alive] / after[alive]
    correlation = (single.chi_perpendicular[layer][alive] * ratio).max()
    if len(kernel) > 1 and len(setup.biases[layer].values) == 1:
        correlation = torch.minimum(correlation, _slope_growth(setup, kernel, layer=layer) * ratio.max())
    return _Growth(float(diagonal), float(scale), float(correlation))


def _slope_growth(setup: FlowSetup, kernel: Tensor, *, layer: int) -> Tensor:
    """Return the largest C_W <s'_a s'_b> of different inputs: at most that of equal variances and the largest |rho|,
    whose Hermite series has no negative term; read at a few variances."""
    rho = correlations(kernel).abs().fill_diagonal_(0.0).max().clamp(max=1.0)
    pair = torch.stack([torch.stack([torch.ones_like(rho), rho]), torch.stack([rho, torch.ones_like(rho)])])
    values = [
        derivative_moment(setup.network.activation, size * pair)[0, 1] for size in _spread_of(kernel.diagonal(), 4)
    ]
    return setup.network.weight_variance[layer + 1] * torch.stack(values).max()


def correlations(kernel: Tensor) -> Tensor:
    """Return K_ab / sqrt(K_aa K_bb), 0 where an input has no variance."""
    size = kernel.diagonal().clamp_min(0.0).sqrt()
    scale = torch.outer(size, size)
    return torch.where(scale > 0, kernel / torch.where(scale > 0, scale, 1.0), 0.0).clamp(-1.0, 1.0)


def _closeness(kernel: Tensor) -> float:
    if len(kernel) == 1:
        return 1.0
    rho = correlations(kernel).abs().fill_diagonal_(0.0)
    return float((1.0 - rho.max()) * (1.0 + rho.max()))

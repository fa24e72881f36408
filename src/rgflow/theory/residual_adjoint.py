"""Seed-to-seed deviation of any functional of a residual network's kernel on a batch, without a pairs-by-pairs matrix.

Method: with Gamma^(L) = dg/dK (dg = sum_ab Gamma_ab dK_ab over all a, b) and Gamma^(l) = M^T Gamma^(l+1) + skip^2
Gamma^(l+1), the first-order response of g to everything that one neuron does on its way through a stage is
    f = z^(L)^T Gamma^(L) z^(L) (last layer) + sum_l C_W s(z^(l))^T Gamma^(l+1) s(z^(l))
(plus skip^2 z^T Gamma z where a projection follows), and Var g = sum over stages of Var_trajectory f / n.
Units: those of the functional.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics import kernel_response
from rgflow.records import MLP, Estimate
from rgflow.theory.residual_kernels import ResidualKernels, checked_inputs, residual_kernels
from rgflow.theory.residual_trajectories import trajectory

__all__ = ["ResidualDeviation", "residual_functional_deviation"]

_TOLERANCE = 1e-7  # relative error of averages over pairs, far below the sampling error of any number of trajectories
_SCRAMBLES = 8  # independent nets of trajectories; their scatter is the sampling error


@dataclass(frozen=True)
class ResidualDeviation:
    """A functional at infinite width, `value`, and its deviation over seeds with its sampling error."""

    value: float
    deviation: Estimate


def residual_functional_deviation(
    network: MLP,
    inputs: Tensor,
    *,
    functional: Callable[[Tensor], Tensor],
    layer: int | None = None,
    trajectories: int = 2**13,
    seed: int = 0,
) -> ResidualDeviation:
    """Return the standard deviation over seeds of g(q), q_ab = (1/n_l) sum_j z_ja z_jb of layer `layer` (default L).

    `functional` maps a kernel (N, N) to one number by differentiable torch operations. Cost O(L N^2 trajectories).
    Shapes: `inputs` (N, n_0).
    Errors: leading order in 1/n of the widths given: about (control)/2 relative, and for batches only while the
    functional's effective dimension is far below n (below n / 5); `deviation.error` is the sampling error.
    Raises: SettingError for inputs that do not fit, a layer outside 1..L, or a functional without a gradient.
    Source: own derivation; equals gradient . vertex . gradient plus the layer's own sampling.
    """
    target = network.depth if layer is None else layer
    if not 1 <= target <= network.depth:
        raise SettingError(f"layer is {layer}; this network has the layers 1 to {network.depth}")
    values = checked_inputs(network, inputs)
    if trajectories < 2 * _SCRAMBLES:
        raise SettingError(f"trajectories is {trajectories}; at least {2 * _SCRAMBLES} are needed for an error")
    kernels = residual_kernels(_cut(network, target), values)
    value, gradient = _gradient(functional, kernels.kernel[-1])
    gradients = _pulled_back(kernels, gradient)
    seeds = torch.randint(2**31, (_SCRAMBLES,), generator=torch.Generator().manual_seed(seed)).tolist()
    count = trajectories // _SCRAMBLES
    variances = torch.stack([_variance(kernels, gradients, count=count, seed=number) for number in seeds])
    variance, error = float(variances.mean()), float(variances.std()) / _SCRAMBLES**0.5
    deviation = variance**0.5
    return ResidualDeviation(value, Estimate(deviation, error / (2 * deviation) if deviation else 0.0, "statistical"))


def _cut(network: MLP, depth: int) -> MLP:
    return MLP(
        network.widths[: depth + 1],
        network.activation,
        weight_variance=network.weight_variance[:depth],
        bias_variance=network.bias_variance[:depth],
        skip=network.skip,
    )


def _gradient(functional: Callable[[Tensor], Tensor], kernel: Tensor) -> tuple[float, Tensor]:
    """Value of the functional and its symmetric gradient (N, N)."""
    point = kernel.clone().requires_grad_(True)
    with torch.enable_grad():
        value = functional(point)
        if value.ndim != 0 or not value.requires_grad:
            raise SettingError(
                "the functional must turn a kernel (N, N) into one number by differentiable torch operations"
            )
        (slope,) = torch.autograd.grad(value, point)
    return float(value.detach()), 0.5 * (slope + slope.T)


def _pulled_back(kernels: ResidualKernels, gradient: Tensor) -> list[Tensor]:
    """Gradients with respect to the kernels of all layers, (N, N) each."""
    network, found = kernels.network, [gradient]
    for layer in reversed(range(len(kernels.start) - 1)):
        response = kernel_response(network.activation, kernels.kernel[layer], tolerance=_TOLERANCE)
        plain = found[0] * response.slope + torch.diag((found[0] * response.bend).sum(1))
        found.insert(0, network.weight_variance[layer + 1] * plain + network.skip**2 * found[0])
    return found


def _variance(kernels: ResidualKernels, gradients: list[Tensor], *, count: int, seed: int) -> Tensor:
    network, last = kernels.network, len(kernels.start) - 1
    total = torch.zeros((), dtype=torch.float64)
    for stage in kernels.stages():
        effect = torch.zeros(count, dtype=torch.float64)
        for step in trajectory(kernels, stage, count=count, seed=(seed + stage.start) % 2**31):
            if step.layer == last:
                effect += _form(step.z, gradients[last])
                continue
            following = gradients[step.layer + 1]
            effect += network.weight_variance[step.layer + 1] * _form(network.activation.function(step.z), following)
            if kernels.projected(step.layer):
                effect += network.skip**2 * _form(step.z, following)
        total += effect.var() / kernels.width(stage.start)
    return total


def _form(values: Tensor, gradient: Tensor) -> Tensor:
    """Quadratic forms v^T Gamma v of the rows (S, N)."""
    return ((values @ gradient) * values).sum(1)

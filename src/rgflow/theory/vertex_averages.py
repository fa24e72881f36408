"""Averages over one neuron on all pairs of inputs that a step of the vertex needs, its bias drawn from any law.

Convention: P pairs a <= b in row-major order; F_ab = C_b + C_W <s_a s_b>, M = dF/dK with respect to the Gaussian part,
H[V] = F''[V] / 2. A bias that is not Gaussian makes every average one over its values, `BiasNode`s.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.feature_covariance import feature_covariance
from rgflow.numerics.kernel_derivatives import KernelCurvature, KernelResponse, kernel_curvature, kernel_response
from rgflow.numerics.pair_space import pair_inputs, pair_matrix
from rgflow.theory.kernel_flow import correlations, shifted
from rgflow.theory.parameter_laws import BiasNodes

__all__ = [
    "BiasNode",
    "FeatureMoments",
    "VertexCurvature",
    "bias_nodes",
    "feature_curvature",
    "feature_moments",
    "feature_response",
]

# Relative variance of the squared distance of two inputs, over that of K: at most 5 per layer for relu and two hundred
# layers (a distance gains 3 <s'^4> / <s'^2>^2 - 1 per layer, 5 for relu).
STRETCH = 1e3


@dataclass(frozen=True)
class BiasNode:
    """One value of the bias: its probability, s(. + value), and the kernel of the Gaussian part."""

    share: float
    activation: Activation
    kernel: Tensor


@dataclass(frozen=True)
class FeatureMoments:
    """Cov(s_a s_b, s_c s_d) and <s_a s_b s_c s_d>, (P, P), and bounds (P, P) on the error of both."""

    covariance: Tensor
    fourth: Tensor
    error: Tensor


@dataclass(frozen=True)
class VertexCurvature:
    """H[V], a bound on its error at exact K, and `size`, the sum of the sizes of its terms; each (P,)."""

    value: Tensor
    error: Tensor
    size: Tensor


def bias_nodes(activation: Activation, kernel: Tensor, *, bias: BiasNodes, bias_variance: float) -> list[BiasNode]:
    """Return the nodes of a bias of `bias_variance`, at the whole kernel (N, N)."""
    nodes = zip(bias.values, bias.probabilities, bias.variances, strict=True)
    return [BiasNode(share, shifted(activation, value), kernel - (bias_variance - own)) for value, share, own in nodes]


def feature_moments(nodes: list[BiasNode], *, seed: int) -> FeatureMoments:
    """Return the moments of s_a s_b over the mixture `nodes`, the covariance between its values included."""
    parts = [feature_covariance(node.activation, node.kernel, seed=seed) for node in nodes]
    if len(parts) == 1:  # spares a subtraction and its rounding
        return FeatureMoments(parts[0].covariance, parts[0].fourth(), parts[0].error)
    shares = [node.share for node in nodes]
    mean, fourth, error = (
        torch.stack([share * value for share, value in zip(shares, values, strict=True)]).sum(0)
        for values in zip(*((part.mean, part.fourth(), part.error) for part in parts), strict=True)
    )
    return FeatureMoments(fourth - torch.outer(mean, mean), fourth, error)


def feature_response(nodes: list[BiasNode]) -> KernelResponse:
    """Return <s'_a s'_b> and <s''_a s_b> over the mixture, which make M."""
    parts = [(node.share, kernel_response(node.activation, node.kernel)) for node in nodes]
    slope, bend, error = (
        torch.stack([share * getattr(part, name) for share, part in parts]).sum(0)
        for name in ("slope", "bend", "error")
    )
    return KernelResponse(slope, bend, error)


def feature_curvature(
    nodes: list[BiasNode], source: Tensor, *, units: Tensor, source_error: float, weight_variance: float
) -> VertexCurvature:
    """Return H[V] over the mixture, V = `source` (P, P), known to `source_error` in the `units` (P,) s_a s_b."""
    blurred = source_error * torch.outer(units, units)
    value = error = size = torch.zeros(len(source), dtype=torch.float64)
    for node in nodes:
        found, left_out = _trusted(kernel_curvature(node.activation, node.kernel), source, blurred)
        part, worst = found.contract(source, weight_variance=weight_variance), _absolute(found)
        carried = worst.contract(blurred, weight_variance=weight_variance).value
        value = value + node.share * part.value
        error = error + node.share * (part.error + carried + weight_variance * left_out)
        size = size + node.share * worst.contract(source.abs(), weight_variance=weight_variance).value
    return VertexCurvature(value, error, size)


def _trusted(curvature: KernelCurvature, source: Tensor, blurred: Tensor) -> tuple[KernelCurvature, Tensor]:
    """Return the curvature without those contacts that the error of V blurs by more than they contribute, and their bound.

    A contact grows like 1 / sqrt(1 - rho^2), but what it multiplies is the variance of the squared distance of two inputs,
    at most STRETCH (1 - rho^2)^2 of the sum of its terms; for almost coincident inputs V's error hides that.
    """
    kernel, contact = curvature.kernel, curvature.contact
    empty = torch.zeros_like(contact)
    bare = KernelCurvature(empty, empty, empty, contact, torch.zeros_like(curvature.errors), kernel)
    rho = correlations(kernel)
    sine = ((1.0 - rho) * (1.0 + rho))[tuple(pair_inputs(len(kernel)).unbind(1))]
    terms, blur = (_absolute(bare).contract(part.abs()).value for part in (source, blurred))
    largest = STRETCH * sine**2 * terms
    dropped = blur > largest
    kept = torch.where(pair_matrix(dropped.double()) > 0, 0.0, contact)
    return replace(curvature, contact=kept), torch.where(dropped, largest, 0.0)


def _absolute(curvature: KernelCurvature) -> KernelCurvature:
    """Return the curvature with every coefficient of V by its size, contacts included."""
    contact, kernel = curvature.contact.abs(), curvature.kernel
    variance = kernel.diagonal().unsqueeze(1)
    ratio = torch.where(variance > 0, (kernel / variance).abs(), 0.0)
    return KernelCurvature(
        curvature.t40.abs() + ratio**2 * contact,
        curvature.t31.abs() + ratio * contact,
        curvature.t22.abs() + contact,
        torch.zeros_like(contact),
        torch.zeros_like(curvature.errors),
        kernel,
    )

"""Averages over one neuron on all pairs of inputs that a step of the vertex needs, its bias drawn from any law.

Convention: P pairs a <= b in row-major order; F_ab = C_b + C_W <s_a s_b>, M = dF/dK with respect to the Gaussian part,
H[V] = F''[V] / 2. A bias that is not Gaussian makes every average one over its values, `BiasNode`s.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.feature_covariance import feature_covariance
from rgflow.numerics.kernel_derivatives import CurvatureShift, KernelResponse, kernel_curvature, kernel_response
from rgflow.theory.kernel_flow import shifted
from rgflow.theory.parameter_laws import BiasNodes

__all__ = ["BiasNode", "FeatureMoments", "bias_nodes", "feature_curvature", "feature_moments", "feature_response"]


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


def feature_curvature(nodes: list[BiasNode], source: Tensor, *, weight_variance: float) -> CurvatureShift:
    """Return H[V] over the mixture, V = `source` (P, P)."""
    value = error = torch.zeros(len(source), dtype=torch.float64)
    for node in nodes:
        part = kernel_curvature(node.activation, node.kernel).contract(source, weight_variance=weight_variance)
        value, error = value + node.share * part.value, error + node.share * part.error
    return CurvatureShift(value, error)

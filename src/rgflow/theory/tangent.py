"""Tangent kernel of a fully connected chain on a batch at infinite width, layer by layer, in raw SGD units.

    Theta_ab = sum_l [ has_bias_l + n_{l-1} <s s>_ab^(l-1) ] X_ab^(l),      X^(l) = prod_{l' >= l} C_W <s' s'>_ab^(l')
is the same for every output and diagonal between outputs: a step of rate eta moves output k by -eta Theta dL/dz_k.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.batch_flow import BatchFlow

__all__ = ["BatchTangent", "batch_tangent"]


@dataclass(frozen=True)
class BatchTangent:
    """Tangent kernel on a batch: per layer `weights` and `biases` (L, B, B), `backward` X (L, B, B), output `kernel` (B, B)."""

    weights: Tensor
    biases: Tensor
    backward: Tensor
    kernel: Tensor

    @property
    def total(self) -> Tensor:
        """Theta (B, B)."""
        return (self.weights + self.biases).sum(0)

    @property
    def shares(self) -> Tensor:
        """Each layer's part of the trace, (L,), sums to one."""
        traces = (self.weights + self.biases).diagonal(dim1=1, dim2=2).sum(1)
        return traces / traces.sum()


def batch_tangent(flow: BatchFlow, *, bias: Sequence[bool]) -> BatchTangent:
    """Return the tangent kernel of the chain behind `flow`; `bias` says which layers train a bias.

    Errors: infinite width; entries between different inputs by the fit of `pair_surface` (about 1 %).
    """
    layers = len(flow.laws)
    kernels = [_kernel(flow, layer) for layer in range(layers)]
    backward = [torch.ones_like(kernels[0])]
    for layer in range(layers - 1, 0, -1):
        backward.append(backward[-1] * _slope(flow, layer))
    backward = backward[::-1]
    activity = [flow.first.inputs @ flow.first.inputs.T]
    for layer in range(1, layers):
        law = flow.laws[layer]
        activity.append(flow.widths[layer] * (kernels[layer] - law.bias_variance) / law.weight_variance)
    weights = torch.stack([a * x for a, x in zip(activity, backward, strict=True)])
    biases = torch.stack([float(b) * x for b, x in zip(bias, backward, strict=True)])
    return BatchTangent(weights, biases, torch.stack(backward), kernels[-1])


def _kernel(flow: BatchFlow, layer: int) -> Tensor:
    """Return K (B, B) of a layer (0-based)."""
    diagonal = flow.inputs[layer].kernel
    a, b = flow.all_pairs
    return _symmetric(diagonal, (diagonal[a] + diagonal[b]) / 2 - flow.means[layer].distance, flow.all_pairs)


def _slope(flow: BatchFlow, layer: int) -> Tensor:
    """Return C_W <s' s'> (B, B) of the step into a layer (0-based, >= 1)."""
    diagonal = flow.inputs[layer].perpendicular
    assert diagonal is not None
    return _symmetric(diagonal, flow.surface.extend(flow.pairs[layer - 1].slope), flow.all_pairs)


def _symmetric(diagonal: Tensor, pairs: Tensor, index: Tensor) -> Tensor:
    """Return the symmetric matrix with this diagonal and these pairs; identical inputs, absent from `index`, share it."""
    matrix = (diagonal.unsqueeze(0) + diagonal.unsqueeze(1)) / 2
    a, b = index
    matrix[a, b] = pairs
    matrix[b, a] = pairs
    return matrix

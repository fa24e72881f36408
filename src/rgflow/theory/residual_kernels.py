"""Infinite-width kernels of a residual network, and the stages between two changes of width.

Convention: z' = skip * z + b + W s(z); layers 1..L stand at index 0..L-1. What layer l adds to the skip path has the
covariance fresh^(l) = C_b + C_W <s s>; then K^(l) = skip^2 K^(l-1) + fresh^(l), and across layers of one stage
<z^(l) z^(m)> = skip^|l-m| K^(min(l, m)). Where the width changes the skip is a random projection: given the layer
before, neurons are Gaussian again, history is forgotten and a new stage starts with fresh^(l) = K^(l).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics import second_moment
from rgflow.records import MLP

__all__ = ["ResidualKernels", "checked_inputs", "residual_kernels"]


@dataclass(frozen=True)
class ResidualKernels:
    """Kernels of all layers and the index of the first layer of each layer's stage.

    Shapes: `kernel`, `fresh` (L, N, N); `start` L indices.
    """

    network: MLP
    kernel: Tensor
    fresh: Tensor
    start: tuple[int, ...]

    def projected(self, layer: int) -> bool:
        """Whether the step out of layer index `layer` is a random projection (never out of the last layer)."""
        return layer + 1 < len(self.start) and self.start[layer + 1] == layer + 1

    def stages(self) -> tuple[range, ...]:
        """The layer indices of every stage."""
        firsts = sorted(set(self.start))
        return tuple(range(a, b) for a, b in zip(firsts, [*firsts[1:], len(self.start)], strict=True))

    def width(self, layer: int) -> int:
        """Number of neurons of layer index `layer`."""
        return self.network.widths[layer + 1]


def checked_inputs(network: MLP, inputs: Tensor) -> Tensor:
    """Return `inputs` as float64 (N, n_0), or raise SettingError where they do not fit the residual theory."""
    values = torch.as_tensor(inputs, dtype=torch.float64)
    if values.ndim != 2 or values.shape[1] != network.widths[0] or not len(values):
        raise SettingError(
            f"inputs have shape {tuple(values.shape)}; this network takes (N, {network.widths[0]}) with N >= 1"
        )
    if any(step != 0.0 for step in network.activation.steps):
        raise SettingError(f"{network.activation.name} jumps; the theory of fluctuations needs a continuous activation")
    if min(network.weight_variance) <= 0.0:
        raise SettingError(f"weight_variance is {network.weight_variance}; every layer needs a positive one")
    return values


def residual_kernels(network: MLP, inputs: Tensor) -> ResidualKernels:
    """Return the kernels of a residual network on `inputs` (N, n_0), float64.

    Errors: exact at infinite width; integration 1e-10 relative.
    """
    kernel = network.bias_variance[0] + network.weight_variance[0] / network.widths[0] * (inputs @ inputs.T)
    kernels, fresh, start = [kernel], [kernel], [0]
    for layer in range(1, network.depth):
        added = network.bias_variance[layer] + network.weight_variance[layer] * second_moment(
            network.activation, kernels[-1]
        )
        kernels.append(added + network.skip**2 * kernels[-1])
        identity = network.widths[layer + 1] == network.widths[layer]
        fresh.append(added if identity else kernels[-1])
        start.append(start[-1] if identity else layer)
    return ResidualKernels(network, torch.stack(kernels), torch.stack(fresh), tuple(start))

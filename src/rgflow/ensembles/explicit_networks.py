"""Kernels of networks whose weights are all drawn: any law of the parameters, and the check on what needs none.

Convention: z' = b + W s(z), W = sqrt(C_W / n_in) times numbers of a standard law, or an orthogonal matrix scaled to the same
mean square. Units and errors: as in `records.kernel_sample`.
"""

import math

import numpy as np
import torch
from torch import Tensor

from rgflow.ensembles.kernel_moments import LEAST_NETWORKS
from rgflow.ensembles.kernel_sampling import (
    BlockKernels,
    checked_inputs,
    collected,
    first_kernel,
    infinite_width_kernels,
)
from rgflow.ensembles.network_blocks import Progress, block_generator, checked_draw
from rgflow.errors import SettingError
from rgflow.numerics.standard_laws import StandardLaw, standard_law
from rgflow.records.architecture import MLP
from rgflow.records.kernel_sample import KernelSample

__all__ = ["orthogonal_matrices", "sample_networks"]

# Numbers of one layer's weights in a block: 4 MiB.
_WEIGHTS_AT_ONCE = 2**19


def sample_networks(
    network: MLP,
    inputs: Tensor,
    *,
    networks: int,
    seed: int,
    weight_law: str | StandardLaw = "gaussian",
    bias_law: str | StandardLaw = "gaussian",
    keep_kernels: bool = False,
    progress: Progress | None = None,
) -> KernelSample:
    """Return the statistics of Khat^(1..L) over networks with explicit weights, drawn from any law.

    `weight_law` is the name of a standard law, a StandardLaw, or "orthogonal" (Haar; rows orthonormal up to scale where
    n_out <= n_in, else columns). Costs n^2 (N + one draw) per layer; plain averages, no control variates.
    Shapes, errors and raises: as `sample_kernels`.
    """
    if network.skip != 0.0:
        raise SettingError(f"skip is {network.skip}; sample_networks takes skip = 0, sample_residual any")
    rows = checked_inputs(network, inputs)
    checked_draw(networks, seed, least=LEAST_NETWORKS)
    orthogonal = weight_law == "orthogonal"
    weights = standard_law("gaussian" if orthogonal else weight_law)
    biases = standard_law(bias_law)
    size = max(
        1,
        min(512, _WEIGHTS_AT_ONCE // max(a * b for a, b in zip(network.widths[:-1], network.widths[1:], strict=True))),
    )

    def matrices(generator: np.random.Generator, fan_in: int, width: int) -> Tensor:
        if orthogonal:
            return orthogonal_matrices(size, fan_in=fan_in, width=width, generator=generator)
        return torch.from_numpy(weights.draw(generator, (size, width, fan_in))) / math.sqrt(fan_in)

    def draw(block: int, count: int) -> BlockKernels:
        generator = block_generator(seed, block)
        hidden = rows.T.expand(size, -1, -1)
        kernels = [first_kernel(network, rows).expand(size, -1, -1)]
        for layer, (fan_in, width) in enumerate(zip(network.widths[:-2], network.widths[1:-1], strict=True)):
            bias = torch.from_numpy(biases.draw(generator, (size, width, 1))) * math.sqrt(network.bias_variance[layer])
            scale = math.sqrt(network.weight_variance[layer])
            hidden = network.activation.function(scale * matrices(generator, fan_in, width) @ hidden + bias)
            average = network.weight_variance[layer + 1] / width * (hidden.mT @ hidden)
            kernels.append(network.bias_variance[layer + 1] + average)
        found = torch.stack(kernels, dim=1)[:count]
        pairs = len(rows) * (len(rows) + 1) // 2
        return BlockKernels(found, found.new_zeros(count, network.depth, pairs))

    return collected(
        draw,
        network=network,
        controls=None,
        shift=infinite_width_kernels(network, rows),
        networks=networks,
        size=size,
        seed=seed,
        keep_kernels=keep_kernels,
        progress=progress,
    )


def orthogonal_matrices(count: int, *, fan_in: int, width: int, generator: np.random.Generator) -> Tensor:
    """Return Haar matrices (count, width, fan_in) with orthonormal rows or columns, scaled to E W^2 = 1 / fan_in.

    Source: Mezzadri 2007, math-ph/0609050 (QR with the signs of R's diagonal taken out is Haar).
    """
    long, short = max(fan_in, width), min(fan_in, width)
    frames, triangle = torch.linalg.qr(torch.from_numpy(generator.standard_normal((count, long, short))))
    frames = frames * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    return (frames if width >= fan_in else frames.mT) * math.sqrt(long / fan_in)

"""Kernels of networks with orthogonal weights, drawn exactly in law without the matrices.

A Haar matrix with m the longer side turns the activities s (N rows) of a layer into R F, with R R^T = s s^T and F the first n
columns of N orthonormal rows that are uniform in m dimensions: F = (G G^T)^{-1/2} G of Gaussian numbers G. A layer costs m N^2.
Convention and units: as in `kernel_sampling`; biases are Gaussian.
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
from rgflow.numerics.guarded_cholesky import guarded_cholesky
from rgflow.records.architecture import MLP
from rgflow.records.kernel_sample import KernelSample

__all__ = ["sample_orthogonal_kernels"]

_BLOCK_NUMBERS = 2**16  # numbers in a block's array of neurons: half a MiB


def sample_orthogonal_kernels(
    network: MLP,
    inputs: Tensor,
    *,
    networks: int,
    seed: int,
    keep_kernels: bool = False,
    progress: Progress | None = None,
) -> KernelSample:
    """Return mean, covariance and third cumulant of Khat^(1..L) over networks whose weight matrices are all Haar.

    Rows are orthonormal where n_out <= n_in, else columns, both scaled to the mean square C_W / n_in. Plain averages.
    Shapes and errors: as `sample_kernels`.
    Raises: as `sample_kernels`, and SettingError for more inputs than the smallest width.
    """
    if network.skip != 0.0:
        raise SettingError(f"skip is {network.skip}; orthogonal networks are drawn with skip = 0 only")
    rows = checked_inputs(network, inputs)
    checked_draw(networks, seed, least=LEAST_NETWORKS)
    if len(rows) > min(network.widths[:-1]):
        raise SettingError(f"{len(rows)} inputs in widths {network.widths}; give at most the smallest width")
    size = max(1, _BLOCK_NUMBERS // (len(rows) * max(network.widths[:-1])))

    def draw(block: int, count: int) -> BlockKernels:
        return _drawn(network, rows, generator=block_generator(seed, block), size=size, count=count)

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


def _drawn(network: MLP, rows: Tensor, *, generator: np.random.Generator, size: int, count: int) -> BlockKernels:
    hidden = rows.expand(size, *rows.shape)
    kernels = [first_kernel(network, rows).expand(size, -1, -1)]
    for layer, (fan_in, width) in enumerate(zip(network.widths[:-2], network.widths[1:-1], strict=True)):
        long = max(fan_in, width)
        frame = _frame(torch.from_numpy(generator.standard_normal((size, len(rows), long))))[:, :, :width]
        bias = torch.from_numpy(generator.standard_normal((size, 1, width))) * math.sqrt(network.bias_variance[layer])
        scale = math.sqrt(network.weight_variance[layer] * long / fan_in)
        hidden = network.activation.function(scale * guarded_cholesky(hidden @ hidden.mT) @ frame + bias)
        average = network.weight_variance[layer + 1] / width * (hidden @ hidden.mT)
        kernels.append(network.bias_variance[layer + 1] + average)
    found = torch.stack(kernels, dim=1)[:count]
    return BlockKernels(found, found.new_zeros(count, network.depth, len(rows) * (len(rows) + 1) // 2))


def _frame(numbers: Tensor) -> Tensor:
    """Return orthonormal rows (..., N, m), uniform over all frames, from Gaussian numbers (..., N, m)."""
    return torch.linalg.solve_triangular(torch.linalg.cholesky(numbers @ numbers.mT), numbers, upper=False)

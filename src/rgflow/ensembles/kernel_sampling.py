"""Kernels of networks with Gaussian parameters, drawn exactly in law without drawing a single weight.

Given the kernel of a layer its neurons are independent N(0, Khat), and the next kernel is an average over them:
    Khat^(l+1)_ab = C_b + (C_W / n_l) sum_j s(z_ja) s(z_jb),     z_j = R eta_j,   R R^T = Khat^(l).
A layer costs n N^2 + N^3 per network instead of the n^2 N of its weights. Units: as in `records.kernel_sample`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.ensembles.kernel_controls import Controls, hermite_averages, prepared_controls
from rgflow.ensembles.kernel_moments import LEAST_NETWORKS, MomentSums, moment_sums, moments_of
from rgflow.ensembles.network_blocks import (
    Progress,
    block_generator,
    checked_draw,
    joined_blocks,
    one_thread_each,
    pilot_generator,
)
from rgflow.errors import DataError, SettingError
from rgflow.numerics.guarded_cholesky import guarded_cholesky
from rgflow.numerics.second_moments import second_moment
from rgflow.records.architecture import MLP
from rgflow.records.kernel_sample import KernelSample

__all__ = ["BlockKernels", "checked_inputs", "collected", "first_kernel", "infinite_width_kernels", "sample_kernels"]

# Numbers in a block's array of neurons: half a MiB, so that a layer's work stays in the cache.
_BLOCK_NUMBERS = 2**16
# Pair-by-pair sums are six (L, P, P) tensors; 2 GiB are reached by 80 inputs and five layers.
_MOST_BYTES, _SUMS = 2**31, 6


@dataclass(frozen=True)
class BlockKernels:
    """Kernels (networks, L, N, N) of one block, and their controls (networks, L, P), zero where there are none."""

    kernels: Tensor
    controls: Tensor


def sample_kernels(
    network: MLP,
    inputs: Tensor,
    *,
    networks: int,
    seed: int,
    keep_kernels: bool = False,
    progress: Progress | None = None,
) -> KernelSample:
    """Return mean, covariance and third cumulant of Khat^(1..L) over `networks` networks with Gaussian parameters.

    The law is exact at every width and depth; a kernel that is singular (dead layers, equal inputs) is drawn as it is. Control
    variates with exactly known means and covariances cut the errors (see `kernel_controls`) and bias nothing.
    `keep_kernels` keeps every drawn kernel; otherwise memory does not grow with `networks`. The same seed gives the same
    networks on any number of torch threads, and the first m networks are the same for every `networks` >= m.
    Shapes: `inputs` (N, n_0). Errors: standard errors over networks; deep in the strongly coupled regime (control of order
    one) the laws are heavy-tailed and errors of covariances are themselves uncertain.
    Raises: SettingError for skip != 0, fewer than 4 networks, too many inputs; DataError for inputs of a wrong shape.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, sec. 4.1 (conditional Gaussianity); controls: our own.
    """
    if network.skip != 0.0:
        raise SettingError(f"skip is {network.skip}; sample_kernels takes skip = 0, sample_residual any")
    first = first_kernel(network, checked_inputs(network, inputs))
    checked_draw(networks, seed, least=LEAST_NETWORKS)
    with one_thread_each():
        controls = prepared_controls(network, first, generator=pilot_generator(seed))
    size = _block_size(network, len(first))

    def draw(block: int, count: int) -> BlockKernels:
        return _drawn(network, controls, generator=block_generator(seed, block), size=size, count=count)

    return collected(
        draw,
        network=network,
        controls=controls,
        networks=networks,
        size=size,
        seed=seed,
        keep_kernels=keep_kernels,
        progress=progress,
    )


def checked_inputs(network: MLP, inputs: Tensor) -> Tensor:
    """Return the inputs as float64 (N, n_0); raise where they do not fit the network or the memory for all pairs."""
    rows = torch.as_tensor(inputs, dtype=torch.float64)
    if rows.ndim != 2 or rows.shape[1] != network.widths[0] or not len(rows):
        raise DataError(f"inputs have shape {tuple(rows.shape)}; (N, {network.widths[0]}) with N >= 1 is needed")
    if not bool(rows.isfinite().all()):
        raise DataError("inputs hold a number that is not finite; remove or replace it")
    pairs = len(rows) * (len(rows) + 1) // 2
    if 8 * _SUMS * network.depth * pairs**2 > _MOST_BYTES:
        raise SettingError(
            f"{len(rows)} inputs have {pairs} pairs; their covariances in {network.depth} layers pass 2 GiB; give fewer inputs"
        )
    return rows


def first_kernel(network: MLP, inputs: Tensor) -> Tensor:
    """Return K^(1) = C_b + C_W x_a . x_b / n_0 (N, N), the same for every network."""
    return network.bias_variance[0] + network.weight_variance[0] / network.widths[0] * inputs @ inputs.T


def infinite_width_kernels(network: MLP, rows: Tensor) -> Tensor:
    """Return the infinite-width kernels (L, N, N): moments are summed about them, so that no digits are lost."""
    kernels = [first_kernel(network, rows)]
    for weight_variance, bias_variance in zip(network.weight_variance[1:], network.bias_variance[1:], strict=True):
        kernels.append(bias_variance + weight_variance * second_moment(network.activation, kernels[-1]))
    return torch.stack(kernels)


def collected(
    draw: Callable[[int, int], BlockKernels],
    *,
    network: MLP,
    controls: Controls | None,
    networks: int,
    size: int,
    seed: int,
    keep_kernels: bool,
    progress: Progress | None,
    shift: Tensor | None = None,
) -> KernelSample:
    """Return the statistics of blocks of `size` networks; `shift` (L, N, N) near the means where there are no controls."""
    about = controls.kernels if controls is not None else shift
    assert about is not None
    pairs = torch.triu_indices(about.shape[-1], about.shape[-1])
    diagonal, centre = (pairs[0] == pairs[1]).nonzero().squeeze(1), about[:, pairs[0], pairs[1]]

    def work(block: int, count: int) -> tuple[MomentSums, Tensor | None]:
        part = draw(block, count)
        u = part.kernels[:, :, pairs[0], pairs[1]] - centre
        sums = moment_sums(u.transpose(0, 1), part.controls.transpose(0, 1), diagonal=diagonal)
        return sums, part.kernels if keep_kernels else None

    with one_thread_each() as threads:
        parts = joined_blocks(work, networks=networks, size=size, threads=threads, progress=progress)
        total, kept = _joined(parts)
    covariances = torch.zeros(*centre.shape, centre.shape[1], dtype=torch.float64)
    if controls is not None and controls.layers:
        covariances[1:] = torch.stack([layer.covariance for layer in controls.layers])
    moments = moments_of(total, shift=centre, control_covariance=covariances)
    return KernelSample(
        network=network,
        networks=networks,
        seed=seed,
        pairs=pairs.T.contiguous(),
        mean=_matrices(moments.mean, pairs),
        mean_error=_matrices(moments.mean_error, pairs),
        covariance=moments.covariance,
        covariance_error=moments.covariance_error,
        third_cumulant=moments.third,
        third_cumulant_error=moments.third_error,
        kernels=torch.cat(kept) if keep_kernels else None,
    )


def _joined(parts) -> tuple[MomentSums, list[Tensor]]:
    total, kept = None, []
    for sums, kernels in parts:
        total = sums if total is None else total + sums
        if kernels is not None:
            kept.append(kernels)
    assert total is not None
    return total, kept


def _matrices(values: Tensor, pairs: Tensor) -> Tensor:
    """Return (L, P) as symmetric (L, N, N)."""
    size = int(pairs.max()) + 1
    result = torch.empty(len(values), size, size, dtype=torch.float64)
    result[:, pairs[0], pairs[1]] = values
    result[:, pairs[1], pairs[0]] = values
    return result


def _block_size(network: MLP, inputs: int) -> int:
    """Return how many networks a block holds: a function of network and inputs alone, since it fixes the draws."""
    pairs = inputs * (inputs + 1) // 2
    widest = max(network.widths[1:-1], default=1)
    return max(1, min(_BLOCK_NUMBERS // (inputs * widest), _BLOCK_NUMBERS // (pairs * network.depth)))


def _drawn(network: MLP, controls: Controls, *, generator: np.random.Generator, size: int, count: int) -> BlockKernels:
    """Return the first `count` of the `size` networks of one block."""
    inputs = controls.kernels.shape[-1]
    pairs = inputs * (inputs + 1) // 2
    kernels = controls.kernels.new_empty(size, network.depth, inputs, inputs)
    predicted = kernels.new_zeros(size, network.depth, pairs)
    kernels[:, 0] = controls.kernels[0]
    variances = zip(network.widths[1:-1], network.weight_variance[1:], network.bias_variance[1:], strict=True)
    for layer, (width, weight_variance, bias_variance) in enumerate(variances):
        noise = torch.from_numpy(generator.standard_normal((size, inputs, width)))
        out = network.activation.function(guarded_cholesky(kernels[:, layer]) @ noise)
        kernels[:, layer + 1] = bias_variance + weight_variance / width * (out @ out.mT)
        effect = controls.layers[layer]
        averages = hermite_averages(noise, degree=controls.degree)
        predicted[:, layer + 1] = averages @ effect.noise.T + predicted[:, layer] @ effect.response.T
    return BlockKernels(kernels[:count], predicted[:count])

"""Drawn residual networks, exact in law, as the oracle of the residual theory: moments at finite width, then 1/n -> 0.

Mean shifts are of order 1/n and hide in fluctuations of order 1/sqrt(n); averages (1/n) sum_j He_a(noise_j) He_b(z_j),
a >= 1, have mean zero exactly and take most of these fluctuations away (regression fitted on the other half).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rgflow.records import MLP

__all__ = ["Limit", "Moments", "extrapolated", "residual_moments"]

HERMITE = 4  # highest total degree of the controls of one input


@dataclass(frozen=True)
class Moments:
    """E z z - K and Cov(z_i z_i, z_j z_j) of different neurons in the last layer over pairs, with standard errors."""

    shift: torch.Tensor
    shift_error: torch.Tensor
    vertex: torch.Tensor
    vertex_error: torch.Tensor


@dataclass(frozen=True)
class Limit:
    """A value at 1/n = 0 with its standard error."""

    value: torch.Tensor
    error: torch.Tensor


def residual_moments(
    network: MLP, inputs: torch.Tensor, kernel: torch.Tensor, *, networks: int, seed: int, chunk: int = 2000
) -> Moments:
    """Moments of `networks` drawn networks; `kernel` (N, N) is K of the last layer."""
    generator = torch.Generator().manual_seed(seed)
    parts = [_drawn(network, inputs, networks=chunk, generator=generator) for _ in range(networks // chunk)]
    mean, crossed, controls = (torch.cat(column) for column in zip(*parts, strict=True))
    shift, shift_error = _controlled(mean, controls)
    a, b = torch.triu_indices(len(inputs), len(inputs))
    centre = mean.mean(0)
    covariance = (
        crossed - mean.unsqueeze(2) * centre - centre.unsqueeze(1) * mean.unsqueeze(1) + torch.outer(centre, centre)
    )
    error = covariance.std(0) / len(mean) ** 0.5
    return Moments(shift - kernel[a, b], shift_error, covariance.mean(0), error)


def _drawn(network, inputs, *, networks, generator):
    a, b = torch.triu_indices(len(inputs), len(inputs))
    first = network.bias_variance[0] + network.weight_variance[0] / network.widths[0] * inputs @ inputs.T
    covariance, z, controls = first.expand(networks, -1, -1), None, []
    for layer, width in enumerate(network.widths[1:]):
        if z is not None:
            out, fan_in = network.activation.function(z), z.shape[1]
            covariance = network.bias_variance[layer] + network.weight_variance[layer] / fan_in * out.mT @ out
            if width != fan_in:
                covariance = covariance + network.skip**2 / fan_in * z.mT @ z
        noise = torch.randn(networks, width, len(inputs), generator=generator, dtype=torch.float64)
        same = z is not None and z.shape[1] == width
        controls.append(_controls(noise, z if same else None))
        # A layer of dead units has no covariance at all: a variance of 1e-13 lets it pass.
        fresh = noise @ torch.linalg.cholesky(covariance + 1e-13 * torch.eye(len(inputs), dtype=torch.float64)).mT
        z = fresh + network.skip * z if same else fresh
    products, count = z[:, :, a] * z[:, :, b], network.widths[-1]
    total = products.sum(1)
    crossed = (total.unsqueeze(2) * total.unsqueeze(1) - products.mT @ products) / (count * (count - 1))
    return total / count, crossed, torch.cat(controls, dim=1)


def _controls(noise: torch.Tensor, z: torch.Tensor | None) -> torch.Tensor:
    """Averages over neurons of Hermite polynomials of the noise times polynomials of z, (networks, controls)."""
    inputs = noise.shape[2]
    a, b = torch.triu_indices(inputs, inputs)
    degrees = [
        noise,
        noise[:, :, a] * noise[:, :, b] - (a == b).double(),
        noise**3 - 3 * noise,
        noise**4 - 6 * noise**2 + 3,
    ]
    past = [noise.new_ones(*noise.shape[:2], 1)] + ([] if z is None else [z, z[:, :, a] * z[:, :, b], z**3])
    found = [
        (x.unsqueeze(3) * y.unsqueeze(2)).mean(1).flatten(1)
        for degree, x in enumerate(degrees, start=1)
        for power, y in enumerate(past)
        if degree + power <= HERMITE
    ]
    return torch.cat(found, dim=1)


def _controlled(values: torch.Tensor, controls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    half = len(values) // 2
    means, variances = [], []
    for fit, use in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        slope = torch.linalg.lstsq(controls[fit], values[fit] - values[fit].mean(0)).solution
        rest = values[use] - controls[use] @ slope
        means.append(rest.mean(0))
        variances.append(rest.var(0) / len(rest))
    return (means[0] + means[1]) / 2, (variances[0] + variances[1]).sqrt() / 2


def extrapolated(widths: Sequence[int], values: torch.Tensor, errors: torch.Tensor, *, order: int) -> Limit:
    """Weighted polynomial fit in 1/n of n-times-moments (widths, ...), read at 1/n = 0."""
    powers = torch.stack([torch.tensor(widths, dtype=torch.float64) ** -k for k in range(order + 1)], dim=1)
    shape = values.shape[1:]
    flat, weight = values.flatten(1).T, errors.flatten(1).T.reciprocal()
    design = powers * weight.unsqueeze(2)
    inverse = torch.linalg.pinv(design)
    return Limit(
        (inverse[:, 0] * flat * weight).sum(1).reshape(shape), inverse[:, 0].square().sum(1).sqrt().reshape(shape)
    )

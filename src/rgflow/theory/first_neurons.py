"""Virtual neurons of a first layer whose weights are not Gaussian: a finite sum over input features keeps their shape.

Hidden width does not help here, so the true law is sampled: quasi-random (Sobol) points over all weights and the bias
of one neuron, several independent scrambles of which tell the sampling error. Convention: z = sum_j W_j x_j + b.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.theory.parameter_laws import EntryLaw

__all__ = ["FirstNeurons", "SampledAverage", "first_neurons"]

SCRAMBLES = 16
MOST_NEURONS, LEAST_NEURONS = 2**13, 2**9  # per scramble: 2^17 and 2^13 in all
WEIGHTS_DRAWN = 2**26  # over all neurons: about ten seconds and 64 MB at a time
LARGEST_SOBOL = torch.quasirandom.SobolEngine.MAXDIM  # beyond the known direction numbers points are random
# Student's t with 15 degrees of freedom exceeds this with probability 2e-5 (scipy.stats.t.sf(6, 15) = 1.2e-5, two sides).
BOUND = 6.0


@dataclass(frozen=True)
class SampledAverage:
    """An average over virtual neurons and a bound on its sampling error (16 scrambles, six standard errors)."""

    value: Tensor
    error: float


@dataclass(frozen=True)
class FirstNeurons:
    """Preactivations (scrambles, S, N) of virtual neurons of the first layer on N inputs."""

    values: Tensor

    def average(self, function: Callable[[Tensor], Tensor]) -> SampledAverage:
        """Return the average over scrambles of `function` of one scramble's neurons (S, N), such as a covariance."""
        total = square = torch.zeros(1, dtype=torch.float64)
        start = function(self.values[0])  # differences from it keep the digits that the sum of squares would lose
        for part in self.values:
            gap = function(part) - start
            total, square = total + gap, square + gap * gap
        count = len(self.values)
        variance = (square - total * total / count).clamp_min(0.0) / (count - 1)
        return SampledAverage(start + total / count, BOUND * math.sqrt(float(variance.max()) / count))


def first_neurons(
    inputs: Tensor,
    *,
    weight_variance: float,
    bias_variance: float,
    weight_law: EntryLaw,
    bias_law: EntryLaw,
    seed: int,
) -> FirstNeurons:
    """Return virtual neurons on `inputs` (N, n_0): 2^13 to 2^17 of them, fewer for inputs with many features.

    Errors: see `SampledAverage`; for smooth activations it falls faster than one over the square root of their number.
    """
    features = inputs.shape[1]
    wanted = WEIGHTS_DRAWN // (SCRAMBLES * (features + 1))
    size = min(MOST_NEURONS, max(LEAST_NEURONS, 2 ** int(math.log2(max(wanted, 1)))))
    with_bias = bias_variance > 0.0
    parts = []
    for scramble in range(SCRAMBLES):
        u = _points(features + with_bias, size, seed=seed + scramble)
        weights = weight_law.quantile(u[:, :features])
        z = weights @ inputs.T * math.sqrt(weight_variance / features)
        parts.append(z + bias_law.quantile(u[:, features:]) * math.sqrt(bias_variance) if with_bias else z)
    return FirstNeurons(torch.stack(parts))


def _points(dimensions: int, count: int, *, seed: int) -> Tensor:
    """Return points of the open unit cube (count, dimensions)."""
    if dimensions > LARGEST_SOBOL:
        generator = torch.Generator().manual_seed(seed)
        u = torch.rand((count, dimensions), generator=generator, dtype=torch.float64)
    else:
        u = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed).draw(count, dtype=torch.float64)
    return u.clamp(
        1e-12, 1.0 - 1e-12
    )  # quantiles of unbounded laws stay finite; seven standard deviations of a Gaussian

"""Trajectories of single neurons of a wide residual network through the layers of one stage, by scrambled Sobol points.

Convention: at infinite width the neurons of a stage are independent copies of one Gaussian process in l,
z^(l) = skip z^(l-1) + noise^(l), noise^(l) ~ N(0, fresh^(l)). All averages over it that the O(1/n) theory needs are
averages over these trajectories.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.gaussian_draws import covariance_root
from rgflow.theory.residual_kernels import ResidualKernels

__all__ = ["Step", "trajectory"]

# Sobol points are multiples of 2^-30 (PyTorch's resolution) including 0; half a step more keeps them inside (0, 1).
_HALF_STEP = 2.0**-31
# Sobol coordinates of a layer go to its leading directions; beyond a few dozen they are no better than random ones
# (as in `gaussian_draws`).
_LEADING = 64


@dataclass(frozen=True)
class Step:
    """One layer of the trajectories: the preactivations `z` (S, N) and their mean given the layer before, `mean`."""

    layer: int
    z: Tensor
    mean: Tensor


def trajectory(kernels: ResidualKernels, stage: range, *, count: int, seed: int) -> Iterator[Step]:
    """Yield the layers of `stage` for `count` neurons: up to 64 scrambled Sobol coordinates a layer, random beyond."""
    roots = [covariance_root(kernels.fresh[layer]) for layer in stage]
    leading = [min(root.shape[1], _LEADING) for root in roots]
    engine = torch.quasirandom.SobolEngine(sum(leading), scramble=True, seed=seed)
    points = torch.special.ndtri(engine.draw(count, dtype=torch.float64) + _HALF_STEP).split(leading, dim=1)
    generator = torch.Generator().manual_seed(seed)
    mean = torch.zeros(count, kernels.kernel.shape[1], dtype=torch.float64)
    for layer, root, head in zip(stage, roots, points, strict=True):
        tail = torch.randn(count, root.shape[1] - head.shape[1], generator=generator, dtype=torch.float64)
        z = mean + torch.cat([head, tail], dim=1) @ root.T
        yield Step(layer, z, mean)
        mean = kernels.network.skip * z

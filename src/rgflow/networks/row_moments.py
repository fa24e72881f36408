"""Signal, spread and dead channels of one row's output.

Convention: the batch is axis 0. signal = mean of z**2 over everything; spread = unbiased variance over the batch,
averaged over the rest (= mean over pairs of inputs of K_aa - K_ab). Units: z**2; dead is a fraction.
"""

import torch
from torch import Tensor

__all__ = ["dead_fraction", "signal", "spread"]


def signal(z: Tensor) -> Tensor:
    """Return the mean of z**2, one value per replica.

    Shapes: z (replicas, batch, ...), result (replicas,).
    """
    return z.pow(2).flatten(1).mean(1)


def spread(z: Tensor) -> Tensor:
    """Return the unbiased variance over the batch, averaged over the rest, one value per replica.

    Shapes: z (replicas, batch, ...), result (replicas,); NaN for a batch of one.
    Errors: rounding only: the batch mean is subtracted before squaring, so 1e-10 of the signal keeps its digits.
    """
    if z.shape[1] < 2:
        return torch.full((z.shape[0],), torch.nan, dtype=z.dtype)
    deviation = z - z.mean(1, keepdim=True)
    # Subtracting the mean once more removes the rounding error of the first mean.
    deviation = deviation - deviation.mean(1, keepdim=True)
    return deviation.pow(2).flatten(1).mean(1) * (z.shape[1] / (z.shape[1] - 1))


def dead_fraction(z: Tensor, *, channel_axis: int) -> float:
    """Return the fraction of channels that say nothing of the input: constant (often 0) over the batch everywhere.

    Shapes: z (batch, ...), `channel_axis` counted in z; NaN where z has no channel axis besides the batch.
    """
    if z.ndim < 2 or channel_axis == 0:
        return float("nan")
    still = (z.amax(0) == z.amin(0)).movedim(channel_axis - 1, 0)
    return float(still.reshape(len(still), -1).all(1).double().mean())

"""What a parameter does in its module, and how many of its entries feed one output: its fan-in.

Convention: fan_in counts the terms of the sum that a linear map forms, so that C_W = fan_in * Var W keeps its meaning
for strides, groups and transposed convolutions.
"""

import math
from typing import Literal

from torch import Tensor, nn

__all__ = ["Role", "fan_in", "role"]

Role = Literal["weight", "bias", "other"]

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def role(module: nn.Module, *, key: str, tensor: Tensor) -> Role:
    """Return "weight" for the matrix of a linear map, "bias" for what is added to its output, else "other"."""
    if "bias" in key:
        return "bias"
    return "weight" if tensor.ndim >= 2 and ("weight" in key or isinstance(module, nn.Embedding)) else "other"


def fan_in(module: nn.Module, *, key: str, tensor: Tensor) -> int | None:
    """Return the number of inputs that one output of the map sums over; None where `key` is no weight of a map.

    Linear, attention, recurrent: the last axis. Convolution: C_in/groups * k. Transposed: C_in/groups * k / stride^d on
    average (rounded, at least 1). Embedding: 1, one row is picked. Bilinear: in1 * in2.
    """
    if role(module, key=key, tensor=tensor) != "weight":
        return None
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return 1
    if isinstance(module, _TRANSPOSED):
        terms = module.in_channels // module.groups * math.prod(module.kernel_size)
        return max(1, round(terms / math.prod(module.stride)))
    return math.prod(tensor.shape[1:])

"""What one call of a linear map takes: its arguments by name, its input in numbers, and what zero padding costs it.

Positions are the axes behind (samples, channels); a profile is the mean square at each position, divided by its mean.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Feed", "bound_arguments", "feed_of", "leak", "measured_profile", "resized_profile"]

_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_ORDERS: dict[str, tuple[str, ...]] = {
    "linear": ("input", "weight", "bias"),
    "addmm": ("bias", "input", "weight"),
    "multi_head_attention_forward": functional.multi_head_attention_forward.__code__.co_varnames,
}


@dataclass(frozen=True)
class Feed:
    """What enters a map, per input feature (or channel), summed over features and averaged over samples and positions.

    `varying` = sum of x^2 over features that vary, `constant` = the same over features that do not, `variance` = the
    summed variance; `features` and `constants` count them.
    """

    varying: float
    constant: float
    variance: float
    features: int
    constants: int


def feed_of(entering: Tensor, *, axis: int) -> Feed:
    """Return the feed of a map whose input features lie along `axis`."""
    features = entering.detach().double().movedim(axis, -1).flatten(0, -2)
    varies = (features != features[:1]).any(0)
    squares, means = features.square().mean(0), features.mean(0)
    return Feed(
        varying=float(squares[varies].sum()),
        constant=float(squares[~varies].sum()),
        variance=float((squares - means.square()).clamp(min=0).sum()),
        features=int(varies.numel()),
        constants=int((~varies).sum()),
    )


def bound_arguments(name: str, args: Sequence[Any], *, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call of `torch.nn.functional.<name>`, or of a matrix product, by name."""
    convolution = _TRANSPOSED if name.startswith("conv_transpose") else _CONVOLUTION
    order = convolution if name.startswith("conv") else _ORDERS.get(name, ("input", "weight"))
    return {**dict(zip(order, args, strict=False)), **options}


def measured_profile(tensor: Tensor) -> Tensor | None:
    """Return the mean square at each position of (samples, channels, *positions), mean 1; None without positions."""
    if tensor.ndim < 3 or not tensor.is_floating_point():
        return None
    profile = tensor.detach().double().square().mean((0, 1))
    return profile / profile.mean() if float(profile.mean()) > 0 else torch.ones_like(profile)


def resized_profile(profile: Tensor | None, tensor: Tensor) -> Tensor | None:
    """Return the profile at the positions of `tensor`, averaged where these are fewer; None if it has no such axes."""
    if profile is None or tensor.ndim != profile.ndim + 2:
        return None
    if tensor.shape[2:] == profile.shape:
        return profile
    pool = getattr(functional, f"adaptive_avg_pool{profile.ndim}d")
    return pool(profile[None, None], tensor.shape[2:])[0, 0]


def leak(name: str, bound: Mapping[str, Any], *, profile: Tensor | None) -> tuple[Tensor | None, float]:
    """Return the profile behind a convolution, and mean(v in) / mean(v out): what zero padding takes away.

    v'(p) is the window average of the position variances v with padded zeros counted; (None, 1) for other maps.
    """
    if not name.startswith("conv") or name.startswith("conv_transpose"):
        return None, 1.0
    weight = bound["weight"]
    positions = weight.ndim - 2
    if profile is None or profile.ndim != positions:
        profile = torch.ones(bound["input"].shape[-positions:], dtype=torch.float64)
    window = torch.ones((1, 1, *weight.shape[2:]), dtype=torch.float64)
    convolve = getattr(torch, f"conv{positions}d")
    geometry = {key: bound[key] for key in ("stride", "padding", "dilation") if key in bound}
    behind = convolve(profile[None, None], window / window.numel(), **geometry)[0, 0]
    mean = float(behind.mean())
    if not mean > 0:
        return None, 1.0
    return behind / mean, float(profile.mean()) / mean

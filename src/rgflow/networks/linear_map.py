"""Mean-field version of a parametric linear map: what it emits, and what its gradient is worth, from second moments.

A location is a pair (input, position); M = second moment of a map's input over channels and replicas, Gamma the same
of the cotangent of its output. With Var W = w2 per weight and k kernel offsets that pair output with input positions,
    K = Var b + w2 C sum_offsets M,   E|dL/dW|^2 = C_out C sum Gamma o sum_offsets M,   E|dL/db|^2 = C_out sum Gamma,
C = input channels that one output sees; the cotangent of the input is Gaussian with w2 C' sum_offsets Gamma, C' =
output channels that one input feeds. Errors: leading order in 1/C. Source: Poole et al. 2016, arXiv:1606.05340;
Novak et al. 2019, arXiv:1810.05148.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rgflow.networks.rows import LinearCall

__all__ = ["Geometry", "Pairing", "correlate", "gaussian_channels", "geometry_of", "second_moment"]

_CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)


@dataclass(frozen=True)
class Pairing:
    """Which input position one kernel offset pairs with which output position; padding drops out."""

    source: Tensor
    target: Tensor


@dataclass(frozen=True)
class Geometry:
    """Channel counts and positions of one linear map on inputs of one shape.

    Shapes: `spatial_in` and `spatial_out` are the axes besides batch and channels; `batch` is axis 0 (1 if missing).
    `channels_per_output` = C, `outputs_per_input` = C' of the module's text; `pairings` has one entry per offset.
    """

    batch: int
    spatial_in: tuple[int, ...]
    spatial_out: tuple[int, ...]
    channels_in: int
    channels_out: int
    channels_per_output: int
    outputs_per_input: int
    pairings: tuple[Pairing, ...]
    channel_axis: int

    @property
    def locations_in(self) -> int:
        """Input locations."""
        return self.batch * torch.Size(self.spatial_in).numel()

    @property
    def locations_out(self) -> int:
        """Output locations."""
        return self.batch * torch.Size(self.spatial_out).numel()

    def pack(self, x: Tensor) -> Tensor:
        """Return (replicas, batch, ..channels..) as (batch, positions, replicas * channels)."""
        channels = x.movedim(self.channel_axis + 1, -1) if self.channel_axis >= 0 else x
        replicas, count = x.shape[0], channels.size(-1)
        flat = channels.reshape(replicas, self.batch, -1, count)
        return flat.permute(1, 2, 0, 3).reshape(self.batch, flat.shape[2], replicas * count)

    def unpack(self, z: Tensor, *, like: Tensor, channels: int, spatial: tuple[int, ...]) -> Tensor:
        """Return (batch, positions, replicas * channels) in the user's layout; `like` tells the number of axes."""
        replicas = z.shape[2] // channels
        stacked = z.reshape(self.batch, -1, replicas, channels).permute(2, 0, 1, 3)
        if self.channel_axis < 0:
            lead = (self.batch,) if like.ndim > 2 else ()
            return stacked.reshape(replicas, *lead, *spatial, channels)
        shaped = stacked.reshape(replicas, self.batch, *spatial, channels).movedim(-1, 2)
        return shaped if like.ndim == len(spatial) + 3 else shaped.squeeze(1)


def geometry_of(call: LinearCall, shape: tuple[int, ...]) -> Geometry:
    """Return the geometry of `call` on an input of `shape` (one replica)."""
    c, c_out = call.channels_per_output, call.channels_out
    if not call.convolution:
        batch, spatial = (shape[0], tuple(shape[1:-1])) if len(shape) > 1 else (1, ())
        every = torch.arange(torch.Size(spatial).numel())
        return Geometry(batch, spatial, spatial, c, c_out, c, c_out, (Pairing(every, every),), -1)
    axes = len(call.kernel)
    batch, spatial = (shape[0] if len(shape) == axes + 2 else 1), tuple(shape[-axes:])
    probe = call.literal(torch.zeros(1, c * call.groups, *spatial, dtype=call.weight.dtype))
    spatial_out = tuple(probe.shape[2:])
    pairings = _pairings(call, spatial, spatial_out)
    # In the caller's layout the channel axis is 1, or 0 for an unbatched image.
    axis = 1 if len(shape) == axes + 2 else 0
    fed = c_out // call.groups
    return Geometry(batch, spatial, spatial_out, c * call.groups, c_out, c, fed, pairings, axis)


def second_moment(x: Tensor) -> Tensor:
    """Return M = mean over samples of x x^T; x (batch, positions, samples), result (locations, locations)."""
    flat = x.flatten(0, 1)
    return flat @ flat.T / flat.shape[1]


def correlate(moment: Tensor, geometry: Geometry, *, back: bool = False) -> Tensor:
    """Return sum over kernel offsets of `moment` moved along: input to output locations, or `back` from out to in.

    Shapes: `moment` (n * positions, n * positions); the number n of images may exceed the geometry's batch.
    """
    spatial = geometry.spatial_in if back else geometry.spatial_out
    other = geometry.spatial_out if back else geometry.spatial_in
    positions, others = torch.Size(spatial).numel(), torch.Size(other).numel()
    if len(geometry.pairings) == 1 and positions == others and len(geometry.pairings[0].source) == positions:
        return moment
    images = len(moment) // others
    moved = moment.new_zeros(images * positions, images * positions)
    for pairing in geometry.pairings:
        source, target = (pairing.target, pairing.source) if back else (pairing.source, pairing.target)
        at, to = _locations(source, images, others), _locations(target, images, positions)
        moved.index_put_((to[:, None], to[None, :]), moment[at][:, at], accumulate=True)
    return moved


def shifted(x: Tensor, geometry: Geometry, *, offset: int, back: bool = False) -> Tensor:
    """Return samples moved by one kernel offset, zero where nothing arrives; (batch, positions, samples)."""
    spatial = geometry.spatial_in if back else geometry.spatial_out
    pairing = geometry.pairings[offset]
    source, target = (pairing.target, pairing.source) if back else (pairing.source, pairing.target)
    moved = x.new_zeros(x.shape[0], torch.Size(spatial).numel(), x.shape[2])
    moved[:, target] = x[:, source]
    return moved


def gaussian_channels(covariance: Tensor, samples: int, *, generator: torch.Generator) -> Tensor:
    """Return `samples` Gaussian draws with the given covariance, (locations, samples).

    Errors: with samples > 1.5 * locations the second moment of the draws is exact (the noise is made orthonormal), up
    to a jitter of at most 1e-9 of each variance; below, it fluctuates by sqrt(2 / samples).
    """
    deviation = covariance.diagonal().clamp_min(0.0).sqrt()
    inverse = torch.where(deviation > 0.0, 1.0 / deviation, 0.0)
    factor = _cholesky(inverse[:, None] * covariance * inverse[None, :])
    noise = torch.randn(len(covariance), samples, dtype=covariance.dtype, generator=generator)
    # 1.5: the Gram matrix of the noise then has condition < ((1 + 0.82) / (1 - 0.82))^2 = 1e2, harmless in float64.
    if samples > 1.5 * len(covariance):
        gram = torch.linalg.cholesky(noise @ noise.T / samples)
        factor = torch.linalg.solve_triangular(gram, factor, upper=False, left=False)
    return deviation[:, None] * (factor @ noise)


def _cholesky(correlation: Tensor) -> Tensor:
    """Cholesky factor of a correlation matrix; entries without variance have zero rows."""
    for jitter in (1e-13, 1e-11, 1e-9):
        shifted_matrix = correlation.clone()
        shifted_matrix.diagonal().add_(jitter)
        factor, failed = torch.linalg.cholesky_ex(shifted_matrix)
        if not bool(failed):
            return factor
    values, vectors = torch.linalg.eigh(correlation)
    return vectors * values.clamp_min(0.0).sqrt()


def _pairings(call: LinearCall, spatial: tuple[int, ...], spatial_out: tuple[int, ...]) -> tuple[Pairing, ...]:
    """Convolve the grid of position numbers with one-hot kernels: what arrives is the number of the position."""
    transposed = call.family == "transposed"
    large, small = (spatial_out, spatial) if transposed else (spatial, spatial_out)
    count, offsets = torch.Size(large).numel(), torch.Size(call.kernel).numel()
    grid = torch.arange(1, count + 1, dtype=torch.float64).reshape(1, 1, *large)
    kernels = torch.eye(offsets, dtype=torch.float64).reshape(offsets, 1, *call.kernel)
    convolve = _CONVOLVE[len(call.kernel) - 1]
    arrived = convolve(grid, kernels, None, call.stride, call.padding, call.dilation)  # type: ignore[arg-type]
    pairings = []
    for numbers in arrived[0].reshape(offsets, -1)[:, : torch.Size(small).numel()].round().long():
        near = torch.nonzero(numbers)[:, 0]
        far = numbers[near] - 1
        pairings.append(Pairing(near, far) if transposed else Pairing(far, near))
    return tuple(pairings)


def _locations(positions: Tensor, images: int, per_image: int) -> Tensor:
    return (torch.arange(images)[:, None] * per_image + positions[None, :]).flatten()

"""The autograd function of a mean-field linear map: fresh Gaussians forward, fresh Gaussians backward.

Convention: tensors are stacks of replicas, (replicas, the user's own shape). Up to `dense_limit` locations the
covariance is a matrix; beyond, draws are made from the samples themselves (a factor of the covariance), never an
n x n matrix. The mean over the batch and the deviations from it are emitted as separate locations, so that a spread of
1e-20 of the signal keeps its digits.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from rgflow.networks.linear_map import Geometry, correlate, gaussian_channels, second_moment, shifted

__all__ = ["BudgetReached", "Job", "Ledger", "emit", "gradient_square"]


class BudgetReached(Exception):
    """The forecast takes longer than it may."""


@dataclass
class Fluctuation:
    """Relative variance over replicas of what a map averages: mean square and spread of its input, and of its cotangent.

    Each is what a real network's own second moment would fluctuate by, of order 1/channels: the small parameter of the
    forecast. A norm layer in front of a map makes it vanish. `weight_share` is the part of the map's output variance
    that comes through the weights and not from the bias: only it carries fluctuations on.
    """

    signal: float
    spread: float
    weight_share: float
    cotangent: float = 0.0


@dataclass
class Ledger:
    """What one forecast seed writes down: E|gradient|^2 per row and backward pass, fluctuations, and the clock."""

    generator: torch.Generator
    deadline: float
    dense_limit: int
    gradients: dict[int, float] = field(default_factory=dict)
    fluctuations: dict[int, Fluctuation] = field(default_factory=dict)

    def check_time(self) -> None:
        """Raise BudgetReached after the deadline."""
        if time.thread_time() > self.deadline:
            raise BudgetReached


def gradient_square(geometry: Geometry, *, weights: float, bias: float) -> float:
    """Return E|dL/d(W, b)|^2 = C_out (C weights + bias), weights = sum Gamma o sum_offsets M, bias = sum Gamma."""
    return geometry.channels_out * (geometry.channels_per_output * weights + bias)


@dataclass(frozen=True)
class Job:
    """One mean-field map: its row, geometry, variance of a weight and of a bias."""

    row: int
    geometry: Geometry
    weight_variance: float
    bias_variance: float
    biased: bool
    ledger: Ledger


def emit(x: Tensor, token: Tensor, job: Job) -> Tensor:
    """Return the map's output on a stack x (replicas, ...); `token` is a scalar that requires a gradient."""
    return _Emission.apply(x, token, job)  # type: ignore[return-value]


class _Emission(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, token: Tensor, job: Job) -> Tensor:
        job.ledger.check_time()
        g = job.geometry
        packed, samples = g.pack(x), x.shape[0] * g.channels_out
        ctx.job, ctx.like = job, x  # type: ignore[attr-defined]
        deviation = packed - packed.mean(0, keepdim=True)
        replicas = x.shape[0]
        squares = _relative_variance(packed, replicas), _relative_variance(deviation, replicas)
        job.ledger.fluctuations[job.row] = Fluctuation(*squares, weight_share=_weight_share(packed, job))
        draw = _dense_forward if _dense(job) else _factored_forward
        z, ctx.kept = draw(packed, samples, job)  # type: ignore[attr-defined]
        return g.unpack(z, like=x, channels=g.channels_out, spatial=g.spatial_out)

    @staticmethod
    def backward(ctx: FunctionCtx, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        job, x = ctx.job, ctx.like  # type: ignore[attr-defined]
        g, ledger = job.geometry, job.ledger
        ledger.check_time()
        packed = g.pack(cotangents[0])
        ledger.fluctuations[job.row].cotangent = _relative_variance(packed, x.shape[0])
        wanted = x.shape[0] * g.channels_in if ctx.needs_input_grad[0] else 0  # type: ignore[attr-defined]
        work = _dense_backward if _dense(job) else _factored_backward
        square, back = work(packed, wanted, job, kept=ctx.kept)  # type: ignore[attr-defined]
        bias = float(packed.sum((0, 1)).pow(2).mean()) if job.biased else 0.0
        ledger.gradients[job.row] = gradient_square(g, weights=square, bias=bias)
        if back is None:
            return None, torch.zeros(()), None
        return g.unpack(back, like=x, channels=g.channels_in, spatial=g.spatial_in), torch.zeros(()), None


def _relative_variance(packed: Tensor, replicas: int) -> float:
    """Variance over replicas of the mean square, over its squared mean."""
    squares = packed.pow(2).reshape(*packed.shape[:2], replicas, -1).mean((0, 1, 3))
    mean = float(squares.mean())
    return float(squares.var()) / mean**2 if replicas > 1 and mean > 0.0 else 0.0


def _weight_share(packed: Tensor, job: Job) -> float:
    fan_in = job.geometry.channels_per_output * len(job.geometry.pairings)
    from_weights = job.weight_variance * fan_in * float(packed.pow(2).mean())
    total = from_weights + job.bias_variance
    return from_weights / total if total > 0.0 else 0.0


def _dense(job: Job) -> bool:
    return max(job.geometry.locations_in, job.geometry.locations_out) <= job.ledger.dense_limit


def _dense_forward(x: Tensor, samples: int, job: Job) -> tuple[Tensor, Tensor]:
    """Draws from the covariance of (mean over the batch, deviations of all inputs but the last)."""
    g = job.geometry
    mean = x.mean(0, keepdim=True)
    moved = correlate(second_moment(torch.cat([mean, (x - mean)[:-1]])), g)
    positions = len(moved) // g.batch
    covariance = job.weight_variance * g.channels_per_output * moved
    covariance[:positions, :positions] += job.bias_variance
    z = gaussian_channels(covariance, samples, generator=job.ledger.generator)
    # Back to the inputs: input a = mean + deviation a; the last deviation is minus the sum of the others.
    mixing = torch.eye(g.batch, dtype=x.dtype).roll(1, dims=1)
    mixing[-1], mixing[:, 0] = -1.0, 1.0
    moved = torch.einsum("ai,ipjq,bj->apbq", mixing, moved.reshape(g.batch, positions, g.batch, positions), mixing)
    z = torch.einsum("ai,ips->aps", mixing, z.reshape(g.batch, positions, samples))
    return z, moved.reshape(g.batch * positions, g.batch * positions)


def _dense_backward(cotangent: Tensor, samples: int, job: Job, *, kept: Tensor) -> tuple[float, Tensor | None]:
    """Sum of Gamma o sum_offsets M, and draws of the input's cotangent."""
    g = job.geometry
    gamma = second_moment(cotangent)
    square = float((gamma * kept).sum())
    if not samples:
        return square, None
    covariance = job.weight_variance * g.outputs_per_input * correlate(gamma, g, back=True)
    draws = gaussian_channels(covariance, samples, generator=job.ledger.generator)
    return square, draws.reshape(g.batch, -1, samples)


def _factored_forward(x: Tensor, samples: int, job: Job) -> tuple[Tensor, Tensor]:
    z = _mixed(x, samples, job, scale=job.weight_variance * job.geometry.channels_per_output)
    constant = torch.randn(samples, dtype=x.dtype, generator=job.ledger.generator)
    return z + job.bias_variance**0.5 * constant, x


def _factored_backward(cotangent: Tensor, samples: int, job: Job, *, kept: Tensor) -> tuple[float, Tensor | None]:
    g = job.geometry
    square = sum(
        float((cotangent.flatten(0, 1).T @ shifted(kept, g, offset=at).flatten(0, 1)).pow(2).sum())
        for at in range(len(g.pairings))
    ) / (cotangent.shape[2] * kept.shape[2])
    if not samples:
        return square, None
    return square, _mixed(cotangent, samples, job, scale=job.weight_variance * g.outputs_per_input, back=True)


def _mixed(x: Tensor, samples: int, job: Job, *, scale: float, back: bool = False) -> Tensor:
    """Sum over offsets of shifted samples times white noise: covariance scale * sum_offsets M, without the matrix."""
    g, generator = job.geometry, job.ledger.generator
    move: Callable[[int], Tensor] = lambda at: shifted(x, g, offset=at, back=back)  # noqa: E731
    deviation = (scale / x.shape[2]) ** 0.5
    total = None
    for at in range(len(g.pairings)):
        job.ledger.check_time()
        term = move(at) @ torch.randn(x.shape[2], samples, dtype=x.dtype, generator=generator)
        total = term if total is None else total + term
    return deviation * total  # type: ignore[operator]

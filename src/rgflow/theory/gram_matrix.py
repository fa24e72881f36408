"""Gram matrices of wide networks: kernel and tangent kernel between many inputs, tile by tile, in memory.

Convention: z' = b + W s(z), Var W = weight_variance / fan_in, last layer included: the kernel is K^(L) and the tangent
kernel Theta^(L) of one output. Units: of z^2, and z^2 times the rates.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.free_memory import free_memory
from rgflow.records import MLP
from rgflow.theory.gram_job import GramJob
from rgflow.theory.gram_planning import GramError, GramPlan, gram_plan
from rgflow.theory.gram_tiles import GramTile, gram_tile, mirror_tile
from rgflow.theory.stored_matrix import StoredMatrix

__all__ = ["Gram", "Spans", "allowed_memory", "forecast_memory", "gram", "tile_spans"]

_ROWS, _COLUMNS = 256, 512  # a tile and what is made from it stay in a second-level cache of 2 MiB
_DEVICE_SIDE = 4096  # tiles on a GPU: 16 million entries keep it busy
_LOOPS = 160 << 20  # compiled code and its compiler, loaded at first use (measured 130 MiB with what they import)
_SHARE = 0.8  # part of the free memory that is taken without being asked


@dataclass(frozen=True)
class Gram:
    """Kernel and tangent kernel between the inputs.

    Shapes: `kernel`, `tangent` (N1, N2), None where not asked for; Tensors, or `StoredMatrix` if written to a store.
    Errors: `error`, relative to sqrt(F_aa F_bb). `plan` says how (`plan.route`), None where a finished store was opened
    without planning; `memory` the bytes forecast before the work.
    """

    kernel: Tensor | StoredMatrix | None
    tangent: Tensor | StoredMatrix | None
    error: GramError
    plan: GramPlan | None
    memory: int


@dataclass(frozen=True)
class Spans:
    """Rows and columns of one tile."""

    rows: slice
    columns: slice


def gram(
    network: MLP,
    x1: Tensor,
    x2: Tensor | None = None,
    *,
    kind: str | Sequence[str] = ("kernel", "tangent"),
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    memory: int | None = None,
    out: str | os.PathLike[str] | None = None,
    cluster: object | None = None,
    progress: Callable[[str, float], None] | None = None,
    bias_rate: float | Sequence[float] = 1.0,
    weight_rate: float | Sequence[float] = 1.0,
) -> Gram:
    """Return the kernel K^(L) and the tangent kernel of `network` between inputs x1 and x2 (x1 itself if None).

    Homogeneous networks (scale-invariant activation, no bias) and inputs of equal norm: one polynomial of the angle, at
    any depth. Else all layers in one pass over a tile. `memory`: bytes that may be used (default: 0.8 of what is free).
    `progress(stage, fraction)` is called after every tile. `bias_rate`, `weight_rate` as in `rgflow.theory.tangent`.
    `out`: folder of a Zarr store in which the matrices grow tile by tile, to be resumed by the same call after any
    interruption and opened later by `open_gram`. `cluster`: a `dask.distributed.Client` or the address of a scheduler
    whose workers compute the tiles of `out`. See `rgflow.theory.gram_on_disk`.
    Shapes: x1 (N1, n_0), x2 (N2, n_0) to (N1, N2); symmetric to the last bit if x2 is None.
    Errors: in `.error`, checked on samples before the work. Raises: SettingError, DataError, DeviceError, OutputError.

    Example:
    >>> network = MLP((2, 100, 1), "relu", weight_variance=2.0)
    >>> found = gram(network, torch.eye(2), kind="kernel")
    >>> round(float(found.kernel[0, 1]), 6)  # 1 / pi for orthogonal inputs of K_aa = 1
    0.31831
    """
    if out is not None or cluster is not None:
        # Imported here: stores run tiles of this module, and need the libraries of an extra.
        from rgflow.theory.gram_on_disk import stored_gram

        kinds = (kind,) if isinstance(kind, str) else tuple(kind)
        job = GramJob(network, x1, x2, kinds, dtype, device, bias_rate, weight_rate)
        return stored_gram(job, out, cluster=cluster, memory=memory, progress=progress)
    shape = Spans(slice(0, len(x1)), slice(0, len(x1 if x2 is None else x2)))
    shrink, forecast = _affordable(network, shape, memory, kind=kind, dtype=dtype, device=device)
    plan = gram_plan(
        network, x1, x2, kind=kind, dtype=dtype, device=device, bias_rate=bias_rate, weight_rate=weight_rate
    )
    results = GramTile(*(_empty(plan) if name in plan.kind else None for name in _KINDS))
    tiles = list(tile_spans(plan, shrink=shrink))
    for done, spans in enumerate(tiles, 1):
        gram_tile(plan, spans.rows, spans.columns, into=results)
        if plan.symmetric and spans.rows != spans.columns:
            mirror_tile(plan, spans.rows, spans.columns, into=results)
        if progress is not None:
            progress("Gram tiles", done / len(tiles))
    return Gram(results.kernel, results.tangent, plan.error, plan, forecast)


_KINDS = ("kernel", "tangent")


def tile_spans(plan: GramPlan, block: Spans | None = None, *, shrink: int = 1) -> Iterator[Spans]:
    """Yield the tiles of a block (all by default) that have to be computed: the upper triangle where it is symmetric.

    `shrink`: how many times shorter the sides of tiles are than what is fastest, where memory is scarce.
    """
    whole = block or Spans(slice(0, plan.shape[0]), slice(0, plan.shape[1]))
    height, width = (_ROWS, _COLUMNS) if plan.device == "cpu" else (_DEVICE_SIDE, _DEVICE_SIDE)
    height, width = height // shrink, width // shrink
    symmetric = plan.symmetric and whole.rows == whole.columns
    for a in range(whole.rows.start, whole.rows.stop, height):
        rows = slice(a, min(a + height, whole.rows.stop))
        if symmetric:
            # The diagonal tile first; what lies to its right starts where it ends.
            yield Spans(rows, rows)
        for b in range(rows.stop if symmetric else whole.columns.start, whole.columns.stop, width):
            yield Spans(rows, slice(b, min(b + width, whole.columns.stop)))


def _empty(plan: GramPlan) -> Tensor:
    if plan.device != "cpu":
        return torch.empty(plan.shape, dtype=plan.dtype, device=plan.device)
    # NumPy asks for large pages where the system has them: their first touch costs half.
    return torch.from_numpy(np.empty(plan.shape, np.float32 if plan.dtype == torch.float32 else np.float64))


def forecast_memory(
    network: MLP,
    rows: int,
    columns: int,
    *,
    kind: str | Sequence[str],
    dtype: torch.dtype,
    device: str = "cpu",
    shrink: int = 1,
) -> int:
    """Return the bytes that `gram` will need at its peak: results, inputs twice, numbers of each input, tiles.

    `shrink` as in `tile_spans`. Measured peaks lie between half of the forecast and the forecast.
    """
    item = torch.finfo(dtype).bits // 8 if dtype.is_floating_point else 8
    kinds = 1 if isinstance(kind, str) else len(tuple(kind))
    results = rows * columns * item * kinds
    inputs = (rows + columns) * ((network.widths[0] + 1) * (16 + item) + 8 * (12 + 8 * network.depth + 64))
    side = _ROWS * _COLUMNS if device == "cpu" else _DEVICE_SIDE**2
    return results + inputs + 8 * side * item // shrink**2 + _LOOPS


_SHRINKS = (1, 2, 4, 8)


def _affordable(
    network: MLP,
    whole: Spans,
    budget: int | None,
    *,
    kind: str | Sequence[str],
    dtype: torch.dtype,
    device: str,
) -> tuple[int, int]:
    """The largest tiles that the budget allows, as a shrinkage, and the bytes forecast with them."""
    allowed, forecast = allowed_memory(budget), 0
    for shrink in _SHRINKS:
        forecast = forecast_memory(
            network, whole.rows.stop, whole.columns.stop, kind=kind, dtype=dtype, device=device, shrink=shrink
        )
        if forecast <= allowed:
            return shrink, forecast
    raise SettingError(
        f"the Gram matrices need {forecast / 2**30:.2f} GiB and {allowed / 2**30:.2f} GiB may be used; take float32,"
        " one kind, fewer inputs, write to a store (out=), or raise memory="
    )


def allowed_memory(budget: int | None) -> float:
    """Return the budget or, where there is none, 0.8 of the memory that is free; infinity on systems that do not tell."""
    return _SHARE * free_memory() if budget is None else budget

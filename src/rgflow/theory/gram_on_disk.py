"""Gram matrices beyond memory and beyond one machine: the same tiles, written to a Zarr store as they are finished.

A tile is a chunk of the store. Its side follows from the memory that may be used, is settled when the store is created, and
stays: the same call finds the store, checks that it belongs to the same job, and computes only what is missing.
"""

import os
import shutil
from collections.abc import Callable

import torch

from rgflow.errors import OutputError, SettingError
from rgflow.theory.gram_block import compute_tile
from rgflow.theory.gram_cluster import check_cluster, finish_on_cluster
from rgflow.theory.gram_job import GramJob
from rgflow.theory.gram_matrix import Gram, allowed_memory, forecast_memory
from rgflow.theory.gram_planning import GramPlan
from rgflow.theory.gram_store import GramStore, create_store, open_store
from rgflow.theory.stored_matrix import zarr_library

__all__ = ["forecast_store_memory", "open_gram", "stored_gram"]

_STEP = 256  # sides are multiples of the height of the tiles that fit the cache
_LARGEST_SIDE = 2048  # 32 MiB a chunk in float64: a disk's full speed, and still many tiles to share out
_STRIPS = 16  # at least so many rows of tiles, where there are inputs enough: something to resume and to share out
_BLOCKS = 2  # beside the tiles of each kind: the mirror image, and the padded chunk that zarr writes
_ZARR = 64 << 20  # the library and its threads


def stored_gram(
    job: GramJob,
    out: str | os.PathLike[str] | None,
    *,
    cluster: object | None = None,
    memory: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Gram:
    """Return the matrices of `job` in the store at `out`, computing the tiles that it does not hold yet.

    The result does not depend, to the last bit, on where the work was interrupted. `kernel` and `tangent` are
    `StoredMatrix`: `found.kernel[rows, columns]` reads a part, `found.kernel.array` is the `zarr.Array`. A finished store
    is opened without planning (`plan` is None). With `cluster` every worker needs `memory` bytes and must see `out`.
    Raises: SettingError if the budget is too small, if `cluster` comes without `out`, or a library is missing; OutputError
    if the store belongs to another job, is being written, or cannot be written.
    """
    if out is None:
        raise SettingError("cluster= needs out=, a folder that every worker sees, so that no finished tile is lost")
    zarr_library()
    if cluster is not None:
        check_cluster(cluster)
    report = progress or (lambda stage, fraction: None)
    path = os.path.abspath(os.fspath(out))
    store = _found(job, path) if os.path.lexists(path) and not _empty(path) else None
    side = _side(job, memory) if store is None else store.side
    forecast = forecast_store_memory(job, side)
    _check(forecast, memory)
    if store is not None and not store.unfinished():
        report("Gram tiles", 1.0)
        return _result(store, None, forecast)
    plan = job.plan()
    if store is None:
        _check_disk(job, path)
        store = create_store(_described(job, plan, path, side))
    with store.locked():
        if cluster is None:
            _finish(store, plan, report)
        else:
            finish_on_cluster(store, plan, cluster=cluster, report=report)
    return _result(store, plan, forecast)


def open_gram(path: str | os.PathLike[str]) -> Gram:
    """Return the matrices in a finished store, without network and inputs; `plan` is None and `memory` 0.

    Raises: OutputError if there is no store, or tiles are missing.
    """
    store = open_store(path)
    missing = len(store.unfinished())
    if missing:
        raise OutputError(
            f"{store.path} lacks {missing} of {len(store.tiles())} tiles; call gram(..., out=) as before to finish it"
        )
    return _result(store, None, 0)


def forecast_store_memory(job: GramJob, side: int) -> int:
    """Return the bytes that a process needs at its peak: all but the matrices, and blocks of the tile side."""
    kinds = len(job.kind)
    item = torch.finfo(job.dtype).bits // 8 if job.dtype.is_floating_point else 8
    high, wide = job.shape
    whole = forecast_memory(job.network, high, wide, kind=job.kind, dtype=job.dtype, device=job.device)
    return whole - high * wide * item * kinds + (kinds + _BLOCKS) * side**2 * item + _ZARR


def _finish(store: GramStore, plan: GramPlan, report: Callable[[str, float], None]) -> None:
    missing, count = store.unfinished(), len(store.tiles())
    for done, tile in enumerate(missing, 1 + count - len(missing)):
        compute_tile(store, plan, tile)
        report("Gram tiles", done / count)


def _found(job: GramJob, path: str) -> GramStore:
    store = open_store(path)
    if store.fingerprint != job.fingerprint(store.side):
        raise OutputError(
            f"{path} holds the Gram matrices of another job (network, inputs, rates, kind, dtype or version differ); "
            "give another out=, or remove that folder"
        )
    return store


def _empty(path: str) -> bool:
    return os.path.isdir(path) and not os.listdir(path)


def _side(job: GramJob, memory: int | None) -> int:
    """The largest side that the budget allows, none larger than serves."""
    wanted = min(_LARGEST_SIDE, _rounded_up(-(-max(job.shape) // _STRIPS)))
    allowed = allowed_memory(memory)
    while wanted > _STEP and forecast_store_memory(job, wanted) > allowed:
        wanted -= _STEP
    return wanted


def _rounded_up(side: int) -> int:
    return -(-side // _STEP) * _STEP


def _check(forecast: int, memory: int | None) -> None:
    if forecast > allowed_memory(memory):
        raise SettingError(
            f"this Gram matrix on disk needs {forecast / 2**20:.0f} MiB in each process and "
            f"{allowed_memory(memory) / 2**20:.0f} MiB may be used; raise memory=, or take float32, one kind or fewer inputs"
        )


def _check_disk(job: GramJob, path: str) -> None:
    needed = job.shape[0] * job.shape[1] * len(job.kind) * torch.finfo(job.dtype).bits // 8
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"the Gram matrices take {needed / 2**30:.2f} GiB and the disk of {folder} has {free / 2**30:.2f} GiB; give "
            "out= on a larger disk, or take float32 or one kind"
        )


def _described(job: GramJob, plan: GramPlan, path: str, side: int) -> GramStore:
    return GramStore(
        path=path,
        fingerprint=job.fingerprint(side),
        kind=plan.kind,
        dtype=plan.dtype,
        shape=plan.shape,
        side=side,
        symmetric=plan.symmetric,
        error=plan.error,
        route=plan.route,
    )


def _result(store: GramStore, plan: GramPlan | None, forecast: int) -> Gram:
    return Gram(store.matrix("kernel"), store.matrix("tangent"), store.error, plan, forecast)

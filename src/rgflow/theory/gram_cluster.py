"""The tiles of a stored Gram matrix on the workers of a dask.distributed cluster.

The plan travels once to every worker; a task is one tile, which the worker writes to the store and records there. The manifest
in the store, not the scheduler, says what is finished: whatever dies, only unfinished tiles are asked for again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rgflow.errors import OutputError, SettingError
from rgflow.theory.gram_block import compute_tile
from rgflow.theory.gram_planning import GramPlan
from rgflow.theory.gram_store import GramStore, TileIndex
from rgflow.theory.stored_matrix import needs_cluster_extra

__all__ = ["check_cluster", "finish_on_cluster"]


def check_cluster(cluster: object) -> None:
    """Raise SettingError unless `cluster` is a client or a text and the library is installed."""
    try:
        from dask.distributed import Client
    except ImportError:
        raise needs_cluster_extra("cluster=", library="dask.distributed") from None
    if not isinstance(cluster, str | Client):
        raise SettingError(
            f"cluster is {cluster!r}; give a dask.distributed.Client or the address of a scheduler as text"
        )


def finish_on_cluster(
    store: GramStore, plan: GramPlan, *, cluster: object, report: Callable[[str, float], None]
) -> None:
    """Compute the missing tiles of `store` on `cluster`, a `dask.distributed.Client` or a scheduler's address.

    A worker that dies loses the tile it was at; the tile goes to another worker. If so many die that the scheduler gives
    up, the rest is asked for anew, as long as every round finishes tiles.
    Raises: SettingError if no scheduler answers or it has no workers; OutputError if workers do not see the store or die
    without finishing anything; what a tile raises.
    """
    with _client(cluster) as client:
        missing = store.unfinished()
        while missing:
            _round(client, store, plan, missing, report)
            left = store.unfinished()
            if len(left) >= len(missing):
                raise OutputError(
                    f"a round of work on the cluster added no tile to {store.path}; give a folder that all workers see, "
                    "and workers with memory enough (they may have been killed for it)"
                )
            missing = left


def _round(
    client: Any, store: GramStore, plan: GramPlan, missing: list[TileIndex], report: Callable[[str, float], None]
) -> None:
    from dask.distributed import as_completed

    count = len(store.tiles())
    done = count - len(missing)
    remote = _scattered(client, plan)
    futures = client.map(_work, missing, store=store, plan=remote, pure=False)
    try:
        for future in as_completed(futures):
            if future.status == "finished":
                done += 1
                report("Gram tiles", done / count)
            elif not _lost(future):
                raise future.exception()
    finally:
        client.cancel([*futures, remote])


def _work(tile: TileIndex, store: GramStore, plan: GramPlan) -> None:
    compute_tile(store, plan, tile)


def _scattered(client: Any, plan: GramPlan) -> Any:
    # To all workers: a copy survives the death of any one.
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
        return client.scatter(plan, broadcast=True, hash=False)
    except TimeoutError:
        raise SettingError(f"the cluster at {client.scheduler.address} has no workers; start some") from None


_PATIENCE = 60  # seconds in which a cluster may start its workers


def _lost(future: Any) -> bool:
    """Whether the work died with its workers, and not of its own error."""
    from dask.distributed import CancelledError, KilledWorker

    return future.status in ("cancelled", "lost") or isinstance(future.exception(), KilledWorker | CancelledError)


@contextmanager
def _client(cluster: object) -> Iterator[Any]:
    from dask.distributed import Client

    if not isinstance(cluster, str):
        yield cluster
        return
    try:
        client = Client(cluster, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as failure:
        raise SettingError(f"no scheduler answers at {cluster!r} ({failure}); start one or mend the address") from None
    with client:
        yield client

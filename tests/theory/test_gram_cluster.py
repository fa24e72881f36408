"""Gram matrices on a real cluster of processes: the same bits, no tile twice, and no loss when workers are killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rgflow.errors import OutputError, SettingError
from rgflow.records import MLP
from rgflow.theory import gram_cluster, gram_on_disk
from rgflow.theory.gram_matrix import gram
from rgflow.theory.gram_store import GramStore, open_store
from rgflow.theory.stored_matrix import StoredMatrix

distributed = pytest.importorskip("dask.distributed")

NETWORK = MLP((6, 32, 1), "relu", weight_variance=2.0)


def inputs(count: int) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def small_tiles() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram_on_disk, "_STEP", 32)
        yield


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """Two worker processes of one thread each."""
    settings = {"processes": True, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as ready:
        yield ready


def stored(matrix: Tensor | StoredMatrix | None) -> Tensor:
    assert isinstance(matrix, StoredMatrix)
    return matrix.load()


def marks(path: Path) -> dict[str, int]:
    return {str(mark): mark.stat().st_mtime_ns for mark in path.glob("finished/c/*/*")}


def test_a_killed_worker_loses_nothing_and_no_finished_tile_is_computed_again(client: Any, tmp_path: Path) -> None:
    path, x = tmp_path / "g.zarr", inputs(230)
    seen: list[dict[str, int]] = []

    def kill_one(stage: str, fraction: float) -> None:
        # Late enough that the victim holds results: the scheduler asks for those again, and the store has them.
        if not seen and fraction > 0.25:
            seen.append(marks(path))
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    found = gram(NETWORK, x, out=path, cluster=client, progress=kill_one)
    assert torch.equal(stored(found.kernel), stored(gram(NETWORK, x, out=tmp_path / "alone.zarr").kernel))
    assert len(marks(path)) == 36
    assert seen[0].items() <= marks(path).items()
    again = gram(NETWORK, x, out=path, cluster=client)
    assert again.plan is None


@pytest.mark.slow
def test_the_death_of_all_workers_at_once_loses_nothing_either(client: Any, tmp_path: Path) -> None:
    path, x = tmp_path / "g.zarr", inputs(230)
    seen: list[dict[str, int]] = []

    def kill_all(stage: str, fraction: float) -> None:
        if len(seen) < 2 and fraction > 0.3 * (1 + len(seen)):
            seen.append(marks(path))
            for process in client.run(os.getpid).values():
                os.kill(process, signal.SIGKILL)

    found = gram(NETWORK, x, out=path, cluster=client, progress=kill_all)
    assert len(seen) == 2
    assert seen[0].items() <= seen[1].items() <= marks(path).items()
    assert torch.equal(stored(found.kernel), stored(gram(NETWORK, x, out=tmp_path / "alone.zarr").kernel))


@pytest.mark.slow
def test_a_store_begun_alone_is_finished_by_a_cluster_given_by_its_address(client: Any, tmp_path: Path) -> None:
    path, x = tmp_path / "g.zarr", inputs(100)
    fractions: list[float] = []

    def stop(stage: str, fraction: float) -> None:
        fractions.append(fraction)
        if len(fractions) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gram(NETWORK, x, out=path, progress=stop)
    before = marks(path)
    found = gram(NETWORK, x, out=path, cluster=client.scheduler.address, progress=lambda s, f: fractions.append(f))
    assert fractions == [tile / 10 for tile in range(1, 11)]
    assert before.items() <= marks(path).items()
    assert torch.equal(stored(found.tangent), stored(gram(NETWORK, x, out=tmp_path / "alone.zarr").tangent))


def test_the_error_of_a_tile_reaches_the_caller(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram_cluster, "_work", _broken)
    with pytest.raises(ArithmeticError, match="this tile cannot be"):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr", cluster=client)


def test_workers_that_do_not_see_the_store_are_reported(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gram_cluster, "_work", _idle)
    with pytest.raises(OutputError, match="give a folder that all workers see"):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr", cluster=client)
    assert len(open_store(tmp_path / "g.zarr").unfinished()) == 3


def test_a_cluster_without_a_store_or_not_a_cluster_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cluster= needs out="):
        gram(NETWORK, inputs(40), cluster="tcp://127.0.0.1:1")
    with pytest.raises(SettingError, match=r"cluster is 7; give a dask\.distributed\.Client"):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr", cluster=7)


def test_a_scheduler_that_does_not_answer_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gram_cluster, "_PATIENCE", 0.5)
    with pytest.raises(SettingError, match="no scheduler answers at"):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr", cluster="tcp://127.0.0.1:1")


def _broken(tile: object, store: GramStore, plan: object) -> None:
    raise ArithmeticError("this tile cannot be")


def _idle(tile: object, store: GramStore, plan: object) -> None:
    return None

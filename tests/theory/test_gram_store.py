"""Gram matrices on disk: equal to those in memory, resumable after any death, bound to one job, below the stated memory."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rgflow.errors import DataError, OutputError, SettingError
from rgflow.records import MLP
from rgflow.theory import gram_job, gram_matrix, gram_on_disk, gram_store
from rgflow.theory.gram_block import compute_tile, gram_block
from rgflow.theory.gram_matrix import Gram, gram
from rgflow.theory.gram_on_disk import open_gram
from rgflow.theory.gram_planning import gram_plan
from rgflow.theory.gram_store import GramStore, TileIndex, open_store
from rgflow.theory.stored_matrix import StoredMatrix
from tolerances import ROUNDING

NETWORK = MLP((6, 32, 1), "relu", weight_variance=2.0)
SIDE = 32


@pytest.fixture(autouse=True)
def small_tiles() -> Iterator[None]:
    """Tiles small enough that a hundred inputs make many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram_on_disk, "_STEP", SIDE)
        yield


def inputs(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def stored(matrix: Tensor | StoredMatrix | None) -> StoredMatrix:
    assert isinstance(matrix, StoredMatrix)
    return matrix


def same(left: Gram, right: Gram) -> bool:
    """Equal to the last bit, from disk or memory."""
    parts = [(getattr(left, name), getattr(right, name)) for name in ("kernel", "tangent")]
    return all(torch.equal(a[:, :], b[:, :]) for a, b in parts if a is not None or b is not None)


def finished_files(path: Path) -> dict[str, int]:
    return {str(mark): mark.stat().st_mtime_ns for mark in path.glob("finished/c/*/*")}


def counted_tiles(patch: pytest.MonkeyPatch) -> list[TileIndex]:
    """The tiles that are computed from here on."""
    tiles: list[TileIndex] = []
    write = GramStore.write
    patch.setattr(GramStore, "write", lambda self, tile, values: (tiles.append(tile), write(self, tile, values)))
    return tiles


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[TileIndex]:
    return counted_tiles(monkeypatch)


def test_a_store_holds_what_memory_holds_for_a_symmetric_matrix(tmp_path: Path) -> None:
    x = inputs(100)
    found = gram(NETWORK, x, out=tmp_path / "g.zarr")
    assert stored(found.kernel).shape == (100, 100)
    for name in ("kernel", "tangent"):
        left, right = stored(getattr(found, name)).load(), getattr(gram(NETWORK, x), name)
        assert torch.equal(left, left.T)
        torch.testing.assert_close(left, right, rtol=ROUNDING, atol=ROUNDING * float(right.abs().max()))


def test_a_block_of_many_tiles_holds_what_memory_holds() -> None:
    x = inputs(100)
    whole, plan = gram(NETWORK, x), gram_plan(NETWORK, x)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram_matrix, "_ROWS", 8)
        patch.setattr(gram_matrix, "_COLUMNS", 24)
        blocks = [
            (rows, columns, gram_block(plan, rows, columns))
            for rows, columns in ((slice(20, 70), slice(20, 70)), (slice(0, 50), slice(50, 100)))
        ]
    for rows, columns, block in blocks:
        for left, right in ((block.kernel, whole.kernel), (block.tangent, whole.tangent)):
            assert left is not None
            assert right is not None
            truth = right[rows, columns]
            torch.testing.assert_close(left, truth, rtol=ROUNDING, atol=ROUNDING * float(truth.abs().max()))
            assert rows != columns or torch.equal(left, left.T)


def test_a_store_holds_what_memory_holds_for_two_sets_of_inputs_one_kind_and_float32(tmp_path: Path) -> None:
    x, y = inputs(70), inputs(40, seed=1)
    found = gram(NETWORK, x, y, kind="tangent", dtype=torch.float32, out=str(tmp_path / "g.zarr"))
    truth = gram(NETWORK, x, y, kind="tangent", dtype=torch.float32).tangent
    assert truth is not None
    assert found.kernel is None
    left = stored(found.tangent).load()
    assert left.dtype == torch.float32
    torch.testing.assert_close(left, truth[:, :])


def test_zarr_itself_reads_the_arrays_with_one_chunk_for_each_tile(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    found = gram(NETWORK, inputs(100), out=tmp_path / "g.zarr")
    group = zarr.open_group(str(tmp_path / "g.zarr"), mode="r")
    assert group["kernel"].chunks == (SIDE, SIDE)
    assert np.array_equal(group["kernel"][:], stored(found.kernel).load().numpy())
    assert np.array_equal(group["finished"][:], np.triu(np.ones((4, 4))))


def test_a_finished_store_opens_without_computing_or_planning(tmp_path: Path, computed: list[TileIndex]) -> None:
    first = gram(NETWORK, inputs(100), out=tmp_path / "g.zarr")
    assert len(computed) == 10
    again = gram(NETWORK, inputs(100), out=tmp_path / "g.zarr")
    assert len(computed) == 10
    assert again.plan is None
    assert same(first, again)
    assert again.error == first.error
    assert same(open_gram(tmp_path / "g.zarr"), first)


@pytest.mark.parametrize("place", ["while chunks are written", "after the chunks", "after the entry"])
def test_a_death_anywhere_leaves_a_store_that_resumes_to_the_same_bits(place: str, tmp_path: Path) -> None:
    x = inputs(100)
    whole = gram(NETWORK, x, out=tmp_path / "whole.zarr")
    record = GramStore._record

    def die(self: GramStore, tile: TileIndex) -> None:
        if tile == TileIndex(1, 2):
            if place == "while chunks are written":
                chunk = Path(self.path) / "kernel" / "c" / "1" / "2"
                chunk.with_suffix(".ab.partial").write_bytes(b"half")
                chunk.unlink()
            if place == "after the entry":
                record(self, tile)
            raise KeyboardInterrupt
        record(self, tile)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GramStore, "_record", die)
        with pytest.raises(KeyboardInterrupt):
            gram(NETWORK, x, out=tmp_path / "g.zarr")
    with pytest.raises(OutputError, match=r"lacks \d of 10 tiles"):
        open_gram(tmp_path / "g.zarr")
    before = finished_files(tmp_path / "g.zarr")
    resumed = gram(NETWORK, x, out=tmp_path / "g.zarr")
    assert same(resumed, whole)
    after = finished_files(tmp_path / "g.zarr")
    assert before.items() <= after.items()
    assert not list((tmp_path / "g.zarr").rglob("*.partial"))


SCRIPT = """
import sys, torch
from rgflow.records import MLP
from rgflow.theory import gram_on_disk
from rgflow.theory.gram_matrix import gram
gram_on_disk._STEP = 32
x = torch.randn(100, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
gram(MLP((6, 32, 1), "relu", weight_variance=2.0), x, out=sys.argv[1], progress=lambda s, f: print(f, flush=True))
"""


def test_kill_9_loses_no_finished_tile_and_changes_no_bit(tmp_path: Path, computed: list[TileIndex]) -> None:
    path = tmp_path / "g.zarr"
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(4):
        assert process.stdout.readline()
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    unfinished = open_store(path).unfinished()
    before = finished_files(path)
    assert len(before) == 10 - len(unfinished) >= 4
    resumed = gram(NETWORK, inputs(100), out=path)
    assert computed == unfinished
    assert before.items() <= finished_files(path).items()
    assert same(resumed, gram(NETWORK, inputs(100), out=tmp_path / "whole.zarr"))


@pytest.mark.parametrize(
    "change",
    ["network", "activation", "inputs", "kind", "dtype", "rate", "second inputs", "version"],
)
def test_the_store_of_another_job_is_refused(change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")
    network, x, more = NETWORK, inputs(40), {}
    if change == "network":
        network = MLP((6, 32, 1), "relu", weight_variance=2.0 + 1e-15)
    if change == "activation":
        network = MLP((6, 32, 1), "leaky_relu(0.01)", weight_variance=2.0)
    if change == "inputs":
        x[3, 2] = np.nextafter(float(x[3, 2]), 9.0)
    if change == "version":
        monkeypatch.setattr(gram_job, "_NUMERICS", 99)
    more = {
        "kind": {"kind": "kernel"},
        "dtype": {"dtype": torch.float32},
        "rate": {"bias_rate": 0.5},
        "second inputs": {"x2": inputs(40)},
    }.get(change, {})
    with pytest.raises(OutputError, match=r"another job .* give another out="):
        gram(network, x, out=tmp_path / "g.zarr", **more)  # type: ignore[arg-type]


def test_hidden_widths_and_the_order_of_kinds_do_not_make_another_job(
    tmp_path: Path, computed: list[TileIndex]
) -> None:
    gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")
    done = len(computed)
    wider = MLP((6, 999, 1), "relu", weight_variance=2.0)
    gram(wider, inputs(40), kind=("tangent", "kernel"), bias_rate=(1.0, 1.0), out=tmp_path / "g.zarr")
    assert len(computed) == done


def test_foreign_folders_missing_stores_and_second_writers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("precious")
    with pytest.raises(OutputError, match="not a store of Gram matrices"):
        gram(NETWORK, inputs(40), out=tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "precious"
    with pytest.raises(OutputError, match="does not exist"):
        open_gram(tmp_path / "nowhere")
    gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")
    store = open_store(tmp_path / "g.zarr")
    with store.locked(), pytest.raises(OutputError, match="another process is writing"), store.locked():
        pass


def test_an_interrupted_creation_leaves_nothing_at_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_rename(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gram_store.os, "rename", no_rename)
        with pytest.raises(OutputError, match="No space left"):
            gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")
    assert not list(tmp_path.iterdir())
    gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")


def test_missing_zarr_is_one_sentence_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(SettingError, match=r"pip install 'rgflow\[cluster\]'"):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr")
    assert not list(tmp_path.iterdir())


def test_the_progress_callback_counts_up_to_one_from_where_it_resumes(tmp_path: Path) -> None:
    seen: list[float] = []

    def stop(stage: str, fraction: float) -> None:
        seen.append(fraction)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gram(NETWORK, inputs(100), out=tmp_path / "g.zarr", progress=stop)
    gram(NETWORK, inputs(100), out=tmp_path / "g.zarr", progress=lambda stage, fraction: seen.append(fraction))
    assert seen == [tile / 10 for tile in range(1, 11)]


def test_a_finished_tile_that_is_asked_for_again_is_left_alone(tmp_path: Path) -> None:
    gram(NETWORK, inputs(100), out=tmp_path / "g.zarr")
    before = finished_files(tmp_path / "g.zarr")
    compute_tile(open_store(tmp_path / "g.zarr"), gram_plan(NETWORK, inputs(100)), TileIndex(1, 2))
    assert finished_files(tmp_path / "g.zarr") == before


def test_a_budget_too_small_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"MiB may be used; raise memory="):
        gram(NETWORK, inputs(40), out=tmp_path / "g.zarr", memory=1 << 20)
    assert not list(tmp_path.iterdir())


MEMORY_SCRIPT = """
import resource, sys, torch, zarr
from rgflow.records import MLP
from rgflow.theory.gram_matrix import gram
network = MLP((6, 32, 1), "relu", weight_variance=2.0)
x = torch.randn(3000, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = gram(network, x, out=sys.argv[1], memory=int(sys.argv[2]))
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before), found.memory)
"""


def test_the_peak_of_memory_stays_below_the_budget_that_memory_itself_would_break(tmp_path: Path) -> None:
    budget = 256 << 20
    x = inputs(3000)
    with pytest.raises(SettingError, match="the Gram matrices need"):
        gram(NETWORK, x, memory=budget)
    command = [sys.executable, "-c", MEMORY_SCRIPT, str(tmp_path / "g.zarr"), str(budget)]
    peak, forecast = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert peak <= forecast <= budget


def test_a_smaller_budget_makes_smaller_tiles() -> None:
    def side(budget: int | None) -> int:
        x = inputs(2000)
        job = gram_job.GramJob(NETWORK, x, None, ("kernel", "tangent"), torch.float64, "cpu", 1.0, 1.0)
        return gram_on_disk._side(job, budget)

    assert side(1 << 40) == 128  # 2000 / 16, rounded up to a multiple of SIDE
    assert side(0) == SIDE


def test_products_and_diagonals_are_those_of_the_matrix(tmp_path: Path) -> None:
    x, y = inputs(70), inputs(40, seed=1)
    for found in (gram(NETWORK, x, out=tmp_path / "s.zarr"), gram(NETWORK, x, y, out=tmp_path / "r.zarr")):
        matrix = stored(found.kernel)
        vectors = torch.randn(matrix.shape[1], 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        truth = matrix.load() @ vectors
        torch.testing.assert_close(matrix.product(vectors), truth, rtol=ROUNDING, atol=ROUNDING * 40)
        assert torch.equal(matrix.diagonal(), matrix.load().diagonal())
    with pytest.raises(DataError, match=r"\(40, m\) is needed"):
        matrix.product(vectors[:5])

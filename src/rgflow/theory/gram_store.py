"""A Zarr store of Gram matrices with a manifest of finished tiles: atomic, resumable, and bound to one job.

A tile's chunks are written first, then its entry of the manifest (array `finished`, one chunk of one byte for each tile).
Every file is written under another name and renamed: POSIX rename(2) replaces the name in one step, so that a reader or a
restart after kill -9 sees a whole file or none, and an entry only after all that it stands for. The store itself appears by
one rename too. A power cut may lose what the operating system has not yet written; a killed process loses nothing.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rgflow.errors import OutputError
from rgflow.theory.gram_planning import GramError
from rgflow.theory.gram_tiles import GramTile
from rgflow.theory.stored_matrix import StoredMatrix, zarr_library

__all__ = ["GramStore", "TileIndex", "create_store", "open_store"]

_DTYPES = {"torch.float64": torch.float64, "torch.float32": torch.float32}
_MARK = "rgflow-gram"


@dataclass(frozen=True)
class TileIndex:
    """Row and column of a tile in the grid of tiles."""

    row: int
    column: int


@dataclass(frozen=True)
class GramStore:
    """Where tiles go and what they belong to; small, can be pickled and sent to workers that see the same folder."""

    path: str
    fingerprint: str
    kind: tuple[str, ...]
    dtype: torch.dtype
    shape: tuple[int, int]
    side: int
    symmetric: bool
    error: GramError
    route: str

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of rows and columns of tiles."""
        return -(-self.shape[0] // self.side), -(-self.shape[1] // self.side)

    def tiles(self) -> list[TileIndex]:
        """Return the tiles that have to be computed: the upper triangle if symmetric."""
        high, wide = self.grid
        return [TileIndex(a, b) for a in range(high) for b in range(a if self.symmetric else 0, wide)]

    def unfinished(self) -> list[TileIndex]:
        """Return the tiles that the manifest does not have."""
        finished = np.asarray(zarr_library().open_array(os.path.join(self.path, "finished"), mode="r")[:])
        return [tile for tile in self.tiles() if not finished[tile.row, tile.column]]

    def rows(self, tile: TileIndex) -> slice:
        """Return the rows of the matrix that a tile covers."""
        return slice(tile.row * self.side, min((tile.row + 1) * self.side, self.shape[0]))

    def columns(self, tile: TileIndex) -> slice:
        """Return the columns of the matrix that a tile covers."""
        return slice(tile.column * self.side, min((tile.column + 1) * self.side, self.shape[1]))

    def write(self, tile: TileIndex, values: GramTile) -> None:
        """Write a tile, and its mirror image where the matrix is symmetric, and then record it as finished."""
        rows, columns = self.rows(tile), self.columns(tile)
        for name in self.kind:
            array = zarr_library().open_array(os.path.join(self.path, name), mode="r+")
            part = getattr(values, name).cpu().numpy()
            array[rows, columns] = part
            if self.symmetric and tile.row != tile.column:
                array[columns, rows] = np.ascontiguousarray(part.T)
        self._record(tile)

    def has(self, tile: TileIndex) -> bool:
        """Whether a tile is recorded as finished."""
        return self._entry(tile).exists()

    def _entry(self, tile: TileIndex) -> Path:
        return Path(self.path) / "finished" / "c" / str(tile.row) / str(tile.column)

    def _record(self, tile: TileIndex) -> None:
        place = self._entry(tile)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_name(f"{tile.column}.{uuid.uuid4().hex}.partial")
        draft.write_bytes(b"\x01")
        os.replace(draft, place)

    def matrix(self, name: str) -> StoredMatrix | None:
        """Return the matrix called "kernel" or "tangent", None where it was not asked for."""
        if name not in self.kind:
            return None
        return StoredMatrix(self.path, name, self.shape, self.dtype, self.side, self.symmetric)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes of this machine from working on the store; the lock ends with the process, killed or not.

        Raises: OutputError if another process holds it.
        """
        folder = os.open(self.path, os.O_RDONLY)
        try:
            _lock(folder, self.path)
            _remove_drafts(Path(self.path))
            yield
        finally:
            os.close(folder)


def create_store(store: GramStore) -> GramStore:
    """Create the empty store on disk and return it.

    Raises: OutputError if the folder cannot be written or something has appeared at the path meanwhile.
    """
    zarr = zarr_library()
    target = Path(store.path)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
    except OSError as failure:
        raise OutputError(f"{target} cannot be written ({failure.strerror}); give another out=") from None
    try:
        group = zarr.create_group(store=str(draft), attributes={_MARK: _to_json(store)})
        for name in store.kind:
            # Entries look like noise to a compressor; raw chunks are written at the speed of the disk.
            group.create_array(
                name, shape=store.shape, chunks=(store.side, store.side), dtype=_name(store.dtype), compressors=None
            )
        group.create_array("finished", shape=store.grid, chunks=(1, 1), dtype="uint8", compressors=None)
        os.rename(draft, target)
    except OSError as failure:
        shutil.rmtree(draft, ignore_errors=True)
        raise OutputError(
            f"{target} cannot be created ({failure.strerror}); remove what is there or give another out="
        ) from None
    return store


def open_store(path: str | os.PathLike[str]) -> GramStore:
    """Return the store at `path`, finished or not.

    Raises: OutputError if there is none, or something else stands at the path.
    """
    place = os.path.abspath(os.fspath(path))
    if not os.path.exists(place):
        raise OutputError(f"{place} does not exist; give the path of a store that gram(..., out=) has written")
    zarr, found = zarr_library(), None
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = _from_json(place, zarr.open_group(place, mode="r").attrs[_MARK])
    if found is None:
        raise OutputError(f"{place} is not a store of Gram matrices; give another out= or remove it")
    return found


def _to_json(store: GramStore) -> dict[str, Any]:
    return {
        "fingerprint": store.fingerprint,
        "kind": list(store.kind),
        "dtype": str(store.dtype),
        "shape": list(store.shape),
        "side": store.side,
        "symmetric": store.symmetric,
        "error": {"kernel": store.error.kernel, "tangent": store.error.tangent},
        "route": store.route,
    }


def _from_json(path: str, text: Any) -> GramStore:
    return GramStore(
        path=path,
        fingerprint=text["fingerprint"],
        kind=tuple(text["kind"]),
        dtype=_DTYPES[text["dtype"]],
        shape=(int(text["shape"][0]), int(text["shape"][1])),
        side=int(text["side"]),
        symmetric=bool(text["symmetric"]),
        error=GramError(text["error"]["kernel"], text["error"]["tangent"]),
        route=text["route"],
    )


def _remove_drafts(folder: Path) -> None:
    """Files of writers that were killed before they could rename them."""
    for draft in folder.glob("*/c/*/*.partial"):
        draft.unlink(missing_ok=True)


def _lock(folder: int, path: str) -> None:
    try:
        import fcntl
    except ImportError:  # not a POSIX system: two processes would do the work twice and write equal files
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another process is writing to {path}; wait for it to end, or give another out=") from None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")

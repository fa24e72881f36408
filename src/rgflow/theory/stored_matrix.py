"""A matrix that lives in a Zarr store on disk and is read by rows, by entries or tile by tile.

Convention: chunk = tile; of a symmetric matrix the upper triangle of tiles determines the rest, and products read it alone.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError

__all__ = ["StoredMatrix", "needs_cluster_extra", "zarr_library"]


def needs_cluster_extra(what: str, *, library: str) -> SettingError:
    """Return the error that says which optional library `what` needs and how to install it."""
    return SettingError(f"{what} needs {library}, which is not installed; run: pip install 'rgflow[cluster]'")


def zarr_library() -> Any:
    """Return the module `zarr`, imported at first use; raise SettingError where it is not installed."""
    try:
        import zarr
    except ImportError:
        raise needs_cluster_extra("a Gram matrix on disk", library="zarr") from None
    return zarr


@dataclass(frozen=True)
class StoredMatrix:
    """One finished Gram matrix in a store; small itself, can be pickled and sent.

    `path` and `name` say where; `array` is the `zarr.Array` behind it. `matrix[rows, columns]` reads a part into memory as
    a Tensor (slices and numbers; one index takes whole rows), whole chunks at a time.
    Shapes: `shape` (N1, N2), tiles of `side` x `side` entries, cut at the edges.
    """

    path: str
    name: str
    shape: tuple[int, int]
    dtype: torch.dtype
    side: int
    symmetric: bool

    @cached_property
    def array(self) -> Any:
        """The `zarr.Array`, opened for reading."""
        return zarr_library().open_array(os.path.join(self.path, self.name), mode="r")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        """Return a part of the matrix as a Tensor."""
        return torch.from_numpy(np.asarray(self.array[index]))

    def load(self) -> Tensor:
        """Return the whole matrix in memory."""
        return self[:, :]

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Yield rows and columns of every tile that has to be read: the upper triangle if symmetric."""
        for a in range(0, self.shape[0], self.side):
            for b in range(a if self.symmetric else 0, self.shape[1], self.side):
                yield slice(a, min(a + self.side, self.shape[0])), slice(b, min(b + self.side, self.shape[1]))

    def product(self, vectors: Tensor) -> Tensor:
        """Return matrix @ vectors in float64, one tile in memory at a time, each tile read once.

        Shapes: (N2, m) to (N1, m). Errors: rounding. Raises: DataError for vectors of another length.
        """
        if vectors.ndim != 2 or len(vectors) != self.shape[1]:
            raise DataError(f"vectors have shape {tuple(vectors.shape)}; ({self.shape[1]}, m) is needed")
        values = vectors.double()
        result = torch.zeros(self.shape[0], values.shape[1], dtype=torch.float64)
        for rows, columns in self.tiles():
            tile = self[rows, columns].double()
            result[rows] += tile @ values[columns]
            if self.symmetric and rows != columns:
                result[columns] += tile.T @ values[rows]
        return result

    def row(self, index: int) -> Tensor:
        """Return one row in float64, (N2,), one tile in memory at a time."""
        edges = range(0, self.shape[1], self.side)
        return torch.cat([self[index, b : min(b + self.side, self.shape[1])].double() for b in edges])

    def diagonal(self) -> Tensor:
        """Return the diagonal in float64, (min(N1, N2),)."""
        count = min(self.shape)
        parts = [self._diagonal_part(a, min(a + self.side, count)) for a in range(0, count, self.side)]
        return torch.cat(parts)

    def _diagonal_part(self, start: int, stop: int) -> Tensor:
        return self[start:stop, start:stop].diagonal().double()

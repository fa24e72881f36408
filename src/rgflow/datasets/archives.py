"""Arrays stored by numpy: one `.npy` (inputs alone), or an `.npz` with inputs and targets under well-known keys.

Units: as found. Pickled objects are never loaded.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rgflow.datasets.arrays import as_dataset, with_source
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["INPUT_KEYS", "TARGET_KEYS", "StoredArrays", "load_npy", "load_npz", "read_npy", "read_npz"]

INPUT_KEYS = ("X", "x", "inputs", "data")
TARGET_KEYS = ("y", "targets", "labels")


@dataclass(frozen=True, eq=False)
class StoredArrays:
    """Arrays as they are stored, before any judgement, and where they come from."""

    inputs: np.ndarray
    targets: np.ndarray | None
    source: str


def load_npy(path: Path) -> Dataset:
    """Return the array in `path` as inputs without targets.

    Raises: DataError if the file is no such array, or holds objects or texts.
    """
    stored = read_npy(path)
    return with_source(as_dataset(stored.inputs, name=path.name), provenance=stored.source)


def load_npz(path: Path, *, target: str | None = None) -> Dataset:
    """Return inputs (key X, x, inputs or data) and targets (key `target`, or y, targets or labels if present).

    Raises: DataError if the archive cannot be read, or has no or several such keys.
    """
    stored = read_npz(path, target=target)
    return with_source(as_dataset(stored.inputs, stored.targets, name=path.name), provenance=stored.source)


def read_npy(path: Path) -> StoredArrays:
    """Return the array in `path` as it is stored. Raises: DataError if the file is no such array."""
    try:
        array = np.load(path, allow_pickle=False)
    except Exception as error:  # damaged archives fail in a dozen ways (zip, zlib, header, memory)
        raise _unreadable(path, error=error) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path} is an .npz archive under the name .npy; rename it to end in .npz")
    return StoredArrays(array, None, f"file {path.name}")


def read_npz(path: Path, *, target: str | None = None) -> StoredArrays:
    """Return inputs and targets as they are stored. Raises: DataError as in `load_npz`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if isinstance(archive, np.ndarray):
                raise DataError(f"{path} is a single array under the name .npz; rename it to end in .npy")
            keys = tuple(archive.files)
            inputs_key = _only_key(path, keys=keys, wanted=tuple(k for k in INPUT_KEYS if k != target), what="inputs")
            targets_key = _target_key(path, keys=keys, target=target)
            if inputs_key is None:
                raise DataError(
                    f"{path} has keys {_listed(keys)}; inputs must be stored under one of {_listed(INPUT_KEYS)}"
                )
            inputs, targets = archive[inputs_key], archive[targets_key] if targets_key else None
    except DataError:
        raise
    except Exception as error:  # as above
        raise _unreadable(path, error=error) from error
    used = f"file {path.name}, inputs {inputs_key!r}" + (f", targets {targets_key!r}" if targets_key else "")
    return StoredArrays(inputs, targets, used)


def _target_key(path: Path, *, keys: tuple[str, ...], target: str | None) -> str | None:
    if target is not None and target not in keys:
        raise DataError(f"{path} has keys {_listed(keys)}; there is no target {target!r}")
    return target if target is not None else _only_key(path, keys=keys, wanted=TARGET_KEYS, what="targets")


def _only_key(path: Path, *, keys: tuple[str, ...], wanted: tuple[str, ...], what: str) -> str | None:
    found = [key for key in wanted if key in keys]
    if len(found) > 1:
        raise DataError(f"{path} has several keys for {what}: {_listed(found)}; keep one of them")
    return found[0] if found else None


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names) or "none"


def _unreadable(path: Path, *, error: BaseException) -> DataError:
    if "pickle" in str(error).lower() or "object array" in str(error).lower():
        return DataError(
            f"{path} holds Python objects or is no numpy file; save plain arrays of numbers with numpy.save or savez"
        )
    detail = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DataError(
        f"{path} cannot be read as a numpy archive ({detail}); save it again with numpy.save or numpy.savez"
    )

"""One text names one data set: a bundled name, generated physics, a file, a folder of images, or a function.

The forms: `digits`; `photos:8x8`; `ising:32x32:T=2.5` and other generated physics; `a.npy`, `a.npz`, `a.csv`,
`a.csv@column`, `a.parquet`; a folder; `a.py:loader`.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from rgflow.datasets.archives import load_npy, load_npz
from rgflow.datasets.bundled import BUNDLED, bundled, photos
from rgflow.datasets.images import load_folder
from rgflow.datasets.loaders import load_with_function
from rgflow.datasets.physics import GENERATED, SPECIFICATIONS, generated
from rgflow.datasets.tables import TABLE_SUFFIXES, load_table
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["Located", "is_built_in", "load", "located"]

_FUNCTION = re.compile(r"(?P<path>.+\.py):(?P<function>\w+)")
_COLUMN = re.compile(r"(?P<path>.+\.(?:csv|parquet|npz))@(?P<column>.+)", re.IGNORECASE)
_SUFFIXES = (".npy", ".npz", *TABLE_SUFFIXES)


def load(spec: str, *, target: str | None = None) -> Dataset:
    """Return the data set that `spec` names; `target` is the target's column (.csv, .parquet) or key (.npz).

    Raises: DataError, one sentence, if the data cannot be found, read or understood.

    Example:
    >>> load("iris").inputs.shape
    torch.Size([150, 4])
    """
    place = located(spec, target=target)
    if place.path is None:
        return _built_in(spec)
    if place.function is not None:
        return load_with_function(place.path, function=place.function)
    if place.path.suffix.lower() in TABLE_SUFFIXES and place.path.is_file():
        return load_table(place.path, target=place.target)
    if place.path.suffix.lower() == ".npz" and place.path.is_file():
        return load_npz(place.path, target=place.target)
    return load_folder(place.path) if place.path.is_dir() else _plain_file(place.path)


@dataclass(frozen=True)
class Located:
    """Where a text leads: a path (None for bundled and generated data), a function in it, a target column or key."""

    path: Path | None
    function: str | None = None
    target: str | None = None


def located(spec: str, *, target: str | None = None) -> Located:
    """Return where `spec` leads. Raises: DataError if there is no such place, or it takes no `target`."""
    spec, target = _with_column(spec, target=target)
    if is_built_in(spec):
        _refuse_target(spec, target=target)
        return Located(None)
    function = _FUNCTION.fullmatch(spec)
    path = _existing(Path(function["path"] if function else spec), spec=spec)
    if not (path.suffix.lower() in (*TABLE_SUFFIXES, ".npz") and path.is_file()):
        _refuse_target(spec, target=target)
    return Located(path, function["function"] if function else None, target)


def is_built_in(spec: str) -> bool:
    """Whether `spec` names bundled data or generated physics, which need no file."""
    return spec in BUNDLED or spec.split(":")[0] in (*GENERATED, "photos")


def _built_in(spec: str) -> Dataset:
    if spec in BUNDLED:
        return bundled(spec)
    return photos(spec) if spec.startswith("photos:") else generated(spec)


def _with_column(spec: str, *, target: str | None) -> tuple[str, str | None]:
    found = None if _exists(Path(spec)) else _COLUMN.fullmatch(spec)
    if found is None:
        return spec, target
    if target is not None and target != found["column"]:
        raise DataError(f"{spec!r} names the target {found['column']!r}, --target names {target!r}; give one of them")
    return found["path"], found["column"]


def _refuse_target(spec: str, *, target: str | None) -> None:
    if target is not None:
        raise DataError(f"--target {target} names a column of a .csv, .parquet or .npz file; {spec!r} has none")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError) as error:  # a closed folder, a name too long
        raise DataError(f"{path} cannot be reached ({getattr(error, 'strerror', None) or error})") from error


def _existing(path: Path, *, spec: str) -> Path:
    if _exists(path):
        return path
    if not path.suffix and len(path.parts) == 1:
        names = f"{', '.join(BUNDLED)} and generated physics such as {SPECIFICATIONS['ising']}"
        raise DataError(f"there is no bundled data set, file or folder {spec!r}; bundled are {names}")
    raise DataError(f"there is no file or folder {str(path)!r}")


def _plain_file(path: Path) -> Dataset:
    if path.suffix.lower() == ".npy":
        return load_npy(path)
    if path.suffix.lower() == ".py":
        raise DataError(f"{path} is a Python file; name the function that returns the data, as in {path}:loader")
    raise DataError(
        f"{path} ends in {path.suffix or 'nothing'!r}; readable are {', '.join(_SUFFIXES)}, "
        "folders of images and file.py:loader"
    )

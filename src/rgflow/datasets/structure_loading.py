"""From the text that names a data set to data fit for an analysis of their structure, flaws found and handled.

Targets are optional here: a table without a column of a well-known name is all features. Units: as found.
"""

from dataclasses import replace
from pathlib import Path

from rgflow.datasets.archives import read_npy, read_npz
from rgflow.datasets.cleaning import Cleaned, ConstantRule, DuplicateRule, MissingRule, TextRule, clean
from rgflow.datasets.images import read_folder
from rgflow.datasets.loaders import returned_by
from rgflow.datasets.named import load, located
from rgflow.datasets.raw import RawData, raw_arrays, raw_dataset, raw_frame
from rgflow.datasets.tables import TABLE_SUFFIXES, read_frame, target_column_if_any
from rgflow.records.dataset import Dataset

__all__ = ["load_for_structure", "load_raw"]


def load_for_structure(
    spec: str,
    *,
    target: str | None = None,
    missing: MissingRule = "drop",
    duplicates: DuplicateRule = "keep",
    constant: ConstantRule | None = None,
    text: TextRule = "drop",
) -> Cleaned:
    """Return the data that `spec` names (see `load`), cleaned by these rules (see `clean`), with what was found.

    Raises: DataError, one sentence, if the data cannot be found, read or understood, or a rule refuses them.

    Example:
    >>> found = load_for_structure("digits")
    >>> found.dataset.grid, found.preparation[0].finding
    ((8, 8), "3 of 64 features are constant ('pixel_0_0', 'pixel_4_0', 'pixel_4_7')")
    """
    raw = load_raw(spec, target=target)
    return clean(raw, missing=missing, duplicates=duplicates, constant=constant, text=text)


def load_raw(spec: str, *, target: str | None = None) -> RawData:
    """Return the data that `spec` names as they are found; `target` is a column or key, as in `load`.

    Raises: DataError, one sentence, if the data cannot be found or read at all.
    """
    place = located(spec, target=target)
    if place.path is None:
        return raw_dataset(load(spec, target=target))
    if place.function is not None:
        return _returned(place.path, function=place.function)
    suffix = place.path.suffix.lower() if place.path.is_file() else ""
    if suffix in TABLE_SUFFIXES:
        return _table(place.path, target=place.target)
    if suffix in (".npy", ".npz"):
        stored = read_npy(place.path) if suffix == ".npy" else read_npz(place.path, target=place.target)
        raw = raw_arrays(stored.inputs, stored.targets, name=place.path.name, source=stored.source)
        return replace(raw, target_asked=place.target is not None)
    if place.path.is_dir():
        images = read_folder(place.path)
        raw = raw_arrays(images.pixels, images.classes, name=place.path.name, source=images.source)
        return replace(raw, units=(images.unit,))
    return raw_dataset(load(spec, target=target))


def _returned(path: Path, *, function: str) -> RawData:
    found = returned_by(path, function=function)
    if isinstance(found, Dataset):
        return raw_dataset(found)
    return raw_arrays(found.inputs, found.targets, name=f"{path.name}:{function}", source=found.source)


def _table(path: Path, *, target: str | None) -> RawData:
    frame = read_frame(path)
    frame.columns = [str(column) for column in frame.columns]
    column = target_column_if_any(path, columns=tuple(frame.columns), target=target)
    source = f"file {path.name}" + (f", target column {column!r}" if column is not None else ", no target column")
    if column is None:
        return raw_frame(frame, name=path.name, source=source)
    series = frame[column]
    targets = series.astype(object).where(series.notna(), None) if series.dtype.kind not in "iufb" else series
    raw = raw_frame(frame.drop(columns=column), targets=targets.to_numpy(), name=path.name, source=source)
    return replace(raw, target_asked=target is not None)

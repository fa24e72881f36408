"""Data as they are found, flaws included: missing values, text columns, features that no one has judged yet.

Convention: numbers stand in one float64 array, NaN where an entry is missing or infinite; a text column keeps its place there
(all NaN) and its entries beside it. Units: as found. `cleaning.clean` makes a Dataset of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from rgflow.datasets.arrays import grid_of, units_in
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset
from rgflow.records.structure_card import Preparation

if TYPE_CHECKING:
    import pandas

__all__ = ["RawData", "TextColumn", "raw_arrays", "raw_dataset", "raw_frame"]

_NUMBERS_AMONG_TEXTS = 0.9  # from here on the rest of a column are marks of missing values such as "?" or "n/a"
_SHOWN_MARKS = 3


@dataclass(frozen=True, eq=False)
class TextColumn:
    """The entries (samples,) of one column of texts, None where missing, and its place among the features."""

    place: int
    entries: np.ndarray


@dataclass(frozen=True, eq=False)
class RawData:
    """Features of samples before any judgement.

    Shapes: `values` (samples, *features) float64. `targets` as found, or None, `target_asked` whether the user named
    them; `whole` is the Dataset that all come from, if there was one. `findings` tells what reading has already settled.
    """

    name: str
    values: np.ndarray
    texts: tuple[TextColumn, ...] = ()
    names: tuple[str, ...] = ()
    targets: Any = None
    target_asked: bool = False
    source: str = ""
    units: tuple[str, ...] = ()
    grid: tuple[int, ...] = ()
    periodic: bool = False
    whole: Dataset | None = None
    findings: tuple[Preparation, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.values.ndim < 2 or self.values.size == 0:
            raise DataError(
                f"{self.name} has the shape {self.values.shape}; samples with at least one feature are needed"
            )
        if self.targets is not None and len(self.targets) != len(self.values):
            raise DataError(f"{self.name} has {len(self.values)} inputs but {len(self.targets)} targets")


@dataclass(frozen=True, eq=False)
class _Column:
    """One column read as numbers, or as texts (numbers None), and what was found on the way."""

    numbers: np.ndarray | None
    texts: np.ndarray | None = None
    marks: tuple[str, ...] = ()
    marked: int = 0


def raw_dataset(dataset: Dataset) -> RawData:
    """Return the features of a Dataset, which has neither texts nor missing values."""
    return RawData(
        name=dataset.name,
        values=dataset.inputs.double().numpy(),
        names=dataset.feature_names,
        targets=dataset.targets,
        source=dataset.provenance,
        units=dataset.units,
        grid=dataset.grid,
        periodic=dataset.periodic,
        whole=dataset,
    )


def raw_arrays(inputs: Any, targets: Any = None, *, name: str, source: str) -> RawData:
    """Return arrays, tensors, lists or a data frame as they are; text and missing entries stay.

    Raises: DataError for complex or empty data, objects that are neither numbers nor texts, or rows of unequal length.
    """
    if hasattr(inputs, "columns") and hasattr(inputs, "dtypes"):
        return raw_frame(inputs, targets=targets, name=name, source=source)
    array = _array(inputs, name=name)
    if array.dtype.kind in "biuf":
        values = _finite_or_missing(array)
        return RawData(
            name, values, targets=_targets(targets, name=name), source=source, grid=grid_of(values.shape[1:])
        )
    if array.dtype.kind not in "USO" or array.ndim != 2:
        raise DataError(f"inputs of {name} have type {array.dtype} and shape {array.shape}; numbers are needed")
    columns = [_read_column(column, name=f"column {k} of {name}") for k, column in enumerate(array.T)]
    raw = _joined(columns, name=name, source=source, names=tuple(f"feature {k}" for k in range(len(columns))))
    return _with_targets(raw, targets=_targets(targets, name=name))


def raw_frame(frame: "pandas.DataFrame", *, targets: Any = None, name: str, source: str) -> RawData:
    """Return the columns of a data frame as they are; a nameless column that counts the rows is left out.

    Raises: DataError for a frame without columns or rows, or columns of complex numbers or objects.
    """
    names = tuple(str(column) for column in frame.columns)
    if not len(frame) or not names:
        raise DataError(f"{name} is empty: {len(frame)} rows and {len(names)} columns")
    columns = [_frame_column(frame.iloc[:, k], name=f"column {n!r} of {name}") for k, n in enumerate(names)]
    counters = [k for k, n in enumerate(names) if n.startswith("Unnamed: ") and _counts_rows(columns[k])]
    kept = [k for k in range(len(names)) if k not in counters]
    if not kept:
        raise DataError(f"{name} has no column beside a saved row index; at least one feature is needed")
    raw = _joined([columns[k] for k in kept], name=name, source=source, names=tuple(names[k] for k in kept))
    found = tuple(Preparation("a column without a name counts the rows (a saved index)", "left out") for _ in counters)
    return _with_targets(raw, targets=_targets(targets, name=name), findings=found)


def _with_targets(raw: RawData, *, targets: Any, findings: tuple[Preparation, ...] = ()) -> RawData:
    return RawData(
        raw.name,
        raw.values,
        texts=raw.texts,
        names=raw.names,
        targets=targets,
        source=raw.source,
        units=raw.units,
        findings=findings + raw.findings,
    )


def _joined(columns: list[_Column], *, name: str, source: str, names: tuple[str, ...]) -> RawData:
    missing = np.full(len(_entries(columns[0])), np.nan)
    values = np.stack([missing if column.numbers is None else column.numbers for column in columns], axis=1)
    texts = tuple(TextColumn(k, column.texts) for k, column in enumerate(columns) if column.texts is not None)
    marked = [
        Preparation(
            f"{column.marked} entries of {names[k]!r} are no numbers ({', '.join(map(repr, column.marks))})",
            "taken as missing, since at least 90 % of the column are numbers",
        )
        for k, column in enumerate(columns)
        if column.marked
    ]
    return RawData(name, values, texts=texts, names=names, source=source, units=units_in(names), findings=tuple(marked))


def _entries(column: _Column) -> np.ndarray:
    entries = column.texts if column.numbers is None else column.numbers
    return np.zeros(0) if entries is None else entries


def _counts_rows(column: _Column) -> bool:
    if column.numbers is None:
        return False
    steps = column.numbers - column.numbers[0]
    return column.numbers[0] in (0.0, 1.0) and bool((steps == np.arange(len(steps))).all())


def _frame_column(series: "pandas.Series", *, name: str) -> _Column:
    from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

    if is_complex_dtype(series):
        raise DataError(f"{name} is complex; give real and imaginary parts as columns")
    if is_numeric_dtype(series) or is_bool_dtype(series):
        return _Column(_finite_or_missing(series.to_numpy(dtype=np.float64, na_value=np.nan)))
    entries = series.astype(object).where(series.notna(), None)
    return _read_column(entries.to_numpy(dtype=object), name=name)


def _read_column(entries: np.ndarray, *, name: str) -> _Column:
    """Return a column of numbers, of numbers with marks of missing entries, or of texts."""
    given = entries.tolist()
    if any(isinstance(entry, list | dict | tuple | set | complex | np.ndarray | Tensor) for entry in given):
        raise DataError(f"{name} holds lists, dictionaries or complex numbers; numbers or texts are needed")
    given = [None if _absent(entry) else entry for entry in given]
    parsed = [_number(entry) for entry in given]
    present = [k for k, entry in enumerate(given) if entry is not None and str(entry).strip()]
    strange = [k for k in present if parsed[k] is None]
    numbers = np.array([np.nan if value is None else value for value in parsed], dtype=np.float64)
    if len(strange) <= (1.0 - _NUMBERS_AMONG_TEXTS) * len(present):
        marks = tuple(dict.fromkeys(str(given[k]) for k in strange))[:_SHOWN_MARKS]
        return _Column(_finite_or_missing(numbers), marks=marks, marked=len(strange))
    texts = [None if entry is None or not str(entry).strip() else str(entry).strip() for entry in given]
    return _Column(None, np.array(texts, dtype=object))


def _absent(entry: Any) -> bool:
    """Whether an entry is None or, like NaN and NaT, not equal to itself; pandas.NA does not even answer."""
    try:
        return entry is None or bool(entry != entry)
    except TypeError:
        return True


def _number(entry: Any) -> float | None:
    if entry is None:
        return None
    try:
        return float(entry)
    except (TypeError, ValueError):
        return None


def _finite_or_missing(array: np.ndarray) -> np.ndarray:
    values = np.array(array, dtype=np.float64)
    values[~np.isfinite(values)] = np.nan
    return values


def _array(inputs: Any, *, name: str) -> np.ndarray:
    if isinstance(inputs, Tensor):
        inputs = inputs.detach().cpu().numpy()
    try:
        array = np.asarray(inputs)
    except (ValueError, TypeError) as error:
        raise DataError(f"inputs of {name} cannot be read as one array; every row must have one length") from error
    if array.ndim < 2 or array.size == 0:
        raise DataError(f"inputs of {name} have the shape {array.shape}; (samples, features) is needed")
    return array


def _targets(targets: Any, *, name: str) -> Any:
    if targets is None or isinstance(targets, Tensor):
        return targets
    try:
        return np.asarray(targets)
    except (ValueError, TypeError) as error:
        raise DataError(f"targets of {name} cannot be read as one array") from error

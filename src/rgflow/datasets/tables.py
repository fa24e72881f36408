"""Tables in `.csv` and `.parquet` files: named columns of numbers, one of them the target.

The target is the column the user names, else the only column called target, label, y or class (any case). Feature
columns must be numbers or booleans; nothing is encoded, imputed or dropped on the way.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rgflow.datasets.arrays import as_dataset, named_features, with_source
from rgflow.datasets.extras import needs_extra
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

if TYPE_CHECKING:
    import pandas

__all__ = ["TABLE_SUFFIXES", "TARGET_COLUMNS", "load_table", "read_frame", "target_column_if_any"]

TABLE_SUFFIXES = (".csv", ".parquet")
TARGET_COLUMNS = ("target", "label", "y", "class")
_SHOWN_COLUMNS = 12


def load_table(path: Path, *, target: str | None = None) -> Dataset:
    """Return the table in `path` with column `target` as targets and every other column as a feature.

    Raises: DataError if the file cannot be read, the target is missing or ambiguous, or a feature is not a number.
    """
    frame = read_frame(path)
    if frame.empty:
        raise DataError(f"{path} is empty: {frame.shape[0]} rows and {frame.shape[1]} columns")
    column = _target_column(path, columns=tuple(str(c) for c in frame.columns), target=target)
    frame.columns = [str(c) for c in frame.columns]
    features = frame.drop(columns=column)
    _check_features(path, features=features, target=column)
    targets = _targets(path, frame=frame, column=column)
    data = as_dataset(features.to_numpy(dtype=np.float64), targets, name=path.name)
    named = named_features(data, names=list(features.columns))
    return with_source(named, provenance=f"file {path.name}, target column {column!r}")


def read_frame(path: Path) -> "pandas.DataFrame":
    """Return the table in `path` as pandas reads it. Raises: DataError if it cannot be read."""
    try:
        import pandas
    except ImportError as error:
        raise needs_extra(f"{path.suffix} files", library="pandas") from error
    try:
        return pandas.read_csv(path) if path.suffix.lower() == ".csv" else pandas.read_parquet(path)
    except ImportError as error:
        raise needs_extra(f"{path.suffix} files", library="pyarrow") from error
    except pandas.errors.EmptyDataError as error:
        raise DataError(f"{path} is empty") from error
    except Exception as error:  # damaged files fail in many ways, and each library has errors of its own
        detail = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read as a {path.suffix} table ({detail})") from error


def _target_column(path: Path, *, columns: tuple[str, ...], target: str | None) -> str:
    found = target_column_if_any(path, columns=columns, target=target)
    if found is None:
        raise DataError(
            f"{path} has no column called {', '.join(TARGET_COLUMNS)}; its columns are {_listed(columns)}:"
            f" {_how_to_name(path)}"
        )
    return found


def target_column_if_any(path: Path, *, columns: tuple[str, ...], target: str | None) -> str | None:
    """Return the column `target`, else the only one of a well-known name, else None.

    Raises: DataError for repeated names, a `target` that is no column, or several columns of well-known names.
    """
    repeated = sorted({c for c in columns if columns.count(c) > 1})
    if repeated:
        raise DataError(f"{path} has several columns named {_listed(repeated)}; give every column a name of its own")
    if target is not None:
        if target not in columns:
            raise DataError(f"{path} has no column {target!r}; its columns are {_listed(columns)}")
        return target
    found = [c for c in columns if c.strip().lower() in TARGET_COLUMNS]
    if len(found) > 1:
        raise DataError(
            f"{path} has {len(found)} columns that may be the target ({_listed(found)}); {_how_to_name(path)}"
        )
    return found[0] if found else None


def _how_to_name(path: Path) -> str:
    return f"name one with --target COLUMN or as {path.name}@COLUMN"


def _check_features(path: Path, *, features: "pandas.DataFrame", target: str) -> None:
    from pandas.api.types import is_bool_dtype, is_complex_dtype, is_numeric_dtype

    if features.shape[1] == 0:
        raise DataError(f"{path} has no feature column beside the target {target!r}")
    unnamed = [c for c in features.columns if c.startswith("Unnamed: ")]
    if unnamed:
        raise DataError(
            f"{path} has a column without a name, often a saved row index; name it or save with index=False"
        )
    text = [c for c in features if not is_numeric_dtype(features[c]) and not is_bool_dtype(features[c])]
    text += [c for c in features if is_complex_dtype(features[c])]
    if text:
        raise DataError(
            f"{path} has columns that are not numbers: {_listed(text)}; encode them as numbers or drop them first"
        )
    values = features.to_numpy(dtype=np.float64)
    finite = [bool(np.isfinite(column).all()) for column in values.T]
    bad = [c for c, good in zip(features.columns, finite, strict=True) if not good]
    if bad:
        raise DataError(f"{path} has missing or infinite values in {_listed(bad)}; remove or impute them first")


def _targets(path: Path, *, frame: "pandas.DataFrame", column: str) -> np.ndarray:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    series = frame[column]
    missing = int(np.count_nonzero(series.isna()))
    if missing:
        raise DataError(f"{path} has {missing} missing values in the target {column!r}; remove those rows first")
    if is_numeric_dtype(series) or is_bool_dtype(series):
        return series.to_numpy()
    return series.astype(str).to_numpy(dtype=object)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    rest = len(names) - _SHOWN_COLUMNS
    shown = ", ".join(repr(str(name)) for name in names[:_SHOWN_COLUMNS])
    return f"{shown} and {rest} more" if rest > 0 else shown

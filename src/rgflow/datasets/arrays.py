"""Arrays, tensors and lists as a data set, with the task read off the targets.

Inputs become float64; only a torch tensor of int32 or int64 stays an integer tensor (int64), because token indices
for an embedding must. Targets: integers, booleans and texts with at most max(20, sqrt(samples)) distinct values are
classes, re-indexed 0..C-1 in sorted order; other integers and all floats are regression targets. Nothing is rescaled.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.records.dataset import Dataset, Task

__all__ = ["as_dataset", "class_limit", "grid_of", "units_in"]

# Sets of labels in use that are small have up to 20 members however few the samples are; beyond that a label that
# returns less than sqrt(N) times on average cannot be learned or told from a count, so it is taken as a number.
_FEW_CLASSES = 20
_TOKEN_TYPES = (torch.int32, torch.int64)
_SHOWN_CLASSES = 20
_UNIT = re.compile(r"\S\s*[(\[](?P<unit>[^()\[\]]+)[)\]]\s*$")


@dataclass(frozen=True)
class _Targets:
    """Targets as the record wants them, and what was done to get there."""

    values: Tensor | None
    task: Task
    classes: int | None
    note: str


def class_limit(samples: int) -> int:
    """Return the largest number of distinct integer or text targets that count as classes, max(20, sqrt(samples))."""
    return max(_FEW_CLASSES, isqrt(samples))


def as_dataset(inputs: Any, targets: Any = None, *, name: str = "data", task: Task | None = None) -> Dataset:
    """Return `inputs` and `targets` (arrays, tensors, lists, data frames, or a Dataset alone) as one Dataset.

    Shapes: `inputs` (samples, *features); `targets` (samples,), (samples, 1) or, for regression, (samples, *outputs).
    Units: as found. `task` overrides what the targets suggest.
    Raises: DataError for empty, one-sample, non-finite, text, object or complex data, or targets that do not fit.

    Example:
    >>> as_dataset([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], ["no", "yes", "no"]).targets
    tensor([0, 1, 0])
    """
    if isinstance(inputs, Dataset):
        return _as_found(inputs, targets, task=task)
    columns = tuple(str(column) for column in getattr(inputs, "columns", ()))
    values = _input_tensor(inputs, name=name)
    read = _read_targets(targets, name=name, task=task)
    return Dataset(
        name=name,
        inputs=values,
        targets=read.values,
        task=read.task,
        classes=read.classes,
        axes=_axes(values.ndim),
        feature_names=columns,
        units=units_in(columns),
        grid=() if values.dtype == torch.int64 else grid_of(tuple(values.shape[1:])),
        provenance=f"arrays given by the caller; {read.note}",
    )


def _as_found(dataset: Dataset, targets: Any, *, task: Task | None) -> Dataset:
    if targets is not None:
        raise SettingError(f"{dataset.name} is a Dataset and carries its own targets; leave `targets` out")
    if task is not None and task != dataset.task:
        raise SettingError(f"{dataset.name} is a Dataset for {dataset.task}; task={task!r} contradicts it")
    return dataset


def _axes(dimensions: int) -> tuple[str, ...]:
    named = {2: ("feature",), 4: ("channel", "height", "width")}
    return named.get(dimensions, tuple(f"axis {axis}" for axis in range(1, dimensions)))


def grid_of(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the lattice on which features of this shape sit: (height, width), channels left out, or () for a table.

    One sample is (height, width) or (channel, height, width), as in a stack of grey images or of channels.
    """
    return shape[-2:] if len(shape) in (2, 3) else ()


def units_in(names: Sequence[str]) -> tuple[str, ...]:
    """Return the units that stand in brackets at the end of column names, "" where there is none; () if none has one."""
    found = [_UNIT.search(name) for name in names]
    return tuple(match["unit"].strip() if match else "" for match in found) if any(found) else ()


def _input_tensor(inputs: Any, *, name: str) -> Tensor:
    if isinstance(inputs, Tensor):
        tensor = inputs.detach().cpu()
        if tensor.is_complex():
            raise DataError(f"inputs of {name} are complex ({tensor.dtype}); give real and imaginary parts as features")
        tensor = tensor.to(torch.int64 if tensor.dtype in _TOKEN_TYPES else torch.float64).clone()
    else:
        tensor = torch.from_numpy(np.array(_numeric(inputs, what=f"inputs of {name}"), dtype=np.float64, order="C"))
    if tensor.numel() == 0:
        raise DataError(f"inputs of {name} are empty, shape {tuple(tensor.shape)}; at least 2 samples are needed")
    return tensor


def _array(values: Any, *, what: str) -> np.ndarray:
    """Return `values` as an array, or say in one sentence why they are none."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{what} cannot be read as one array ({_first_line(error)}); every row must have one length"
        ) from error
    return array


def _numeric(values: Any, *, what: str) -> np.ndarray:
    array = _array(values, what=what)
    if array.dtype.kind == "O":
        array = _unboxed(array, what=what)
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind in "US":
        raise DataError(f"{what} are text (such as {str(array.flat[0])!r}); encode them as numbers first")
    raise DataError(f"{what} have type {array.dtype}; real numbers are needed")


def _unboxed(array: np.ndarray, *, what: str) -> np.ndarray:
    """Return an object array as numbers or texts if all its entries are such, else raise DataError."""
    entries = array.ravel().tolist()
    if all(isinstance(entry, str) for entry in entries):
        return array.astype(str)
    if all(isinstance(entry, bool | int | float | np.number | np.bool_) for entry in entries):
        return np.array(entries).reshape(array.shape)
    kinds = sorted({type(entry).__name__ for entry in entries})
    raise DataError(f"{what} are Python objects ({', '.join(kinds[:3])}); one array of numbers is needed")


def _read_targets(targets: Any, *, name: str, task: Task | None) -> _Targets:
    if task not in (None, "classification", "regression", "unsupervised"):
        raise SettingError(f"task is {task!r}; it must be 'classification', 'regression' or 'unsupervised'")
    if targets is None:
        if task in ("classification", "regression"):
            raise DataError(f"{name} has no targets, but task={task!r} needs them")
        return _Targets(None, "unsupervised", None, "no targets")
    if task == "unsupervised":
        return _Targets(None, "unsupervised", None, "targets given but not used")
    array = _array(targets, what=f"targets of {name}")
    if array.dtype.kind == "O":
        array = _unboxed(array, what=f"targets of {name}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.size == 0:
        raise DataError(f"targets of {name} are empty, shape {array.shape}; give one for every input")
    _refuse_missing(array, name=name)
    return _classes(array, name=name) if _are_classes(array, name=name, task=task) else _numbers(array, name=name)


def _refuse_missing(array: np.ndarray, *, name: str) -> None:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int((~np.isfinite(array)).sum())
        raise DataError(f"targets of {name} contain {bad} NaN or infinite values; remove or impute them first")


def _are_classes(array: np.ndarray, *, name: str, task: Task | None) -> bool:
    if task is not None:
        return task == "classification"
    if array.ndim != 1 or array.dtype.kind not in "biuUS":
        return False
    distinct, limit = len(np.unique(array)), class_limit(len(array))
    if array.dtype.kind in "US" and distinct > limit:
        raise DataError(
            f"targets of {name} are text with {distinct} distinct values among {len(array)} samples; at most {limit} "
            "are taken as classes: choose another target or pass task='classification'"
        )
    return distinct <= limit


def _classes(array: np.ndarray, *, name: str) -> _Targets:
    if array.ndim != 1:
        raise DataError(f"class targets of {name} have shape {array.shape}; one class for every sample is needed")
    labels, indices = np.unique(array, return_inverse=True)
    if len(labels) < 2:
        raise DataError(f"targets of {name} take the single value {labels[0]!s}; at least 2 classes are needed")
    shown = ", ".join(str(label) for label in labels[:_SHOWN_CLASSES]) + (
        ", ..." if len(labels) > _SHOWN_CLASSES else ""
    )
    values = torch.from_numpy(indices.astype(np.int64))
    return _Targets(values, "classification", len(labels), f"classes 0..{len(labels) - 1} are {shown}")


def _numbers(array: np.ndarray, *, name: str) -> _Targets:
    numbers = np.array(_numeric(array, what=f"regression targets of {name}"), dtype=np.float64, order="C")
    numbers = numbers[:, None] if numbers.ndim == 1 else numbers
    return _Targets(torch.from_numpy(numbers), "regression", None, "targets are numbers: regression")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def with_source(dataset: Dataset, *, provenance: str) -> Dataset:
    """Return `dataset` with the origin named in its provenance instead of "arrays given by the caller"."""
    note = dataset.provenance.removeprefix("arrays given by the caller; ")
    return replace(dataset, provenance=f"{provenance}; {note}")


def named_features(dataset: Dataset, *, names: Sequence[str]) -> Dataset:
    """Return `dataset` with the names of its features and the units that stand in them."""
    return replace(dataset, feature_names=tuple(names), units=units_in(names))

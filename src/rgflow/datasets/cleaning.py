"""Data made fit for analysis: each flaw is found, said, and handled as asked.

The order is: texts, missing entries, constant columns, repeated columns, repeated rows, outliers. Nothing is rescaled. On a
lattice every site counts: its columns stay, unless `constant` asks for "drop", which gives the lattice up.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from rgflow.datasets.arrays import as_dataset, class_limit, units_in, with_source
from rgflow.datasets.feature_table import FeatureTable, distinct_texts, encoded, imputed, table_of
from rgflow.datasets.flaws import constant_columns, outliers, repeated_columns, repeated_rows
from rgflow.datasets.raw import RawData, TextColumn, raw_dataset
from rgflow.errors import DataError, SettingError
from rgflow.records.dataset import Dataset
from rgflow.records.structure_card import Preparation

__all__ = ["Cleaned", "ConstantRule", "DuplicateRule", "MissingRule", "TextRule", "clean"]

MissingRule = Literal["drop", "mean", "refuse"]
DuplicateRule = Literal["keep", "drop"]
ConstantRule = Literal["drop", "keep"]
TextRule = Literal["drop", "encode", "refuse"]

_MOSTLY = 0.5  # a column with fewer entries is dropped, so that it does not cost most of the rows


@dataclass(frozen=True, eq=False)
class Cleaned:
    """A data set fit for analysis, and what was found and done on the way.

    Shapes: `rows` (samples kept,) int64, their places among the samples found. `constant` names the features that still
    have one value only.
    """

    dataset: Dataset
    preparation: tuple[Preparation, ...]
    rows: Tensor
    constant: tuple[str, ...] = ()


def clean(
    data: Dataset | RawData,
    *,
    missing: MissingRule = "drop",
    duplicates: DuplicateRule = "keep",
    constant: ConstantRule | None = None,
    text: TextRule = "drop",
) -> Cleaned:
    """Return `data` with its flaws handled, and one `Preparation` for each that was found.

    `missing`: "drop" leaves out columns with more than half of the entries missing, then rows with any missing; "mean" puts
    the mean of the column, or its most frequent value where it takes few whole numbers; "refuse" raises.
    `duplicates`: repeated rows, and columns of a table that repeat another up to units. `constant` None drops constant
    columns of tables and keeps those of lattices. `text`: "encode" turns a table of texts alone into states 0, 1, ... in sorted
    order, and text columns among numbers into one column 0 or 1 a value; columns of free text are left out.
    Outliers are said, never removed.
    Raises: SettingError for a rule of another name; DataError where nothing useful is left, or a rule says "refuse".

    Example:
    >>> data = as_dataset([[0.0, 1.0, 2.0], [1.0, 1.0, 5.0], [2.0, 1.0, 3.0]])
    >>> [(found.finding, found.treatment) for found in clean(data).preparation]
    [("1 of 3 features is constant ('feature 1')", 'dropped')]
    """
    for name, rule, allowed in (
        ("missing", missing, MissingRule),
        ("duplicates", duplicates, DuplicateRule),
        ("constant", constant or "drop", ConstantRule),
        ("text", text, TextRule),
    ):
        if rule not in get_args(allowed):
            raise SettingError(f"{name} is {rule!r}; it must be one of {get_args(allowed)}")
    raw = raw_dataset(data) if isinstance(data, Dataset) else data
    found: list[Preparation] = list(raw.findings)
    table = _texts(table_of(raw), raw, rule=text, found=found)
    table = _missing(table, raw, rule=missing, found=found)
    table = _constants(table, rule=constant, found=found)
    table = _repeats(table, rule=duplicates, found=found)
    _far_out(table, found=found)
    return _finished(table, raw, found=found)


def _texts(table: FeatureTable, raw: RawData, *, rule: TextRule, found: list[Preparation]) -> FeatureTable:
    if not raw.texts:
        return table
    places = np.array([column.place for column in raw.texts])
    finding = f"{_counted(len(places), table)} text ({table.named(places)})"
    if rule == "refuse":
        raise DataError(f"{raw.name}: {finding}; encode or drop them, or choose text='drop' or 'encode'")
    few = [column for column in raw.texts if len(distinct_texts(column)) <= class_limit(len(table.values))]
    if rule == "drop" or not few:
        found.append(Preparation(finding, "dropped" if rule == "drop" else "dropped: free text has no states"))
        return table.without(places)
    whole = len(few) == len(table.names)
    how = "states 0, 1, ... in sorted order" if whole else "columns 0 or 1, one for each text (two texts: one column)"
    free = np.setdiff1d(places, [column.place for column in few])
    also = f"; dropped as free text: {table.named(free)}" if len(free) else ""
    found.append(Preparation(finding, f"encoded as {how}{also}"))
    kept = np.setdiff1d(np.arange(len(table.names)), free)
    moved = [TextColumn(int(np.searchsorted(kept, column.place)), column.entries) for column in few]
    return encoded(table.without(free), moved, as_states=whole)


def _missing(table: FeatureTable, raw: RawData, *, rule: MissingRule, found: list[Preparation]) -> FeatureTable:
    table = _without_targets(table, raw, rule=rule, found=found)
    absent = np.isnan(table.values)
    if not absent.any():
        return table
    columns = np.flatnonzero(absent.any(axis=0))
    rows = int(absent.any(axis=1).sum())
    finding = (
        f"{int(absent.sum())} entries are missing or infinite, in {rows} of {len(absent)} rows and {len(columns)} of"
        f" {absent.shape[1]} features ({table.named(columns)})"
    )
    if rule == "refuse":
        raise DataError(f"{raw.name}: {finding}; remove or impute them, or choose missing='drop' or 'mean'")
    share = absent.mean(axis=0)
    empty = np.flatnonzero(share > _MOSTLY if rule == "drop" else share == 1.0)
    done = [f"dropped the features with more than half missing ({table.named(empty)})"] if len(empty) else []
    if len(empty):
        table = table.without(empty)
    absent = np.isnan(table.values)
    if rule == "mean":
        table = imputed(table)
        done.append("put the mean of the feature, or its most frequent value where it takes few whole numbers")
    elif absent.any():
        whole = np.flatnonzero(absent.sum(axis=1) == 0)
        table = table.only_rows(whole)
        done.append(f"dropped {len(absent) - len(whole)} of {len(absent)} rows")
    if len(table.values) < 2:
        raise DataError(f"{raw.name}: {finding}; fewer than 2 complete rows are left, choose missing='mean'")
    found.append(Preparation(finding, "; ".join(done)))
    return table


def _without_targets(table: FeatureTable, raw: RawData, *, rule: MissingRule, found: list[Preparation]) -> FeatureTable:
    """Return the table without the rows whose target is missing."""
    if raw.targets is None or isinstance(raw.targets, Tensor):
        return table
    targets = np.asarray(raw.targets)
    absent = np.array([entry is None or entry != entry for entry in targets.reshape(len(targets), -1)[:, 0].tolist()])
    if not absent.any():
        return table
    finding = f"{int(absent.sum())} of {len(absent)} targets are missing"
    if rule == "refuse":
        raise DataError(f"{raw.name}: {finding}; remove those rows, or choose missing='drop'")
    found.append(Preparation(finding, "dropped those rows"))
    return table.only_rows(np.flatnonzero(~absent))


def _constants(table: FeatureTable, *, rule: ConstantRule | None, found: list[Preparation]) -> FeatureTable:
    columns = constant_columns(table.values)
    if not len(columns):
        return table
    finding = f"{_counted(len(columns), table)} constant ({table.named(columns)})"
    if rule == "keep" or (rule is None and table.lattice):
        why = "kept: the lattice needs every site" if table.lattice else "kept"
        found.append(Preparation(finding, why))
        return table
    found.append(Preparation(finding, "dropped, and the lattice with them" if table.lattice else "dropped"))
    return table.without(columns)


def _repeats(table: FeatureTable, *, rule: DuplicateRule, found: list[Preparation]) -> FeatureTable:
    columns = repeated_columns(table.values)
    if len(columns):
        finding = f"{len(columns)} of {len(table.names)} features repeat another, up to units ({table.named(columns)})"
        dropped = rule == "drop" and not table.lattice
        found.append(Preparation(finding, "dropped" if dropped else "kept"))
        table = table.without(columns) if dropped else table
    rows = repeated_rows(table.values)
    if len(rows):
        finding = f"{len(rows)} of {len(table.values)} rows repeat an earlier one"
        found.append(Preparation(finding, "dropped" if rule == "drop" else "kept"))
        if rule == "drop":
            table = table.only_rows(np.setdiff1d(np.arange(len(table.values)), rows))
    return table


def _far_out(table: FeatureTable, *, found: list[Preparation]) -> None:
    columns = outliers(table.values)
    if columns:
        worst = max(columns, key=lambda one: one.farthest)
        finding = (
            f"{sum(one.entries for one in columns)} entries of {len(columns)} features are more than 10 robust standard"
            f" deviations from their median; the farthest is {worst.farthest:.3g} away, in {table.names[worst.column]!r}"
        )
        found.append(Preparation(finding, "kept"))


def _finished(table: FeatureTable, raw: RawData, *, found: list[Preparation]) -> Cleaned:
    if len(table.values) < 2:
        raise DataError(f"{raw.name} has {len(table.values)} rows left; at least 2 are needed")
    rows = torch.from_numpy(table.rows)
    constant = tuple(table.names[k] for k in constant_columns(table.values))
    if raw.whole is not None and not table.changed and len(table.rows) == len(raw.values):
        return Cleaned(raw.whole, tuple(found), rows, constant)
    shape = table.values.shape if table.changed else (len(table.values), *raw.values.shape[1:])
    inputs = torch.from_numpy(np.ascontiguousarray(table.values.reshape(shape)))
    made = (
        _fresh(raw, inputs, rows=table.rows, found=found) if raw.whole is None else _part(raw.whole, inputs, rows=rows)
    )
    named = replace(made, feature_names=table.names if raw.names or table.changed else ())
    if not table.changed:
        return Cleaned(
            replace(named, grid=raw.grid, periodic=raw.periodic, units=raw.units), tuple(found), rows, constant
        )
    units = raw.units if len(raw.units) == 1 else units_in(table.names)
    flat = replace(named, axes=("feature",), grid=(), periodic=False, units=units)
    return Cleaned(flat, tuple(found), rows, constant)


def _part(whole: Dataset, inputs: Tensor, *, rows: Tensor) -> Dataset:
    targets = None if whole.targets is None else whole.targets[rows]
    # a lattice is put back by the caller, where it still fits
    return replace(whole, inputs=inputs, targets=targets, grid=(), provenance=f"{whole.provenance}; cleaned")


def _fresh(raw: RawData, inputs: Tensor, *, rows: np.ndarray, found: list[Preparation]) -> Dataset:
    targets = None if raw.targets is None else raw.targets[rows]
    try:
        made = as_dataset(inputs, targets, name=raw.name)
    except DataError as error:
        if targets is None or raw.target_asked:
            raise
        found.append(Preparation(f"the targets make no task: {error}", "left out"))
        made = as_dataset(inputs, name=raw.name)
    return with_source(made, provenance=raw.source)


def _counted(columns: int, table: FeatureTable) -> str:
    return f"{columns} of {len(table.names)} features {'is' if columns == 1 else 'are'}"

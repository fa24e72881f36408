"""A table of features on its way to a data set: rows and columns left out, texts encoded, gaps filled.

Convention: values are (samples, features) float64, NaN where an entry is missing. Every step returns a new table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rgflow.datasets.arrays import class_limit
from rgflow.datasets.raw import RawData, TextColumn
from rgflow.errors import DataError

__all__ = ["FeatureTable", "distinct_texts", "encoded", "imputed", "table_of"]

_SHOWN = 6


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features flat (samples, features), their names, and the places `rows` (samples,) of the samples that are left.

    `lattice` says that the columns are sites of a lattice, `changed` that some were left out or made anew.
    """

    source: str
    values: np.ndarray
    names: tuple[str, ...]
    rows: np.ndarray
    lattice: bool
    changed: bool = False

    def only_rows(self, kept: np.ndarray) -> "FeatureTable":
        """Return the table with these rows alone."""
        return replace(self, values=self.values[kept], rows=self.rows[kept])

    def without(self, columns: np.ndarray) -> "FeatureTable":
        """Return the table without these columns, and without its lattice. Raises: DataError if no column is left."""
        kept = np.setdiff1d(np.arange(self.values.shape[1]), columns)
        if not len(kept):
            raise DataError(f"{self.source} has no feature left: {self.named(columns)} must go; choose other rules")
        names = tuple(self.names[k] for k in kept)
        return replace(self, values=self.values[:, kept], names=names, changed=True, lattice=False)

    def named(self, columns: Sequence[int] | np.ndarray) -> str:
        """Return the names of some columns for a sentence."""
        shown = ", ".join(repr(self.names[k]) for k in columns[:_SHOWN])
        rest = len(columns) - _SHOWN
        return f"{shown} and {rest} more" if rest > 0 else shown


def table_of(raw: RawData) -> FeatureTable:
    """Return the features of raw data as a table; text columns are all NaN there."""
    values = raw.values.reshape(len(raw.values), -1)
    names = raw.names if len(raw.names) == values.shape[1] else [f"feature {k}" for k in range(values.shape[1])]
    return FeatureTable(raw.name, values, tuple(names), np.arange(len(values)), lattice=bool(raw.grid))


def distinct_texts(column: TextColumn) -> list[str]:
    """Return the different texts of a column, sorted, missing ones left out."""
    return sorted({entry for entry in column.entries if entry is not None})


def encoded(table: FeatureTable, texts: Sequence[TextColumn], *, as_states: bool) -> FeatureTable:
    """Return the table with numbers for texts: states 0, 1, ... of every column, or one column 0 or 1 a text.

    Columns of two texts become one column 0 or 1 in either case; missing texts become NaN.
    """
    by_place = {column.place: column for column in texts}
    columns: list[np.ndarray] = []
    names: list[str] = []
    for place, name in enumerate(table.names):
        if place not in by_place:
            columns.append(table.values[:, place])
            names.append(name)
            continue
        entries, labels = by_place[place].entries, distinct_texts(by_place[place])
        if as_states or len(labels) <= 2:
            codes = {label: float(code) for code, label in enumerate(labels)}
            columns.append(np.array([codes.get(entry, np.nan) for entry in entries]))
            names.append(name)
        else:
            absent = np.array([entry is None for entry in entries])
            columns += [np.where(absent, np.nan, (entries == label).astype(np.float64)) for label in labels]
            names += [f"{name}={label}" for label in labels]
    return replace(table, values=np.stack(columns, axis=1), names=tuple(names), changed=True, lattice=False)


def imputed(table: FeatureTable) -> FeatureTable:
    """Return the table with every gap filled by the mean of its column.

    Columns of few whole numbers (spins, states) take their most frequent value, since their mean is no state.
    """
    filled = table.values.copy()
    for column in np.flatnonzero(np.isnan(filled).any(axis=0)):
        absent = np.isnan(filled[:, column])
        given = filled[~absent, column]
        kinds, counts = np.unique(given, return_counts=True)
        few = len(kinds) <= class_limit(len(filled)) and bool((kinds == np.round(kinds)).all())
        filled[absent, column] = kinds[counts.argmax()] if few else given.mean()
    return replace(table, values=filled)

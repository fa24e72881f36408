"""Flaws of a table of numbers: what is constant, repeated or far out, found without changing anything.

Convention: tables are (samples, features) float64 without missing entries. Units: as found; distances of outliers are in
robust standard deviations, 1.4826 times the median absolute deviation.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Outliers", "constant_columns", "outliers", "repeated_columns", "repeated_rows"]

_ROBUST = 1.4826  # 1 / Phi^-1(3/4): a normal law has the standard deviation 1.4826 times its median absolute deviation
_FAR = 10.0  # robust standard deviations: a normal law has none there, an exponential one four in 10,000
_DIGITS = 9  # of standardised columns: two columns that agree so far say the same in other units


@dataclass(frozen=True)
class Outliers:
    """A column with entries far from its median: how many, and how far the farthest is in robust deviations."""

    column: int
    entries: int
    farthest: float


def constant_columns(table: np.ndarray) -> np.ndarray:
    """Return the indices of the columns with one value only."""
    return np.flatnonzero(table.max(axis=0) == table.min(axis=0))


def repeated_rows(table: np.ndarray) -> np.ndarray:
    """Return the indices of the rows that repeat an earlier one exactly."""
    return _later_copies(table)


def repeated_columns(table: np.ndarray) -> np.ndarray:
    """Return the indices of varying columns that repeat an earlier one, up to a factor and an offset."""
    varying = np.setdiff1d(np.arange(table.shape[1]), constant_columns(table))
    if len(varying) < 2:
        return varying[:0]
    columns = table[:, varying].T
    centred = columns - columns.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True))
    lead = np.take_along_axis(scaled, np.abs(scaled).argmax(axis=1)[:, None], axis=1)
    aligned = np.round(scaled * np.sign(lead), _DIGITS) + 0.0  # - 0.0 and 0.0 are one value
    return varying[_later_copies(aligned)]


def outliers(table: np.ndarray) -> tuple[Outliers, ...]:
    """Return the columns with entries more than 10 robust standard deviations from their median.

    Columns of which more than half share one value have no robust deviation and are left out.
    """
    median = np.median(table, axis=0)
    distance = np.abs(table - median)
    scale = _ROBUST * np.median(distance, axis=0)
    found = []
    for column in np.flatnonzero(scale > 0.0):
        far = distance[:, column] / scale[column]
        if far.max() > _FAR:
            found.append(Outliers(int(column), int((far > _FAR).sum()), float(far.max())))
    return tuple(found)


def _later_copies(rows: np.ndarray) -> np.ndarray:
    first = np.unique(np.ascontiguousarray(rows), axis=0, return_index=True)[1]
    return np.setdiff1d(np.arange(len(rows)), first)

"""The job of `rgflow data`: what is simple about one dataset, as a card with nulls, errors and suggestions.

The story: read and clean the data; place the features on their lattice; take the rows that were asked for; let the structure
room make the card; hand it over with everything that was done to the data before.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from rgflow import __version__, structure
from rgflow.datasets.cleaning import Cleaned, clean
from rgflow.datasets.raw import raw_arrays
from rgflow.datasets.structure_loading import load_for_structure
from rgflow.errors import SettingError
from rgflow.records.dataset import Dataset
from rgflow.records.structure_card import Preparation
from rgflow.report.data_report import DataReport

__all__ = ["describe"]

Progress = Callable[[str, float], None]


def describe(
    data: Any,
    *,
    grid: Sequence[int] | None = None,
    periodic: bool | None = None,
    target: str | None = None,
    missing: str = "drop",
    duplicates: str = "keep",
    text: str = "drop",
    max_order: int = 4,
    samples: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> DataReport:
    """Return the structure card of `data`: order, locality, geometry, symmetries, basis, scales, ladder, each with nulls.

    `data` is what names a dataset on the command line ("digits", "ising:16x16:T=2.5", "table.csv"), a `Dataset`, or an
    array (samples, *features). `grid` is the lattice on which the features sit, row by row (that of the data if None),
    `periodic` says whether it closes. `target` is left out of the features. `missing` ("drop", "mean", "refuse"),
    `duplicates` ("keep", "drop") and `text` ("drop", "encode", "refuse") say what becomes of such values, columns and
    rows; whatever is done is listed on the card. `samples` rows are drawn by `seed`; all are taken if None.
    `shuffle` puts rows in random order: for tables whose rows come sorted, and would look like a slow Markov chain.
    Shapes: (samples, *features), at least 2 samples.
    Raises: DataError where the data cannot be read or a "refuse" applies; SettingError for settings out of range.

    Example:
    >>> import torch
    >>> report = describe(torch.randint(0, 2, (400, 4), generator=torch.Generator().manual_seed(0)) * 2.0 - 1.0, grid=(2, 2))
    >>> report.card.kind, report.card.variables
    ('spin', 4)
    """
    said = progress or (lambda _stage, _fraction: None)
    said("reading", 0.0)
    cleaned = _cleaned(data, target=target, missing=missing, duplicates=duplicates, text=text)
    dataset = _placed(cleaned.dataset, grid=grid, periodic=periodic)
    dataset, steps = _taken(dataset, samples=samples, shuffle=shuffle, seed=seed)
    card = structure.card(dataset, seed=seed, max_order=max_order, progress=said)
    said("done", 1.0)
    return DataReport(__version__, replace(card, preparation=(*cleaned.preparation, *steps, *card.preparation)))


def _cleaned(data: Any, *, target: str | None, **rules: Any) -> Cleaned:
    """Return the data with their flaws handled; what is no name and no Dataset is taken as an array."""
    if isinstance(data, str | os.PathLike):
        return load_for_structure(os.fspath(data), target=target, **rules)
    if target is not None:
        raise SettingError(
            f"target is {target!r} beside an array or a Dataset, which have no columns to name; leave it out"
        )
    if isinstance(data, Dataset):
        return clean(data, **rules)
    return clean(raw_arrays(data, None, name="array", source="array given by the caller"), **rules)


def _placed(data: Dataset, *, grid: Sequence[int] | None, periodic: bool | None) -> Dataset:
    """Return the data on the lattice that was asked for; what was not asked for stays as it was found."""
    sides = data.grid if grid is None else tuple(int(side) for side in grid)
    closed = data.periodic if periodic is None else periodic
    if closed and not sides:
        raise SettingError(
            f"--periodic stands without a lattice, and {data.name} has none of its own; give its sides, as in --grid 8x8"
        )
    return replace(data, grid=sides, periodic=closed)


def _taken(data: Dataset, *, samples: int | None, shuffle: bool, seed: int) -> tuple[Dataset, tuple[Preparation, ...]]:
    """Return the rows that were asked for, in the order of the data or at random, and what was done in words."""
    count = len(data.inputs)
    taken = count if samples is None else min(samples, count)
    if taken == count and not shuffle:
        return data, ()
    rows = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:taken]
    if not shuffle:
        rows = rows.sort().values
    number = f"{taken:,} of them taken at random" if taken < count else "all taken"
    order = "in random order" if shuffle else "in their order"
    targets = None if data.targets is None else data.targets[rows]
    step = Preparation(f"{count:,} samples", f"{number} (seed {seed}), {order}")
    return replace(data, inputs=data.inputs[rows], targets=targets), (step,)

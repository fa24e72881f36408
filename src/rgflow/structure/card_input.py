"""A data set as the parts of the structure card take it: one matrix, its kind, its lattice, and what was done to it.

Two-valued variables become spins -1 and 1, whole numbers of few values categories 0, 1, ..., all others stay real in their
own unit. Channels of a lattice are averaged, so that one variable stands on one site.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.records.dataset import Dataset
from rgflow.records.structure_card import Preparation
from rgflow.structure.ladder_variables import MOST_LEVELS
from rgflow.structure.pair_couplings import PairKind

__all__ = ["CardInput", "read_card_input"]

_LEAST_SAMPLES = 60  # of blocks of three, in 20 blocks; below it no error on the card would mean anything
_FEWEST_CHANGES = 30  # samples off the commonest value: a covariance of fewer has an error of a fifth and heavy tails
_SAMPLES_AT_MOST = 10_000  # read from larger data sets, evenly spread: errors of couplings are then below 0.01


@dataclass(frozen=True, eq=False)
class CardInput:
    """`values` (samples, variables) float64; `lattice` has one site a variable, or is None."""

    name: str
    provenance: str
    values: np.ndarray
    kind: PairKind
    lattice: Lattice | None
    names: tuple[str, ...]
    preparation: tuple[Preparation, ...]

    @property
    def active(self) -> np.ndarray:
        """Which variables vary."""
        return self.values.std(0) > 1e-12 * np.abs(self.values).max(0)


def read_card_input(data: Any, *, lattice: Lattice | tuple[int, ...] | None = None) -> CardInput:
    """Return `data` (a Dataset or an array (samples, *features)) prepared for the card.

    `lattice` overrides that of the data set. Constant columns of a table are left out, those of a lattice stay.
    Raises: DataError for fewer than 60 samples, values that are not finite, or fewer than 2 variables that vary.
    """
    dataset = data if isinstance(data, Dataset) else _from_array(data)
    values = dataset.inputs.reshape(len(dataset.inputs), -1).to(torch.float64).numpy()
    if len(values) < _LEAST_SAMPLES:
        raise DataError(f"{dataset.name} has {len(values)} samples; a structure card needs at least {_LEAST_SAMPLES}")
    said: list[Preparation] = []
    place = _lattice(dataset, given=lattice)
    values = _spread(values, said)
    names = dataset.feature_names if len(dataset.feature_names) == values.shape[1] else ()
    if place is not None:
        values = _one_channel(values, place, said)
        names = names if len(names) == values.shape[1] else ()
    values, names = _varying(values, names, lattice=place, said=said)
    kind = _kind(values)
    if kind == "continuous":
        values, names = _without_rare(values, names, lattice=place, said=said)
    return CardInput(
        name=dataset.name,
        provenance=dataset.provenance,
        values=_coded(values, kind=kind, said=said),
        kind=kind,
        lattice=place,
        names=tuple(names),
        preparation=tuple(said),
    )


def _from_array(data: Any) -> Dataset:
    given = torch.as_tensor(data).detach().cpu()
    return Dataset("array", given, None, "unsupervised", provenance="array given by the caller")


def _lattice(dataset: Dataset, *, given: Lattice | tuple[int, ...] | None) -> Lattice | None:
    if isinstance(given, Lattice):
        return given
    sides = tuple(given) if given is not None else dataset.grid
    if not sides or math.prod(sides) < 2:
        return None
    return Lattice(sides, periodic=dataset.periodic and min(sides) >= 3)  # a ring of two would bond its sites twice


def _spread(values: np.ndarray, said: list[Preparation]) -> np.ndarray:
    if len(values) <= _SAMPLES_AT_MOST:
        return values
    rows = np.linspace(0, len(values) - 1, _SAMPLES_AT_MOST).astype(int)
    said.append(
        Preparation(f"{len(values):,} samples", f"{_SAMPLES_AT_MOST:,} of them read, evenly spread, in their order")
    )
    return values[rows]


def _one_channel(values: np.ndarray, lattice: Lattice, said: list[Preparation]) -> np.ndarray:
    if values.shape[1] % lattice.sites:
        raise SettingError(
            f"the lattice {lattice.shape} has {lattice.sites} sites, which {values.shape[1]} features do not fill"
        )
    channels = values.shape[1] // lattice.sites
    if channels == 1:
        return values
    said.append(Preparation(f"{channels} channels on every site", "averaged: the card sees one number a site"))
    return values.reshape(len(values), channels, lattice.sites).mean(1)


def _varying(
    values: np.ndarray, names: tuple[str, ...], *, lattice: Lattice | None, said: list[Preparation]
) -> tuple[np.ndarray, tuple[str, ...]]:
    active = values.std(0) > 1e-12 * np.abs(values).max(0)
    if active.sum() < 2:
        raise DataError(f"{int(active.sum())} of {len(active)} variables vary; a structure card needs at least 2")
    if active.all():
        return values, names
    finding = f"{int((~active).sum())} of {len(active)} variables are constant"
    if lattice is not None:
        said.append(Preparation(finding, "kept, as sites of the lattice without couplings"))
        return values, names
    said.append(Preparation(finding, "left out"))
    return values[:, active], tuple(name for name, kept in zip(names, active, strict=False) if kept)


def _without_rare(
    values: np.ndarray, names: tuple[str, ...], *, lattice: Lattice | None, said: list[Preparation]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Leave out variables that hardly ever leave their commonest value; on a lattice hold them at that value."""
    commonest = np.array([_commonest(column) for column in np.sort(values, axis=0).T])
    least = min(_FEWEST_CHANGES, len(values) // 4)  # the fewest samples a card takes are no reason to call all rare
    moved = (values != commonest).sum(0)
    rare = (moved > 0) & (moved < least)
    if not rare.any() or (~rare).sum() < 2:
        return values, names
    finding = (
        f"{int(rare.sum())} of {len(rare)} variables differ from their commonest value in fewer than {least} samples"
    )
    why = "so few samples say nothing of their couplings"
    if lattice is not None:
        said.append(Preparation(finding, f"held at that value: {why}"))
        return np.where(rare, commonest, values), names
    said.append(Preparation(finding, f"left out: {why}"))
    return values[:, ~rare], tuple(name for name, out in zip(names, rare, strict=False) if not out)


def _commonest(ordered: np.ndarray) -> float:
    """Return the most frequent of sorted values, the smallest of several."""
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return float(ordered[starts[np.argmax(np.diff(np.append(starts, len(ordered))))]])


def _kind(values: np.ndarray) -> PairKind:
    counts = np.array([len(np.unique(column)) for column in values.T])
    if counts.max() <= 2:
        return "spin"
    whole = bool((values == np.round(values)).all())
    return "categorical" if whole and counts.max() <= MOST_LEVELS else "continuous"


def _coded(values: np.ndarray, *, kind: PairKind, said: list[Preparation]) -> np.ndarray:
    if kind == "continuous":
        return values
    if kind == "spin":
        high = values.max(0) if (values.max(0) > values.min(0)).all() else np.full(values.shape[1], values.max())
        if not np.isin(values, (-1.0, 1.0)).all():
            said.append(Preparation("every variable has two values", "the larger is read as spin +1, the other as -1"))
        return np.where(values == high, 1.0, -1.0)
    codes = np.searchsorted(np.unique(values), values).astype(np.float64)
    if not np.array_equal(codes, values):
        said.append(Preparation("whole numbers of few values", "read as categories 0, 1, ... without order"))
    return codes

"""Samples as the ladder takes them: which kind of variable they are, on which lattice, as one matrix.

Two-valued variables become spins -1 and 1 (the larger value is 1); categories stay whole numbers from 0; real variables
get mean 0 and variance 1, each by itself, or all together on a lattice, whose symmetries would not survive the former.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.structure.continuous_standard import standardisation

__all__ = ["LadderKind", "Variables", "read_variables"]

LadderKind = Literal["auto", "spin", "categorical", "continuous"]
MOST_LEVELS = (
    12  # whole numbers with more values than this are taken as continuous unless they are said to be categories
)


@dataclass(frozen=True, eq=False)
class Variables:
    """`values` (samples, sites): int8 spins, int64 categories from 0, or float64; `levels` counts categories."""

    kind: Literal["spin", "categorical", "continuous"]
    values: np.ndarray
    lattice: Lattice | None
    levels: int
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples."""
        return len(self.values)

    @property
    def sites(self) -> int:
        """Number of variables."""
        return self.values.shape[1]

    @property
    def unit(self) -> str:
        """The unit of scores."""
        if self.kind == "continuous":
            return "minus the score-matching objective a variable, at unit variance"
        return "nats a variable"

    @property
    def generic_parameters(self) -> str:
        """How many numbers the law of all states has, as text."""
        if self.kind == "continuous":
            return "infinite"
        if self.levels**self.sites < 10**6:  # six digits still read as a number
            return f"{self.levels**self.sites - 1:,}"
        return f"{self.levels}^{self.sites} - 1"


def read_variables(
    samples: Any, *, lattice: Lattice | tuple[int, ...] | None, periodic: bool, kind: LadderKind, fewest: int, seed: int
) -> Variables:
    """Return the samples with their kind and lattice; `seed` draws the noise that smooths clipped or counted real values.

    Raises: DataError for fewer than `fewest` samples, no variables, values that are not finite or do not fit the kind, or a
    number of variables that does not fill the lattice; SettingError for an unknown kind.
    """
    if kind not in get_args(LadderKind):
        raise SettingError(f"kind is {kind!r}; it must be one of {get_args(LadderKind)}")
    values = _matrix(samples, fewest=fewest)
    place = lattice if lattice is None or isinstance(lattice, Lattice) else Lattice(tuple(lattice), periodic)
    if place is not None and place.sites != values.shape[1]:
        raise DataError(
            f"the samples have {values.shape[1]} variables, but the lattice {place.shape} has {place.sites} sites; give the"
            " shape of the lattice on which the variables sit, or None"
        )
    found, distinct = (
        (_kind(values) if kind == "auto" else kind),
        np.unique(values) if kind != "continuous" else values[:0],
    )
    if found == "spin":
        return Variables("spin", _spins(values, distinct), place, 2)
    if found == "categorical":
        return Variables("categorical", _categories(values, distinct), place, int(values.max()) + 1)
    scale = standardisation(values, pooled=place is not None)
    return Variables("continuous", scale.apply(values, seed=seed), place, 0, scale.notes)


def _matrix(samples: Any, *, fewest: int) -> np.ndarray:
    given = torch.as_tensor(samples).detach().cpu()
    if given.ndim < 2 or len(given) < fewest or not given[0].numel():
        raise DataError(
            f"the samples have shape {tuple(given.shape)}; (samples, variables) with at least {fewest} samples is needed"
        )
    values = given.reshape(len(given), -1).numpy().astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("the samples contain NaN or infinite values; remove or impute them first")
    return values


def _kind(values: np.ndarray) -> Literal["spin", "categorical", "continuous"]:
    distinct = np.unique(values[:1000])  # a glance: the whole is looked at only where few values are found
    if len(distinct) > MOST_LEVELS or len(distinct := np.unique(values)) > MOST_LEVELS:
        return "continuous"
    if len(distinct) <= 2:
        return "spin"
    whole = (distinct == distinct.round()).all() and distinct[0] >= 0
    return "categorical" if whole else "continuous"


def _spins(values: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    if len(distinct) > 2:
        raise DataError(f"a spin has two values, but the samples have {len(distinct)}, from {distinct[0]:g} on")
    if len(distinct) == 1 and distinct[0] not in (-1.0, 0.0, 1.0):
        raise DataError(f"every value is {distinct[0]:g}; a constant says nothing about structure")
    middle = distinct.mean() if len(distinct) == 2 else (0.0 if distinct[0] == -1.0 else 0.5)
    return np.where(values > middle, 1, -1).astype(np.int8)


def _categories(values: np.ndarray, distinct: np.ndarray) -> np.ndarray:
    if (distinct != distinct.round()).any() or distinct[0] < 0:
        raise DataError(f"a category has the value {distinct[0]:g}; it must be a whole number from 0")
    return values.astype(np.int64)

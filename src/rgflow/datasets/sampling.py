"""Batches and splits of a data set, drawn without replacement and with equal shares of every class.

Every draw has a generator of its own; the global random state is neither read nor moved.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from rgflow.errors import DataError, SettingError
from rgflow.records.dataset import Dataset

__all__ = ["Splits", "batch_of", "splits"]


class Splits(NamedTuple):
    """Three disjoint parts of one data set."""

    train: Dataset
    validation: Dataset
    test: Dataset


def batch_of(dataset: Dataset, *, size: int, seed: int) -> Dataset:
    """Return `size` samples of `dataset` (all, in the order found, if it has no more), shares of the classes kept.

    Raises: SettingError for size < 2 or a negative seed.
    """
    if size < 2:
        raise SettingError(f"batch size is {size}; at least 2 samples are needed to compare inputs")
    generator = _generator(seed)
    if size >= len(dataset.inputs):
        return dataset
    chosen = _stratified(_strata(dataset), take=size, generator=generator)
    return _part(dataset, rows=generator.permutation(chosen), note=f"{size} samples drawn with seed {seed}")


def splits(dataset: Dataset, *, validation: float, test: float, seed: int) -> Splits:
    """Return training, validation and test parts; `validation` and `test` are fractions of all samples.

    Raises: SettingError for fractions outside (0, 1) or of sum >= 1; DataError if a part has fewer than 2 samples.
    """
    if not (0.0 < validation < 1.0 and 0.0 < test < 1.0 and validation + test < 1.0):
        raise SettingError(
            f"fractions are validation={validation}, test={test}; each must be in (0, 1), their sum below 1"
        )
    total = len(dataset.inputs)
    held_out, held_back = round(test * total), round(validation * total)
    if min(held_out, held_back, total - held_out - held_back) < 2:
        raise DataError(f"{dataset.name} has {total} samples, too few to split: every part needs at least 2")
    generator, strata = _generator(seed), _strata(dataset)
    tests = _stratified(strata, take=held_out, generator=generator)
    rest = [np.setdiff1d(stratum, tests, assume_unique=True) for stratum in strata]
    validations = _stratified(rest, take=held_back, generator=generator)
    training = np.setdiff1d(np.concatenate(rest), validations, assume_unique=True)
    parts = {"training": training, "validation": validations, "test": tests}
    return Splits(
        *(_part(dataset, rows=generator.permutation(r), note=f"{p} part, seed {seed}") for p, r in parts.items())
    )


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be >= 0")
    return np.random.default_rng(seed)


def _strata(dataset: Dataset) -> list[np.ndarray]:
    """Return the sample indices of every class that occurs, or of all samples where there are no classes."""
    if dataset.task != "classification" or dataset.targets is None:
        return [np.arange(len(dataset.inputs))]
    targets = dataset.targets.numpy()
    return [np.flatnonzero(targets == label) for label in np.unique(targets)]


def _stratified(strata: list[np.ndarray], *, take: int, generator: np.random.Generator) -> np.ndarray:
    """Return `take` indices; every stratum gives its share rounded down, the largest remainders give one more."""
    sizes = np.array([len(stratum) for stratum in strata])
    exact = take * sizes / sizes.sum()
    counts = np.floor(exact).astype(int)
    remainder = take - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:remainder]] += 1
    drawn = [generator.choice(s, size=c, replace=False) for s, c in zip(strata, counts, strict=True)]
    return np.concatenate(drawn)


def _part(dataset: Dataset, *, rows: np.ndarray, note: str) -> Dataset:
    index = torch.from_numpy(rows)
    targets = None if dataset.targets is None else dataset.targets[index]
    return replace(
        dataset, inputs=dataset.inputs[index], targets=targets, provenance=f"{dataset.provenance}; {note}".lstrip("; ")
    )

"""Sums over all states of small models of spins, bits and categories: the truth that samplers and fits must meet.

Convention: p(x) = exp(sum_t coupling_t prod_(i in term t) x_i) / Z, so -H in nats; log Z in nats, of the whole system.
States are numbered like digits: the last site runs fastest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["STATES_AT_MOST", "Enumeration", "enumerate_potts", "enumerate_spins"]

STATES_AT_MOST = 2**20  # 20 sites of two values: the table of states then fills 20 MiB


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Every state of a small model with its probability.

    Shapes: `states` (states, sites) float64, `probabilities` (states,). `mean_energy` is <H> in nats, of the whole system.
    """

    states: Tensor
    probabilities: Tensor
    log_partition: float
    mean_energy: float

    def mean(self, values: Any) -> Tensor:
        """Return sum_x p(x) values(x), shape (...) from (states, ...)."""
        table = torch.as_tensor(values, dtype=torch.float64)
        return torch.tensordot(self.probabilities, table, dims=1)

    def moments(self, groups: Sequence[Any]) -> Tensor:
        """Return <prod_(i in term) x_i> of every term, one group (terms, order) of sites after the other."""
        found = [self._products(group) for group in groups]
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.float64)

    def _products(self, group: Any) -> Tensor:
        rows = torch.as_tensor(np.asarray(group, dtype=np.int64))
        return torch.stack([self.mean(self.states[:, row].prod(1)) for row in rows])


def enumerate_spins(
    groups: Sequence[Any], couplings: Any, *, sites: int, values: tuple[float, float] = (-1.0, 1.0)
) -> Enumeration:
    """Return all states of `sites` two-valued variables under -H = sum_t coupling_t prod_(i in term t) x_i.

    Shapes: `groups` arrays (terms, order) of sites, one array for each order; `couplings` (terms of all groups,), nats.
    `values` are the two values of a variable: (-1, 1) for spins, (0, 1) for bits.
    Raises: SettingError for more than 20 sites, sites out of range, or couplings that do not fit the terms.

    Example:
    >>> pair = enumerate_spins([[[0, 1]]], [0.5], sites=2)
    >>> round(pair.log_partition, 6), round(float(pair.moments([[[0, 1]]])[0]), 6)
    (1.506409, 0.462117)
    """
    _check_states(2, sites=sites)
    strengths = np.asarray(couplings, dtype=np.float64).reshape(-1)
    terms = [row for group in groups for row in np.asarray(group, dtype=np.int64)]
    if len(terms) != len(strengths):
        raise SettingError(f"{len(strengths)} couplings given for {len(terms)} terms; give one for each term")
    for row in terms:
        if len(row) and (row.min() < 0 or row.max() >= sites):
            raise SettingError(f"a term names the sites {row.tolist()}; sites are 0..{sites - 1}")
    states = np.asarray(values, dtype=np.float64)[_digits(2, sites=sites)]
    logarithms = np.zeros(len(states))
    for row, strength in zip(terms, strengths, strict=True):
        logarithms += strength * states[:, row].prod(axis=1)
    return _weighted(states, logarithms=logarithms)


def enumerate_potts(
    bonds: Any, couplings: Any = 1.0, *, sites: int, states: int, fields: Sequence[float] = ()
) -> Enumeration:
    """Return all states of a Potts model, -H = sum_bonds coupling [x_i = x_j] + sum_i fields[x_i], x_i = 0 .. states - 1.

    Shapes: `bonds` (bonds, 2) of sites; `couplings` one number or (bonds,); `fields` (states,) or () for none.
    Units: nats.
    Raises: SettingError for more than 2^20 states, sites out of range, or couplings or fields that do not fit.
    """
    if states < 2:
        raise SettingError(f"states is {states}; a Potts variable needs at least 2")
    _check_states(states, sites=sites)
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= sites):
        raise SettingError(
            f"a bond names site {pairs.max() if pairs.min() >= 0 else pairs.min()}; sites are 0..{sites - 1}"
        )
    strengths = np.broadcast_to(np.asarray(couplings, dtype=np.float64), (len(pairs),))
    levels = np.asarray(fields if len(fields) else np.zeros(states), dtype=np.float64)
    if levels.shape != (states,):
        raise SettingError(f"{len(levels)} fields given for {states} states; give one for each state or none")
    digits = _digits(states, sites=sites)
    logarithms = levels[digits].sum(axis=1)
    for (first, second), strength in zip(pairs, strengths, strict=True):
        logarithms += strength * (digits[:, first] == digits[:, second])
    return _weighted(digits.astype(np.float64), logarithms=logarithms)


def _digits(base: int, *, sites: int) -> np.ndarray:
    """Return all sequences of `sites` digits (base^sites, sites), int8 up to base 128."""
    numbers = np.arange(base**sites)
    columns = [(numbers // base**place % base).astype(np.int16) for place in range(sites - 1, -1, -1)]
    return np.stack(columns, axis=1)


def _weighted(states: np.ndarray, *, logarithms: np.ndarray) -> Enumeration:
    largest = float(logarithms.max())
    weights = np.exp(logarithms - largest)
    total = float(weights.sum())
    probabilities = weights / total
    return Enumeration(
        states=torch.from_numpy(states),
        probabilities=torch.from_numpy(probabilities),
        log_partition=largest + math.log(total),
        mean_energy=-float(probabilities @ logarithms),
    )


def _check_states(base: int, *, sites: int) -> None:
    if sites < 1 or sites * math.log2(base) > math.log2(STATES_AT_MOST) + 1e-9:  # 1e-9 only absorbs rounding of log2
        raise SettingError(
            f"{sites} sites with {base} states each are {base}^{sites} states; between 1 site and {STATES_AT_MOST:,} states"
            " can be enumerated, sample larger systems"
        )

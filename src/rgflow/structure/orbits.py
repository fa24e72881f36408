"""Orbits of variables and of states under groups of permutations and spin flips, counted exactly.

Convention: a permutation g (sites,) sends site i to site g[i]; a flip (sites,) of +-1 multiplies the value that arrives
at site g[i] by flip[i]. Counts are exact Python integers: 2^256 states are no difficulty.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["SignedGroup", "count_state_orbits", "signed_group", "variable_orbits"]

_LARGEST_GROUP = 100_000  # elements; each costs one pass over the sites, so this stays within seconds


@dataclass(frozen=True, eq=False)
class SignedGroup:
    """All elements of a group of permutations with signs: `permutations`, `flips` (elements, sites), int64."""

    permutations: np.ndarray
    flips: np.ndarray

    def __len__(self) -> int:
        return len(self.permutations)


def variable_orbits(permutations: object, *, sites: int) -> Tensor:
    """Return the number of the orbit of every variable, (sites,) int64, counted from 0 in the order of first variables.

    Shapes: `permutations` (k, sites) generate the group; none (k = 0) leave every variable alone.
    Raises: SettingError for rows that are no permutations.
    Example:
    >>> variable_orbits([[1, 0, 2, 3]], sites=4).tolist()
    [0, 0, 1, 2]
    """
    rows = _checked(permutations, sites=sites)
    start, end = np.tile(np.arange(sites), len(rows)), rows.ravel()
    graph = coo_array((np.ones(len(end)), (start, end)), shape=(sites, sites))
    labels = connected_components(graph, directed=False)[1]
    _, first, tie = np.unique(labels, return_index=True, return_inverse=True)
    return torch.from_numpy(np.argsort(np.argsort(first))[tie].astype(np.int64))


def signed_group(permutations: object, *, sites: int, flips: object | None = None) -> SignedGroup:
    """Return the group that `permutations` (k, sites) with `flips` (k, sites) of +-1 generate; no flips by default.

    Raises: SettingError for more than 100,000 elements, or rows that are no permutations or no signs.
    """
    rows = _checked(permutations, sites=sites)
    signs = np.ones_like(rows) if flips is None else np.atleast_2d(np.asarray(flips, dtype=np.int64))
    if signs.shape != rows.shape or not (np.abs(signs) == 1).all():
        raise SettingError(f"flips have shape {signs.shape}; one sign, +1 or -1, is needed for each entry {rows.shape}")
    generators = np.concatenate([rows, signs], axis=1)
    fresh = np.concatenate([np.arange(sites), np.ones(sites, dtype=np.int64)])[None]
    found = {fresh[0].tobytes(): fresh[0]}
    while len(fresh):
        products = np.concatenate([_after(generator, fresh, sites=sites) for generator in generators] or [fresh[:0]])
        new = {row.tobytes(): row for row in products}
        fresh = np.array([row for key, row in new.items() if key not in found]).reshape(-1, 2 * sites)
        found |= {row.tobytes(): row for row in fresh}
        if len(found) > _LARGEST_GROUP:
            raise SettingError(
                f"the group has more than {_LARGEST_GROUP} elements; give fewer generators or count variable orbits"
            )
    elements = np.array(list(found.values()))
    return SignedGroup(elements[:, :sites], elements[:, sites:])


def count_state_orbits(group: SignedGroup, *, values: int = 2) -> int:
    """Return the number of orbits of states, (1/|G|) sum_g fixed(g), each variable with `values` values (Burnside).

    A state is fixed by g if it is constant along every cycle of g; a cycle along which an odd number of flips occurs
    fixes 0 states if values = 2, and only the middle value if values is odd (values symmetric about 0).
    Raises: SettingError for values < 2.
    Source: Burnside 1897, Theory of groups of finite order (the Cauchy-Frobenius lemma).
    Example:
    >>> count_state_orbits(signed_group([[1, 2, 3, 0]], sites=4))
    6
    """
    if values < 2:
        raise SettingError(f"values is {values}; a variable needs at least 2 values")
    total = 0
    for permutation, flip in zip(group.permutations, group.flips, strict=True):
        even, odd = _cycles(permutation, flip)
        total += values**even * (values % 2) ** odd
    return total // len(group)


def _after(generator: np.ndarray, elements: np.ndarray, *, sites: int) -> np.ndarray:
    """Return the product "first the element, then the generator" for every row."""
    where = elements[:, :sites]
    return np.concatenate([generator[where], elements[:, sites:] * generator[sites + where]], axis=1)


def _cycles(permutation: np.ndarray, flip: np.ndarray) -> tuple[int, int]:
    """Return how many cycles carry an even and an odd number of flips."""
    sites = len(permutation)
    graph = coo_array((np.ones(sites), (np.arange(sites), permutation)), shape=(sites, sites))
    count, labels = connected_components(graph, directed=False)
    odd = int((np.bincount(labels, weights=flip < 0, minlength=count) % 2).sum())
    return count - odd, odd


def _checked(permutations: object, *, sites: int) -> np.ndarray:
    given = np.asarray(permutations)
    rows = given.astype(np.int64).reshape(-1, sites) if given.size % sites == 0 else None
    if rows is None or not (np.sort(rows, axis=1) == np.arange(sites)).all():
        raise SettingError(f"permutations have shape {given.shape}; each row must hold the numbers 0..{sites - 1} once")
    return rows

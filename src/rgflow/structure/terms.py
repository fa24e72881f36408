"""The terms of a Hamiltonian of two-valued variables: sets of sites, and which of them share one parameter.

-H(s) = sum_t theta[tie[t]] prod_{i in members of t} s_i: a symmetry is a tie, a rung of the ladder is a list of terms
with a tie. The signs follow the field's habit: theta > 0 favours alignment, and the Hamiltonian's couplings are -theta.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rgflow.errors import SettingError

__all__ = ["Terms", "all_terms", "tied_by", "untied"]


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms over `sites` variables: `groups[k]` (terms, order) int64 of sorted sites, ordered by order; `tie` (terms,).

    `tie[t]` is the parameter of term t, counted over all groups one after the other; `names` has one entry a parameter,
    or is empty. Rows of a group are distinct and sorted, orders of groups are distinct and rise.
    Raises: SettingError for sites out of range, repeated sites or terms, or ties that do not fit.
    """

    sites: int
    groups: tuple[np.ndarray, ...]
    tie: np.ndarray
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        groups = tuple(np.asarray(group, dtype=np.int64) for group in self.groups if len(group))
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "tie", np.asarray(self.tie, dtype=np.int64))
        orders = [group.shape[1] for group in groups]
        if orders != sorted(set(orders)):
            raise SettingError(f"the groups of terms have the orders {orders}; each order may occur once, rising")
        for group in groups:
            _check_group(group, sites=self.sites)
        if self.tie.shape != (len(self),):
            raise SettingError(
                f"tie has shape {self.tie.shape}; it must name one parameter for each of {len(self)} terms"
            )
        if len(self) and not np.array_equal(np.unique(self.tie), np.arange(self.parameters)):
            raise SettingError("tie leaves out a parameter; number the parameters 0, 1, 2, ... without gaps")
        if self.names and len(self.names) != self.parameters:
            raise SettingError(f"{len(self.names)} names given for {self.parameters} parameters; give one each or none")

    def __len__(self) -> int:
        return sum(len(group) for group in self.groups)

    @property
    def parameters(self) -> int:
        """Number of free parameters."""
        return int(self.tie.max()) + 1 if len(self.tie) else 0

    @property
    def order(self) -> int:
        """The largest number of sites in a term; 0 without terms."""
        return self.groups[-1].shape[1] if self.groups else 0


def untied(groups: Sequence[np.ndarray], *, sites: int) -> Terms:
    """Return terms with a parameter each."""
    return Terms(sites, tuple(groups), np.arange(sum(len(group) for group in groups)))


def all_terms(sites: int, order: int) -> Terms:
    """Return every set of 1 to `order` sites, each with a parameter of its own, in lexicographic order."""
    groups = [
        np.array(list(itertools.combinations(range(sites), k)), dtype=np.int64).reshape(-1, k)
        for k in range(1, min(order, sites) + 1)
    ]
    return untied(groups, sites=sites)


def tied_by(terms: Terms, permutations: np.ndarray) -> Terms:
    """Return the terms with parameters shared along the orbits of the group that `permutations` (k, sites) generate.

    Ties that are there already stay. Raises: SettingError if a permutation leads out of the terms.
    """
    links = [np.stack([terms.tie, terms.tie])]
    start = 0
    for group in terms.groups:
        tie = terms.tie[start : start + len(group)]
        for permutation in np.atleast_2d(permutations):
            links.append(np.stack([tie, tie[_found(np.sort(permutation[group], axis=1), group)]]))
        start += len(group)
    first, second = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(terms.parameters, terms.parameters))
    labels = connected_components(graph, directed=False)[1]
    _, fresh, tie = np.unique(labels[terms.tie], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(fresh))  # parameters keep the order of their first term
    return Terms(terms.sites, terms.groups, rank[tie])


def _found(rows: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the place in `group` of every row."""
    both, places = np.unique(np.concatenate([group, rows]), axis=0, return_inverse=True)
    if len(both) != len(group):
        raise SettingError("a symmetry sends a term to one that is not among the terms; add the whole orbit first")
    table = np.empty(len(both), dtype=np.int64)
    table[places[: len(group)]] = np.arange(len(group))
    return table[places[len(group) :]]


def _check_group(group: np.ndarray, *, sites: int) -> None:
    if group.min() < 0 or group.max() >= sites:
        raise SettingError(
            f"a term names site {group.max() if group.min() >= 0 else group.min()}; sites are 0..{sites - 1}"
        )
    if group.shape[1] > 1 and (np.diff(group, axis=1) <= 0).any():
        raise SettingError("the sites of a term must rise; sort each row and leave out repeated sites")
    if len(np.unique(group, axis=0)) != len(group):
        raise SettingError("a term is listed twice; list each set of sites once")

"""Spins written out site by site, in the form that the sampling loops take: neighbour tables and lists of terms.

Convention: -H = sum of couplings times products of spins; couplings > 0 align. Sites are numbered row by row over `shape`.
Tables are int32 (fewer than 2^31 sites), couplings float64.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rgflow.errors import SettingError

__all__ = ["NeighbourTable", "PairSystem", "TermSystem"]


@dataclass(frozen=True, eq=False)
class NeighbourTable:
    """Rows of a sparse matrix: site i has `neighbours[starts[i]:starts[i + 1]]` with `couplings` beside them."""

    starts: np.ndarray
    neighbours: np.ndarray
    couplings: np.ndarray


@dataclass(frozen=True, eq=False)
class PairSystem:
    """Spins with pair couplings and fields: -H = sum_e couplings_e s_i s_j + sum_i fields_i s_i.

    Shapes: `edges` (edges, 2) int64, each pair of sites once or several times (couplings add up); `couplings` (edges,);
    `fields` (sites,).
    Raises: SettingError for sites out of range or an edge from a site to itself.
    """

    shape: tuple[int, ...]
    edges: np.ndarray
    couplings: np.ndarray
    fields: np.ndarray

    def __post_init__(self) -> None:
        _check_sites(self.edges, sites=self.sites, noun="edge")
        if (self.edges[:, 0] == self.edges[:, 1]).any():
            raise SettingError("an edge joins a site to itself; s_i^2 = 1 is no interaction, leave it out")

    @property
    def sites(self) -> int:
        """Number of spins."""
        return math.prod(self.shape)

    @cached_property
    def table(self) -> NeighbourTable:
        """Neighbours of every site, in rising order."""
        ends = np.concatenate([self.edges, self.edges[:, ::-1]])
        couplings = np.concatenate([self.couplings, self.couplings])
        order = np.lexsort((ends[:, 1], ends[:, 0]))
        starts = np.zeros(self.sites + 1, dtype=np.int32)
        starts[1:] = np.cumsum(np.bincount(ends[:, 0], minlength=self.sites))
        return NeighbourTable(starts, ends[order, 1].astype(np.int32), couplings[order])

    @property
    def has_field(self) -> bool:
        """Whether a field acts on some site."""
        return bool(self.fields.any())

    @cached_property
    def gauge(self) -> np.ndarray | None:
        """Signs (sites,) that make every coupling K_ij g_i g_j >= 0, or None: then some loop is frustrated."""
        from scipy.sparse import csr_array
        from scipy.sparse.csgraph import connected_components

        alive = self.couplings != 0.0
        first, second = self.edges[alive].T
        negative = self.couplings[alive] < 0.0
        # Two copies of every site: a negative edge crosses over. A loop is frustrated where both copies meet.
        pairs = np.stack(
            [
                np.concatenate([first, first + self.sites]),
                np.concatenate([second + self.sites * negative, second + self.sites * ~negative]),
            ]
        )
        graph = csr_array((np.ones(pairs.shape[1]), (pairs[0], pairs[1])), shape=(2 * self.sites, 2 * self.sites))
        labels = connected_components(graph, directed=False)[1]
        if (labels[: self.sites] == labels[self.sites :]).any():
            return None
        lead = np.minimum(labels[: self.sites], labels[self.sites :])
        return np.where(labels[: self.sites] == lead, 1, -1)

    @property
    def ferromagnetic(self) -> bool:
        """Whether no coupling is negative."""
        return bool((self.couplings >= 0.0).all())


@dataclass(frozen=True, eq=False)
class TermSystem:
    """Spins with terms of any order: -H = sum_t couplings_t prod_{i in term t} s_i.

    Shapes: `groups[k]` (terms, order) int64, the sites of a term distinct; `couplings` (terms,) over all groups one after
    the other. Raises: SettingError for sites out of range, or a site twice in a term.
    """

    shape: tuple[int, ...]
    groups: tuple[np.ndarray, ...]
    couplings: np.ndarray

    def __post_init__(self) -> None:
        for group in self.groups:
            _check_sites(group, sites=self.sites, noun="term")
            if group.shape[1] > 1 and (np.diff(np.sort(group, axis=1), axis=1) == 0).any():
                raise SettingError("a term names a site twice; s_i^2 = 1, leave out both")

    @property
    def sites(self) -> int:
        """Number of spins."""
        return math.prod(self.shape)

    @cached_property
    def members(self) -> NeighbourTable:
        """Sites of every term: rows are terms, the couplings stand once a term."""
        orders = np.concatenate([np.full(len(g), g.shape[1]) for g in self.groups] or [np.zeros(0, dtype=np.int64)])
        starts = np.concatenate([[0], np.cumsum(orders)]).astype(np.int32)
        sites = np.concatenate([group.ravel() for group in self.groups] or [np.zeros(0)]).astype(np.int32)
        return NeighbourTable(starts, sites, self.couplings)

    @cached_property
    def incidence(self) -> NeighbourTable:
        """Terms of every site: rows are sites; `couplings` are those of the terms named."""
        members = self.members
        term = np.repeat(np.arange(len(self.couplings), dtype=np.int32), np.diff(members.starts))
        order = np.argsort(members.neighbours, kind="stable")
        starts = np.zeros(self.sites + 1, dtype=np.int32)
        starts[1:] = np.cumsum(np.bincount(members.neighbours, minlength=self.sites))
        return NeighbourTable(starts, term[order], self.couplings[term[order]])


def _check_sites(rows: np.ndarray, *, sites: int, noun: str) -> None:
    if rows.size and (rows.min() < 0 or rows.max() >= sites):
        worst = int(rows.min()) if rows.min() < 0 else int(rows.max())
        raise SettingError(f"{'an' if noun[0] in 'aeiou' else 'a'} {noun} names site {worst}; sites are 0..{sites - 1}")

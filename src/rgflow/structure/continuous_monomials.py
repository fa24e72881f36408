"""The terms of a Hamiltonian of real variables: monomials of few variables, and which of them share one parameter.

H(x) = sum_t theta[tie[t]] prod_k x[members[t, k]]^powers[t, k]. A symmetry is a tie; a rung of the ladder is a list of
terms with a tie.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from rgflow.errors import SettingError
from rgflow.lattice import Lattice

__all__ = ["TERMS_AT_MOST", "ContinuousTerms", "Pattern", "monomials", "tied_along", "tied_by_shape", "without_odd"]

TERMS_AT_MOST = 600_000  # pairs of 1,000 variables are 500,500 terms, the largest model foreseen


@dataclass(frozen=True, eq=False)
class Pattern:
    """All terms with the same powers: `members` (terms, variables of a term), `rows` (terms,) their places."""

    powers: tuple[int, ...]
    members: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class ContinuousTerms:
    """Monomials of `variables` real variables and the parameter of each.

    Shapes: `members`, `powers` (terms, most variables of a term) int64; members rise along a row; a row of fewer variables
    is filled up with variable 0 to the power 0. `tie` (terms,) names the parameter of each term.
    Raises: SettingError for arrays that do not fit, repeated terms, or ties with gaps.
    """

    variables: int
    members: np.ndarray
    powers: np.ndarray
    tie: np.ndarray

    def __post_init__(self) -> None:
        members, powers = (np.asarray(a, dtype=np.int64) for a in (self.members, self.powers))
        tie = np.asarray(self.tie, dtype=np.int64)
        if members.ndim != 2 or members.shape != powers.shape or tie.shape != (len(members),) or not len(members):
            raise SettingError(
                f"members has shape {members.shape}, powers {powers.shape} and tie {tie.shape}; give one or more terms, one"
                " row each"
            )
        if members.min() < 0 or members.max() >= self.variables or powers.min() < 0 or (powers.sum(1) == 0).any():
            raise SettingError(f"a term names a variable outside 0..{self.variables - 1}, or has no power above 0")
        if (np.diff(members, axis=1) <= 0)[powers[:, 1:] > 0].any():
            raise SettingError(
                "the variables of a term must rise; sort each row and join repeated variables in one power"
            )
        if len(np.unique(tie)) != tie.max() + 1:
            raise SettingError("tie leaves out a parameter; number the parameters 0, 1, 2, ... without gaps")
        for name, array in (("members", members), ("powers", powers), ("tie", tie)):
            object.__setattr__(self, name, array)
        if len(np.unique(self.codes, axis=0)) != len(members):
            raise SettingError("a term is listed twice; list each monomial once")

    def __len__(self) -> int:
        return len(self.tie)

    @property
    def parameters(self) -> int:
        """Number of free parameters."""
        return int(self.tie.max()) + 1

    @property
    def order(self) -> int:
        """The largest total degree."""
        return int(self.powers.sum(1).max())

    @property
    def codes(self) -> np.ndarray:
        """One row of whole numbers a term, independent of the order of its variables (terms, width)."""
        return _coded(self.members, self.powers)

    @property
    def bodies(self) -> np.ndarray:
        """How many variables each term couples (terms,)."""
        return (self.powers > 0).sum(1)

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """The terms, those of equal powers together."""
        kinds, label = np.unique(self.powers, axis=0, return_inverse=True)
        found = []
        for number, kind in enumerate(kinds):
            rows = np.flatnonzero(label.ravel() == number)
            width = int((kind > 0).sum())
            found.append(Pattern(tuple(int(p) for p in kind[:width]), self.members[rows, :width], rows))
        return tuple(found)

    @cached_property
    def gather(self) -> csr_array:
        """The matrix (parameters, terms) that sums over the terms of a parameter."""
        ones = np.ones(len(self))
        return csr_array((ones, (self.tie, np.arange(len(self)))), shape=(self.parameters, len(self)))

    @property
    def tied(self) -> bool:
        """Whether any parameter has several terms, or the terms stand in another order than their parameters."""
        return not np.array_equal(self.tie, np.arange(len(self)))

    def names(self, variables: Sequence[str]) -> tuple[str, ...]:
        """Return the name of each parameter: that of its first term."""
        first = np.unique(self.tie, return_index=True)[1]
        rows = zip(self.members[first].tolist(), self.powers[first].tolist(), strict=True)
        return tuple(_name(members, powers, variables=variables) for members, powers in rows)

    def chosen(self, kept: np.ndarray) -> "ContinuousTerms":
        """Return the terms where `kept` (terms,) is true, parameters renumbered in the old order."""
        tie = np.unique(self.tie[kept], return_inverse=True)[1]
        return ContinuousTerms(self.variables, self.members[kept], self.powers[kept], tie)


def monomials(
    variables: int, *, order: int, pairs: np.ndarray | None = None, coupled_order: int | None = None
) -> ContinuousTerms:
    """Return every monomial of degree 1 to `order` whose variables are all coupled to each other, one parameter each.

    `pairs` (pairs, 2) lists the coupled pairs, None couples all; `coupled_order` (None: `order`) is the largest degree of a
    monomial of more than one variable. Raises: SettingError for orders below 1, or more than 600,000 terms.
    """
    most = order if coupled_order is None else coupled_order
    if order < 1 or most < 1:
        raise SettingError(f"order is {order} and coupled_order {most}; both must be >= 1")
    if pairs is None:
        pairs = np.stack(np.triu_indices(variables, 1), axis=1)
    width = max(1, min(most, order, variables))
    members, powers, total = [], [], 0
    cliques = np.arange(variables)[:, None]
    for bodies in range(1, width + 1):
        if bodies > 1:
            cliques = _extended(cliques, pairs, variables=variables)
        kinds = _powers(bodies, order if bodies == 1 else most)
        total += len(cliques) * len(kinds)
        if total > TERMS_AT_MOST:
            raise SettingError(
                f"order {order} of {variables} variables needs more than {TERMS_AT_MOST:,} terms; lower the order or couple"
                " fewer pairs (support='local' and a smaller reach)"
            )
        for kind in kinds:
            members.append(np.pad(cliques, ((0, 0), (0, width - bodies))))
            powers.append(np.tile(np.pad(np.array(kind), (0, width - bodies)), (len(cliques), 1)))
    joined, raised = np.concatenate(members), np.concatenate(powers)
    ranks = np.argsort(raised.sum(1), kind="stable")
    return ContinuousTerms(variables, joined[ranks], raised[ranks], np.arange(len(ranks)))


def without_odd(terms: ContinuousTerms) -> ContinuousTerms:
    """Return the terms that keep their value where every variable changes its sign.

    Raises: SettingError if none is left.
    """
    even = terms.powers.sum(1) % 2 == 0
    if not even.any():
        raise SettingError("no term is left without the odd ones; take order 2 or more")
    return terms.chosen(even)


def tied_along(terms: ContinuousTerms, permutations: np.ndarray) -> ContinuousTerms:
    """Return the terms with parameters shared along the orbits of the group that `permutations` (k, variables) generate.

    Ties that are there already stay. Raises: SettingError if a permutation leads out of the terms.
    """
    images = []
    for permutation in np.atleast_2d(np.asarray(permutations, dtype=np.int64)):
        rows = _places(_coded(permutation[terms.members], terms.powers), terms.codes)
        images.append(np.stack([terms.tie, terms.tie[rows]]))
    return _merged(terms, images)


def tied_by_shape(terms: ContinuousTerms, lattice: Lattice | None) -> ContinuousTerms:
    """Return the terms with equal parameters where one is the other moved along the open `lattice`.

    Without a lattice every relabelling of the variables is a move: terms of equal powers share a parameter.
    """
    if lattice is None:
        shape = np.sort(terms.powers, axis=1)
    else:
        moves = lattice.positions[terms.members] - lattice.positions[terms.members[:, :1]]
        moves[terms.powers == 0] = 0
        shape = np.concatenate([terms.powers, moves.reshape(len(terms), -1)], axis=1)
    label = np.unique(shape, axis=0, return_inverse=True)[1].ravel()
    first = np.unique(label, return_index=True)[1]
    return _merged(terms, [np.stack([terms.tie, terms.tie[first[label]]])])


def _name(members: list[int], powers: list[int], *, variables: Sequence[str]) -> str:
    kept = [(variables[m], p) for m, p in zip(members, powers, strict=True) if p]
    return "*".join(name if p == 1 else f"{name}**{p}" for name, p in kept)


def _merged(terms: ContinuousTerms, images: list[np.ndarray]) -> ContinuousTerms:
    if not images:
        return terms
    first, second = np.concatenate(images, axis=1)
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(terms.parameters, terms.parameters))
    labels = connected_components(graph, directed=False)[1]
    _, fresh, tie = np.unique(labels[terms.tie], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(fresh))  # parameters keep the order of their first term
    return ContinuousTerms(terms.variables, terms.members, terms.powers, rank[tie])


def _coded(members: np.ndarray, powers: np.ndarray) -> np.ndarray:
    base = int(powers.max()) + 1
    return np.sort(np.where(powers > 0, members * base + powers, -1), axis=1)


def _places(rows: np.ndarray, among: np.ndarray) -> np.ndarray:
    both, places = np.unique(np.concatenate([among, rows]), axis=0, return_inverse=True)
    if len(both) != len(among):
        raise SettingError("a symmetry sends a term to one that is not among the terms; add the whole orbit first")
    table = np.empty(len(both), dtype=np.int64)
    table[places.ravel()[: len(among)]] = np.arange(len(among))
    return table[places.ravel()[len(among) :]]


def _extended(cliques: np.ndarray, pairs: np.ndarray, *, variables: int) -> np.ndarray:
    """Cliques of one more variable, every variable coupled to every other, in lexicographic order."""
    ends = np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    coupled = np.zeros((variables, variables), dtype=bool)
    coupled[ends[:, 0], ends[:, 1]] = True
    found = [np.zeros((0, cliques.shape[1] + 1), dtype=np.int64)]
    for start in range(
        0, len(cliques), 4096
    ):  # rows at a time: the table of candidates then stays below 4 MB at N = 1,000
        block = cliques[start : start + 4096]
        open_to = np.logical_and.reduce([coupled[column] for column in block.T])
        row, fresh = np.nonzero(open_to)
        found.append(np.concatenate([block[row], fresh[:, None]], axis=1))
        if sum(map(len, found)) > TERMS_AT_MOST:
            break
    return np.concatenate(found)


def _powers(bodies: int, order: int) -> list[tuple[int, ...]]:
    every = itertools.product(range(1, order + 1), repeat=bodies)
    return sorted((kind for kind in every if sum(kind) <= order), key=lambda kind: (sum(kind), kind))

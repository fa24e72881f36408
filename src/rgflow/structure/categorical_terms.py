"""The terms of a Hamiltonian of categories: fields and pair couplings in the zero-sum gauge, and their ties.

-H(s) = sum_i h_i(s_i) + sum_{i<j} J_ij(s_i, s_j) with sum_a h_i(a) = 0 and sum_a J_ij(a, b) = sum_b J_ij(a, b) = 0. A site
of q levels is written in q - 1 contrasts, the columns of V with V'V = q and column sums 0, so that h = V alpha and
J = V A V'; for q = 2 V = (1, -1), the convention of spins.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import block_diag
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from rgflow.errors import SettingError
from rgflow.lattice import Lattice

__all__ = ["CategoricalTerms", "categorical_terms_of", "contrasts"]


def contrasts(levels: int) -> np.ndarray:
    """Return V (levels, levels - 1): columns of sum 0, V'V = levels; Helmert's, (1, -1) for two levels."""
    columns = [np.r_[np.full(k, 1.0), -float(k), np.zeros(levels - k - 1)] for k in range(1, levels)]
    table = np.array(columns).reshape(levels - 1, levels).T
    return table * np.sqrt(levels / np.maximum((table**2).sum(axis=0), 1.0))


@dataclass(frozen=True, eq=False)
class CategoricalTerms:
    """Free parameters of fields and pairs: weights = `spread` theta, the contrasts of all fields, then of all pairs.

    Shapes: `levels` (sites,), `pairs` (pairs, 2) with i < j, `spread` (weights, parameters), `names` (parameters,); `members`
    (parameters,) counts fields or pairs that share each, `is_pair` (parameters,) tells couplings from fields.
    """

    levels: tuple[int, ...]
    pairs: np.ndarray
    spread: csr_array
    names: tuple[str, ...]
    members: np.ndarray
    is_pair: np.ndarray

    @property
    def parameters(self) -> int:
        """Number of free parameters."""
        return len(self.names)

    def chosen(self, kept: np.ndarray) -> "CategoricalTerms":
        """Return the same fields and pairs with the parameters where `kept` is true; the others are 0."""
        names = tuple(name for name, stays in zip(self.names, kept, strict=True) if stays)
        spread = csr_array(self.spread[:, np.flatnonzero(kept)])
        return CategoricalTerms(self.levels, self.pairs, spread, names, self.members[kept], self.is_pair[kept])

    @cached_property
    def offsets(self) -> np.ndarray:
        """Where the contrasts of each site start (sites + 1,)."""
        return np.concatenate([[0], np.cumsum(np.array(self.levels) - 1)])

    @cached_property
    def entries(self) -> np.ndarray:
        """The two contrasts that each pair weight couples (pair weights, 2)."""
        found = [np.zeros((0, 2), dtype=np.int64)]
        for i, j in self.pairs.tolist():
            first, second = (np.arange(int(self.offsets[k]), int(self.offsets[k + 1])) for k in (i, j))
            found.append(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1).reshape(-1, 2))
        return np.concatenate(found)

    @cached_property
    def in_levels(self) -> csr_array:
        """The matrix that turns weights into h_i(a) for all i, a, then J_ij(a, b) for all pairs."""
        tables = {q: contrasts(q) for q in set(self.levels)}
        blocks = [tables[q] for q in self.levels]
        blocks += [np.kron(tables[self.levels[i]], tables[self.levels[j]]) for i, j in self.pairs.tolist()]
        return _block_diagonal(blocks)


def categorical_terms_of(
    levels: tuple[int, ...],
    *,
    pairs: np.ndarray,
    permutations: np.ndarray,
    moved_along: Lattice | None = None,
    potts: bool = False,
    fields: bool = True,
    names: tuple[str, ...] = (),
) -> CategoricalTerms:
    """Return fields and `pairs` (pairs, 2), tied along the orbits of `permutations` (k, sites).

    `moved_along` also ties what is the same up to a move along that open lattice.
    `potts` couples each pair by J delta(s_i, s_j) alone, in this gauge J (delta - 1/q); `fields=False` leaves fields out.
    Raises: SettingError if a symmetry joins sites of different levels or leads out of the pairs, or nothing is left.
    """
    sites = len(levels)
    labels = names or tuple(f"x{i}" for i in range(sites))
    pairs = np.sort(np.asarray(pairs, dtype=np.int64).reshape(-1, 2), axis=1)
    parts: list[_Part] = []
    if fields:
        parts += _field_parts(levels, permutations, labels, everywhere=moved_along is not None)
    width = int((np.array(levels) - 1).sum())
    label = _pair_labels(pairs, permutations, moved_along, sites=sites)
    parts += _pair_parts(levels, pairs, label, potts=potts, labels=labels, start=width)
    if not parts:
        raise SettingError("the model has neither fields nor pairs; allow one of them")
    total = width + sum((levels[i] - 1) * (levels[j] - 1) for i, j in pairs.tolist())
    rows, columns, values, first = [], [], [], 0
    for part in parts:
        rows.append(part.rows)
        columns.append(part.columns + first)
        values.append(part.values)
        first += len(part.names)
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return CategoricalTerms(
        levels,
        pairs,
        csr_array(entries, shape=(total, first)),
        tuple(name for part in parts for name in part.names),
        np.concatenate([np.full(len(part.names), part.members) for part in parts]),
        np.concatenate([np.full(len(part.names), part.coupled) for part in parts]),
    )


@dataclass(frozen=True)
class _Part:
    """Parameters of one class: entries of `spread` with columns counted from 0."""

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    members: int
    coupled: bool


def _field_parts(
    levels: tuple[int, ...], permutations: np.ndarray, labels: tuple[str, ...], *, everywhere: bool
) -> list[_Part]:
    sites = np.arange(len(levels))
    starts = np.concatenate([[0], np.cumsum(np.array(levels) - 1)])
    label = np.zeros_like(sites) if everywhere else _orbits(len(levels), [(sites, moved) for moved in permutations])
    parts = []
    for members in _classes(label):
        free = _common_levels(levels, members) - 1
        rows = (starts[members][:, None] + np.arange(free)).ravel()
        columns = np.tile(np.arange(free), len(members))
        called = tuple(f"{labels[members[0]]}:{k + 1}" for k in range(free))
        parts.append(_Part(rows, columns, np.ones(len(rows)), called, len(members), False))
    return parts


def _pair_labels(pairs: np.ndarray, permutations: np.ndarray, moved_along: Lattice | None, *, sites: int) -> np.ndarray:
    """The class of every pair read forwards, then of every pair read backwards (2 pairs,)."""
    count = len(pairs)
    keys = np.concatenate([pairs @ [sites, 1], pairs @ [1, sites]])
    ranks = np.argsort(keys)
    images = []
    for permutation in permutations:
        moved = permutation[pairs]
        target = np.concatenate([moved @ [sites, 1], moved @ [1, sites]])
        place = ranks[np.minimum(np.searchsorted(keys, target, sorter=ranks), 2 * count - 1)]
        if (keys[place] != target).any():
            raise SettingError("a symmetry sends a pair to one that is not among the pairs; add the whole orbit first")
        images.append((np.arange(2 * count), place))
    if moved_along is not None and count:
        steps = moved_along.separation(pairs[:, 0], pairs[:, 1])
        both = np.unique(np.concatenate([steps, -steps]), axis=0, return_inverse=True, return_index=True)
        images.append((np.arange(2 * count), both[1][both[2].ravel()]))
    return _orbits(2 * count, images)


def _pair_parts(
    levels: tuple[int, ...],
    pairs: np.ndarray,
    label: np.ndarray,
    *,
    potts: bool,
    labels: tuple[str, ...],
    start: int,
) -> list[_Part]:
    if not len(pairs):
        return []
    count = len(pairs)
    sizes = np.array([(levels[i] - 1) * (levels[j] - 1) for i, j in pairs.tolist()])
    starts = start + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    parts = []
    for members in _classes(np.minimum(label[:count], label[count:])):
        first = members[0]
        turned = label[members] != label[first]
        symmetric = label[first] == label[first + count]
        i, j = pairs[first]
        shape = (levels[i] - 1, levels[j] - 1)
        _common_levels(levels, np.where(turned, pairs[members, 1], pairs[members, 0]))
        _common_levels(levels, np.where(turned, pairs[members, 0], pairs[members, 1]))
        called = f"{labels[i]}*{labels[j]}"
        parts.append(_pair_part(starts[members], turned, shape, symmetric=symmetric, potts=potts, called=called))
    return parts


def _pair_part(
    starts: np.ndarray, turned: np.ndarray, shape: tuple[int, int], *, symmetric: bool, potts: bool, called: str
) -> _Part:
    grid = np.arange(shape[0] * shape[1]).reshape(shape)
    values = np.ones(grid.size)
    if potts:
        if shape[0] != shape[1]:
            raise SettingError("a coupling J delta(s_i, s_j) needs sites of equal levels; take free couplings instead")
        rows = np.diag(grid)
        columns, values = np.zeros(len(rows), dtype=np.int64), np.full(len(rows), 1.0 / (shape[0] + 1.0))
        names: tuple[str, ...] = (called,)
    else:
        rows, columns = grid.ravel(), np.arange(grid.size)
        if symmetric:
            _, columns = np.unique(np.minimum(grid, grid.T).ravel(), return_inverse=True)
        first = np.unique(columns, return_index=True)[1]
        a, b = np.unravel_index(first, shape)
        names = tuple(f"{called}:{x + 1},{y + 1}" for x, y in zip(a, b, strict=True))
    straight = (starts[~turned][:, None] + rows).ravel()
    width = shape[0]  # read backwards the block is its transpose
    crossed = (starts[turned][:, None] + (rows % shape[1]) * width + rows // shape[1]).ravel()
    return _Part(
        np.concatenate([straight, crossed]),
        np.tile(columns, len(starts)),
        np.tile(values, len(starts)),
        names,
        len(starts),
        True,
    )


def _orbits(count: int, images: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    if not images:
        return np.arange(count)
    first, second = (np.concatenate(side) for side in zip(*images, strict=True))
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _classes(label: np.ndarray) -> list[np.ndarray]:
    """The members of every class, in the order of their first member."""
    ranks = np.argsort(label, kind="stable")
    parts = np.split(ranks, np.flatnonzero(np.diff(label[ranks])) + 1)
    return sorted(parts, key=lambda members: members[0])


def _common_levels(levels: tuple[int, ...], members: np.ndarray) -> int:
    found = {levels[m] for m in members}
    if len(found) > 1:
        raise SettingError(
            f"a symmetry joins sites of {sorted(found)} levels; only sites of equal levels can be exchanged"
        )
    return found.pop()


def _block_diagonal(blocks: list[np.ndarray]) -> csr_array:
    shapes = np.array([block.shape for block in blocks])
    if len(blocks) < 2:
        return csr_array(block_diag(*blocks))
    tops = np.concatenate([[0], np.cumsum(shapes, axis=0)[:-1, 0]])
    lefts = np.concatenate([[0], np.cumsum(shapes, axis=0)[:-1, 1]])
    grids = [np.indices(block.shape).reshape(2, -1) for block in blocks]
    rows = np.concatenate([grid[0] + top for grid, top in zip(grids, tops, strict=True)])
    columns = np.concatenate([grid[1] + left for grid, left in zip(grids, lefts, strict=True)])
    values = np.concatenate([block.ravel() for block in blocks])
    return csr_array((values, (rows, columns)), shape=tuple(shapes.sum(axis=0)))

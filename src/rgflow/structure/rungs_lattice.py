"""Terms of a lattice model: every set of nearby sites, with parameters shared by translation, by rotation, or not at all.

A shape is a set of displacements that holds 0 as its smallest element, no two of them further apart than the reach; its
copies at all sites are the terms. Sharing along copies is the symmetry under translation (on an open lattice too: the law is
the same wherever the shape fits). Sharing among shapes that mirror and permute into each other is the symmetry under rotation,
whether the sides are equal or not: it says that no direction is preferred.
"""

import itertools
import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.rungs import FLIP, ROTATION, TRANSLATION, reach_text
from rgflow.structure.terms import Terms

__all__ = ["LatticeFamily", "Sharing", "lattice_families", "lattice_terms", "reaches", "shapes_within"]

Sharing = Literal["none", "translation", "rotation"]
Shape = tuple[tuple[int, ...], ...]
SHARED: dict[Sharing, frozenset[str]] = {
    "rotation": frozenset({TRANSLATION, ROTATION}),
    "translation": frozenset({TRANSLATION}),
    "none": frozenset(),
}
SLACK = 1e-9  # displacements are whole numbers: this only absorbs the rounding of a square root


@dataclass(frozen=True)
class _Copies:
    """All copies of one shape: `rows` (terms, order) of sorted sites, none of them met before."""

    shape: Shape
    rows: np.ndarray


@dataclass(frozen=True)
class LatticeFamily:
    """The terms of up to `order` sites within `reach`, shared as `sharing` says, those of even order alone if `even`."""

    order: int
    reach: float
    sharing: Sharing
    even: bool
    chain: bool

    @property
    def symmetries(self) -> frozenset[str]:
        """The symmetries that the family assumes."""
        return SHARED[self.sharing] | ({FLIP} if self.even else set())

    @property
    def name(self) -> str:
        """The name of the rung, such as "order 2, reach 1, translation+rotation+flip"."""
        turned = "reflection" if self.chain else "rotation"
        words = {"rotation": f"translation+{turned}", "translation": "translation", "none": "local"}
        return f"order {self.order}, reach {reach_text(self.reach)}, {words[self.sharing]}" + "+flip" * self.even

    @property
    def meaning(self) -> str:
        """The name in words."""
        words = {
            "rotation": "the same everywhere and in every direction",
            "translation": "the same everywhere",
            "none": "of their own at every place",
        }
        sets = "pairs" if self.order == 2 else f"sets of up to {self.order} sites"
        odd = ", none of an odd number of spins" if self.even else " and fields"
        near = "at any distance" if math.isinf(self.reach) else f"within {reach_text(self.reach)} spacings"
        return f"{sets} {near} have couplings{odd}, {words[self.sharing]}"

    def twin(self, max_order: int) -> str:
        """The name of an untied family with few terms more than this untied one, "" where there is none."""
        if self.sharing != "none":
            return ""
        if self.even:
            return replace(self, even=False).name
        cubic = (
            self.order == 3 and max_order > 3 and not self.chain
        )  # a plaquette for each site is all that order 4 adds
        return replace(self, order=4).name if cubic else ""

    def terms(self, lattice: Lattice) -> Terms:
        """Return the terms on a lattice."""
        across = math.hypot(*lattice.shape)  # no two sites are further apart
        return lattice_terms(lattice, min(self.reach, across), order=self.order, sharing=self.sharing, even=self.even)


def lattice_families(
    lattice: Lattice, *, max_order: int, signs: tuple[bool, ...], far: float | None = None
) -> list[LatticeFamily]:
    """Return the families of the ladder, from low order, short reach and much symmetry to the contrary.

    Pairs up to 2 spacings (3 on a chain); triples up to the diagonal of a square (2 on a chain); quadruples up to the same, so
    that the square itself is the largest (3 on a chain). `signs` says for which values of `even` families are made; pairs up to
    the distance `far` are made too, with shared parameters alone.
    """
    chain = lattice.dimension == 1
    longest = {2: 3.0, 3: 2.0, 4: 3.0} if chain else {2: 2.0, 3: math.sqrt(2.0), 4: math.sqrt(2.0)}
    found = []
    for order in range(2, min(max_order, max(longest)) + 1):
        allowed = reaches(lattice, longest=longest[order])
        for reach in allowed if order == 2 else allowed[-1:]:
            for sharing in SHARED:
                for even in signs:
                    if not (even and order % 2):
                        found.append(LatticeFamily(order, reach, sharing, even, chain))
    if far is None or max_order < 2:
        return found
    furthest = math.hypot(*[side // 2 if lattice.periodic else side - 1 for side in lattice.shape])
    reach = math.inf if far >= furthest else far  # what reaches everywhere contains what knows of no distance
    shared: tuple[Sharing, ...] = ("rotation", "translation")
    return found + [LatticeFamily(2, reach, sharing, even, chain) for sharing in shared for even in signs]


def reaches(lattice: Lattice, *, longest: float) -> tuple[float, ...]:
    """Return the distances up to `longest` at which some pair of sites of the lattice lies, rising."""
    found = lattice.distance(*lattice.pairs_within(longest).T)
    return tuple(sorted({round(float(value), 9) for value in found}))


def shapes_within(dimension: int, reach: float, *, order: int) -> tuple[Shape, ...]:
    """Return all shapes of `order` sites no two of which are further apart than `reach`, smallest first."""
    steps = range(-math.floor(reach + SLACK), math.floor(reach + SLACK) + 1)
    origin = (0,) * dimension
    ahead = [step for step in itertools.product(steps, repeat=dimension) if step > origin]
    near = [step for step in ahead if math.hypot(*step) <= reach + SLACK]
    found = [
        (origin, *others)
        for others in itertools.combinations(near, order - 1)
        if all(math.dist(a, b) <= reach + SLACK for a, b in itertools.combinations(others, 2))
    ]
    return tuple(sorted(found, key=lambda shape: (_diameter(shape), shape)))


def lattice_terms(lattice: Lattice, reach: float, *, order: int, sharing: Sharing, even: bool) -> Terms:
    """Return all terms of at most `order` sites within `reach` of each other, those of even order alone if `even`.

    Sites further apart than half a side meet around the torus; a set of sites that two shapes reach counts for the smaller.
    """
    groups, labels, fresh = [], [], 0
    classes: dict[object, int] = {}
    for size in range(2 if even else 1, order + 1, 2 if even else 1):
        rows, ties = [], []
        for copies in _all_copies(lattice, reach, order=size):
            if sharing == "none":
                ties.append(np.arange(fresh, fresh + len(copies.rows)))
                fresh += len(copies.rows)
            else:
                key = _unturned(copies.shape) if sharing == "rotation" else copies.shape
                label = classes.setdefault(key, len(classes))
                ties.append(np.full(len(copies.rows), label))
            rows.append(copies.rows)
        if rows:
            groups.append(np.concatenate(rows))
            labels.append(np.concatenate(ties))
    tie = np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)
    return Terms(lattice.sites, tuple(groups), tie)


def _all_copies(lattice: Lattice, reach: float, *, order: int) -> list[_Copies]:
    met: set[bytes] = set()
    found = []
    for shape in shapes_within(lattice.dimension, reach, order=order):
        rows = _copies(lattice, shape)
        new = [place for place, row in enumerate(rows) if _remember(met, row.tobytes())]
        if new:
            found.append(_Copies(shape, rows[new]))
    return found


def _remember(met: set[bytes], key: bytes) -> bool:
    """Return whether `key` is new, and note it."""
    before = len(met)
    met.add(key)
    return len(met) > before


def _copies(lattice: Lattice, shape: Shape) -> np.ndarray:
    targets = lattice.positions[:, None, :] + np.array(shape)[None]
    sides = np.array(lattice.shape)
    targets = targets % sides if lattice.periodic else targets[((targets >= 0) & (targets < sides)).all((1, 2))]
    rows = np.sort(np.ravel_multi_index(tuple(np.moveaxis(targets, -1, 0)), lattice.shape), axis=1)
    return rows[(np.diff(rows, axis=1) > 0).all(1)]


def _diameter(shape: Shape) -> float:
    return max((math.dist(a, b) for a, b in itertools.combinations(shape, 2)), default=0.0)


def _unturned(shape: Shape) -> Shape:
    """Return the one shape that stands for all its images under mirrors and exchanges of axes."""
    points = np.array(shape)
    dimension = points.shape[1]
    images = []
    for axes in itertools.permutations(range(dimension)):
        for signs in itertools.product((1, -1), repeat=dimension):
            image = sorted(map(tuple, (points[:, axes] * np.array(signs)).tolist()))
            images.append(tuple(tuple(a - b for a, b in zip(point, image[0], strict=True)) for point in image))
    return min(images)

"""Candidate symmetries of a data set, each as a way to draw two states that could change places if it held.

Convention: values (variables, samples). If the law is invariant under every h of an inverse-closed set and h is drawn
uniformly from it, then (x, h x) and (h x, x) have one law: with y = h x, (h x, x) = (y, h^-1 y). The sign of any
difference of the two is then a fair coin, which is what the randomisation test needs. A map without a known inverse, and
the two windows of an open lattice, are compared across the two halves of the samples instead: independent samples of
equal law can change places.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice.geometry import Lattice
from rgflow.structure.orbits import variable_orbits

__all__ = [
    "Candidate",
    "CandidatePair",
    "Mapped",
    "Moved",
    "Windowed",
    "basic_candidates",
    "given_candidates",
    "group_set",
    "lattice_candidates",
    "random_set",
]

_ELEMENTS = 64  # elements drawn from a large group: enough to average over it, and a table that stays small
_SHIFT_SHARE = 4  # windows of an open lattice are shifted by a quarter of the side


@dataclass(frozen=True, eq=False)
class CandidatePair:
    """Two sets of states, (variables, samples) each, column m of one beside column m of the other."""

    first: np.ndarray
    second: np.ndarray
    shape: tuple[int, ...]


Treatment = Literal["as given", "centred", "ranks"]


class Way(Protocol):
    """How a candidate makes pairs."""

    def pair(self, values: np.ndarray, generator: np.random.Generator, /) -> CandidatePair:
        """Return exchangeable pairs."""
        ...


@dataclass(frozen=True, eq=False)
class Candidate:
    """One hypothesis: name, meaning in words, the pairs, and the number of classes of variables under its group.

    `treatment` says on which values it acts: "as given"; "centred" (every block of samples about its own mean, so that a
    reflection needs no known centre); or "ranks" (every variable replaced by its normal scores, so that units do not
    matter).
    """

    name: str
    meaning: str
    way: Way
    orbits: int
    treatment: Treatment = "as given"


@dataclass(frozen=True, eq=False)
class Moved:
    """Permutations with signs: (h x)_i = signs[i] x[elements[i]], h uniform from the rows, a set closed under inverse.

    `run` consecutive samples share one h.
    """

    elements: np.ndarray
    signs: np.ndarray | None
    shape: tuple[int, ...]
    run: int = 1

    def pair(self, values: np.ndarray, generator: np.random.Generator, /) -> CandidatePair:
        """Return x beside h x."""
        runs = -(-values.shape[1] // self.run)
        chosen = np.repeat(generator.integers(0, len(self.elements), size=runs), self.run)[: values.shape[1]]
        moved = np.take_along_axis(values, self.elements.T[:, chosen], axis=0)
        if self.signs is not None:
            moved *= self.signs.T[:, chosen].astype(values.dtype)
        return CandidatePair(values, moved, self.shape)


@dataclass(frozen=True, eq=False)
class Windowed:
    """Two windows of one open lattice, the second `shift` further along `axes`; one from each half of the samples."""

    lattice: Lattice
    axes: tuple[int, ...]
    channels: int = 1

    def pair(self, values: np.ndarray, generator: np.random.Generator, /) -> CandidatePair:
        """Return the near window of one sample beside the far window of another."""
        near, far = _halves(values, generator)
        fields = [half.reshape(self.channels, *self.lattice.shape, -1) for half in (near, far)]
        front, back = [slice(None)], [slice(None)]
        for axis, side in enumerate(self.lattice.shape):
            shift = max(1, side // _SHIFT_SHARE) if axis in self.axes else 0
            front.append(slice(0, side - shift))
            back.append(slice(shift, side))
        first, second = fields[0][tuple(front)], fields[1][tuple(back)]
        shape = first.shape[1:-1]
        count = first.shape[-1]
        return CandidatePair(first.reshape(-1, count), second.reshape(-1, count), shape)


@dataclass(frozen=True, eq=False)
class Mapped:
    """A map given by the user, samples in (samples, variables), samples out; own inverse or not is found by trying."""

    name: str
    function: Callable[[np.ndarray], object]
    shape: tuple[int, ...]

    def pair(self, values: np.ndarray, generator: np.random.Generator, /) -> CandidatePair:
        """Return x beside its image where the map undoes itself, else one half of the samples beside the image."""
        if np.allclose(self._image(self._image(values)), values):
            return CandidatePair(values, self._image(values), self.shape)
        first, second = _halves(values, generator)
        return CandidatePair(first, self._image(second), self.shape)

    def _image(self, values: np.ndarray) -> np.ndarray:
        image = np.asarray(self.function(values.T.copy()), dtype=np.float64).T
        if image.shape != values.shape or not np.isfinite(image).all():
            raise SettingError(
                f"transformation {self.name} returned shape {image.T.shape} for samples of shape {values.T.shape}, or values"
                " that are not finite; it must return as many finite samples of as many variables"
            )
        return image


def group_set(generators: np.ndarray) -> np.ndarray:
    """Return a set, closed under inverse and without the identity, of products of powers of commuting permutations.

    Shapes: (k, sites) to (elements, sites). The whole group where it has at most 64 elements, else 32 random elements with
    their inverses; powers run up to the number of sites (a permutation of longer order is covered by its first powers).
    """
    sites = generators.shape[1]
    powers = [_powers(row, most=sites) for row in generators]
    total = int(np.prod([len(p) for p in powers]))
    generator = np.random.default_rng(total)
    picks = np.arange(total) if total <= _ELEMENTS else generator.integers(0, total, size=_ELEMENTS // 2)
    rows = []
    for digits in zip(*np.unravel_index(picks, [len(p) for p in powers]), strict=True):
        row = np.arange(sites)
        for table, digit in zip(powers, digits, strict=True):
            row = table[digit][row]
        rows.append(row)
    return _closed(np.array(rows))


def random_set(labels: np.ndarray, *, generator: np.random.Generator) -> np.ndarray:
    """Return 64 permutations, closed under inverse, uniform among those that permute variables within a class only."""
    rows = []
    for _ in range(_ELEMENTS // 2):
        row = np.arange(len(labels))
        for label in range(int(labels.max()) + 1):
            inside = np.flatnonzero(labels == label)
            row[inside] = generator.permutation(inside)
        rows.append(row)
    return _closed(np.array(rows))


def lattice_candidates(lattice: Lattice, *, channels: int = 1) -> list[Candidate]:
    """Return translations, reflections and quarter turns; on an open lattice translations are shifts of a window."""
    found = _translations(lattice, channels=channels) if lattice.periodic else _windows(lattice, channels=channels)
    moves = [
        (f"reflection of axis {axis}", f"mirror of axis {axis}", row)
        for axis, row in enumerate(lattice.reflections)
        if lattice.shape[axis] > 1
    ]
    moves += [
        (f"quarter turn {k}" if len(lattice.quarter_turns) > 1 else "quarter turn", "rotation by 90 degrees", row)
        for k, row in enumerate(lattice.quarter_turns)
    ]
    for name, meaning, row in moves:
        rows = _with_channels(row[None], channels=channels)
        elements = _closed(rows)
        found.append(Candidate(name, meaning, Moved(elements, None, lattice.shape), _orbits(elements)))
    return found


def basic_candidates(sites: int, *, kind: str, shape: tuple[int, ...], seed: int) -> list[Candidate]:
    """Return the sign flips (not for categories) and the full permutation of variables."""
    generator = np.random.default_rng(seed)
    same = np.arange(sites)[None]
    centre = "of all spins" if kind == "spin" else "of all variables about their centres"
    treatment = "centred" if kind == "continuous" else "as given"
    found = []
    if kind != "categorical":
        flip = Moved(same, -np.ones((1, sites)), shape)
        found.append(Candidate("sign flip", f"change of sign {centre}", flip, sites, treatment))
    if kind == "continuous" and sites > 1:
        signs = generator.choice([-1.0, 1.0], size=(_ELEMENTS, sites))
        alone = Moved(np.repeat(same, _ELEMENTS, axis=0), signs, shape)
        found.append(
            Candidate("reflection of single variables", "change of sign of any one variable", alone, sites, treatment)
        )
    if sites > 1:
        elements = random_set(np.zeros(sites, dtype=np.int64), generator=generator)
        every = Moved(elements, None, shape)
        ranks = kind == "continuous" and not shape  # without a lattice the variables may have different units
        meaning = f"any permutation of the variables{' after each is replaced by its ranks' if ranks else ''}"
        found.append(Candidate("permutation", meaning, every, 1, "ranks" if ranks else "as given"))
    return found


def given_candidates(transformations: Sequence[object], *, sites: int, shape: tuple[int, ...]) -> list[Candidate]:
    """Return the user's transformations: permutations (variables,), signs (variables,) of +-1, or maps of samples.

    An entry may be a pair (name, transformation). Raises: SettingError for anything else.
    """
    found = []
    for k, entry in enumerate(transformations):
        name, thing = (
            entry if isinstance(entry, tuple) and isinstance(entry[0], str) else (f"transformation {k}", entry)
        )
        if callable(thing):
            found.append(Candidate(name, "the given map", Mapped(name, thing, shape), sites))
            continue
        row = np.asarray(thing)
        if row.shape == (sites,) and sites > 1 and np.isin(row, (-1, 1)).all():
            found.append(
                Candidate(name, "the given flip of signs", Moved(np.arange(sites)[None], row[None], shape), sites)
            )
        elif row.shape == (sites,) and np.array_equal(np.sort(row), np.arange(sites)):
            elements = group_set(row[None].astype(np.int64))
            found.append(Candidate(name, "the given permutation", Moved(elements, None, shape), _orbits(row[None])))
        else:
            raise SettingError(
                f"{name} is neither a permutation of 0..{sites - 1}, nor {sites} signs +-1, nor a map of samples; it is"
                f" {type(thing).__name__} of shape {row.shape}"
            )
    return found


def _translations(lattice: Lattice, *, channels: int) -> list[Candidate]:
    rows = _with_channels(lattice.translations, channels=channels)
    found = [
        Candidate(
            f"translation along axis {axis}",
            f"shift along axis {axis}, around the periodic lattice",
            Moved(group_set(row[None]), None, lattice.shape),
            _orbits(row[None]),
        )
        for axis, row in enumerate(rows)
    ]
    if len(rows) > 1:
        every = Moved(group_set(rows), None, lattice.shape)
        found.append(Candidate("translation", "shift by any vector of the periodic lattice", every, _orbits(rows)))
    return found


def _windows(lattice: Lattice, *, channels: int) -> list[Candidate]:
    long = [axis for axis, side in enumerate(lattice.shape) if side > 2]
    choices = [(axis,) for axis in long] + ([tuple(long)] if len(long) > 1 else [])
    found = []
    for axes in choices:
        name = f"translation along axis {axes[0]}" if len(axes) == 1 else "translation"
        shifts = [max(1, lattice.shape[axis] // _SHIFT_SHARE) for axis in axes]
        spacing = "spacing" if shifts == [1] else "spacings"
        meaning = f"equal laws of two windows {' and '.join(map(str, shifts))} {spacing} apart (the lattice is open)"
        bonds = np.concatenate([lattice.bonds_along(axis) for axis in axes])
        found.append(
            Candidate(name, meaning, Windowed(lattice, axes, channels), channels * _parts(bonds, lattice.sites))
        )
    return found


def _parts(bonds: np.ndarray, sites: int) -> int:
    swaps = np.tile(np.arange(sites), (len(bonds), 1))
    rows = np.arange(len(bonds))
    swaps[rows, bonds[:, 0]], swaps[rows, bonds[:, 1]] = bonds[:, 1], bonds[:, 0]
    return _orbits(swaps)


def _orbits(permutations: np.ndarray) -> int:
    return int(variable_orbits(permutations, sites=permutations.shape[1]).max()) + 1


def _with_channels(rows: np.ndarray, *, channels: int) -> np.ndarray:
    """Return the same moves of the lattice in every channel; channels stand one after the other."""
    sites = rows.shape[1]
    return np.concatenate([rows + sites * channel for channel in range(channels)], axis=1)


def _powers(permutation: np.ndarray, *, most: int) -> np.ndarray:
    """Return the identity and the first powers of a permutation, up to its order or to `most` of them."""
    rows = [np.arange(len(permutation))]
    while len(rows) < max(most, 2):
        following = permutation[rows[-1]]
        if np.array_equal(following, rows[0]):
            break
        rows.append(following)
    return np.array(rows)


def _closed(rows: np.ndarray) -> np.ndarray:
    """Return the rows with their inverses; each row weighs as much as its inverse, the identity is left out."""
    same = np.arange(rows.shape[1])
    both = np.unique(np.concatenate([rows, np.argsort(rows, axis=1)]), axis=0)
    moving = both[(both != same).any(axis=1)]
    return moving if len(moving) else same[None]


def _halves(values: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the two halves of the samples, each in order, taken in alternating runs so that both see every stretch."""
    count = values.shape[1]
    run = max(1, count // 1000)  # about 1000 runs: as many as there are blocks to flip, or more
    half = (np.arange(count) // run) % 2
    first, second = np.flatnonzero(half == 0), np.flatnonzero(half == 1)
    least = min(len(first), len(second))
    if generator.random() < 1 / 2:
        first, second = second, first
    return values[:, first[:least]], values[:, second[:least]]

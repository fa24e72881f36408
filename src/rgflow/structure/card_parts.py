"""The parts of the structure card, in two lanes, each timed, and each refusing on its own without ending the card.

A part that raises an error of this package for these data is replaced by its "not applicable" form, with the reason in its
sentence. Units: seconds for the timing.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

import torch

from rgflow.errors import RgflowError
from rgflow.numerics.thread_limits import single_threaded
from rgflow.records.ladder import Ladder
from rgflow.records.structure_card import (
    Basis,
    CouplingRange,
    Geometry,
    Index,
    SymmetryTest,
)
from rgflow.structure.basis_preference import preferred_basis
from rgflow.structure.card_input import CardInput
from rgflow.structure.climbing import ladder
from rgflow.structure.compression import compressibility
from rgflow.structure.coupling_range import measure_range
from rgflow.structure.graph_geometry import recover_geometry
from rgflow.structure.interaction_order import find_order
from rgflow.structure.intrinsic_dimension import IntrinsicDimension, dimension_estimates
from rgflow.structure.locality_index import measure_locality
from rgflow.structure.pair_couplings import PairCouplings, fit_pair_couplings
from rgflow.structure.scales import Hierarchy, scale_hierarchy
from rgflow.structure.symmetry_testing import symmetry_tests

__all__ = ["CardParts", "Progress", "run_parts"]

Progress = Callable[[str, float], None]
Part = TypeVar("Part")
_PATIENCE = 0.1  # seconds between looks at a lane: an interruption is heard within that time

# Shares of the time of a card of 5,000 samples of 256 spins, for the progress bar alone.
_SHARES = {
    "couplings": 0.15,
    "order": 0.2,
    "locality": 0.05,
    "range": 0.01,
    "geometry": 0.04,
    "symmetries": 0.1,
    "basis": 0.05,
    "hierarchy": 0.05,
    "dimension": 0.05,
    "compressibility": 0.1,
    "ladder": 0.2,
}


@dataclass(frozen=True, eq=False)
class CardParts:
    """What the parts found; `notes` says which parts gave up or read fewer samples."""

    couplings: PairCouplings | None
    order: Index
    locality: Index
    coupling_range: CouplingRange | None
    geometry: Geometry
    symmetries: tuple[SymmetryTest, ...]
    basis: Basis
    hierarchy: Hierarchy
    dimension: IntrinsicDimension
    compressibility: Index
    ladder: Ladder
    notes: tuple[str, ...]
    timing: dict[str, float]


class _Lane(Generic[Part]):
    """Work on a thread of its own that does not keep the process alive: whoever interrupts a card need not wait for it."""

    def __init__(self, work: Callable[[], Part]) -> None:
        self._found: Part | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], Part]) -> None:
        try:
            self._found = work()
        except BaseException as failure:  # raised again where the result is asked for
            self._failure = failure

    def result(self) -> Part:
        """Return what the work returned, or raise what it raised."""
        while self._thread.is_alive():
            self._thread.join(_PATIENCE)
        if self._failure is not None:
            raise self._failure
        return cast(Part, self._found)


@dataclass
class _Clock:
    """Runs parts, times them, and remembers what they could not do; two lanes may use it at once."""

    progress: Progress
    timing: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    done: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)
    cancelled: bool = False

    def run(self, name: str, part: Callable[[], Part], instead: Callable[[str], Part]) -> Part:
        if self.cancelled:
            raise CancelledError
        with self.lock:
            self.progress(name, self.done)
        start = time.perf_counter()
        note = ""
        try:
            found = part()
        except RgflowError as refusal:
            note = f"{name}: {refusal}"
            found = instead(str(refusal))
        with self.lock:
            self.notes.extend([note] if note else [])
            self.timing[name] = time.perf_counter() - start
            self.done = min(self.done + _SHARES[name], 1.0)
        return found


@dataclass(frozen=True, eq=False)
class _CouplingParts:
    """What rests on the couplings of pairs."""

    couplings: PairCouplings | None
    order: Index
    locality: Index
    coupling_range: CouplingRange | None
    geometry: Geometry
    hierarchy: Hierarchy


@dataclass(frozen=True, eq=False)
class _LawParts:
    """What rests on the samples alone."""

    ladder: Ladder
    symmetries: tuple[SymmetryTest, ...]
    basis: Basis
    dimension: IntrinsicDimension
    compressibility: Index


def run_parts(data: CardInput, *, max_order: int, seed: int, progress: Progress) -> CardParts:
    """Return every part of the card for prepared data, in two lanes side by side, one a core."""
    clock = _Clock(progress)
    with single_threaded():
        first = _Lane(lambda: _coupling_parts(data, clock=clock, max_order=max_order, seed=seed))
        second = _Lane(lambda: _law_parts(data, clock=clock, max_order=max_order, seed=seed))
        try:
            pairs, law = first.result(), second.result()
        except BaseException:  # Ctrl-C, too: the lane that still runs stops before its next part
            clock.cancelled = True
            raise
    return CardParts(
        couplings=pairs.couplings,
        order=pairs.order,
        locality=pairs.locality,
        coupling_range=pairs.coupling_range,
        geometry=pairs.geometry,
        symmetries=law.symmetries,
        basis=law.basis,
        hierarchy=pairs.hierarchy,
        dimension=law.dimension,
        compressibility=law.compressibility,
        ladder=law.ladder,
        notes=tuple(sorted(clock.notes)),
        timing={name: clock.timing[name] for name in _SHARES if name in clock.timing},
    )


def _coupling_parts(data: CardInput, *, clock: _Clock, max_order: int, seed: int) -> _CouplingParts:
    values, kind, lattice = data.values, data.kind, data.lattice
    found = clock.run("couplings", lambda: fit_pair_couplings(values, kind=kind), lambda _reason: None)
    order = clock.run(
        "order",
        lambda: find_order(values, kind=kind, couplings=found, lattice=lattice, max_order=max_order, seed=seed),
        lambda reason: _absent("order", "Order of the interactions", reason),
    )
    locality = clock.run(
        "locality",
        lambda: measure_locality(_needed(found), samples=values, lattice=lattice, seed=seed),
        lambda reason: _absent("locality", "Locality of the couplings", reason),
    )
    reach = None
    if lattice is not None:
        reach = clock.run("range", lambda: measure_range(_needed(found), lattice), lambda _reason: None)
    geometry = clock.run("geometry", lambda: recover_geometry(_needed(found), lattice=lattice), _no_geometry)
    hierarchy = clock.run(
        "hierarchy",
        lambda: scale_hierarchy(values, kind=kind, lattice=lattice, couplings=found, seed=seed),
        lambda reason: Hierarchy((), _absent("hierarchy", "Persistence of couplings across scales", reason)),
    )
    return _CouplingParts(found, order, locality, reach, geometry, hierarchy)


def _law_parts(data: CardInput, *, clock: _Clock, max_order: int, seed: int) -> _LawParts:
    values, kind, lattice = data.values, data.kind, data.lattice
    climbed = clock.run(
        "ladder", lambda: ladder(values, lattice=lattice, kind=kind, max_order=max_order, seed=seed), _no_ladder
    )
    symmetries = clock.run(
        "symmetries", lambda: symmetry_tests(values, lattice=lattice, kind=kind, seed=seed), lambda _reason: ()
    )
    basis = clock.run("basis", lambda: preferred_basis(values, seed=seed), _no_basis)
    dimension = clock.run(
        "dimension", lambda: dimension_estimates(values, seed=seed), lambda reason: IntrinsicDimension((), reason)
    )
    grid = () if lattice is None else lattice.shape
    compressed = clock.run(
        "compressibility",
        lambda: compressibility(values, grid=grid, seed=seed),
        lambda reason: _absent("compressibility", "Compressibility", reason),
    )
    return _LawParts(climbed, symmetries, basis, dimension, compressed)


def _needed(couplings: PairCouplings | None) -> PairCouplings:
    if couplings is None:
        raise RgflowError("there are no couplings of pairs to look at")
    return couplings


def _absent(key: str, title: str, reason: str) -> Index:
    return Index(key, title, None, (), "not applicable", reason)


def _no_basis(reason: str) -> Basis:
    return Basis(_absent("basis", "Preferred basis", reason), None, reason)


def _no_geometry(reason: str) -> Geometry:
    return Geometry(
        torch.zeros((0, 2), dtype=torch.int64), torch.zeros(0, dtype=torch.float64), None, None, "undetermined", reason
    )


def _no_ladder(reason: str) -> Ladder:
    return Ladder((), None, "undetermined", reason, "", 0, 0, "")

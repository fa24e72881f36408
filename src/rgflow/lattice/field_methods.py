"""The methods that sample Potts, XY and phi^4 models, where each is valid, and what judges their mixing.

Convention: energies H / sites in nats. Chains start far apart on purpose: every third at random, every third in one ordered
state, every third in another. Mixing is judged by the energy, a signed order parameter, its modulus, and the mean square.
"""

import math
from collections.abc import Callable

import numpy as np

from rgflow.lattice import phi4_loops, potts_loops, xy_loops
from rgflow.lattice.field_chains import Chain, TunedStep, recorded
from rgflow.lattice.field_models import XY, Phi4, Potts, bond_system
from rgflow.lattice.methods import Draw, Method, Observable, SamplingPlan, valid_always
from rgflow.lattice.spin_systems import PairSystem

__all__ = ["PHI4_METHODS", "POTTS_METHODS", "XY_METHODS"]

_BLOCK = 2**18  # numbers of one array at a time: 2 MiB, which caches hold
_Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


def _table(system: PairSystem) -> _Tables:
    table = system.table
    return table.starts, table.neighbours, table.couplings


def _bonds(system: PairSystem) -> tuple[np.ndarray, np.ndarray]:
    return system.edges.astype(np.int32), system.couplings


def _generator(plan: SamplingPlan, *, chain: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(entropy=plan.seed, spawn_key=(1, chain)))


class _PottsChain:
    """Whole numbers 0 .. states - 1, moved by clusters or by the heat bath."""

    def __init__(self, plan: SamplingPlan, *, number: int, words: np.ndarray, clusters: bool) -> None:
        model: Potts = plan.model
        system = bond_system(model, shape=plan.shape)
        states = _generator(plan, chain=number).integers(0, model.states, size=system.sites)
        self.states = states if number % 3 == 0 else np.full(system.sites, (number % 3 - 1) % model.states)
        self.field, self.words = model.field, words
        self.loop = potts_loops.cluster_sweep if clusters else potts_loops.heat_bath_sweep
        self.tables = _bonds(system) if clusters else _table(system)

    def sweep(self, *, tuning: bool) -> None:
        del tuning
        self.loop(self.states, self.tables, self.field, self.words)

    def state(self) -> np.ndarray:
        return self.states


class _XYChain:
    """Unit vectors; a sweep is Metropolis and over-relaxation, or one update of all embedded clusters."""

    def __init__(self, plan: SamplingPlan, *, number: int, words: np.ndarray, clusters: bool) -> None:
        system = bond_system(plan.model, shape=plan.shape)
        angles = _generator(plan, chain=number).uniform(-math.pi, math.pi, size=system.sites)
        if number % 3:
            angles = np.full(system.sites, math.pi * (number % 3 - 1))
        self.vectors = np.cos(angles), np.sin(angles)
        self.table, self.bonds, self.words = _table(system), _bonds(system), words
        self.clusters, self.step = clusters, TunedStep(1.0, math.pi)

    def sweep(self, *, tuning: bool) -> None:
        if self.clusters:
            xy_loops.cluster_sweep(self.vectors, self.bonds, self.words)
            return
        accepted = xy_loops.metropolis_sweep(self.vectors, self.table, self.step.size, self.words)
        xy_loops.overrelaxation_sweep(self.vectors, self.table)
        if tuning:
            self.step.tune(accepted)

    def state(self) -> np.ndarray:
        return np.arctan2(self.vectors[1], self.vectors[0])


class _Phi4Chain:
    """Real numbers; a sweep is Metropolis, after an update of all clusters of signs where they are asked for."""

    def __init__(self, plan: SamplingPlan, *, number: int, words: np.ndarray, clusters: bool) -> None:
        model: Phi4 = plan.model
        system = bond_system(model, shape=plan.shape)
        scale = _scale(model)
        start = _generator(plan, chain=number).normal(scale=scale, size=system.sites)
        self.field = start if number % 3 == 0 else np.full(system.sites, scale if number % 3 == 1 else -scale)
        self.table, self.bonds, self.words = _table(system), _bonds(system), words
        self.model, self.clusters, self.step = model, clusters, TunedStep(scale, math.inf)

    def sweep(self, *, tuning: bool) -> None:
        if self.clusters:
            phi4_loops.cluster_sweep(self.field, self.bonds, self.words)
        potential = (float(self.model.mass_squared), float(self.model.quartic), self.step.size)
        accepted = phi4_loops.metropolis_sweep(self.field, self.table, potential, self.words)
        if tuning:
            self.step.tune(accepted)

    def state(self) -> np.ndarray:
        return self.field


def _scale(model: Phi4) -> float:
    """Return a typical size of the field at one site: that of the minimum of the potential, or of its width."""
    if model.quartic == 0.0:
        return 1.0 / math.sqrt(model.mass_squared)
    minimum = math.sqrt(max(-model.mass_squared, 0.0) / model.quartic)
    return max(minimum, min(model.quartic**-0.25, 1.0 / math.sqrt(max(model.mass_squared, 1e-300))))  # no division by 0


def _run(chain: Callable[..., Chain], *, clusters: bool) -> Callable[[SamplingPlan], Draw]:
    def run(plan: SamplingPlan) -> Draw:
        def begin(number: int, words: np.ndarray) -> Chain:
            return chain(plan, number=number, words=words, clusters=clusters)

        dtype = _smallest(plan.model.states) if isinstance(plan.model, Potts) else np.float64
        states = recorded(plan, begin=begin, dtype=dtype)
        found = _OBSERVABLES[type(plan.model)](plan, states)
        return Draw(states.reshape(*states.shape[:2], *plan.shape), found)

    return run


def _smallest(states: int) -> type[np.signedinteger]:
    return np.int8 if states <= 128 else np.int16  # int8 holds 0..127


def _edge_sums(plan: SamplingPlan, states: np.ndarray, *, function: Callable[..., np.ndarray]) -> np.ndarray:
    """Return sum_e K_e f(x_i, x_j) of every record, (chains, records), a block of records in memory at a time."""
    system = bond_system(plan.model, shape=plan.shape)
    first, second = system.edges.T
    rows = states.reshape(-1, system.sites)
    blocks = np.array_split(rows, max(1, rows.shape[0] * len(first) // _BLOCK))
    sums = [function(block[:, first], block[:, second]) @ system.couplings for block in blocks]
    return np.concatenate(sums).reshape(states.shape[:2])


def _potts_observables(plan: SamplingPlan, states: np.ndarray) -> tuple[Observable, ...]:
    model: Potts = plan.model
    sites = states.shape[-1]
    counts = np.stack([(states == x).sum(-1) for x in range(model.states)], axis=-1)
    energy = -(_edge_sums(plan, states, function=np.equal) + counts @ model.field) / sites
    waves = np.cos(2.0 * math.pi * np.arange(model.states) / model.states)
    order = (model.states * counts.max(-1) / sites - 1.0) / (model.states - 1.0)
    return (
        Observable("energy", energy),
        Observable("magnetisation", counts @ waves / sites),
        Observable("share of the leading state", order),
    )


def _xy_observables(plan: SamplingPlan, states: np.ndarray) -> tuple[Observable, ...]:
    sums = _edge_sums(plan, states, function=lambda first, second: np.cos(first - second))
    across, along = np.cos(states).mean(-1), np.sin(states).mean(-1)
    return (
        Observable("energy", -sums / states.shape[-1]),
        Observable("magnetisation", across),
        Observable("absolute magnetisation", np.hypot(across, along)),
    )


def _phi4_observables(plan: SamplingPlan, states: np.ndarray) -> tuple[Observable, ...]:
    model: Phi4 = plan.model
    sums = _edge_sums(plan, states, function=lambda first, second: (first - second) ** 2 / 2.0)
    squares = states**2
    local = (model.mass_squared / 2.0 * squares + model.quartic / 4.0 * squares**2).mean(-1)
    mean = states.mean(-1)
    return (
        Observable("energy", sums / states.shape[-1] + local),
        Observable("magnetisation", mean),
        Observable("absolute magnetisation", np.abs(mean)),
        Observable("mean square", squares.mean(-1)),
    )


_OBSERVABLES: dict[type, Callable[[SamplingPlan, np.ndarray], tuple[Observable, ...]]] = {
    Potts: _potts_observables,
    XY: _xy_observables,
    Phi4: _phi4_observables,
}


def _potts_cluster_refusal(model: Potts, _shape: tuple[int, ...]) -> str:
    if (model.coupling or 0.0) < 0.0:
        return f"its coupling is {model.coupling}, and clusters bind equal neighbours, which needs >= 0; use heat-bath"
    return ""


POTTS_METHODS = (
    Method("swendsen-wang", _run(_PottsChain, clusters=True), _potts_cluster_refusal),
    Method("heat-bath", _run(_PottsChain, clusters=False), valid_always),
)
XY_METHODS = (
    Method("embedded-clusters", _run(_XYChain, clusters=True), valid_always),
    Method("metropolis", _run(_XYChain, clusters=False), valid_always),
)
PHI4_METHODS = (
    Method("embedded-clusters", _run(_Phi4Chain, clusters=True), valid_always),
    Method("metropolis", _run(_Phi4Chain, clusters=False), valid_always),
)

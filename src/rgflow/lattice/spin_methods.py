"""The methods that sample two-valued spins, where each is valid, and what judges their mixing.

Convention: records of int8 spins; energies H / sites in nats. Mixing is judged by the energy and, for an unfrustrated
model, by the magnetisation (with the signs that align all bonds) and its absolute value; for a frustrated one, by
projections on fixed random signs.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rgflow.lattice import cluster_loops, local_loops, term_loops
from rgflow.lattice.bit_coding import bit_coded_refusal, bit_coded_states, pull_words
from rgflow.lattice.chain_running import run_side_by_side, spin_starts
from rgflow.lattice.methods import Draw, Method, Observable, SamplingPlan, valid_always
from rgflow.lattice.random_streams import streams
from rgflow.lattice.spin_models import Ising, SpinGlass, pair_system, term_system
from rgflow.lattice.spin_systems import PairSystem, TermSystem
from rgflow.lattice.thresholds import probability_words

__all__ = ["PAIR_METHODS", "TERM_METHODS", "coupling_signs", "pair_observables", "term_observables"]

_PROJECTIONS = 4  # a frustrated state has no known order parameter: four fixed random directions see most of what stays
_PILOT_SWEEPS = 10
_PILOT_CLUSTERS = 100  # whose mean size is known to some 15 %, their spread being that of their mean and a half


def _loop(plan: SamplingPlan, *, loop: Callable[..., Any], tables: tuple[Any, ...]) -> np.ndarray:
    """Run a compiled loop for every chain; returns states (chains, records, sites)."""
    sites = int(np.prod(plan.shape))
    spins = spin_starts(plan.chains, sites=sites, seed=plan.seed)
    words = streams(plan.seed, count=plan.chains)
    out = np.empty((plan.chains, plan.records, sites), dtype=np.int8)
    run_side_by_side(lambda c: loop(spins[c], *tables, words[c], plan.discard, plan.every, out[c]), count=plan.chains)
    return out


def _heat_bath(plan: SamplingPlan) -> Draw:
    system = pair_system(plan.model, shape=plan.shape)
    square = _square_thresholds(plan)
    if square is not None:
        states = _loop(plan, loop=local_loops.square_heat_bath, tables=(square, plan.shape[1]))
        return _pair_draw(states, system)
    table = system.table
    if not bit_coded_refusal(system):
        tables = (table.starts, table.neighbours, coupling_signs(table.couplings), pull_words(system))
        return _pair_draw(_loop(plan, loop=local_loops.counted_heat_bath, tables=tables), system)
    tables = (table.starts, table.neighbours, table.couplings, system.fields)
    return _pair_draw(_loop(plan, loop=local_loops.heat_bath, tables=tables), system)


def _square_thresholds(plan: SamplingPlan) -> np.ndarray | None:
    """Return 2^64 P(s = 1) for the neighbour sums -4, -2, 0, 2, 4 of a plain square lattice, else None."""
    model = plan.model
    plain = isinstance(model, Ising) and model.edges is None and len(plan.shape) == 2
    if not plain or model.coupling.ndim or model.field.ndim:
        return None
    total = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
    return probability_words(1.0 / (1.0 + np.exp(-2.0 * (model.coupling * total + model.field))))


def _metropolis(plan: SamplingPlan) -> Draw:
    system = pair_system(plan.model, shape=plan.shape)
    table = system.table
    tables = (table.starts, table.neighbours, table.couplings, system.fields)
    return _pair_draw(_loop(plan, loop=local_loops.metropolis, tables=tables), system)


def _swendsen_wang(plan: SamplingPlan) -> Draw:
    system = pair_system(plan.model, shape=plan.shape)
    first, second = np.ascontiguousarray(system.edges.T.astype(np.int32))
    tables = (first, second, *_cluster_tables(system.couplings))
    return _pair_draw(_loop(plan, loop=cluster_loops.swendsen_wang, tables=tables), system)


def _wolff(plan: SamplingPlan) -> Draw:
    """Sweeps of a fixed number of clusters, chosen from the clusters seen while the start is forgotten."""
    system = pair_system(plan.model, shape=plan.shape)
    table = system.table
    tables = (table.starts, table.neighbours, *_cluster_tables(table.couplings))
    spins = spin_starts(plan.chains, sites=system.sites, seed=plan.seed)
    words = streams(plan.seed, count=plan.chains)
    out = np.empty((plan.chains, plan.records, system.sites), dtype=np.int8)
    flipped = np.zeros(plan.chains, dtype=np.int64)

    def run(chain: int, *, discard: int, every: int, records: np.ndarray) -> None:
        state, stream = spins[chain], words[chain]
        flipped[chain] = cluster_loops.wolff(state, *tables, stream, discard, every, records)

    def clusters_for(sweeps: int, *, clusters: int) -> int:
        """Return the clusters that move the lattice about once, seen in `sweeps` of `clusters` each."""
        run_side_by_side(lambda c: run(c, discard=sweeps * clusters, every=1, records=out[c, :0]), count=plan.chains)
        return max(1, round(system.sites * plan.chains * sweeps * clusters / int(flipped.sum())))

    fixed = 1
    for _ in range(
        max(plan.discard // 2, _PILOT_SWEEPS)
    ):  # clusters may grow by orders of magnitude from a random start
        fixed = min(2 * fixed, clusters_for(1, clusters=fixed))
    fixed = clusters_for(max(plan.discard // 2, -(-_PILOT_CLUSTERS // fixed)), clusters=fixed)
    run_side_by_side(lambda c: run(c, discard=0, every=fixed * plan.every, records=out[c]), count=plan.chains)
    return _pair_draw(out, system)


def _cluster_tables(couplings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return coupling_signs(couplings), probability_words(-np.expm1(-2.0 * np.abs(couplings)))


def coupling_signs(couplings: np.ndarray) -> np.ndarray:
    """Return -1 where a coupling is negative, else 1, int8."""
    return np.where(couplings < 0.0, -1, 1).astype(np.int8)


def _bit_coded(plan: SamplingPlan) -> Draw:
    system = pair_system(plan.model, shape=plan.shape)
    return _pair_draw(bit_coded_states(system, plan=plan), system)


def _cluster_refusal(model: Ising | SpinGlass, shape: tuple[int, ...]) -> str:
    system = pair_system(model, shape=shape)
    if system.has_field:
        return "its clusters would flip against the field without asking it; use heat-bath, or set the field to 0"
    if system.gauge is None:
        return (
            "its couplings are frustrated, so that clusters cover unsatisfied bonds and fill the graph; use heat-bath, or"
            " `temper` at low temperature"
        )
    return ""


def _bit_refusal(model: Ising | SpinGlass, shape: tuple[int, ...]) -> str:
    return bit_coded_refusal(pair_system(model, shape=shape))


def _pair_draw(states: np.ndarray, system: PairSystem) -> Draw:
    chains, records, _ = states.shape
    return Draw(states.reshape(chains, records, *system.shape), pair_observables(states, system=system))


def pair_observables(states: np.ndarray, *, system: PairSystem) -> tuple[Observable, ...]:
    """Return the series that judge states (chains, records, sites) of a model of pairs, the energy first."""
    rows = states.reshape(-1, system.sites)
    energies = np.empty(len(rows))
    first, second = np.ascontiguousarray(system.edges.T.astype(np.int32))
    local_loops.minus_energies(rows, first, second, system.couplings, system.fields, energies)
    energy = Observable("energy", -energies.reshape(states.shape[:2]) / system.sites)
    if system.gauge is None:
        return (energy, *_projections(states))
    return (energy, *_magnetisations(states, signs=system.gauge))


def _magnetisations(states: np.ndarray, *, signs: np.ndarray) -> tuple[Observable, ...]:
    magnetisation = states @ signs.astype(np.float32) / np.float32(len(signs))  # whole numbers below 2^24 are exact
    name = "magnetisation" if (signs == signs[0]).all() else "staggered magnetisation"
    return Observable(name, magnetisation), Observable(f"absolute {name}", np.abs(magnetisation))


def _projections(states: np.ndarray) -> tuple[Observable, ...]:
    sites = states.shape[-1]
    signs = np.random.default_rng(sites).integers(0, 2, size=(sites, _PROJECTIONS)) * 2.0 - 1.0
    found = states @ signs.astype(np.float32) / np.float32(sites)
    return tuple(Observable(f"projection {k + 1} on fixed random signs", found[..., k]) for k in range(_PROJECTIONS))


def _heat_bath_terms(plan: SamplingPlan) -> Draw:
    return _term_draw(plan, loop=term_loops.heat_bath_terms)


def _metropolis_terms(plan: SamplingPlan) -> Draw:
    return _term_draw(plan, loop=term_loops.metropolis_terms)


def _term_draw(plan: SamplingPlan, *, loop: Callable[..., Any]) -> Draw:
    system = term_system(plan.model, shape=plan.shape)
    members, incidence = system.members, system.incidence
    tables = (members.starts, members.neighbours, incidence.starts, incidence.neighbours, incidence.couplings)
    states = _loop(plan, loop=loop, tables=tables)
    return Draw(states.reshape(*states.shape[:2], *plan.shape), term_observables(states, system=system))


def term_observables(states: np.ndarray, *, system: TermSystem) -> tuple[Observable, ...]:
    """Return the series that judge states (chains, records, sites) of a model of terms, the energy first."""
    rows = states.reshape(-1, system.sites)
    energies = np.empty(len(rows))
    members = system.members
    term_loops.minus_term_energies(rows, members.starts, members.neighbours, system.couplings, energies)
    energy = Observable("energy", -energies.reshape(states.shape[:2]) / system.sites)
    return energy, *_magnetisations(states, signs=np.ones(system.sites)), *_projections(states)


PAIR_METHODS = (
    Method("swendsen-wang", _swendsen_wang, _cluster_refusal),
    Method("heat-bath", _heat_bath, valid_always),
    Method("wolff", _wolff, _cluster_refusal),
    Method("bit-coded", _bit_coded, _bit_refusal),
    Method("metropolis", _metropolis, valid_always),
)
TERM_METHODS = (
    Method("heat-bath", _heat_bath_terms, valid_always),
    Method("metropolis", _metropolis_terms, valid_always),
)

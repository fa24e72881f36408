"""Parallel tempering: replicas at several temperatures that exchange places, for models with many valleys.

Convention: `family(temperature)` is a model with the temperature inside; all share one graph. Rates are fractions of proposed
exchanges; a round trip leads one replica from the first temperature to the last and back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice import tempering_loops
from rgflow.lattice.bit_coding import bit_coded_refusal, pull_words
from rgflow.lattice.chain_running import run_side_by_side, spin_starts
from rgflow.lattice.methods import Draw, SamplingPlan, planned
from rgflow.lattice.random_streams import streams
from rgflow.lattice.samples import Samples, judged
from rgflow.lattice.spin_methods import coupling_signs, pair_observables, term_observables
from rgflow.lattice.spin_models import Ising, PSpin, SpinGlass, pair_system, term_system
from rgflow.lattice.spin_systems import PairSystem, TermSystem
from rgflow.records.hamiltonian import Hamiltonian

__all__ = ["Tempered", "temper"]

SpinModel = Ising | SpinGlass | PSpin | Hamiltonian
_LEAST_SWAP_RATE = 0.05  # below it a ladder of ten is crossed once in some 10^2 / 0.05 = 2000 sweeps, as a random walk


@dataclass(frozen=True, eq=False)
class Tempered:
    """Samples at every temperature, and how well the replicas travelled.

    `samples[t]` are those at `temperatures[t]`, one chain a ladder. `swap_rates` (temperatures - 1,) are the accepted
    fractions of proposed exchanges of neighbours; `round_trips` counts those of all replicas and ladders. `reliable` asks
    for reliable samples at every temperature and at least one round trip a ladder; `reason` says what is missing.
    """

    temperatures: tuple[float, ...]
    samples: tuple[Samples, ...]
    swap_rates: tuple[float, ...]
    round_trips: int
    reliable: bool
    reason: str


def temper(
    family: Callable[[float], SpinModel],
    *,
    temperatures: Sequence[float],
    shape: int | tuple[int, ...],
    chains: int,
    sweeps: int,
    seed: int,
    discard: int | None = None,
    every: int = 1,
) -> Tempered:
    """Return samples of family(T) at every temperature from `chains` independent ladders of exchanging replicas.

    One sweep is a sweep of heat bath at every temperature and one round of exchanges of neighbouring temperatures. Give
    temperatures in order, from one that mixes by itself to the coldest wanted.
    Raises: SettingError for fewer than two temperatures, or models that do not share their edges.
    Source: Hukushima and Nemoto 1996, J. Phys. Soc. Japan 65, 1604, arXiv:cond-mat/9512035.

    Example:
    >>> from rgflow.lattice import SpinGlass
    >>> found = temper(
    ...     lambda temperature: SpinGlass(temperature=temperature),
    ...     temperatures=(2.0, 1.6, 1.3), shape=(4, 4), chains=4, sweeps=1000, seed=0,
    ... )
    >>> len(found.samples), found.reliable, min(found.swap_rates) > 0.3
    (3, True, True)
    """
    plan = planned(family, shape=shape, chains=chains, sweeps=sweeps, seed=seed, discard=discard, every=every)
    systems = [_system(family(float(temperature)), plan.shape) for temperature in temperatures]
    _check(systems)
    travel = _travel(systems, plan)
    samples = tuple(
        judged(_draw(travel.states[:, t], system), plan=plan, method="parallel tempering")
        for t, system in enumerate(systems)
    )
    proposals = [chains * _proposals(plan, parity=t % 2) for t in range(len(systems) - 1)]
    rates = tuple(float(rate) for rate in travel.accepted.sum(0) / np.array(proposals))
    trips = int(travel.trips.sum())
    reason = _reason(samples, temperatures, rates=rates, trips=trips, chains=chains)
    return Tempered(tuple(float(t) for t in temperatures), samples, rates, trips, not reason, reason)


@dataclass(frozen=True, eq=False)
class _Travel:
    """States (chains, temperatures, records, sites), accepted exchanges and round trips of every ladder."""

    states: np.ndarray
    accepted: np.ndarray
    trips: np.ndarray


def _system(model: SpinModel, shape: tuple[int, ...]) -> PairSystem | TermSystem:
    if isinstance(model, Ising | SpinGlass):
        return pair_system(model, shape=shape)
    if isinstance(model, PSpin | Hamiltonian):
        return term_system(model, shape=shape)
    raise SettingError(
        f"the family gives a {type(model).__name__}; spins are tempered: Ising, SpinGlass, PSpin, Hamiltonian"
    )


def _loop(systems: Sequence[PairSystem | TermSystem]) -> Callable[..., None]:
    """Return the compiled loop of a ladder with its tables filled in: loop(spins, *the rest)."""
    pairs = [system for system in systems if isinstance(system, PairSystem)]
    if pairs:
        return _pair_loop(pairs)
    terms = [system for system in systems if isinstance(system, TermSystem)]
    members, incidence = terms[0].members, terms[0].incidence
    strengths = np.stack([system.incidence.couplings for system in terms])
    by_term = np.stack([system.couplings for system in terms])
    lists = (members.starts, members.neighbours, incidence.starts, incidence.neighbours, strengths, by_term)
    return lambda spins, *rest: tempering_loops.temper_terms(spins, *lists, *rest)


def _pair_loop(systems: Sequence[PairSystem]) -> Callable[..., None]:
    table = systems[0].table
    strengths = np.stack([system.table.couplings for system in systems])
    one_size = not any(bit_coded_refusal(system) for system in systems)
    same_signs = all((coupling_signs(row) == coupling_signs(strengths[0])).all() for row in strengths)
    thresholds = np.zeros((0, 8, 8), dtype=np.uint64)
    if one_size and same_signs:
        thresholds = np.stack([pull_words(system) for system in systems])
    first, second = np.ascontiguousarray(systems[0].edges.T.astype(np.int32))
    couplings = np.stack([system.couplings for system in systems])
    fields = np.stack([system.fields for system in systems])
    signs = coupling_signs(strengths[0])
    tables = ((table.starts, table.neighbours), strengths, signs, thresholds, (first, second), couplings, fields)
    return lambda spins, *rest: tempering_loops.temper_pairs(spins, *tables, *rest)


def _travel(systems: list[PairSystem | TermSystem], plan: SamplingPlan) -> _Travel:
    count, sites, loop = len(systems), systems[0].sites, _loop(systems)
    spins = spin_starts(plan.chains * count, sites=sites, seed=plan.seed).reshape(plan.chains, count, sites)
    words = streams(plan.seed, count=plan.chains)
    states = np.empty((plan.chains, count, plan.records, sites), dtype=np.int8)
    accepted = np.zeros((plan.chains, count - 1), dtype=np.int64)
    trips = np.zeros((plan.chains, count), dtype=np.int64)

    def run(c: int) -> None:
        loop(spins[c], words[c], plan.discard, plan.every, states[c], accepted[c], trips[c])

    run_side_by_side(run, count=plan.chains)
    return _Travel(states, accepted, trips)


def _proposals(plan: SamplingPlan, *, parity: int) -> int:
    """Return how many of the counted sweeps proposed the exchanges of one parity."""
    first = plan.discard + (parity - plan.discard) % 2
    return max(1, len(range(first, plan.discard + plan.every * plan.records, 2)))


def _draw(states: np.ndarray, system: PairSystem | TermSystem) -> Draw:
    pairs = isinstance(system, PairSystem)
    observables = pair_observables(states, system=system) if pairs else term_observables(states, system=system)
    return Draw(states.reshape(*states.shape[:2], *system.shape), observables)


def _reason(
    samples: tuple[Samples, ...], temperatures: Sequence[float], *, rates: tuple[float, ...], trips: int, chains: int
) -> str:
    for temperature, found in zip(temperatures, samples, strict=True):
        if not found.reliable:
            return f"at temperature {temperature:g}: {found.reason}"
    if trips < chains:
        worst = int(np.argmin(rates))
        advice = "more sweeps" if rates[worst] >= _LEAST_SWAP_RATE else "a temperature between these two"
        return (
            f"the replicas made {trips} round trips in {chains} ladders, at least one each is needed; exchanges are rarest"
            f" between {temperatures[worst]:g} and {temperatures[worst + 1]:g} (rate {rates[worst]:.2g}): {advice} would help"
        )
    return ""


def _check(systems: list[PairSystem | TermSystem]) -> None:
    if len(systems) < 2:
        raise SettingError(f"{len(systems)} temperatures given; exchanging replicas needs at least 2")
    if any(not _same_graph(system, systems[0]) for system in systems):
        raise SettingError(
            "the models of the family have different edges or terms; let only couplings and fields change"
        )


def _same_graph(first: PairSystem | TermSystem, second: PairSystem | TermSystem) -> bool:
    if isinstance(first, PairSystem) and isinstance(second, PairSystem):
        return np.array_equal(first.edges, second.edges)
    if isinstance(first, TermSystem) and isinstance(second, TermSystem):
        same_length = len(first.groups) == len(second.groups)
        return same_length and all(map(np.array_equal, first.groups, second.groups))
    return False

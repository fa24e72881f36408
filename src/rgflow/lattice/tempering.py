"""Parallel tempering: replicas at several temperatures that exchange places, for models with many valleys.

Convention: `family(temperature)` is a model with the temperature inside; all share one graph. Rates are fractions of proposed
exchanges; a round trip leads one replica from the first temperature to the last and back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice import tempering_loops
from rgflow.lattice.chain_running import run_side_by_side, spin_starts
from rgflow.lattice.methods import Draw, SamplingPlan, planned
from rgflow.lattice.random_streams import streams
from rgflow.lattice.samples import Samples, judged
from rgflow.lattice.spin_methods import pair_observables
from rgflow.lattice.spin_models import Ising, SpinGlass, pair_system
from rgflow.lattice.spin_systems import PairSystem

__all__ = ["Tempered", "temper"]

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
    family: Callable[[float], Ising | SpinGlass],
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
    systems = [pair_system(family(float(temperature)), shape=plan.shape) for temperature in temperatures]
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


def _travel(systems: list[PairSystem], plan: SamplingPlan) -> _Travel:
    count, sites, table = len(systems), systems[0].sites, systems[0].table
    couplings = np.stack([system.table.couplings for system in systems])
    fields = np.stack([system.fields for system in systems])
    spins = spin_starts(plan.chains * count, sites=sites, seed=plan.seed).reshape(plan.chains, count, sites)
    words = streams(plan.seed, count=plan.chains)
    states = np.empty((plan.chains, count, plan.records, sites), dtype=np.int8)
    accepted = np.zeros((plan.chains, count - 1), dtype=np.int64)
    trips = np.zeros((plan.chains, count), dtype=np.int64)

    def run(c: int) -> None:
        tables = (table.starts, table.neighbours, couplings, fields)
        ends = (plan.discard, plan.every, states[c], accepted[c], trips[c])
        tempering_loops.temper_pairs(spins[c], *tables, words[c], *ends)

    run_side_by_side(run, count=plan.chains)
    return _Travel(states, accepted, trips)


def _proposals(plan: SamplingPlan, *, parity: int) -> int:
    """Return how many of the counted sweeps proposed the exchanges of one parity."""
    first = plan.discard + (parity - plan.discard) % 2
    return max(1, len(range(first, plan.discard + plan.every * plan.records, 2)))


def _draw(states: np.ndarray, system: PairSystem) -> Draw:
    return Draw(states.reshape(*states.shape[:2], *system.shape), pair_observables(states, system=system))


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


def _check(systems: list[PairSystem]) -> None:
    if len(systems) < 2:
        raise SettingError(f"{len(systems)} temperatures given; exchanging replicas needs at least 2")
    if any(not np.array_equal(system.edges, systems[0].edges) for system in systems):
        raise SettingError("the models of the family have different edges; let only couplings and fields change")

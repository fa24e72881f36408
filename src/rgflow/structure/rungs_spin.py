"""The rungs of spins, from fair coins to the look-up table of all states.

Names say what is assumed: "order 2, reach 1, translation+rotation+flip" is one coupling for all nearest neighbours and no
field. Costs are seconds of one fit, from timings on one core; they only decide what is left out.
"""

import math
from collections.abc import Callable
from functools import partial

from rgflow.lattice.geometry import Lattice
from rgflow.structure.ladder_models import RungModel
from rgflow.structure.ladder_spin_models import Coins, LookUpTable, Magnetisation, SpinTerms
from rgflow.structure.rungs import ALIKE, FLIP, PlannedRung, in_order
from rgflow.structure.rungs_lattice import LatticeFamily, lattice_families
from rgflow.structure.terms import Terms, all_terms, untied

__all__ = ["spin_rungs"]

TABLE_SITES = 16  # 65,536 states: more than samples fill
FAR_SITES = 64  # spins up to which a rung of pairs at any distance, the same everywhere, is affordable
LARGE = 128  # spins from which untied rungs that another one nearly repeats are left out to save time
MOST_TERMS = 60_000  # terms of one fit: all pairs of 256 spins are 32,896; far beyond it a fit takes minutes
LOOP_SECONDS, DENSE_SECONDS, NEWTON_SECONDS = 5e-8, 1e-8, 1e-9  # each incidence and sample, measured
DENSE, NEWTON = (
    64,
    2500,
)  # sites from which pairs are fitted by matrix products; parameters up to which Newton's method works


def spin_rungs(sites: int, *, lattice: Lattice | None, max_order: int) -> tuple[PlannedRung, ...]:
    """Return all rungs for so many spins, simplest first; without a lattice those that know of no distance."""
    found = [*_independent(sites), *_permutation(sites, max_order), *_all_sets(sites, max_order)]
    if lattice is not None:
        found += _on_lattice(lattice, max_order)
    return in_order([*found, _table(sites)])


def conditional_variance(score: float) -> float:
    """Return about the variance of a spin given the others, from its mean log-probability given them.

    Errors: the entropy in bits stands for 1 - m^2 of a spin of mean m; equal at both ends, up to 15 % above in between.
    """
    return min(max(-score / math.log(2.0), 0.0), 1.0)


def _independent(sites: int) -> list[PlannedRung]:
    fields = partial(_untied_model, sites, (1,))
    return [
        _rung("independent", "fair coins", (0, 0, 0), symmetries=ALIKE | {FLIP}, build=Coins, reach=0.0),
        _rung("independent, one field", "equal coins", (1, 1, sites), symmetries=ALIKE, build=_alike((1,)), reach=0.0),
        _rung("independent, fields", "a coin for each site", (1, sites, sites), build=fields, reach=0.0),
    ]


def _permutation(sites: int, max_order: int) -> list[PlannedRung]:
    found = []
    for order in range(2, min(max_order, sites) + 1):
        evens = tuple(range(2, order + 1, 2))
        for flip, orders in [(True, evens), (False, tuple(range(1, order + 1)))][order % 2 :]:
            found.append(
                _rung(
                    f"permutation, order {order}" + (", spin flip" if flip else ""),
                    "all sites alike: the energy is a function of the magnetisation"
                    + (", an even one" if flip else ""),
                    (order, len(orders), _incidences(sites, orders)),
                    symmetries=ALIKE | ({FLIP} if flip else set()),
                    build=_alike(orders),
                )
            )
    return found


def _all_sets(sites: int, max_order: int) -> list[PlannedRung]:
    found = []
    for order in range(2, min(max_order, sites) + 1):
        choices = [("", tuple(range(1, order + 1)))] + ([(", spin flip", (2,))] if order == 2 else [])
        for suffix, orders in choices:
            terms = sum(math.comb(sites, k) for k in orders)
            found.append(
                _rung(
                    f"{order}-local{suffix}",
                    f"every set of up to {order} sites has a coupling of its own" + (", no fields" if suffix else ""),
                    (order, terms, _incidences(sites, orders)),
                    symmetries=frozenset({FLIP} if suffix else ()),
                    build=partial(_untied_model, sites, orders),
                    seconds=partial(_fit_seconds, sites, terms, _incidences(sites, orders)),
                    reason=_too_many(terms) or (_twin(f"{order}-local", sites) if suffix else ""),
                )
            )
    return found


def _on_lattice(lattice: Lattice, max_order: int) -> list[PlannedRung]:
    met = {_fingerprint(all_terms(lattice.sites, 2))} if lattice.sites <= TABLE_SITES else set()
    found = []
    far = math.inf if lattice.sites <= FAR_SITES else None
    for family in lattice_families(lattice, max_order=max_order, signs=(True, False), far=far):
        terms = family.terms(lattice)
        if _fingerprint(terms) not in met:
            met.add(_fingerprint(terms))
            found.append(_lattice_rung(family, terms, lattice=lattice, max_order=max_order))
    return found


def _lattice_rung(family: LatticeFamily, terms: Terms, *, lattice: Lattice, max_order: int) -> PlannedRung:
    incidences = sum(group.size for group in terms.groups)
    twin = _twin(family.twin(max_order), lattice.sites) if family.reach > 1.0 else ""
    return _rung(
        family.name,
        family.meaning,
        (family.order, terms.parameters, incidences),
        symmetries=family.symmetries,
        build=partial(SpinTerms, terms),
        reach=family.reach,
        seconds=partial(_fit_seconds, lattice.sites, terms.parameters, incidences),
        reason=_too_many(len(terms)) or twin,
    )


def _too_many(terms: int) -> str:
    return "" if terms <= MOST_TERMS else f"{terms:,} couplings, more than {MOST_TERMS:,}"


def _twin(name: str, sites: int) -> str:
    """Return why a rung is left out where fits are long: another one contains it and has few terms more."""
    return f'{sites} variables: left to "{name}", which has few terms more' if name and sites >= LARGE else ""


def _table(sites: int) -> PlannedRung:
    numbers = 2**sites - 1
    return _rung(
        "look-up table",
        "a probability for every state",
        (sites, numbers, sites * 2 ** (sites - 1)),
        build=partial(LookUpTable, sites),
        reason="" if sites <= TABLE_SITES else f"2^{sites} - 1 numbers; a table takes at most {TABLE_SITES} spins",
    )


def _rung(
    name: str,
    meaning: str,
    counts: tuple[int, int, int],
    *,
    build: Callable[[], RungModel],
    symmetries: frozenset[str] = frozenset(),
    reach: float = math.inf,
    reason: str = "",
    seconds: Callable[[int], float] = lambda samples: 0.0,
) -> PlannedRung:
    order, parameters, incidences = counts
    return PlannedRung(
        name=name,
        meaning=meaning,
        parameters=parameters,
        order=order,
        reach=reach,
        symmetries=symmetries,
        build=build,
        incidences=incidences,
        degree=order,
        reason=reason,
        spread=conditional_variance,
        seconds=seconds,
    )


def _fingerprint(terms: Terms) -> tuple[int, tuple[tuple[int, ...], ...]]:
    """Return parameters and terms of each order: two rungs on one lattice that agree in them are one model."""
    return terms.parameters, tuple(group.shape for group in terms.groups)


def _fit_seconds(sites: int, parameters: int, incidences: int, samples: int) -> float:
    """Return a forecast of the time of one fit: the loops over terms, and the curvature where Newton's method takes it."""
    rows = min(samples, 2.0**sites)
    pairs = incidences in (sites * sites, sites * (sites - 1)) and sites >= DENSE
    loops = incidences * rows * (DENSE_SECONDS if pairs else LOOP_SECONDS)
    return loops + (incidences**2 / sites * rows * NEWTON_SECONDS if parameters <= NEWTON else 0.0)


def _incidences(sites: int, orders: tuple[int, ...]) -> int:
    return sum(order * math.comb(sites, order) for order in orders)


def _alike(orders: tuple[int, ...]) -> Callable[[], RungModel]:
    return partial(Magnetisation, orders)


def _untied_model(sites: int, orders: tuple[int, ...]) -> SpinTerms:
    everything = all_terms(sites, max(orders))
    return SpinTerms(untied([everything.groups[order - 1] for order in orders], sites=sites))

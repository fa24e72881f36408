"""The rungs of real variables: Gaussians and on-site polynomials, coupled by pairs that share what the rung assumes.

A rung has the terms x, x^2 (degree 2), or x .. x^4 (degree 4), at every site, and x_i x_j for its pairs; "sign flip" leaves out
the odd ones (values count from their mean). Up to the order asked for, all monomials of few variables are rungs as well.
"""

import math
from functools import partial

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.continuous_monomials import ContinuousTerms, monomials
from rgflow.structure.ladder_real_models import AllPairs, Polynomial, Spectrum, wave_classes
from rgflow.structure.rungs import ALIKE, FLIP, TRANSLATION, PlannedRung, in_order
from rgflow.structure.rungs_lattice import LatticeFamily, lattice_families
from rgflow.structure.terms import Terms, all_terms

__all__ = ["real_rungs", "with_powers"]

MOST_PARAMETERS = 4000  # the normal equations then fill 128 MB and take seconds
QUARTIC, CUBIC = 4, 3
FAR = 4.0  # spacings up to which couplings that are the same everywhere are followed; on a torus also any distance
SECONDS = 4e-9  # of one fit, for each sample and pair of parameters at a site, measured


def real_rungs(sites: int, *, lattice: Lattice | None, max_order: int) -> tuple[PlannedRung, ...]:
    """Return all rungs for so many real variables, simplest first."""
    found = _independent(sites, max_order)
    if max_order > 1 and sites > 1:
        found += [*_permutation(sites, max_order), *_all_pairs(sites, max_order), *_all_monomials(sites, max_order)]
        if lattice is not None:
            found += _on_lattice(lattice, max_order)
        if lattice is not None and lattice.periodic:
            found = [
                *found,
                *(rung for rung in [_spectrum(lattice)] if rung.name not in {other.name for other in found}),
            ]
    return in_order(found)


def with_powers(pairs: Terms, *, degree: int, even: bool, shared: bool) -> ContinuousTerms:
    """Return the pairs of `pairs` with their ties, and x .. x^degree at every site (even powers if `even`).

    `shared` gives one parameter to each power, else every site has its own.
    """
    powers = range(2, degree + 1, 2) if even else range(1, degree + 1)
    sites = np.arange(pairs.sites)
    members = [np.stack([sites, np.zeros_like(sites)], axis=1)] * len(powers)
    raised = [np.stack([np.full_like(sites, power), np.zeros_like(sites)], axis=1) for power in powers]
    own = [np.zeros_like(sites) + number if shared else sites + number * pairs.sites for number in range(len(powers))]
    first = len(powers) * (1 if shared else pairs.sites)
    if len(pairs):
        members.append(pairs.groups[0])
        raised.append(np.ones_like(pairs.groups[0]))
        own.append(first + pairs.tie)
    return ContinuousTerms(pairs.sites, np.concatenate(members), np.concatenate(raised), np.concatenate(own))


def _independent(sites: int, max_order: int) -> list[PlannedRung]:
    nothing = Terms(sites, (), np.zeros(0, dtype=np.int64))
    found = []
    for degree in (2, QUARTIC) if max_order >= QUARTIC else (2,):
        for shared, even in ((True, True), (True, False), (False, False)):
            if shared and not even and degree == 2:
                continue  # the mean over all sites is 0 as it stands
            names = ["independent", _law(degree), *(["alike"] if shared else []), *(["sign flip"] if even else [])]
            found.append(
                _polynomial_rung(
                    ", ".join(names),
                    "every variable by itself" + (", all with one law" if shared else ""),
                    with_powers(nothing, degree=degree, even=even, shared=shared),
                    order=1,
                    reach=0.0,
                    symmetries=(ALIKE if shared else frozenset()) | ({FLIP} if even else set()),
                )
            )
    return found


def _permutation(sites: int, max_order: int) -> list[PlannedRung]:
    pairs = _every_pair(sites)
    tied = Terms(sites, pairs.groups, np.zeros(len(pairs), dtype=np.int64))
    return [
        _polynomial_rung(
            f"permutation, {_law(degree)}",
            "all variables alike, every two of them coupled alike",
            with_powers(tied, degree=degree, even=True, shared=True),
            order=2,
            reach=math.inf,
            symmetries=ALIKE | {FLIP},
        )
        for degree in ((2, QUARTIC) if max_order >= QUARTIC else (2,))
    ]


def _all_pairs(sites: int, max_order: int) -> list[PlannedRung]:
    pairs = math.comb(sites, 2)
    found = [
        PlannedRung(
            name="2-local, Gaussian" + (", sign flip" if centred else ""),
            meaning="every two variables coupled by a number of their own" + (", means 0" if centred else ""),
            parameters=pairs + sites * (1 if centred else 2),
            order=2,
            reach=math.inf,
            symmetries=frozenset({FLIP} if centred else ()),
            build=partial(AllPairs, centred),
            incidences=2 * pairs + sites * (1 if centred else 2),
            degree=2,
            seconds=lambda samples: 1e-9 * samples * sites**2,  # one matrix product
        )
        for centred in (True, False)
    ]
    if max_order >= QUARTIC:
        parameters = pairs + QUARTIC * sites
        terms = _every_pair(sites) if parameters <= MOST_PARAMETERS else None
        found.append(_large_rung("2-local, on-site order 4", terms, sites=sites, parameters=parameters, order=2))
    return found


def _all_monomials(sites: int, max_order: int) -> list[PlannedRung]:
    found = []
    for order in range(CUBIC, max_order + 1):
        parameters = math.comb(sites + order, order) - 1
        fits = parameters <= MOST_PARAMETERS
        found.append(
            PlannedRung(
                name=f"{order}-local, all monomials",
                meaning=f"every monomial of up to degree {order}",
                parameters=parameters,
                order=order,
                reach=math.inf,
                symmetries=frozenset(),
                build=partial(_monomial_model, sites, order),
                incidences=order * parameters,
                degree=order,
                reason="" if fits else f"{parameters:,} parameters, more than {MOST_PARAMETERS:,}",
                seconds=partial(_fit_seconds, parameters, parameters * order, sites),
            )
        )
    return found


def _on_lattice(lattice: Lattice, max_order: int) -> list[PlannedRung]:
    found, met = [], set()
    for family in lattice_families(lattice, max_order=2, signs=(True,), far=FAR):
        pairs = family.terms(lattice)
        for degree in (2, QUARTIC) if max_order >= QUARTIC else (2,):
            for even in (True, False):
                shared = family.sharing != "none"
                if shared and not even and degree == 2:
                    continue  # the mean over all sites is 0 as it stands
                terms = with_powers(pairs, degree=degree, even=even, shared=shared)
                if (key := (terms.parameters, len(terms), degree, even)) not in met:
                    met.add(key)
                    found.append(_lattice_rung(family, terms, degree=degree, even=even))
    return found


def _spectrum(lattice: Lattice) -> PlannedRung:
    numbers = len(np.unique(wave_classes(lattice.shape)))
    return PlannedRung(
        name="Gaussian, reach any, translation+flip",
        meaning="a Gaussian with a coupling for each displacement, the same everywhere: any power spectrum",
        parameters=numbers,
        order=2,
        reach=math.inf,
        symmetries=frozenset({TRANSLATION, FLIP}),
        build=partial(Spectrum, lattice.shape),
        incidences=lattice.sites**2,
        degree=2,
        seconds=lambda samples: 1e-7 * samples * lattice.sites,  # one Fourier transform of each sample
    )


def _lattice_rung(family: LatticeFamily, terms: ContinuousTerms, *, degree: int, even: bool) -> PlannedRung:
    name = family.name.removesuffix("+flip").replace("order 2, ", "")
    return _polynomial_rung(
        f"{_law(degree)}, {name}" + ("+flip" if even else ""),
        family.meaning.replace(", none of an odd number of spins", "") + f"; on-site terms up to degree {degree}",
        terms,
        order=2,
        reach=family.reach,
        symmetries=(family.symmetries - {FLIP}) | ({FLIP} if even else set()),
    )


def _polynomial_rung(
    name: str, meaning: str, terms: ContinuousTerms, *, order: int, reach: float, symmetries: frozenset[str]
) -> PlannedRung:
    incidences = int((terms.powers > 0).sum())
    return PlannedRung(
        name=name,
        meaning=meaning,
        parameters=terms.parameters,
        order=order,
        reach=reach,
        symmetries=symmetries,
        build=partial(Polynomial, terms),
        incidences=incidences,
        degree=terms.order,
        reason="" if terms.parameters <= MOST_PARAMETERS else f"more than {MOST_PARAMETERS:,} parameters",
        seconds=partial(_fit_seconds, terms.parameters, incidences, terms.variables),
    )


def _large_rung(name: str, pairs: Terms | None, *, sites: int, parameters: int, order: int) -> PlannedRung:
    meaning = "every two variables coupled by a number of their own, on-site terms up to degree 4"
    if pairs is not None:
        terms = with_powers(pairs, degree=QUARTIC, even=False, shared=False)
        return _polynomial_rung(name, meaning, terms, order=order, reach=math.inf, symmetries=frozenset())
    return PlannedRung(
        name,
        meaning,
        parameters,
        order,
        math.inf,
        frozenset(),
        partial(AllPairs, False),
        degree=QUARTIC,
        reason=f"{parameters:,} parameters, more than {MOST_PARAMETERS:,}",
    )


def _monomial_model(sites: int, order: int) -> Polynomial:
    return Polynomial(monomials(sites, order=order))


def _every_pair(sites: int) -> Terms:
    pairs = all_terms(sites, 2).groups[1]
    return Terms(sites, (pairs,), np.arange(len(pairs)))


def _law(degree: int) -> str:
    return "Gaussian" if degree == 2 else f"on-site order {degree}"


def _fit_seconds(parameters: int, incidences: int, sites: int, samples: int) -> float:
    """Return a forecast of the time of one fit: the products of all features that share a site, and making them."""
    here = min(float(parameters), incidences / sites)
    return SECONDS * samples * (sites * here**2 + 10.0 * incidences)  # ten passes to make the features

"""The rungs of categories: fields and pair couplings, from fair dice to a free table for every pair.

"Potts" couples equal categories alone, J delta(s_i, s_j): without fields that is the symmetry under permutations of categories.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from rgflow.lattice.geometry import Lattice
from rgflow.structure.categorical_terms import CategoricalTerms, categorical_terms_of
from rgflow.structure.continuous_supports import symmetry_generators
from rgflow.structure.ladder_category_models import CategoryTerms
from rgflow.structure.ladder_spin_models import Coins
from rgflow.structure.rungs import ALIKE, COLOURS, ROTATION, TRANSLATION, PlannedRung, in_order, reach_text
from rgflow.structure.rungs_lattice import reaches

__all__ = ["category_rungs"]

MOST_WEIGHTS = 40_000  # of all pair tables together; beyond it a fit takes minutes
SECONDS = 4e-7  # of one fit, for each sample and weight, measured
Coupling = Literal["Potts, no fields", "Potts", "free tables"]
COUPLINGS: tuple[Coupling, ...] = ("Potts, no fields", "Potts", "free tables")
DEGREE = {"Potts, no fields": 2, "Potts": 2, "free tables": 3}  # free tables contain Potts: counted as one degree more
Support = Literal["permutation", "rotation", "translation", "local", "all"]
SYMMETRIES: dict[Support, frozenset[str]] = {
    "permutation": ALIKE,
    "rotation": frozenset({TRANSLATION, ROTATION}),
    "translation": frozenset({TRANSLATION}),
    "local": frozenset(),
    "all": frozenset(),
}


def category_rungs(sites: int, *, levels: int, lattice: Lattice | None, max_order: int) -> tuple[PlannedRung, ...]:
    """Return all rungs for so many sites of `levels` categories each, simplest first."""
    found = _independent(sites, levels)
    if max_order > 1 and sites > 1:
        for support in ("permutation", "all"):
            found += _coupled(sites, levels, support, lattice=None, reach=math.inf)
        if lattice is not None:
            for reach in reaches(lattice, longest=math.sqrt(2.0) if lattice.dimension > 1 else 2.0):
                for support in ("rotation", "translation", "local"):
                    found += _coupled(sites, levels, support, lattice=lattice, reach=reach)
    spread = partial(_remaining_entropy, levels)
    return in_order([replace(rung, spread=spread) for rung in _distinct(found)])


def _independent(sites: int, levels: int) -> list[PlannedRung]:
    none = np.zeros((0, 2), dtype=np.int64)
    shuffles = symmetry_generators(sites, support="permutation", lattice=None)
    alike = partial(_terms, (levels,) * sites, none, shuffles, "Potts", None)
    own = partial(_terms, (levels,) * sites, none, shuffles[:0], "Potts", None)
    dice = partial(Coins, levels)
    free = levels - 1
    return [
        _rung("independent", "fair dice", (0, 0, 0), dice, ALIKE | {COLOURS}, order=0, reach=0.0),
        _rung("independent, one law", "equal dice", (free, free * sites, 1), alike, ALIKE, order=1, reach=0.0),
        _rung(
            "independent, fields",
            "a die for each site",
            (free * sites, free * sites, 1),
            own,
            frozenset(),
            order=1,
            reach=0.0,
        ),
    ]


def _coupled(sites: int, levels: int, support: Support, *, lattice: Lattice | None, reach: float) -> list[PlannedRung]:
    pairs = np.stack(np.triu_indices(sites, 1), axis=1) if lattice is None else lattice.pairs_within(reach)
    named = "" if lattice is None else f", reach {reach_text(reach)}"
    chain = lattice is not None and lattice.dimension == 1
    called = {"rotation": f"translation+{'reflection' if chain else 'rotation'}", "all": "2-local"}.get(
        support, support
    )
    shuffles = np.zeros((0, sites), dtype=np.int64)
    if support in ("permutation", "rotation", "translation"):
        shuffles = symmetry_generators(sites, support=support, lattice=lattice)
    moved = lattice if lattice is not None and support in ("rotation", "translation") and not lattice.periodic else None
    weights = len(pairs) * (levels - 1) ** 2 + sites * (levels - 1)
    found = []
    for coupling in COUPLINGS:
        build = partial(_terms, (levels,) * sites, pairs, shuffles, coupling, moved)
        fits = weights <= MOST_WEIGHTS
        untied = {"Potts, no fields": len(pairs), "Potts": len(pairs) + sites * (levels - 1), "free tables": weights}
        parameters = build().terms.parameters if fits else untied[coupling]
        weight = len(pairs) if coupling != "free tables" else len(pairs) * (levels - 1) ** 2
        fields = 0 if coupling == "Potts, no fields" else sites * (levels - 1)
        found.append(
            _rung(
                f"{called}{named}, {coupling}",
                f"{support} couplings of pairs{named}: {coupling}",
                (parameters, 2 * weight + fields, weights),
                build,
                SYMMETRIES[support] | ({COLOURS} if coupling == "Potts, no fields" else set()),
                order=2,
                reach=reach,
                degree=DEGREE[coupling],
                reason="" if fits else f"{weights:,} weights of fields and pair tables, more than {MOST_WEIGHTS:,}",
            )
        )
    return found


def _terms(
    levels: tuple[int, ...], pairs: np.ndarray, shuffles: np.ndarray, coupling: Coupling, moved: Lattice | None
) -> CategoryTerms:
    terms: CategoricalTerms = categorical_terms_of(
        levels,
        pairs=pairs,
        permutations=shuffles,
        moved_along=moved,
        potts=coupling != "free tables",
        fields=coupling != "Potts, no fields",
    )
    return CategoryTerms(terms)


def _rung(
    name: str,
    meaning: str,
    counts: tuple[int, int, int],
    build: partial,
    symmetries: frozenset[str],
    *,
    order: int,
    reach: float,
    degree: int = 0,
    reason: str = "",
) -> PlannedRung:
    parameters, incidences, weights = counts
    return PlannedRung(
        name=name,
        meaning=meaning,
        parameters=parameters,
        order=order,
        reach=reach,
        symmetries=symmetries,
        build=build,
        incidences=incidences,
        degree=degree,
        reason=reason,
        seconds=lambda samples: SECONDS * samples * weights,
    )


def _distinct(rungs: list[PlannedRung]) -> list[PlannedRung]:
    """Return the rungs without those that repeat the parameters and terms of an earlier one of the same kind."""
    met: dict[tuple[int, int, int, bool], PlannedRung] = {}
    for rung in rungs:
        met.setdefault((rung.parameters, rung.incidences, rung.degree, COLOURS in rung.symmetries), rung)
    return list(met.values())


def _remaining_entropy(levels: int, score: float) -> float:
    """Return the entropy of a category given the others over ln(levels): about its variance over that of a fair die."""
    return min(max(-score / math.log(levels), 0.0), 1.0)

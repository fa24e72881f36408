"""Which variables a model couples, and which symmetries share its parameters, by the name of the support.

"independent" couples nothing, "all" every pair; "local" the pairs of a lattice within reach; "translation" ties local
terms that are translates, "reflection" also those that mirrors exchange, "rotation" those that quarter turns and mirrors
exchange; "permutation" ties all.
"""

from typing import Literal, get_args

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice import Lattice

__all__ = ["TIED_ON_A_LATTICE", "Support", "coupled_pairs", "symmetry_generators"]

Support = Literal["independent", "all", "local", "translation", "reflection", "rotation", "permutation"]
TIED_ON_A_LATTICE = ("translation", "reflection", "rotation")


def coupled_pairs(sites: int, *, support: Support, lattice: Lattice | None, reach: float | None) -> np.ndarray:
    """Return the coupled pairs (pairs, 2), i < j; `reach` None is 1, the nearest neighbours.

    Raises: SettingError for an unknown support, or a lattice that is needed and missing or of another size.
    """
    if support not in get_args(Support):
        raise SettingError(f"support is {support!r}; it must be one of {', '.join(get_args(Support))}")
    if support == "independent":
        return np.zeros((0, 2), dtype=np.int64)
    every = np.stack(np.triu_indices(sites, 1), axis=1)
    if support in ("all", "permutation"):
        return every
    lattice = _checked(lattice, sites=sites, support=support)
    return lattice.pairs_within(1.0 if reach is None else reach)


def symmetry_generators(sites: int, *, support: Support, lattice: Lattice | None) -> np.ndarray:
    """Return permutations (k, sites) that generate the symmetries of `support`.

    An open lattice has no translations as permutations; its terms are tied by shape instead.
    """
    if support == "permutation" and sites > 1:
        swap = np.arange(sites)
        swap[:2] = 1, 0
        return np.stack([swap, np.roll(np.arange(sites), -1)])
    if support not in TIED_ON_A_LATTICE:
        return np.zeros((0, sites), dtype=np.int64)
    lattice = _checked(lattice, sites=sites, support=support)
    found = [lattice.translations]
    if support in ("reflection", "rotation"):
        found.append(lattice.reflections)
    if support == "rotation":
        found.append(lattice.quarter_turns)
    return np.concatenate(found)


def _checked(lattice: Lattice | None, *, sites: int, support: str) -> Lattice:
    if lattice is None or lattice.sites != sites:
        found = "none" if lattice is None else f"{lattice.shape}"
        raise SettingError(f"support={support!r} needs a lattice with {sites} sites; the lattice given is {found}")
    return lattice

"""Which sets of spins a model couples and which symmetries share its parameters, by the name of the support.

"independent": fields alone. "all": every set up to the order. "local": sets whose sites all lie within `reach` of one another.
"translation" ties local sets that are translates, "rotation" also those that quarter turns and mirrors exchange, "reflection"
those that mirrors exchange. "permutation" ties all sets of one order (Curie-Weiss). `even` keeps even orders: spin flip.
"""

from typing import Literal, get_args

import numpy as np

from rgflow.errors import SettingError
from rgflow.lattice import Lattice
from rgflow.structure.terms import Terms, all_terms, tied_by, untied

__all__ = ["SpinSupport", "local_terms", "parameter_names", "support_terms"]

SpinSupport = Literal["independent", "all", "local", "translation", "reflection", "rotation", "permutation"]
_TIED = ("translation", "reflection", "rotation")
_NAMED = 5000  # parameters that still get a name each


def support_terms(
    support: SpinSupport,
    *,
    sites: int,
    order: int = 2,
    lattice: Lattice | None = None,
    reach: float | None = None,
    even: bool = False,
    permutations: np.ndarray | None = None,
) -> Terms:
    """Return the terms of a support. `reach` (None: 1) is for supports on a lattice; `permutations` (k, sites) tie more.

    Raises: SettingError for an unknown support, a lattice that is missing or of another size, or an order without terms.

    Example:
    >>> support_terms("translation", sites=12, lattice=Lattice((3, 4))).parameters  # a field, bonds along two axes
    3
    """
    if support not in get_args(SpinSupport):
        raise SettingError(f"support is {support!r}; it must be one of {', '.join(get_args(SpinSupport))}")
    if not 1 <= order <= sites:
        raise SettingError(f"order is {order}; with {sites} sites it must be from 1 to {sites}")
    if support == "independent":
        terms = all_terms(sites, 1)
    elif support in ("all", "permutation"):
        terms = all_terms(sites, order)
    else:
        lattice = _checked(lattice, sites=sites, support=support)
        terms = local_terms(lattice, order=order, reach=1.0 if reach is None else float(reach))
    terms = _without_odd(terms) if even else terms
    if support == "permutation":
        orders = np.concatenate([np.full(len(group), k) for k, group in enumerate(terms.groups)])
        terms = Terms(sites, terms.groups, orders)
    if support in _TIED and lattice is not None:
        terms = _along_lattice(terms, lattice, support=support)
    return terms if permutations is None else tied_by(terms, np.asarray(permutations))


def local_terms(lattice: Lattice, *, order: int, reach: float) -> Terms:
    """Return all sets of 1 to `order` sites whose pairwise distances are at most `reach`, a parameter each.

    Raises: SettingError where no set of some order is that narrow.
    """
    groups = [np.arange(lattice.sites)[:, None]]
    pairs = lattice.pairs_within(reach) if order > 1 else np.zeros((0, 2), dtype=np.int64)
    ahead = [set(part.tolist()) for part in _split(pairs, sites=lattice.sites)]
    for k in range(2, order + 1):
        rows = [
            (*members, last)
            for members in groups[-1].tolist()
            for last in sorted(set.intersection(*(ahead[site] for site in members)))
        ]
        if not rows:
            raise SettingError(
                f"no {k} sites lie within reach {reach:g} of one another on the lattice {lattice.shape}; enlarge reach or"
                f" take order {k - 1}"
            )
        groups.append(np.array(rows, dtype=np.int64))
    return untied(groups, sites=lattice.sites)


def parameter_names(terms: Terms, variables: tuple[str, ...]) -> tuple[str, ...]:
    """Return a name for every parameter: its first term, and how many more share it; () for more than 5,000."""
    if terms.parameters > _NAMED:
        return ()
    if terms.names:
        return terms.names
    members = [row for group in terms.groups for row in group]
    first = np.unique(terms.tie, return_index=True)[1]
    others = np.bincount(terms.tie) - 1
    names = ["*".join(variables[site] for site in members[term]) for term in first]
    return tuple(f"{name} (+{more})" if more else name for name, more in zip(names, others.tolist(), strict=True))


def _split(pairs: np.ndarray, *, sites: int) -> list[np.ndarray]:
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return np.split(pairs[order, 1], np.cumsum(np.bincount(pairs[:, 0], minlength=sites))[:-1])


def _without_odd(terms: Terms) -> Terms:
    groups = [group for group in terms.groups if group.shape[1] % 2 == 0]
    if not groups:
        raise SettingError(f"even=True leaves no term of order {terms.order} or less; take order 2 or more")
    return untied(groups, sites=terms.sites)


def _along_lattice(terms: Terms, lattice: Lattice, *, support: str) -> Terms:
    generators = [lattice.translations]
    if support in ("reflection", "rotation"):
        generators.append(lattice.reflections)
    if support == "rotation":
        generators.append(lattice.quarter_turns)
    if not lattice.periodic:  # translations of an open lattice are no permutations: equal shapes are tied instead
        terms = Terms(terms.sites, terms.groups, _shapes(terms, lattice))
    permutations = np.concatenate(generators)
    return tied_by(terms, permutations) if len(permutations) else terms


def _shapes(terms: Terms, lattice: Lattice) -> np.ndarray:
    """Return the number of the shape (positions up to a shift) of every term, numbered by first appearance."""
    found: dict[tuple, int] = {}
    tie = []
    for group in terms.groups:
        placed = lattice.positions[group]
        placed = placed - placed[:, :1]  # sites rise row by row, so that translates keep their order
        tie += [found.setdefault(tuple(row.ravel().tolist()), len(found)) for row in placed]
    return np.array(tie)


def _checked(lattice: Lattice | None, *, sites: int, support: str) -> Lattice:
    if lattice is None or lattice.sites != sites:
        found = "none" if lattice is None else f"{lattice.shape}"
        raise SettingError(f"support={support!r} needs a lattice with {sites} sites; the lattice given is {found}")
    return lattice

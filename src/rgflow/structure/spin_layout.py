"""Terms laid out flat for the compiled loops, by term and by site.

Convention: the members of term t are `members[starts[t] : starts[t + 1]]`; terms keep the order of `Terms.groups`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rgflow.structure.terms import Terms

__all__ = ["TermLayout"]


@dataclass(frozen=True, eq=False)
class TermLayout:
    """The members of all terms one after the other, and for each site the terms that contain it.

    Shapes: `starts` (terms + 1,), `members` (sum of orders,); `site_starts` (sites + 1,) into `site_terms`, int64.
    """

    terms: Terms

    @cached_property
    def orders(self) -> np.ndarray:
        """Number of sites of every term (terms,)."""
        return np.concatenate([np.zeros(0, np.int64), *(np.full(len(g), g.shape[1]) for g in self.terms.groups)])

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the members of each term begin (terms + 1,)."""
        return np.concatenate([[0], np.cumsum(self.orders)])

    @cached_property
    def members(self) -> np.ndarray:
        """Sites of all terms, flat."""
        return np.concatenate([np.zeros(0, np.int64), *(group.ravel() for group in self.terms.groups)])

    @cached_property
    def _by_site(self) -> np.ndarray:
        return np.argsort(self.members, kind="stable")

    @cached_property
    def site_terms(self) -> np.ndarray:
        """The terms that contain site 0, then those that contain site 1, and so on."""
        return np.repeat(np.arange(len(self.terms)), self.orders)[self._by_site]

    @cached_property
    def site_starts(self) -> np.ndarray:
        """Where the terms of each site begin in `site_terms` (sites + 1,)."""
        counts = np.bincount(self.members, minlength=self.terms.sites)
        return np.concatenate([[0], np.cumsum(counts)])

    def terms_at(self, site: int) -> np.ndarray:
        """Return the terms that contain `site`."""
        return self.site_terms[self.site_starts[site] : self.site_starts[site + 1]]

    @cached_property
    def site_parameters(self) -> list[np.ndarray]:
        """For each site the parameters that act on it, rising."""
        return [np.unique(self.terms.tie[self.terms_at(site)]) for site in range(self.terms.sites)]

    @cached_property
    def curvature_work(self) -> int:
        """Sum over sites of the square of the number of parameters that act there."""
        return sum(len(found) ** 2 for found in self.site_parameters)

    @cached_property
    def multiplicity(self) -> np.ndarray:
        """The largest number of terms of each parameter that meet at one site (parameters,)."""
        sites = np.repeat(np.arange(self.terms.sites), np.diff(self.site_starts))
        keys, counts = np.unique(self.terms.tie[self.site_terms] * self.terms.sites + sites, return_counts=True)
        most = np.zeros(self.terms.parameters, dtype=np.int64)
        np.maximum.at(most, keys // self.terms.sites, counts)
        return most

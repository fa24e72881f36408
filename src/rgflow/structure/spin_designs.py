"""The linear map from parameters to margins, its adjoint and its curvature, in three forms that compute the same.

`TableDesign`: few distinct feature vectors with their counts (strongly tied terms). `TermDesign`: compiled loops over terms of
any order and tie. `PairDesign`: all pairs without ties, by dense matrix products in float32.
Convention: margins have the shape (columns, rows); `weights` (rows,) sum to 1 over samples, so that objectives are means.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from rgflow.structure.spin_layout import TermLayout
from rgflow.structure.spin_loops import margins_of, neighbourhood_counts, pulled_back, site_features
from rgflow.structure.spin_samples import SpinSample
from rgflow.structure.terms import Terms, all_terms

__all__ = ["Design", "PairDesign", "SpinDesign", "TableDesign", "TermDesign", "is_all_pairs", "table_design"]

_MOST_KEYS = 4096  # distinct feature vectors of a table
_MOST_COUNTS = 2**28  # entries of the table samples x keys: 1 GiB in int32


class Design(Protocol):
    """What a fit needs to know of samples and terms."""

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        ...

    @property
    def weights(self) -> np.ndarray:
        """Weight of every row of margins (rows,)."""
        ...

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Return s_i h_i, (columns, rows)."""
        ...

    def pulled(self, slopes: np.ndarray) -> np.ndarray:
        """Return the adjoint: sum over columns and rows of slopes times features, (parameters,)."""
        ...

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Return sum of weights times outer products of features, (parameters, parameters)."""
        ...


@dataclass(frozen=True, eq=False)
class TableDesign:
    """Distinct feature vectors `features` (rows, parameters) and how often each occurs in each sample, (samples, rows)."""

    features: np.ndarray
    counts: np.ndarray

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.features.shape[1]

    @property
    def weights(self) -> np.ndarray:
        """Mean count of every feature vector in one sample."""
        return self._weights

    @cached_property
    def _weights(self) -> np.ndarray:
        return self.counts.sum(0, dtype=np.float64) / len(self.counts)

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Return the margin of every feature vector, (1, rows)."""
        return (self.features @ theta)[None, :]

    def pulled(self, slopes: np.ndarray) -> np.ndarray:
        """Return the adjoint (parameters,)."""
        return slopes[0] @ self.features

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Return the curvature (parameters, parameters)."""
        return (self.features.T * weights[0]) @ self.features


@dataclass(frozen=True, eq=False)
class TermDesign:
    """Terms of any order and tie over a sample, by compiled loops; columns are sites, rows configurations."""

    sample: SpinSample
    layout: TermLayout

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return self.layout.terms.parameters

    @property
    def weights(self) -> np.ndarray:
        """Weight of every configuration."""
        return self.sample.weights

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Return s_i h_i (sites, rows)."""
        layout, margins = self.layout, np.empty(self.sample.spins.shape)
        values = np.ascontiguousarray(theta, dtype=np.float64)[layout.terms.tie]
        margins_of(self.sample.spins, layout.starts, layout.members, values, margins)
        return margins

    def pulled(self, slopes: np.ndarray) -> np.ndarray:
        """Return the adjoint (parameters,)."""
        layout = self.layout
        found = pulled_back(self.sample.spins, layout.starts, layout.members, np.ascontiguousarray(slopes))
        return np.bincount(layout.terms.tie, weights=found, minlength=self.parameters)

    def parameters_at(self, site: int) -> np.ndarray:
        """Return the parameters that act on one site, rising."""
        return self.layout.site_parameters[site]

    def features_at(self, site: int) -> np.ndarray:
        """Return the features of the margin of one site, (parameters that act there, rows)."""
        layout = self.layout
        terms, here = layout.terms_at(site), layout.site_parameters[site]
        features = np.zeros((len(here), self.sample.spins.shape[1]))
        places = np.searchsorted(here, layout.terms.tie[terms])
        site_features(self.sample.spins, layout.starts, layout.members, terms, places, features)
        return features

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Return the curvature (parameters, parameters), site by site."""
        total = np.zeros((self.parameters, self.parameters))
        for site, here in enumerate(self.layout.site_parameters):
            features = self.features_at(site)
            total[np.ix_(here, here)] += (features * weights[site]) @ features.T
        return total


@dataclass(frozen=True, eq=False)
class PairDesign:
    """All fields and all pairs, a parameter each in the order of `all_terms(sites, 2)`, by matrix products in float32.

    Errors: margins and gradients carry rounding of about 1e-6 of their size.
    """

    sample: SpinSample

    @property
    def parameters(self) -> int:
        """Number of parameters, N + N (N - 1) / 2."""
        return self.sample.sites * (self.sample.sites + 1) // 2

    @property
    def weights(self) -> np.ndarray:
        """Weight of every configuration."""
        return self.sample.weights

    @cached_property
    def layout(self) -> TermLayout:
        """The terms, for what matrix products cannot do."""
        return TermLayout(all_terms(self.sample.sites, 2))

    @cached_property
    def _spins(self) -> np.ndarray:
        return self.sample.spins.astype(np.float32)

    @cached_property
    def _upper(self) -> tuple[np.ndarray, np.ndarray]:
        return np.triu_indices(self.sample.sites, 1)

    def matrix(self, theta: np.ndarray) -> np.ndarray:
        """Return the symmetric matrix of pair couplings (sites, sites), float32, zero on the diagonal."""
        sites = self.sample.sites
        couplings = np.zeros((sites, sites), dtype=np.float32)
        couplings[self._upper] = theta[sites:]
        return couplings + couplings.T

    def margins(self, theta: np.ndarray) -> np.ndarray:
        """Return s_i h_i (sites, rows), float32."""
        fields = self.matrix(theta) @ self._spins
        fields += theta[: self.sample.sites, None].astype(np.float32)
        fields *= self._spins
        return fields

    def pulled(self, slopes: np.ndarray) -> np.ndarray:
        """Return the adjoint (parameters,)."""
        signed = slopes.astype(np.float32) * self._spins
        products = signed @ self._spins.T
        fields = signed.sum(1, dtype=np.float64)
        return np.concatenate([fields, (products + products.T)[self._upper].astype(np.float64)])

    def parameters_at(self, site: int) -> np.ndarray:
        """Return the parameters that act on one site: pair by pair, its field in its own place."""
        sites, other = self.sample.sites, np.arange(self.sample.sites)
        low, high = np.minimum(site, other), np.maximum(site, other)
        pairs = sites + low * (2 * sites - low - 1) // 2 + high - low - 1
        return np.where(other == site, site, pairs)

    def features_at(self, site: int) -> np.ndarray:
        """Return the features of the margin of one site, (sites, rows) float32, in the order of `parameters_at`."""
        features = self._spins * self._spins[site]
        features[site] = self._spins[site]
        return features

    def curvature(self, weights: np.ndarray) -> np.ndarray:
        """Return the curvature (parameters, parameters), site by site; for few sites."""
        total = np.zeros((self.parameters, self.parameters))
        for site in range(self.sample.sites):
            here, features = self.parameters_at(site), self.features_at(site).astype(np.float64)
            total[np.ix_(here, here)] += (features * weights[site]) @ features.T
        return total


SpinDesign = TableDesign | TermDesign | PairDesign


def is_all_pairs(terms: Terms) -> bool:
    """Whether the terms are those of `all_terms(sites, 2)`, untied and in that order."""
    sites = terms.sites
    return (
        terms.order == 2
        and len(terms) == sites * (sites + 1) // 2
        and len(terms.groups[0]) == sites
        and np.array_equal(terms.tie, np.arange(len(terms)))
        and np.array_equal(terms.groups[0][:, 0], np.arange(sites))
        and np.array_equal(terms.groups[1], np.stack(np.triu_indices(sites, 1), axis=1))
    )


def table_design(spins: np.ndarray, layout: TermLayout) -> TableDesign | None:
    """Return the counts of the distinct feature vectors of `spins` (samples, sites), or None where they are too many."""
    reach = layout.multiplicity
    sizes = 2 * reach + 1
    if not len(sizes) or np.log2(sizes).sum() > np.log2(_MOST_KEYS):
        return None
    keys = int(sizes.prod())
    if keys * len(spins) > _MOST_COUNTS:
        return None
    strides = np.concatenate([[1], np.cumprod(sizes[:-1])])
    entries = layout.site_terms
    sites = np.repeat(np.arange(layout.terms.sites), np.diff(layout.site_starts))
    others, entry_starts = _others(layout, entries, sites)
    counts = np.zeros((len(spins), keys), dtype=np.int32)
    moved = strides[layout.terms.tie[entries]]
    offset = int(strides @ reach)
    neighbourhood_counts(spins, layout.site_starts, entry_starts, others, moved, offset, counts)
    seen = np.flatnonzero(counts.any(0))
    features = seen[:, None] // strides % sizes - reach
    return TableDesign(features.astype(np.float64), np.ascontiguousarray(counts[:, seen]))


def _others(layout: TermLayout, entries: np.ndarray, sites: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the members of every entry's term but the site itself, flat, and where each entry's begin."""
    orders = layout.orders[entries]
    starts = np.concatenate([[0], np.cumsum(orders)])
    within = np.arange(starts[-1]) - np.repeat(starts[:-1], orders)
    members = layout.members[np.repeat(layout.starts[:-1][entries], orders) + within]
    return members[members != np.repeat(sites, orders)], np.concatenate([[0], np.cumsum(orders - 1)])

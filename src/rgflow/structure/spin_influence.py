"""Influence of every sample on fitted parameters: psi_m = -H^-1 u_m, whose scatter is that of the parameters.

u_m is the gradient of the loss of sample m, H the mean Hessian with penalty. A residual that pulls the fit towards itself
comes out too small; dividing it by 1 - leverage gives what leaving the sample out would show (the jackknife, HC3).
Source: Godambe 1960, Ann. Math. Statist. 31, 1208 (sandwich); MacKinnon and White 1985, J. Econometrics 29, 305 (HC3).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from rgflow.structure.spin_designs import PairDesign, SpinDesign, TableDesign, TermDesign
from rgflow.structure.spin_loops import row_scores
from rgflow.structure.spin_losses import SiteLoss
from rgflow.structure.spin_samples import SpinSample

__all__ = ["InfluenceSeries", "SiteInfluence", "influence_series", "site_influence"]

_MOST_LEVERAGE = 0.9  # a configuration that fixes its own fit has no residual to speak of


@dataclass(frozen=True, eq=False)
class InfluenceSeries:
    """psi (parameters, rows) in float32; column `inverse[m]` belongs to sample m (None: column m).

    `shrinkage` (parameters,) is regularisation H^-1 theta, what the penalty takes off to first order.
    """

    rows: np.ndarray
    inverse: np.ndarray | None
    shrinkage: np.ndarray

    def in_order(self) -> np.ndarray:
        """Return the series in the order of the samples, (parameters, samples)."""
        return self.rows if self.inverse is None else self.rows[:, self.inverse]


@dataclass(frozen=True, eq=False)
class SiteInfluence:
    """Influence (parameters here, samples) of the samples on the fit of one site alone, and H_i^-1's diagonal."""

    series: np.ndarray
    precision: np.ndarray


def influence_series(
    design: SpinDesign, loss: SiteLoss, theta: np.ndarray, *, regularisation: float
) -> InfluenceSeries:
    """Return the influence of every sample on the joint fit; it needs the Hessian of all parameters."""
    margins = design.margins(theta)
    slopes, curvature = loss.slope(margins).astype(np.float64), loss.curvature(margins).astype(np.float64)
    hessian = design.curvature(curvature * design.weights)
    hessian[np.diag_indices_from(hessian)] += max(regularisation, 1e-12 * float(np.trace(hessian)))  # rounding
    factor = cho_factor(hessian, check_finite=False)
    if isinstance(design, TableDesign):
        scores, inverse = design.features.T * slopes @ design.counts.T.astype(np.float64), None
        scores -= scores.mean(1, keepdims=True)
    else:
        whole = cho_solve(factor, np.eye(len(theta)), check_finite=False)
        slopes /= 1.0 - _leverages(design, curvature, whole=whole, regularisation=regularisation)
        scores, inverse = _scores(design, slopes), design.sample.inverse
        scores -= (scores @ design.weights)[:, None]
    rows = -cho_solve(factor, scores, overwrite_b=True, check_finite=False).astype(np.float32)
    return InfluenceSeries(rows, inverse, regularisation * cho_solve(factor, theta, check_finite=False))


def site_influence(
    features: np.ndarray, slopes: np.ndarray, curvature: np.ndarray, *, sample: SpinSample, regularisation: float
) -> SiteInfluence:
    """Return the influence on one site's own fit, from its features (parameters here, rows) and loss derivatives (rows,)."""
    inverse = _site_inverse(features, curvature * sample.weights.astype(features.dtype), regularisation=regularisation)
    solved = inverse.astype(features.dtype) @ features
    leverage = np.einsum("pm,pm->m", features, solved) * curvature / sample.samples
    solved *= -slopes / (1.0 - np.minimum(leverage, _MOST_LEVERAGE))
    solved -= (solved @ sample.weights.astype(features.dtype))[:, None]
    series = solved if sample.inverse is None else solved[:, sample.inverse]
    return SiteInfluence(series, 1.0 / np.diag(inverse))


def _scores(design: TermDesign | PairDesign, slopes: np.ndarray) -> np.ndarray:
    layout = design.layout
    scores = np.zeros((design.parameters, slopes.shape[1]))
    row_scores(design.sample.spins, layout.starts, layout.members, layout.terms.tie, slopes, scores)
    return scores


def _leverages(
    design: TermDesign | PairDesign, curvature: np.ndarray, *, whole: np.ndarray, regularisation: float
) -> np.ndarray:
    """Return the leverage of every site and row (sites, rows): in the site's own fit, or in the joint one where tied."""
    leverages = np.empty_like(curvature)
    tied = len(design.layout.terms) > design.parameters
    for site in range(len(curvature)):
        features, here = design.features_at(site).astype(np.float64), design.parameters_at(site)
        if tied:
            inverse = whole[np.ix_(here, here)]
        else:
            inverse = _site_inverse(features, curvature[site] * design.weights, regularisation=regularisation)
        own = np.einsum("pm,pm->m", features, inverse @ features)
        leverages[site] = own * curvature[site] / design.sample.samples
    return np.minimum(leverages, _MOST_LEVERAGE)


def _site_inverse(features: np.ndarray, weights: np.ndarray, *, regularisation: float) -> np.ndarray:
    hessian = ((features * weights) @ features.T).astype(np.float64)
    ridge = max(regularisation / 2.0, 1e-7 * float(np.trace(hessian)) / max(len(hessian), 1), 1e-300)
    hessian[np.diag_indices_from(hessian)] += ridge  # half of the penalty: a pair belongs to two sites
    return np.linalg.inv(hessian)

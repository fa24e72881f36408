"""Errors of all conditional regressions at once, from the Hessian of every site.

Convention: entry [j, i] belongs to the regression of site i on site j. `noise` is the expected squared norm of the block of
couplings if there were none (zero-sum gauge: rows and columns of a block sum to 0), `wald` its chi-squared score.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import get_lapack_funcs

from rgflow.structure.pair_logistic import ConditionalFit

__all__ = ["SiteErrors", "site_errors"]

_OPERATIONS_AT_MOST = 2.5e11  # about 10 s of one core: beyond it only some sites get their Hessian
_SITES_SAMPLED = 12  # the ratio to the approximation varies by a few per cent between sites of one data set


@dataclass(frozen=True, eq=False)
class SiteErrors:
    """`noise` and `wald` (sites, sites); `influence` (blocks, columns, columns), the effect of each block on theta.

    `autocorrelation` is the variance of block means over that of independent samples, `freedom` the number behind it.
    """

    noise: np.ndarray
    wald: np.ndarray
    influence: np.ndarray
    autocorrelation: float
    freedom: float
    note: str


def site_errors(indicators: np.ndarray, fit: ConditionalFit, *, blocks: int, penalty: float) -> SiteErrors:
    """Return the errors of `fit`: with the exact Hessian of every site, or of some sites where all would take too long.

    Errors: where only some sites are exact, the others take the mean-weight approximation times the mean ratio.
    """
    gradients = _block_gradients(indicators, fit.residuals, blocks=blocks)
    design = np.concatenate([indicators, np.ones((len(indicators), 1))], axis=1)
    widths = np.diff(fit.starts).astype(np.float64)
    cost = len(design) * float(((len(design[0]) * widths) ** 2).sum())
    sites = np.arange(len(widths))
    if cost <= _OPERATIONS_AT_MOST:
        return _assembled(design, fit, gradients=gradients, penalty=penalty, exact=sites)
    exact = np.unique(np.linspace(0, len(sites) - 1, _SITES_SAMPLED).astype(int))
    return _assembled(design, fit, gradients=gradients, penalty=penalty, exact=exact)


def _assembled(
    design: np.ndarray, fit: ConditionalFit, *, gradients: np.ndarray, penalty: float, exact: np.ndarray
) -> SiteErrors:
    sites = len(fit.starts) - 1
    noise, wald = np.zeros((sites, sites)), np.zeros((sites, sites))
    influence = np.zeros((len(gradients), len(design[0]) - 1, len(design[0]) - 1))
    ratios, probes = [], []
    probed = np.unique(np.linspace(0, sites - 1, _SITES_SAMPLED).astype(int))
    for site in range(sites):
        inverse = _approximate_inverse(fit, site=site)
        if len(exact) == sites or site in exact:
            true = _exact_inverse(design, fit, site=site, penalty=penalty)
            ratios.append(np.trace(true) / np.trace(inverse))
            inverse = true
        own = slice(fit.starts[site], fit.starts[site + 1])
        influence[:, :, own] = _influence(inverse, gradients, fit=fit, site=site)
        if site in probed:
            probes.append(_block_ratio(inverse, design, influence[:, :, own], fit=fit, site=site))
        noise[:, site], wald[:, site] = _scores(inverse / len(design), fit, site=site)
    freedom = float((len(gradients) - 1) * len(probes) * (len(design[0]) - 1))
    found = SiteErrors(noise, wald, influence, float(np.mean(probes)), freedom, "")
    return found if len(exact) == sites else _rescaled(found, exact=exact, ratio=float(np.mean(ratios)), fit=fit)


def _block_ratio(
    inverse: np.ndarray, design: np.ndarray, influence: np.ndarray, *, fit: ConditionalFit, site: int
) -> float:
    """Return the variance of block means of the influence of single samples over what independent samples would give."""
    rows, own = _others(fit, site=site), slice(fit.starts[site], fit.starts[site + 1])
    residuals = fit.residuals[:, own]
    single = np.einsum("mr,mw->mrw", design[:, rows], residuals).reshape(len(design), -1) @ inverse
    expected = single.reshape(len(design), len(rows), -1)[:, :-1].var(0).sum() * len(influence) / len(design)
    return float(influence[:, rows[:-1]].var(0, ddof=1).sum() / max(expected, 1e-300))


def _rescaled(found: SiteErrors, *, exact: np.ndarray, ratio: float, fit: ConditionalFit) -> SiteErrors:
    noise, wald, influence = found.noise, found.wald, found.influence
    rest = np.setdiff1d(np.arange(len(noise)), exact)
    noise[:, rest] *= ratio
    wald[:, rest] /= ratio
    edges = fit.starts.tolist()
    columns = np.concatenate([np.arange(edges[site], edges[site + 1]) for site in rest.tolist()])
    influence[:, :, columns] *= ratio
    note = f"errors of {len(rest)} of {len(noise)} sites are approximate, scaled by {ratio:.3g} as {len(exact)} exact ones show"
    return replace(found, note=note)


def _block_gradients(indicators: np.ndarray, residuals: np.ndarray, *, blocks: int) -> np.ndarray:
    """Return the mean of x r over contiguous blocks of samples, (blocks, columns + 1, columns)."""
    design = np.concatenate([indicators, np.ones((len(indicators), 1))], axis=1)
    parts = np.array_split(np.arange(len(design)), blocks)
    return np.stack([design[part].T @ residuals[part] / len(part) for part in parts])


def _others(fit: ConditionalFit, *, site: int) -> np.ndarray:
    """Return the rows of theta that the regression of one site may use."""
    rows = np.arange(len(fit.precision))
    return rows[(rows < fit.starts[site]) | (rows >= fit.starts[site + 1])]


def _exact_inverse(design: np.ndarray, fit: ConditionalFit, *, site: int, penalty: float) -> np.ndarray:
    """Return H^-1 of one site, rows ordered by (other column, own column)."""
    rows = _others(fit, site=site)
    chances = (
        design[:, fit.starts[site] : fit.starts[site + 1]] - fit.residuals[:, fit.starts[site] : fit.starts[site + 1]]
    )
    width, used = chances.shape[1], design[:, rows]
    hessian = np.zeros((len(rows), width, len(rows), width))
    for a in range(width):
        # Single precision: the Hessian is then right to 1e-6, its inverse to 1e-3 at the condition numbers met here.
        root = used.astype(np.float32) * np.sqrt(chances[:, a] * (1.0 - chances[:, a])).astype(np.float32)[:, None]
        hessian[:, a, :, a] = root.T @ root / len(design)  # the same array twice: half the work
        for b in range(a):
            mixed = -(used * (chances[:, a] * chances[:, b])[:, None]).T @ used / len(design)
            hessian[:, a, :, b] = hessian[:, b, :, a] = mixed
    flat = hessian.reshape(len(rows) * width, -1)
    flat[np.diag_indices(len(flat))] += max(penalty / len(design), 1e-10)
    factor, inverse = get_lapack_funcs(("potrf", "potri"), (flat,))
    lower, failed = factor(flat, lower=1)
    if failed:  # levels that determine each other
        return np.linalg.pinv(flat)
    half = np.tril(inverse(lower, lower=1)[0])
    return half + np.tril(half, -1).T


def _approximate_inverse(fit: ConditionalFit, *, site: int) -> np.ndarray:
    rows, own = _others(fit, site=site), slice(fit.starts[site], fit.starts[site + 1])
    cross = fit.precision[rows, own]
    kept = fit.precision[np.ix_(rows, rows)] - cross @ np.linalg.solve(fit.precision[own, own], cross.T)
    weight = fit.weights[own, own] + np.eye(own.stop - own.start) * 1e-9
    return np.kron(kept, np.linalg.inv(weight))


def _influence(inverse: np.ndarray, gradients: np.ndarray, *, fit: ConditionalFit, site: int) -> np.ndarray:
    rows, own = _others(fit, site=site), slice(fit.starts[site], fit.starts[site + 1])
    width = own.stop - own.start
    given = gradients[:, rows, own].reshape(len(gradients), -1)
    found = np.zeros((len(gradients), gradients.shape[1], width))
    found[:, rows] = (given @ inverse).reshape(len(gradients), len(rows), width)
    return found[:, :-1]


def _scores(covariance: np.ndarray, fit: ConditionalFit, *, site: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise and chi-squared of the blocks of one site with every other."""
    widths = np.diff(fit.starts)
    width, rows = widths[site], _others(fit, site=site)
    theta = fit.theta[rows, fit.starts[site] : fit.starts[site + 1]]
    noise, wald = np.zeros(len(widths)), np.zeros(len(widths))
    others = np.delete(np.arange(len(widths)), site)
    if width == 1 and (widths == 1).all():
        variances = np.diagonal(covariance)[:-1]
        noise[others], wald[others] = variances / 4.0, theta[:-1, 0] ** 2 / variances
        return noise, wald
    edges = np.concatenate([[0], np.cumsum(widths[others])])
    for other, first, last in zip(others, edges[:-1], edges[1:], strict=True):
        block = slice(first * width, last * width)
        part, given = covariance[block, block], theta[first:last].ravel()
        wald[other] = given @ np.linalg.solve(part, given)
        noise[other] = np.trace(part @ np.kron(_gauge_square(last - first), _gauge_square(width)))
    return noise, wald


def _gauge_square(width: int) -> np.ndarray:
    """Return G' G = 1 - 1/(width + 1) of the map G from a reference level to the zero-sum gauge."""
    return np.eye(width) - 1.0 / (width + 1)

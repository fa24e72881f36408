"""The score-matching estimate of a Hamiltonian of real variables: one linear system, with honest standard errors.

With features f_a the parameters of H = sum_a theta_a f_a solve G theta = b, G_ab = mean grad f_a . grad f_b and
b_a = mean lap f_a; G + ridge I stands in for G where it is nearly singular. Where all pairs of order 2 are fitted this is
the inverse covariance, and is computed as such.
Errors: sandwich G^-1 S G^-1 / effective samples, S the covariance of lap f - grad f . grad H over samples, the effective
number by the autocorrelation of each parameter's own series.
Source: Hyvarinen 2005, J. Machine Learning Research 6, 695; Hyvarinen 2007, Comp. Stat. Data Anal. 51, 2499.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigvalsh

from rgflow.errors import SettingError
from rgflow.structure.continuous_monomials import ContinuousTerms
from rgflow.structure.score_features import (
    energy_slopes,
    laplacian_means,
    power_table,
    score_series,
    site_designs,
    squared_score_rows,
)
from rgflow.structure.score_sandwich import FOLLOWED, evenly, inflations, sandwich, times_for_all

__all__ = ["PARAMETERS_AT_MOST", "ScoreEstimate", "gaussian_estimate", "score_estimate"]

PARAMETERS_AT_MOST = 6_000  # the matrix G then fills 288 MB and its factor takes seconds
_SINGULAR = 1e-10  # smallest over largest eigenvalue of G below which six digits of theta are gone
_RIDGE = 10.0  # over the number of samples: far below the statistical weight of any direction that the data fix
_NUMBERS = 20_000_000  # in the table of powers: 160 MB


@dataclass(frozen=True, eq=False)
class ScoreEstimate:
    """theta of H and its standard errors (parameters,); `rows` minus the objective of each sample, a variable.

    `covariance` is None above 2,000 parameters. `times` (parameters,) are integrated autocorrelation times in samples, 1 for
    independent ones.
    """

    theta: np.ndarray
    errors: np.ndarray
    covariance: np.ndarray | None
    times: np.ndarray
    rows: np.ndarray
    ridge: float
    notes: tuple[str, ...] = ()


def score_estimate(
    terms: ContinuousTerms, z: np.ndarray, *, ridge: float | None = None, chains: int = 1
) -> ScoreEstimate:
    """Return the estimate from samples `z` (samples, variables); `ridge` None adds 10/samples only where G needs it.

    Raises: SettingError above 6,000 parameters, unless they are all pairs of order 2.
    """
    if _is_gaussian(terms):
        return gaussian_estimate(terms, z, ridge=ridge, chains=chains)
    if terms.parameters > PARAMETERS_AT_MOST:
        raise SettingError(
            f"the model has {terms.parameters:,} parameters; {PARAMETERS_AT_MOST:,} is the most, save for all pairs of order 2:"
            " couple fewer pairs, share parameters by a symmetry, or lower the order"
        )
    gram, target = _normal_equations(terms, z)
    added, notes = _chosen_ridge(gram, samples=len(z), asked=ridge)
    gram[np.diag_indices_from(gram)] += added
    factor = cho_factor(gram, lower=True)
    theta = cho_solve(factor, target)
    inverse = cho_solve(factor, np.eye(len(theta)))
    return _with_errors(terms, z, theta=theta, inverse=inverse, ridge=added, chains=chains, notes=notes)


def gaussian_estimate(
    terms: ContinuousTerms, z: np.ndarray, *, ridge: float | None = None, chains: int = 1
) -> ScoreEstimate:
    """Return the estimate of all pairs of order 2: Q = (C + ridge)^-1, and -Q mean where linear terms are there.

    The ridge is on |Q|^2, in which a pair counts twice; C is the covariance, or the second moments without linear terms.
    """
    linear = terms.powers.sum(1) == 1
    mean = z.mean(axis=0) if linear.any() else np.zeros(z.shape[1])
    deviations = z - mean
    covariance = deviations.T @ deviations / len(z)
    added, notes = _chosen_ridge(covariance, samples=len(z), asked=ridge)
    precision = np.linalg.inv(covariance + added * np.eye(len(mean)))
    precision = 0.5 * (precision + precision.T)
    u = deviations @ precision
    centre = precision @ covariance @ precision
    quadratic = np.where(np.eye(len(mean), dtype=bool), 0.5, 1.0)
    spread = np.sqrt(np.maximum((u**2).T @ (u**2) / len(z) - centre**2, 0.0)) * quadratic
    shift = u * (u @ mean)[:, None] - centre @ mean - u
    i, j = terms.members[:, 0], terms.members[:, -1]
    j = np.where(terms.powers[:, -1] > 0, j, i)
    theta = np.where(linear, -(precision @ mean)[i], (precision * quadratic)[i, j])
    followed = evenly(len(terms), at_most=FOLLOWED)
    series = np.where(linear[followed], shift[:, i[followed]], u[:, i[followed]] * u[:, j[followed]])
    kinds = terms.powers.sum(1)
    own = inflations(series.T, kinds=kinds[followed], chains=chains)
    times = times_for_all(kinds, followed, own)
    one = np.where(linear, shift.std(axis=0)[i], spread[i, j])
    rows = (np.trace(precision) - 0.5 * (u**2).sum(axis=1)) / len(mean)
    return ScoreEstimate(theta, one * np.sqrt(times / len(z)), None, times, rows, added, notes)


def _is_gaussian(terms: ContinuousTerms) -> bool:
    """Whether the terms are all x_i x_j, i <= j, alone or with all x_i, one parameter each."""
    n = terms.variables
    degrees = np.bincount(terms.powers.sum(1), minlength=3)
    complete = len(degrees) == 3 and degrees[2] == n * (n + 1) // 2 and degrees[1] in (0, n)
    return bool(complete and not terms.tied)


def _chunks(terms: ContinuousTerms, z: np.ndarray) -> Iterator[np.ndarray]:
    step = max(1, _NUMBERS // ((terms.order + 1) * z.shape[1]))
    for start in range(0, len(z), step):
        yield z[start : start + step]


def _normal_equations(terms: ContinuousTerms, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    gram = np.zeros((terms.parameters, terms.parameters))
    target = np.zeros(terms.parameters)
    for part in _chunks(terms, z):
        table = power_table(part, terms.order)
        for touched, design in site_designs(terms, table):
            gram[np.ix_(touched, touched)] += design @ design.T / len(z)
        target += laplacian_means(terms, table) * (len(part) / len(z))
    return gram, target


def _chosen_ridge(gram: np.ndarray, *, samples: int, asked: float | None) -> tuple[float, tuple[str, ...]]:
    if asked is not None:
        if not 0.0 <= asked < np.inf:
            raise SettingError(f"regularisation is {asked}; it must be a number >= 0")
        return asked, ()
    diagonal = np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    values = eigvalsh(gram / np.outer(diagonal, diagonal))
    if values[0] > _SINGULAR * values[-1]:
        return 0.0, ()
    ridge = _RIDGE / samples
    return ridge, (
        f"the samples do not fix every parameter (condition number {values[-1] / max(values[0], 1e-300):.1e}); a ridge of"
        f" {ridge:.2g} fixes the rest near 0",
    )


def _with_errors(
    terms: ContinuousTerms,
    z: np.ndarray,
    *,
    theta: np.ndarray,
    inverse: np.ndarray,
    ridge: float,
    chains: int,
    notes: tuple[str, ...],
) -> ScoreEstimate:
    rows = np.zeros(len(z))

    def scores(here: slice) -> np.ndarray:
        table = power_table(z[here], terms.order)
        slopes, curvature = energy_slopes(terms, theta, table)
        rows[here] = squared_score_rows(slopes, curvature)
        found = np.zeros((terms.parameters, table.shape[2]))
        for places, block in score_series(terms, slopes, table):
            found += terms.gather[:, places] @ block
        return found

    spread = sandwich(inverse, scores, samples=len(z), kinds=_degrees(terms), chains=chains)
    return ScoreEstimate(theta, spread.errors, spread.covariance, spread.times, rows, ridge, notes)


def _degrees(terms: ContinuousTerms) -> np.ndarray:
    degrees = np.zeros(terms.parameters, dtype=np.int64)
    degrees[terms.tie] = terms.powers.sum(1)
    return degrees

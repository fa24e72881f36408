"""All pair couplings of any data at once, with standard errors, z-scores and leave-one-block-out replicas.

Convention: -H holds J_ij x_i x_j for spins (+-1) and for continuous variables scaled to unit variance (J = -precision); for
categories the "coupling" is the Frobenius norm of the block J_ij(a, b), whose rows and columns sum to 0. Units: nats.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import ndtri_exp
from scipy.stats import chi2, norm, t
from torch import Tensor

from rgflow.errors import DataError, SettingError
from rgflow.structure.pair_logistic import fit_conditionals
from rgflow.structure.pair_site_errors import site_errors

__all__ = ["PairCouplings", "PairKind", "fit_pair_couplings"]

PairKind = Literal["spin", "categorical", "continuous"]
_KINDS = ("spin", "categorical", "continuous")
_BLOCKS = 20  # replicas: the error of a jackknife error is then 1 / sqrt(2 * 19) = 16 %
_PENALTY = 0.1  # of indicator couplings; 1.6 / samples for spin couplings, 4 times smaller: a bias far below the errors
_LEAST_SURPLUS = 1.5  # samples a variable below which errors of a regression on all others mean little
_PRIOR_FREEDOM = 200.0  # weight of "independent samples" against blocks x pairs: few pairs tell little about inflation
_LEVERAGE_AT_MOST = 0.95  # a sample of leverage 1 is fitted exactly and tells nothing of its own error
_LARGEST_CONDITION = 1e7  # correlations beyond it are duplicates to seven digits


@dataclass(frozen=True, eq=False)
class PairCouplings:
    """J_ij of all pairs: `matrix`, `errors`, `z` (variables, variables), symmetric, diagonal 0.

    `errors` are one standard error each (of categories: the root mean square of the block's norm without any coupling);
    `z` is signed, and for categories the two-sided normal equivalent of a chi-squared. `replicas` (blocks, variables,
    variables) leave out one contiguous block of samples each. Constant columns, not `active`, have coupling 0, error inf.
    `informative` counts samples as evenly split bits would: of a spin that nearly always points up most samples say little.
    `matrix / unit` compares pairs: the partial correlation of real variables (|.| <= 1), the coupling itself of the others.
    `resolution` is the median error in that unit.
    `inflation` is the variance that contiguous blocks of samples show over that of independent samples, at least 1.
    """

    kind: PairKind
    matrix: Tensor
    errors: Tensor
    z: Tensor
    replicas: Tensor
    active: Tensor
    samples: int
    inflation: float
    informative: float
    resolution: float
    unit: Tensor
    method: str
    notes: tuple[str, ...] = ()

    @property
    def variables(self) -> int:
        """Number of columns, constant ones included."""
        return len(self.matrix)

    @property
    def determined(self) -> bool:
        """Whether the samples are enough for a regression of one variable on all others."""
        return self.informative >= _LEAST_SURPLUS * int(self.active.sum()) + 2

    @property
    def threshold(self) -> float:
        """The |z| that the largest of all pairs exceeds with probability 5 % where there is no coupling."""
        count = int(self.active.sum())
        return float(norm.isf(0.025 / max(count * (count - 1) / 2, 1)))

    @property
    def detectable(self) -> float:
        """The coupling (of real variables: the partial correlation) that a typical pair would show past `threshold`."""
        return self.threshold * self.resolution


def fit_pair_couplings(samples: Any, *, kind: PairKind, blocks: int = _BLOCKS) -> PairCouplings:
    """Return the couplings of all pairs, conditional on all other variables.

    Spins and categories: pseudo-likelihood, a logistic regression a site, both directions averaged, errors from the
    Hessian of each site. Continuous: inverse of the correlations, errors from the influence function, which hold for data
    that are not Gaussian. All errors are scaled by what contiguous blocks of samples show, so autocorrelation counts.
    Shapes: `samples` (samples, variables). Raises: DataError for other shapes or values; SettingError for another kind.
    Source: Ravikumar, Wainwright and Lafferty 2010, Ann. Stat. 38, 1287; Whittaker 1990, Graphical Models, ch. 5.

    Example:
    >>> rows = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]] * 500)
    >>> round(float(fit_pair_couplings(rows, kind="spin").matrix[0, 1]), 2)  # atanh(1/3) = 0.35
    0.35
    """
    if kind not in _KINDS:
        raise SettingError(f"kind of the samples is {kind!r}; it must be one of {_KINDS}")
    values = _checked(samples, blocks=blocks)
    active = values.std(0) > 1e-12 * np.abs(values).max(0)
    if active.sum() < 2:
        found = _Found(
            np.zeros((active.sum(),) * 2), np.full((active.sum(),) * 2, math.inf), np.zeros((active.sum(),) * 2)
        )
    elif kind == "continuous":
        found = _continuous(values[:, active], blocks=blocks)
    else:
        found = _discrete(values[:, active], kind=kind, blocks=blocks)
    return _record(found, kind=kind, active=active, samples=len(values), blocks=blocks)


@dataclass(frozen=True, eq=False)
class _Found:
    """Couplings among the active columns."""

    matrix: np.ndarray
    errors: np.ndarray
    scores: np.ndarray
    replicas: np.ndarray | None = None
    resolution: float = math.inf
    unit: np.ndarray | float = 1.0
    inflation: float = 1.0
    informative: float = math.inf
    method: str = "none: fewer than two columns vary"
    notes: tuple[str, ...] = ()


def _continuous(values: np.ndarray, *, blocks: int) -> _Found:
    scaled = (values - values.mean(0)) / values.std(0)
    samples, columns = scaled.shape
    freedom = samples - columns - 1
    correlation = scaled.T @ scaled / samples
    ridge = _ridge(correlation, samples=samples)
    precision = np.linalg.inv(correlation + ridge * np.eye(columns))
    shrink = max(freedom - 1, 1) / samples if freedom > 1 else 1.0  # mean of an inverse Wishart matrix: Q / shrink
    partner = scaled @ precision
    # Leaving out a sample changes Q by y y' / (1 - leverage): samples far out count more than their influence says.
    leverage = np.minimum((partner * scaled).sum(1) / samples, _LEVERAGE_AT_MOST)
    square = partner**2 * ((1.0 - leverage.mean()) / (1.0 - leverage))[:, None]
    robust = (square.T @ square / samples - precision**2) / samples
    gaussian = (np.outer(np.diag(precision), np.diag(precision)) + precision**2) / samples
    influence = precision - np.stack([part.T @ part / len(part) for part in np.array_split(partner, blocks)])
    shown, expected = _shown(influence), robust[np.triu_indices(columns, 1)]
    inflation = _trusted(float(shown.mean() / expected.mean()), freedom=(blocks - 1) * len(shown))
    errors = shrink * np.sqrt(np.maximum(robust, gaussian) * inflation * samples / max(freedom, 1))
    notes = (f"a ridge of {ridge:.2g} was added to correlations that are near singular",) if ridge else ()
    replicas = shrink * (_left_out(influence) - precision)
    scores = _normal_scores(-shrink * precision / errors, freedom=max(freedom, 1))
    scale = shrink * np.sqrt(np.outer(np.diag(precision), np.diag(precision)))
    return _Found(
        matrix=-shrink * precision,
        errors=errors,
        scores=scores,
        replicas=replicas,
        resolution=_typical(errors / scale),
        unit=scale,
        inflation=inflation,
        informative=samples,
        method="inverse of the correlations",
        notes=notes,
    )


def _typical(errors: np.ndarray) -> float:
    return float(np.median(errors[np.triu_indices(len(errors), 1)]))


def _ridge(correlation: np.ndarray, *, samples: int) -> float:
    """Return 0 for a sound inverse, else what bounds the condition number, or stands in for missing samples."""
    if samples < _LEAST_SURPLUS * len(correlation) + 2:
        return (
            len(correlation) / samples
        )  # the width of the spectrum of noise at this ratio (Marchenko and Pastur 1967)
    least, most = np.linalg.eigvalsh(correlation)[[0, -1]]
    return 0.0 if least * _LARGEST_CONDITION > most else float(most / _LARGEST_CONDITION - min(least, 0.0))


def _discrete(values: np.ndarray, *, kind: PairKind, blocks: int) -> _Found:
    codes = [np.unique(column, return_inverse=True)[1] for column in values.T]
    levels = np.array([int(column.max()) + 1 for column in codes])
    if kind == "spin" and levels.max() > 2:
        raise DataError(
            f"a spin has {levels.max()} different values; it must have two (use kind='categorical' for more)"
        )
    indicators = np.concatenate([column[:, None] == np.arange(1, column.max() + 1) for column in codes], axis=1)
    indicators = indicators.astype(np.float64)
    fit = fit_conditionals(indicators, levels=levels, penalty=_PENALTY)
    found = site_errors(indicators, fit, blocks=blocks, penalty=_PENALTY)
    theta, noise, wald = _symmetric(fit.theta[:-1]), _symmetric(found.noise), _symmetric(found.wald)
    influence = (found.influence + found.influence.transpose(0, 2, 1)) / 2.0
    notes = (found.note,) if found.note else ()
    informative = 4.0 * float(np.median(np.diag(fit.weights))) * len(values)  # p (1 - p) <= 1/4 given all others
    inflation = _trusted(found.autocorrelation, freedom=found.freedom)
    if (
        kind == "spin"
    ):  # between indicators a coupling is 4 times as large as between spins, its noise (zero sum) 4 times
        matrix, errors = theta / 4.0, np.sqrt(noise / 4.0 * inflation)
        scores = np.divide(matrix, errors, out=np.zeros_like(matrix), where=errors > 0)
        replicas = matrix - _left_out(influence) / 4.0 * _stretch(influence / 4.0, variances=errors**2)
        return _Found(
            matrix, errors, scores, replicas, _typical(errors), 1.0, inflation, informative, "pseudo-likelihood", notes
        )
    gauge = _zero_sum(levels)
    full = np.stack([gauge @ part @ gauge.T for part in influence])
    spread = np.sqrt(_block_squares(full - full.mean(0), levels))
    stretch = _stretch(spread, variances=noise * inflation, centred=True)
    inflation /= (
        max(1.0 - len(theta) / len(values), 0.1) ** 2
    )  # the fit's bias of order columns / samples, not taken out here
    scores = np.abs(ndtri_exp(chi2.logsf(wald / inflation, np.outer(levels - 1, levels - 1)) - math.log(2.0)))
    mean = gauge @ theta @ gauge.T
    replicas = np.sqrt(_block_squares(mean - _left_out(full) * stretch, levels))
    matrix = np.sqrt(_block_squares(mean[None], levels)[0])
    errors = np.sqrt(noise * inflation)
    return _Found(
        matrix, errors, scores, replicas, _typical(errors), 1.0, inflation, informative, "pseudo-likelihood", notes
    )


def _zero_sum(levels: np.ndarray) -> np.ndarray:
    """Return the map (sum levels, sum (levels - 1)) from couplings with a reference level to those that sum to 0."""
    from scipy.linalg import block_diag

    return np.asarray(block_diag(*[np.eye(count)[:, 1:] - 1.0 / count for count in levels]))


def _block_squares(full: np.ndarray, levels: np.ndarray) -> np.ndarray:
    edges = np.concatenate([[0], np.cumsum(levels)])[:-1]
    return np.add.reduceat(np.add.reduceat(full**2, edges, axis=1), edges, axis=2)


def _left_out(influence: np.ndarray) -> np.ndarray:
    """Return what leaving out a block takes away: its mean influence / (blocks - 1), blocks of equal size."""
    return (influence - influence.mean(0)) / (len(influence) - 1)


def _shown(influence: np.ndarray, *, centred: bool = False) -> np.ndarray:
    """Return the variance of the mean that blocks show, pair by pair."""
    squares = influence**2 if centred else (influence - influence.mean(0)) ** 2
    return squares.sum(0)[np.triu_indices(influence.shape[1], 1)] / (len(influence) - 1) / len(influence)


def _trusted(ratio: float, *, freedom: float) -> float:
    """Return a variance ratio >= 1, drawn to 1 where few pairs and blocks stand behind it."""
    return max((ratio * freedom + _PRIOR_FREEDOM) / (freedom + _PRIOR_FREEDOM), 1.0)


def _stretch(influence: np.ndarray, *, variances: np.ndarray, centred: bool = False) -> float:
    """Return the factor that gives replicas the spread which the errors state.

    Residuals of a fit are smaller than those on fresh data, so that blocks alone understate errors at few samples a column.
    """
    upper = np.triu_indices(influence.shape[1], 1)
    return math.sqrt(float(np.mean(variances[upper])) / max(float(np.mean(_shown(influence, centred=centred))), 1e-300))


def _normal_scores(scores: np.ndarray, *, freedom: int) -> np.ndarray:
    """Return the normal equivalents of Student scores."""
    if freedom > 500:  # the two laws then differ by less than 1 % of z up to z = 5
        return scores
    return np.sign(scores) * np.abs(ndtri_exp(t.logsf(np.abs(scores), freedom)))


def _symmetric(matrix: np.ndarray) -> np.ndarray:
    return (matrix + matrix.T) / 2.0


def _record(found: _Found, *, kind: PairKind, active: np.ndarray, samples: int, blocks: int) -> PairCouplings:
    size, places = len(active), np.ix_(active, active)
    matrix, errors, scores = np.zeros((size, size)), np.full((size, size), math.inf), np.zeros((size, size))
    replicas = np.zeros((blocks, size, size), dtype=np.float64)
    matrix[places], errors[places], scores[places] = found.matrix, found.errors, found.scores
    if found.replicas is not None:
        replicas[:, places[0], places[1]] = found.replicas
    unit = np.ones((size, size))
    unit[places] = found.unit
    for array in (matrix, scores):
        np.fill_diagonal(array, 0.0)
    replicas[:, np.arange(size), np.arange(size)] = 0.0
    return PairCouplings(
        kind=kind,
        matrix=torch.as_tensor(matrix),
        errors=torch.as_tensor(errors),
        z=torch.as_tensor(scores),
        replicas=torch.as_tensor(replicas),
        active=torch.as_tensor(active),
        samples=samples,
        inflation=found.inflation,
        informative=found.informative,
        resolution=found.resolution,
        unit=torch.as_tensor(unit),
        method=found.method,
        notes=found.notes,
    )


def _checked(samples: Any, *, blocks: int) -> np.ndarray:
    values = torch.as_tensor(samples).detach().cpu().to(torch.float64)
    if values.ndim != 2 or values.shape[1] < 2 or len(values) < 2 * blocks:
        raise DataError(
            f"the samples have shape {tuple(values.shape)}; (samples, variables) with at least {2 * blocks} samples and 2"
            " variables is needed"
        )
    if not bool(torch.isfinite(values).all()):
        raise DataError("the samples contain NaN or infinite values; remove or impute them first")
    return values.numpy()

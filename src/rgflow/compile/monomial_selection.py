"""Which monomials and which penalty a softmax of Hamiltonians should have, by held-out likelihood.

Candidates are ranked: variables by their covariance with the class labels, higher monomials by that with the residual
of the linear model, both inside every training part. Sets of growing size form a ladder; the smallest set whose held-out
log-likelihood lies within one standard error of the best is taken (one-standard-error rule, Breiman et al. 1984).
Units: scores are nats a sample; a penalty is lambda in mean(-ln p) + lambda |W|^2 / 2.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

__all__ = ["Rung", "chosen_rung", "fit_softmax", "ladder", "ranked"]

_STEPS = 400  # of L-BFGS; a fit that needs more is close enough to be scored, and the last fit says so


@dataclass(frozen=True)
class Rung:
    """One candidate set: its size, its best penalty, held-out log-likelihood with standard error."""

    monomials: int
    penalty: float
    score: float
    error: float


def fit_softmax(
    values: np.ndarray, labels: np.ndarray, *, penalty: float, start: LogisticRegression | None = None
) -> LogisticRegression:
    """Return the regularised maximum-likelihood softmax; `start` is a fit at another penalty to begin from."""
    model = start if start is not None else LogisticRegression(warm_start=True, max_iter=_STEPS)
    model.set_params(C=1.0 / (penalty * len(values)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(values, labels)
    return model


def ranked(values: np.ndarray, labels: np.ndarray, *, linear: int) -> np.ndarray:
    """Return the order of centred monomials: the first `linear` (the variables) by covariance with the labels, then the
    others by covariance with the residual of the linear model.
    """
    hot = (labels[:, None] == np.unique(labels)).astype(float)
    first = _strength(values[:, :linear], hot - hot.mean(axis=0))
    if values.shape[1] == linear:
        return np.argsort(-first, kind="stable")
    model = fit_softmax(values[:, :linear], labels, penalty=_MIDDLE)
    second = _strength(values[:, linear:], hot - model.predict_proba(values[:, :linear]))
    return np.concatenate([np.argsort(-first, kind="stable"), linear + np.argsort(-second, kind="stable")])


_MIDDLE = 0.01  # the linear model that ranks is penalised so, so that no class is separated perfectly


def ladder(
    raw: np.ndarray, labels: np.ndarray, *, linear: int, penalties: Sequence[float], folds: int, seed: int
) -> tuple[Rung, ...]:
    """Return one rung for each size of the candidate set, smallest first, scored by cross-validation.

    Shapes: `raw` (samples, monomials), the first `linear` of degree 1; `labels` (samples,) whole numbers from 0.
    """
    sizes = _sizes(linear, raw.shape[1])
    descending = sorted(penalties, reverse=True)  # each fit starts from a smoother one
    scores = np.zeros((len(sizes), len(descending), len(labels)))
    splits = StratifiedKFold(folds, shuffle=True, random_state=seed)
    for train, test in splits.split(raw, labels):
        centre = raw[train].mean(axis=0)
        values, held_out = raw[train] - centre, raw[test] - centre
        order = ranked(values, labels[train], linear=linear)
        for k, size in enumerate(sizes):
            kept, model = order[:size], None
            for j, penalty in enumerate(descending):
                model = fit_softmax(values[:, kept], labels[train], penalty=penalty, start=model)
                scores[k, j, test] = _log_likelihood(model, held_out[:, kept], labels[test])
    best = scores.mean(axis=-1).argmax(axis=1)
    return tuple(_rung(size, descending[j], scores[k, j]) for k, (size, j) in enumerate(zip(sizes, best, strict=True)))


def chosen_rung(rungs: Sequence[Rung]) -> Rung:
    """Return the smallest rung whose score is within one standard error of the best rung's."""
    best = max(rungs, key=lambda rung: rung.score)
    return min((r for r in rungs if r.score >= best.score - best.error), key=lambda rung: rung.monomials)


def _rung(size: int, penalty: float, scores: np.ndarray) -> Rung:
    return Rung(size, penalty, float(scores.mean()), float(scores.std(ddof=1) / math.sqrt(len(scores))))


def _sizes(linear: int, total: int) -> tuple[int, ...]:
    """A quarter, half and all of the variables, then 1, 2, 4, 8, ... higher monomials, then all."""
    few = {max(1, linear // 4), max(1, linear // 2), linear, total}
    more = {linear + 2**k for k in range(15) if linear + 2**k < total}
    return tuple(sorted(few | more))


def _log_likelihood(model: LogisticRegression, values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log-probability of every sample's label, finite where the probability itself underflows."""
    logits = model.decision_function(values)
    if logits.ndim == 1:  # two classes: the logit of the second against the first
        return -np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
    return log_softmax(logits, axis=1)[np.arange(len(labels)), labels]


def _strength(values: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Squared covariance with the residuals of all classes: the slope of the likelihood along each monomial."""
    return ((values.T @ residual) ** 2).sum(axis=1)

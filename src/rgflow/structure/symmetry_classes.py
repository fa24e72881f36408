"""Classes of variables that may be permuted among themselves, found by comparing variables pair by pair.

Two variables are of one class if exchanging them changes no mean, variance, third moment or correlation with any other
variable by more than the noise. Exchangeability by transpositions is an equivalence, so classes are well defined.
Units: values are standardised over all or column by column; scores are in standard errors.
"""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from rgflow.numerics.statistics import z_threshold

__all__ = ["permutation_classes"]


def permutation_classes(values: np.ndarray, *, false_alarm: float = 0.01) -> np.ndarray:
    """Return the class of every variable, (variables,) int64 from 0, by merging variables whose profiles agree.

    Shapes: `values` (variables, samples). Classes merge greedily, the most alike first, as long as every two of their
    variables differ by less than a threshold that `false_alarm` of all data sets with one single class exceed.
    Errors: classes that differ by less than the noise stay together; test the result on other samples.
    """
    sites = len(values)
    if sites < 2:
        return np.zeros(sites, dtype=np.int64)
    scores = _profile_scores(values.astype(np.float64))
    threshold = z_threshold(sites * (sites - 1) // 2 * (sites + 1), false_alarm)
    merged = linkage(squareform(scores, checks=False), method="complete")
    labels = fcluster(merged, threshold, criterion="distance")
    _, first, tie = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[tie].astype(np.int64)


def _profile_scores(values: np.ndarray) -> np.ndarray:
    """Return the largest |z| between the profiles of every two variables, (variables, variables)."""
    sites, samples = values.shape
    scores = np.zeros((sites, sites))
    for power in (1, 2, 3):
        moments = values**power
        mean = moments.mean(1)
        covariance = np.cov(moments).reshape(sites, sites)
        spread = np.diag(covariance)[:, None] + np.diag(covariance)[None] - 2 * covariance
        scores = np.maximum(scores, _ratio(mean[:, None] - mean[None], np.sqrt(np.maximum(spread, 0) / samples)))
    centred = values - values.mean(1, keepdims=True)
    second = centred @ centred.T / samples
    fourth = centred**2 @ (centred**2).T / samples  # E x_i^2 x_k^2
    error = np.sqrt(np.maximum(fourth - second**2, 0) / samples)
    for i in range(sites):
        # x_i x_k and x_j x_k are correlated by about the correlation of x_i and x_j.
        alike = np.clip(second[i] / np.sqrt(np.maximum(second[i, i] * np.diag(second), 1e-300)), -1, 1)  # no 0 / 0
        joint = error[i] ** 2 + error**2 - 2 * np.maximum(alike, 0)[:, None] * error[i] * error
        ratio = _ratio(second[i] - second, np.sqrt(np.maximum(joint, 0)))
        ratio[np.arange(sites), np.arange(sites)] = 0.0  # k = j
        ratio[:, i] = 0.0  # k = i
        scores[i] = np.maximum(scores[i], ratio.max(1))
    scores = np.maximum(scores, scores.T)
    np.fill_diagonal(scores, 0.0)
    return scores


def _ratio(difference: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return |difference| / error; 0 where both vanish, a large finite score where only the error does."""
    size = np.abs(difference)
    return np.where(
        size <= 1e-9,
        0.0,  # rounding of sums over standardised samples
        np.minimum(size / np.maximum(error, 1e-12), 1e6),
    )  # finite for the linkage

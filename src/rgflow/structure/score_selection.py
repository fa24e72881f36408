"""Which couplings are not 0, with a bound on the share of false ones among those that are kept.

Benjamini and Hochberg 1995, J. R. Stat. Soc. B 57, 289: valid for independent and positively dependent p-values.
"""

import numpy as np
from scipy.stats import norm

from rgflow.errors import SettingError

__all__ = ["discoveries", "two_sided"]


def two_sided(values: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Return p-values of the hypotheses that values with normal errors are 0; 1 where the error is 0."""
    known = errors > 0.0
    ratio = np.abs(values) / np.where(known, errors, 1.0)
    return np.where(known, 2.0 * norm.sf(ratio), 1.0)


def discoveries(p_values: np.ndarray, rate: float) -> np.ndarray:
    """Return which hypotheses are rejected such that the expected share of false rejections is at most `rate`.

    Raises: SettingError for a rate outside (0, 1).

    Example:
    >>> discoveries(np.array([0.001, 0.9, 0.02, 0.04]), 0.05).tolist()
    [True, False, True, False]
    """
    if not 0.0 < rate < 1.0:
        raise SettingError(f"false_discoveries is {rate}; it must lie between 0 and 1, or be None for no selection")
    ranks = np.argsort(p_values)
    passed = p_values[ranks] <= rate * np.arange(1, len(p_values) + 1) / max(1, len(p_values))
    kept = np.zeros(len(p_values), dtype=bool)
    if passed.any():
        kept[ranks[: int(np.flatnonzero(passed)[-1]) + 1]] = True
    return kept

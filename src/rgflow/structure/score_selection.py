"""Which of several values with normal errors are not 0, at a bound on the share of false ones among those kept.

Convention: two-sided p-values, Benjamini and Hochberg's step-up procedure; a value of error 0 says nothing and is dropped.
"""

import numpy as np
import torch
from scipy.stats import norm

from rgflow.structure.selection import selected_by_rate

__all__ = ["discoveries"]


def discoveries(values: np.ndarray, errors: np.ndarray, *, rate: float) -> np.ndarray:
    """Return which values (mask) differ from 0, at most `rate` of them falsely so on average.

    Raises: SettingError for a rate outside (0, 1).

    Example:
    >>> discoveries(np.array([5.0, 0.1, -3.0]), np.ones(3), rate=0.05).tolist()
    [True, False, True]
    """
    known = errors > 0.0
    p_values = np.where(known, 2.0 * norm.sf(np.abs(values) / np.where(known, errors, 1.0)), 1.0)
    return selected_by_rate(torch.from_numpy(p_values), rate).numpy()

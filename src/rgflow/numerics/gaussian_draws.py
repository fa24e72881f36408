"""Draws from a multivariate Gaussian whose covariance may be singular, quasi-random in its leading directions.

The root is a pivoted Cholesky factor: exact to rounding for coincident inputs too, and its columns come in order of
importance, so that the few well-spread coordinates of a scrambled Sobol sequence go where they count most.
"""

import numpy as np
import torch
from scipy.linalg import get_lapack_funcs
from torch import Tensor
from torch.quasirandom import SobolEngine

from rgflow.errors import SettingError

__all__ = ["covariance_root", "gaussian_draws"]

# Sobol coordinates beyond the first few dozen are hardly better spread than random ones at a few thousand points.
_SOBOL = 64
# Points of the sequence are multiples of 2^-30: half a step keeps them off 0 and 1, where the normal quantile diverges.
_HALF_STEP = 2.0**-31


def covariance_root(covariance: Tensor) -> Tensor:
    """Return R (N, r) with R R^T = `covariance` (N, N), r its numerical rank.

    Errors: rounding of the largest variance times N. Raises: SettingError for entries that are not finite.
    """
    matrix = covariance.numpy()
    if not np.isfinite(matrix).all():
        raise SettingError("the covariance has entries that are not finite; give finite inputs and variances")
    pivoted_cholesky = get_lapack_funcs("pstrf", (matrix,))
    # A positive return code only says that the rank is not full.
    factor, pivots, rank, _ = pivoted_cholesky(matrix, lower=1)  # type: ignore[operator]
    root = np.zeros((len(matrix), rank))
    root[pivots - 1] = np.tril(factor)[:, :rank]
    return torch.from_numpy(root)


def gaussian_draws(root: Tensor, count: int, *, seed: int) -> Tensor:
    """Return `count` draws (N, count) from N(0, root root^T): one scrambled net, independent of other seeds' nets.

    Errors: every draw has the exact law; their averages err less than those of independent draws where few directions
    count, and like those otherwise.
    """
    generator = torch.Generator().manual_seed(seed)
    leading = min(root.shape[1], _SOBOL)
    if leading == 0:
        return root.new_zeros(len(root), count)
    engine = SobolEngine(leading, scramble=True, seed=int(torch.randint(2**31, (1,), generator=generator)))
    uniform = engine.draw(count, dtype=torch.float64).clamp(min=0.0) + _HALF_STEP
    rest = torch.randn((count, root.shape[1] - leading), generator=generator, dtype=torch.float64)
    return root @ torch.cat([torch.special.ndtri(uniform), rest], dim=1).T

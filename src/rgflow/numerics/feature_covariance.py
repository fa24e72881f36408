"""Covariance of products of features over pairs of inputs: Cov(s_a s_b, s_c s_d) over z ~ N(0, kernel).

Convention: pairs a <= b in row-major order (`pair_space`); kernels may be singular. The covariance is the first term of
the flow of the four-point vertex at order 1/n, V' = C_W^2 Cov(s s, s s) + ....
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.pair_space import pair_inputs, quadruple_number, quadruples_of
from rgflow.numerics.pointwise import Activation
from rgflow.numerics.product_averages import (
    Averages,
    closed_averages,
    input_sizes,
    product_averages,
    product_cost,
)
from rgflow.numerics.quasi_random import quasi_random_covariance

__all__ = ["FeatureCovariance", "QuadrupleCovariance", "feature_covariance", "quadruple_covariance"]

# Evaluations of s that one call may spend: about seven seconds of one core.
_BUDGET = 1e9
# Quasi-random samples, and products of two pairs that they may take: again some ten seconds.
_SAMPLES, _WORK = 2**20, 6e10
# Closed forms of pairs lose this much to rounding, relative to sqrt(<s_a^2><s_b^2>) (measured against mpmath).
_CLOSED = 1e-14


@dataclass(frozen=True)
class FeatureCovariance:
    """Means <s_a s_b> (P,), covariances Cov(s_a s_b, s_c s_d) (P, P), bounds `error` (P, P) on them, and the method."""

    mean: Tensor
    covariance: Tensor
    error: Tensor
    method: str

    def fourth(self) -> Tensor:
        """Return the raw fourth moments <s_a s_b s_c s_d>, (P, P)."""
        return self.covariance + torch.outer(self.mean, self.mean)


@dataclass(frozen=True)
class QuadrupleCovariance:
    """Values Cov(s_a s_b, s_c s_d) (Q,), bounds `error` (Q,) on their absolute errors, and the method."""

    value: Tensor
    error: Tensor
    method: str


def feature_covariance(activation: Activation, kernel: Tensor, *, seed: int = 0) -> FeatureCovariance:
    """Return the covariance matrix of s_a s_b over all pairs, z ~ N(0, kernel).

    Shapes: kernel (N, N), symmetric positive semi-definite, to P = N(N+1)/2. `seed` matters where `method` says
    "quasi-random".
    Errors: those reported.
    Raises: SettingError if the kernel is no covariance.
    """
    matrix = checked_kernel(kernel)
    inputs = len(matrix)
    pairs = pair_inputs(inputs)
    mean = _pair_means(activation, matrix, pairs=pairs)
    rows = quadruples_of(inputs)
    closed = closed_averages(activation, matrix, rows=rows)
    if closed is None and product_cost(activation, matrix, rows=rows, budget=_BUDGET) > 2.0 * _BUDGET:
        points = max(2**12, min(_SAMPLES, int(_WORK / len(pairs) ** 2)))
        found = quasi_random_covariance(activation, matrix, mean=mean.value, points=points, seed=seed)
        return FeatureCovariance(mean.value, found.value, found.error, found.method)
    fourth = closed if closed is not None else product_averages(activation, matrix, rows=rows, budget=_BUDGET)
    both = torch.cat([pairs.unsqueeze(1).expand(-1, len(pairs), -1), pairs.unsqueeze(0).expand(len(pairs), -1, -1)], -1)
    number = quadruple_number(both.sort(-1)[0])
    outer = torch.outer(mean.value, mean.value)
    spread = torch.outer(mean.value.abs(), mean.error)
    error = fourth.error[number] + spread + spread.T
    return FeatureCovariance(mean.value, fourth.value[number] - outer, error, fourth.method)


def quadruple_covariance(activation: Activation, kernel: Tensor, *, quadruples: Tensor) -> QuadrupleCovariance:
    """Return Cov(s_a s_b, s_c s_d) for the chosen quadruples (a, b, c, d) only.

    Shapes: kernel (N, N), quadruples (Q, 4) of input numbers, to (Q,).
    Errors: those reported.
    Raises: SettingError if the kernel is no covariance or a quadruple names an input that does not exist.
    """
    matrix = checked_kernel(kernel)
    rows = torch.as_tensor(quadruples, dtype=torch.int64).reshape(-1, 4)
    if len(rows) and not bool(((rows >= 0) & (rows < len(matrix))).all()):
        raise SettingError(
            f"quadruples name inputs {rows.min()} to {rows.max()}; there are inputs 0 to {len(matrix) - 1}"
        )
    left = _pair_means(activation, matrix, pairs=rows[:, :2])
    right = _pair_means(activation, matrix, pairs=rows[:, 2:])
    fourth = _fourth_moments(activation, matrix, rows=rows.sort(1)[0])
    error = fourth.error + left.value.abs() * right.error + right.value.abs() * left.error
    return QuadrupleCovariance(fourth.value - left.value * right.value, error, fourth.method)


def checked_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel in float64, symmetrised. Raises: SettingError if it is no covariance matrix."""
    matrix = torch.as_tensor(kernel, dtype=torch.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and len(matrix) > 0
    if not square or not torch.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-300):
        raise SettingError(f"the kernel has shape {tuple(matrix.shape)}; a symmetric square matrix is needed")
    matrix = 0.5 * (matrix + matrix.T)
    lowest, highest = torch.linalg.eigvalsh(matrix)[[0, -1]].tolist()
    if not lowest >= -1e-9 * max(highest, 0.0):  # negated, so that NaN is refused
        raise SettingError(f"the kernel has the eigenvalue {lowest:.6g}; a covariance matrix has none below 0")
    return matrix


def _fourth_moments(activation: Activation, kernel: Tensor, *, rows: Tensor) -> Averages:
    closed = closed_averages(activation, kernel, rows=rows)
    return closed if closed is not None else product_averages(activation, kernel, rows=rows, budget=_BUDGET)


def _pair_means(activation: Activation, kernel: Tensor, *, pairs: Tensor) -> Averages:
    a, b = pairs.unbind(1)
    closed = closed_pair_moments(activation, kernel[a, a], kernel[a, b], w=kernel[b, b])
    if closed is None:
        return product_averages(activation, kernel, rows=pairs, budget=_BUDGET)
    size = input_sizes(activation, kernel.diagonal())
    return Averages(closed.value, _CLOSED * size[a] * size[b], "closed form")

"""Matrices of averages over all pairs of inputs: <s_a s_b> and <s'_a s'_b> for a kernel matrix.

Route: closed form where one exists; else Mehler's series where its own bound is below 1e-11, and the two-dimensional
rule of `pair_nodes` for the strongly correlated rest; the diagonal by the one-dimensional rule.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.closed_forms import closed_pair_moments
from rgflow.numerics.gaussian import mesh_of, moments
from rgflow.numerics.hermite import mehler
from rgflow.numerics.pairs import pair_nodes
from rgflow.numerics.pointwise import Activation

__all__ = ["derivative_moment", "second_moment"]

# Relative truncation that Mehler's series may leave: ten times below the accuracy promised.
_TRUNCATION = 1e-11
# Pairs handled at once: 256 pairs of 5000 nodes in eight tensors of float64 are 80 MB.
_PAIRS = 256


def second_moment(activation: Activation, kernel: Tensor) -> Tensor:
    """Return the matrix <s(z_a) s(z_b)> over z ~ N(0, kernel).

    Shapes: kernel (N, N), symmetric positive semi-definite, to (N, N). Errors: 1e-10 relative to sqrt(<s_a^2><s_b^2>).
    Raises: SettingError if kernel is not a square symmetric matrix with |K_ab| <= sqrt(K_aa K_bb).
    """
    matrix = _checked(kernel)
    variance = matrix.diagonal()
    closed = closed_pair_moments(activation, *_spread(matrix), w=variance.unsqueeze(0).expand_as(matrix))
    if closed is not None:
        return closed.value
    diagonal = _or_limit(moments(activation, variance).square, variance, activation.function)
    return _matrix(activation.function, activation, kernel=matrix, diagonal=diagonal)


def derivative_moment(activation: Activation, kernel: Tensor) -> Tensor:
    """Return the matrix <s'(z_a) s'(z_b)> over z ~ N(0, kernel).

    Shapes: kernel (N, N) to (N, N). Errors: 1e-10 relative to sqrt(<s'_a^2><s'_b^2>); steps of s are not counted.
    Raises: SettingError as `second_moment`.
    """
    matrix = _checked(kernel)
    variance = matrix.diagonal()
    closed = closed_pair_moments(activation, *_spread(matrix), w=variance.unsqueeze(0).expand_as(matrix))
    if closed is not None:
        return closed.slope
    diagonal = _or_limit(moments(activation, variance).slope_square, variance, activation.derivative)
    return _matrix(activation.derivative, activation, kernel=matrix, diagonal=diagonal)


def _checked(kernel: Tensor) -> Tensor:
    matrix = torch.as_tensor(kernel, dtype=torch.float64)
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not torch.allclose(matrix, matrix.T, rtol=1e-9, atol=1e-300):
        raise SettingError(f"the kernel has shape {tuple(matrix.shape)}; a symmetric square matrix is needed")
    return 0.5 * (matrix + matrix.T)


def _spread(matrix: Tensor) -> tuple[Tensor, Tensor]:
    return matrix.diagonal().unsqueeze(1).expand_as(matrix), matrix


def _or_limit(values: Tensor, variance: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Averages, with f(0)^2 at variance 0."""
    return torch.where(variance > 0, values, function(torch.zeros_like(variance)) ** 2)


def _matrix(
    function: Callable[[Tensor], Tensor], activation: Activation, *, kernel: Tensor, diagonal: Tensor
) -> Tensor:
    variance = kernel.diagonal()
    scale = torch.outer(variance.sqrt(), variance.sqrt())
    correlation = torch.where(scale > 0, kernel / torch.where(scale > 0, scale, 1.0), 0.0).clamp(-1.0, 1.0)
    series = mehler(function, variance, correlation=correlation, mesh=mesh_of(activation))
    size = torch.outer(diagonal.sqrt(), diagonal.sqrt())
    result = torch.where(torch.eye(len(kernel), dtype=torch.bool), torch.diag(diagonal), series.value)
    rows, columns = torch.triu((series.bound > _TRUNCATION * size), diagonal=1).nonzero(as_tuple=True)
    for a, b in zip(rows.split(_PAIRS), columns.split(_PAIRS), strict=True):
        if not len(a):  # split() of an empty tensor is one empty part
            break
        values = _pairs(function, activation, kernel=kernel, a=a, b=b)
        result[a, b] = values
        result[b, a] = values
    return result


def _pairs(
    function: Callable[[Tensor], Tensor], activation: Activation, *, kernel: Tensor, a: Tensor, b: Tensor
) -> Tensor:
    x, w = kernel[a, a], kernel[b, b]
    distance = (0.5 * (x + w) - kernel[a, b]).clamp(min=0.0)
    nodes = pair_nodes(x, w, distance, kinks=activation.kinks, mesh=mesh_of(activation), order=24)
    return nodes.average(function(nodes.first) * function(nodes.second))

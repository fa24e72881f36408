"""What depth is worth to linear maps: sparse or thin factors against the one dense matrix they multiply to.

The factors become an ordinary `nn.Sequential` of `nn.Linear` layers without biases, first factor first, so that
`module(x)` is `x @ matrix.T`. Complex maps act on (real parts, imaginary parts) side by side.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from rgflow.errors import SettingError

__all__ = ["LinearFactors", "linear_factors"]

_LARGEST = 512  # a complex map of 1024 would hold 10 dense layers of 2048 x 2048, 340 MB


@dataclass(frozen=True, eq=False)
class LinearFactors:
    """A linear map as a product of factors, counted and compared with the flat matrix.

    Shapes: `factors` multiply as factors[-1] @ ... @ factors[0] = `matrix` (outputs, inputs), complex128 for the Fourier
    transform, else float64. `nonzeros_deep`, `nonzeros_flat`: non-zero entries of the factors, and of the matrix;
    `weights_deep`, `weights_flat`: the same in the real layers of `module` (a complex entry takes up to 4 weights).
    `error`: largest |entry of the product - entry of the matrix|, relative to the largest entry.
    """

    name: str
    matrix: Tensor
    factors: tuple[Tensor, ...]
    module: nn.Sequential
    nonzeros_deep: int
    nonzeros_flat: int
    weights_deep: int
    weights_flat: int
    error: float


def linear_factors(linear_map: str | Any, size: int | None = None) -> LinearFactors:
    """Return the factors of "fft" or "hadamard" on `size` = 2^m numbers, or those of a matrix of low rank.

    "fft": log2 n factors with 2 n log2 n non-zeros against n^2 (the reordering of the inputs by reversed bits is part
    of the first factor); "hadamard": the same count, entries +-1. A matrix (outputs, inputs) of rank k becomes two
    factors with k (outputs + inputs) entries, by its singular values; fewer than the flat ones only for small k.
    Errors: as measured in `error`, a few roundings.
    Raises: SettingError for an unknown name, a size that is no power of two between 2 and 512, or what is no matrix.
    Source: J. W. Cooley and J. W. Tukey, Math. Comp. 19 (1965) 297; no-flattening of linear maps: Lin, Tegmark and
    Rolnick 2017, arXiv:1608.08225, section 3.5.

    Example:
    >>> fft = linear_factors("fft", 64)
    >>> fft.nonzeros_deep, fft.nonzeros_flat
    (768, 4096)
    """
    if not isinstance(linear_map, str):
        return _of_low_rank(linear_map, size)
    if linear_map not in ("fft", "hadamard"):
        raise SettingError(f"the linear map is {linear_map!r}; give 'fft', 'hadamard' or a matrix")
    n = _power_of_two(size)
    if linear_map == "fft":
        index = torch.arange(n)
        return _record("fft", _roots(n)[torch.outer(index, index) % n], _fourier(n))
    factors = tuple(_butterfly(n, half, twiddles=torch.ones(half, dtype=torch.float64)) for half in _halves(n))
    matrix = torch.ones(1, 1, dtype=torch.float64)
    for _ in factors:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return _record("hadamard", matrix, factors)


def _power_of_two(size: int | None) -> int:
    if size is None or size < 2 or size > _LARGEST or size & (size - 1):
        raise SettingError(f"the size is {size}; it must be a power of two from 2 to {_LARGEST}")
    return int(size)


def _halves(n: int) -> Iterator[int]:
    """1, 2, 4, ..., n/2."""
    return (2**k for k in range(n.bit_length() - 1))


def _fourier(n: int) -> tuple[Tensor, ...]:
    """Butterflies with twiddle factors exp(-2 pi i j / (2 half)); the first takes its inputs in bit-reversed order."""
    factors = []
    for half in _halves(n):
        factors.append(_butterfly(n, half, twiddles=_roots(2 * half)[:half]))
    bits = n.bit_length() - 1
    order = [int(format(i, f"0{bits}b")[::-1], 2) for i in range(n)]
    first = torch.zeros_like(factors[0])
    first[:, order] = factors[0]
    return (first, *factors[1:])


def _roots(n: int) -> Tensor:
    """exp(-2 pi i j / n) for j < n, with exact zeros where a part is 0 but for rounding."""
    angles = -2.0 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    real, imaginary = torch.cos(angles), torch.sin(angles)
    least = 1e-12  # rounding is below it; the smallest part that is not 0 is sin(2 pi / 512) = 0.012
    return torch.complex(real * (real.abs() > least), imaginary * (imaginary.abs() > least))


def _butterfly(n: int, half: int, *, twiddles: Tensor) -> Tensor:
    """Pairs (a, b) at distance `half` become (a + w b, a - w b)."""
    factor = torch.zeros(n, n, dtype=twiddles.dtype)
    index = torch.arange(n)
    top = index[(index // half) % 2 == 0]
    weights = twiddles[top % half]
    factor[top, top] = 1.0
    factor[top, top + half] = weights
    factor[top + half, top] = 1.0
    factor[top + half, top + half] = -weights
    return factor


def _of_low_rank(given: Any, size: int | None) -> LinearFactors:
    matrix = torch.as_tensor(given, dtype=torch.float64).detach().cpu()
    if matrix.ndim != 2 or not matrix.numel() or not bool(torch.isfinite(matrix).all()) or size is not None:
        raise SettingError(
            f"the linear map has shape {tuple(matrix.shape)} and size is {size}; give a finite matrix (outputs, inputs)"
            " and no size"
        )
    rank = max(1, int(torch.linalg.matrix_rank(matrix)))
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    root = values[:rank].sqrt()
    return _record("low rank", matrix, (root[:, None] * right[:rank], left[:, :rank] * root))


def _record(name: str, matrix: Tensor, factors: tuple[Tensor, ...]) -> LinearFactors:
    product = factors[0]
    for factor in factors[1:]:
        product = factor @ product
    error = float((product - matrix).abs().max() / matrix.abs().max().clamp_min(torch.finfo(torch.float64).tiny))
    weights = [_real(factor) for factor in factors]
    return LinearFactors(
        name=name,
        matrix=matrix,
        factors=factors,
        module=nn.Sequential(*(_layer(weight) for weight in weights)),
        nonzeros_deep=sum(int(torch.count_nonzero(factor)) for factor in factors),
        nonzeros_flat=int(torch.count_nonzero(matrix)),
        weights_deep=sum(int(torch.count_nonzero(weight)) for weight in weights),
        weights_flat=int(torch.count_nonzero(_real(matrix))),
        error=error,
    )


def _real(matrix: Tensor) -> Tensor:
    """A complex matrix as the real one that acts on (real parts, imaginary parts)."""
    if not matrix.is_complex():
        return matrix
    return torch.cat([torch.cat([matrix.real, -matrix.imag], 1), torch.cat([matrix.imag, matrix.real], 1)])


def _layer(weight: Tensor) -> nn.Linear:
    outputs, inputs = weight.shape
    layer = cast(nn.Linear, nn.utils.skip_init(nn.Linear, inputs, outputs, bias=False, dtype=torch.float64))
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer

"""Control variates for sampled kernels: what each layer's own noise does to all later kernels, to first order.

The neurons of a layer are R eta with eta standard normal, so averages h over the n neurons of products of Hermite polynomials
of eta have mean zero and variance i! j! / n whatever happened before. To first order in the fluctuations,
    dK^(l+1) = A^(l) h^(l) + M^(l) dK^(l),
A the Hermite coefficients of C_W s_a s_b at the infinite-width kernel and M the response to a change of that kernel. The
predicted dK has mean zero and a known covariance for ANY fixed A and M; they need not be accurate, only fixed in advance.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.numerics.guarded_cholesky import guarded_cholesky
from rgflow.records.architecture import MLP

__all__ = ["Controls", "LayerControl", "hermite_averages", "prepared_controls"]

# Neurons from which A and M are estimated: their noise leaves about (controls / 2^14) of a variance unexplained.
_NEURONS = 2**14
# Degrees 6, 4 and 2 leave 2, 6 and 20 % of the variance of tanh^2 at K = 0.6 unexplained (measured); the work grows like
# (degree N)^2, so the highest degree is taken that keeps degree * N within 32 rows.
_DEGREES, _ROWS = (6, 4, 2), 32


@dataclass(frozen=True)
class LayerControl:
    """First-order effect of one layer of n neurons on the next kernel.

    Shapes: `noise` A (P, C) for C averages, `response` M (P, P), `covariance` (P, P) of the predicted dK^(l+1).
    """

    noise: Tensor
    response: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Controls:
    """Infinite-width kernels (L, N, N), estimated; the effect of layers 1..L-1; degree of the Hermite products."""

    kernels: Tensor
    layers: tuple[LayerControl, ...]
    degree: int


def prepared_controls(network: MLP, first: Tensor, *, generator: np.random.Generator) -> Controls:
    """Return the controls of a network whose first kernel is `first` (N, N), from its own stream of random numbers."""
    size = len(first)
    degree = next((degree for degree in _DEGREES if degree * size <= _ROWS), _DEGREES[-1])
    kernels, layers, pairs = [first], [], torch.triu_indices(size, size)
    covariance = torch.zeros(pairs.shape[1], pairs.shape[1], dtype=torch.float64)
    variances = zip(network.widths[1:-1], network.weight_variance[1:], network.bias_variance[1:], strict=True)
    for width, weight_variance, bias_variance in variances:
        root = guarded_cholesky(kernels[-1])
        noise = torch.from_numpy(generator.standard_normal((size, _NEURONS)))
        out = network.activation.function(root @ noise)
        products = weight_variance * out[pairs[0]] * out[pairs[1]]
        coefficients = _coefficients(products, noise, degree=degree)
        response = _response(coefficients, root, degree=degree)
        fresh = (coefficients * _norms(size, degree)) @ coefficients.T / width
        covariance = fresh + response @ covariance @ response.T
        layers.append(LayerControl(coefficients, response, covariance))
        kernels.append(bias_variance + weight_variance * out @ out.T / _NEURONS)
    return Controls(torch.stack(kernels), tuple(layers), degree)


def hermite_averages(noise: Tensor, *, degree: int) -> Tensor:
    """Return averages over neurons of He_i(eta_a), 1 <= i <= degree, then He_i(eta_a) He_j(eta_b), a < b, i + j <= degree.

    Shapes: (B, N, n) to (B, C); the order is that of `_norms`.
    """
    values = _hermite(noise, degree)
    batch, size, width = noise.shape
    flat = values.reshape(batch, degree * size, width)
    single = flat.mean(-1)
    rows, columns = _products(size, degree)
    if not len(rows):
        return single
    mixed = (flat @ flat.mT).reshape(batch, -1)[:, rows * degree * size + columns] / width
    return torch.cat([single, mixed], dim=1)


def _hermite(noise: Tensor, degree: int) -> Tensor:
    """Return He_1..He_degree (B, degree, N, n), He_{k+1} = x He_k - k He_{k-1}."""
    values = torch.empty(len(noise), degree, *noise.shape[1:], dtype=noise.dtype)
    values[:, 0] = noise
    torch.addcmul(torch.tensor(-1.0, dtype=noise.dtype), noise, noise, out=values[:, 1])
    for k in range(2, degree):
        torch.mul(noise, values[:, k - 1], out=values[:, k])
        values[:, k].sub_(values[:, k - 2], alpha=k)
    return values


def _products(size: int, degree: int) -> tuple[Tensor, Tensor]:
    """Return rows and columns, in the flattened (degree, N) axis, of the products of two different inputs."""
    found = [
        ((i - 1) * size + a, (j - 1) * size + b)
        for i in range(1, degree)
        for j in range(1, degree - i + 1)
        for a in range(size)
        for b in range(a + 1, size)
    ]
    index = torch.tensor(found, dtype=torch.int64).reshape(-1, 2)
    return index[:, 0], index[:, 1]


def _norms(size: int, degree: int) -> Tensor:
    """Return the variances (C,) of the products of one neuron: i! or i! j!."""
    factorials = torch.tensor([math.factorial(i) for i in range(1, degree + 1)], dtype=torch.float64)
    single = factorials.repeat_interleave(size)
    rows, columns = _products(size, degree)
    return torch.cat([single, single[rows] * single[columns]])


def _coefficients(products: Tensor, noise: Tensor, *, degree: int) -> Tensor:
    """Return <f h> / <h^2> (P, C) of `products` f (P, neurons) over the sampled neurons (N, neurons)."""
    size, neurons = noise.shape
    norms = _norms(size, degree)
    centred = products - products.mean(1, keepdim=True)
    values = _hermite(noise.unsqueeze(0), degree).reshape(degree * size, neurons)
    rows, columns = _products(size, degree)
    mixed = [(centred * values[i] * values[j]).mean(1) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
    return torch.cat([centred @ values.T / neurons, *(column.unsqueeze(1) for column in mixed)], dim=1) / norms


def _response(coefficients: Tensor, root: Tensor, *, degree: int) -> Tensor:
    """Return M (P, P): the change dK of z's covariance is E = R^+ dK R^+^T of eta's, and d<f> = sum E <f (eta eta - 1)> / 2."""
    size = len(root)
    inverse = torch.linalg.pinv(root)
    pairs = torch.triu_indices(size, size)
    rows, columns = _products(size, degree)
    mixed = degree * size + ((rows < size) & (columns < size)).nonzero().squeeze(1)  # the products eta_a eta_b
    second = torch.zeros(len(pairs[0]), len(coefficients), dtype=torch.float64)
    diagonal = pairs[0] == pairs[1]
    second[diagonal] = coefficients[:, size : 2 * size].T
    second[~diagonal] = coefficients[:, mixed].T
    unit = torch.zeros(len(pairs[0]), size, size, dtype=torch.float64)
    index = torch.arange(len(pairs[0]))
    unit[index, pairs[0], pairs[1]] = 1.0
    unit[index, pairs[1], pairs[0]] = 1.0
    changes = (inverse @ unit @ inverse.T)[:, pairs[0], pairs[1]]
    return (changes @ second).T

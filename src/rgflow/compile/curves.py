"""Two curves that explain a compiled network: error against scale, and neurons against the number of factors."""

from dataclasses import dataclass

import numpy as np
import torch

from rgflow.compile.kit import SCALES, scale_and_bias
from rgflow.compile.layered import fewest_neurons
from rgflow.compile.smooth import activation_module, smooth
from rgflow.compile.unit import product_error, product_truncation, product_unit

__all__ = ["ProductCount", "ScalePoint", "product_counts", "scale_curve"]

_GRID = 41  # points a side on which the product's error is measured, corners included


@dataclass(frozen=True)
class ScalePoint:
    """The product of two factors of size <= 1 at one scale: its bound, the truncation part of it, the error measured."""

    scale: float
    bound: float
    truncation: float
    measured: float


@dataclass(frozen=True)
class ProductCount:
    """Neurons of a product of `factors` numbers: as a tree, in one hidden layer (2^n), and in two and three."""

    factors: int
    tree: int
    one_layer: int
    two_layers: int
    three_layers: int


def scale_curve(name: str, dtype: torch.dtype) -> tuple[ScalePoint, ...]:
    """Return the error of the product of two factors against the scale, at the bias that is best for it."""
    act, bias = smooth(name), scale_and_bias(name, 2, dtype).bias
    side = torch.linspace(-1.0, 1.0, _GRID, dtype=torch.float64).to(dtype)
    factors = torch.cartesian_prod(side, side)
    truth = factors.double().numpy().astype(np.longdouble).prod(1)
    points = []
    for scale in map(float, SCALES):
        bound = product_error(act, 2, scale=scale, bias=bias, dtype=dtype)
        if not np.isfinite(bound):
            continue
        unit = product_unit(act, (1, 1), scale=scale, bias=bias, dtype=dtype)
        rows, weights = (torch.from_numpy(part).to(dtype) for part in (unit.rows, unit.weights))
        found = activation_module(name)(factors @ rows.T + unit.bias) @ weights + unit.offset
        measured = float(np.abs(found.double().numpy() - truth).max())
        points.append(ScalePoint(scale, bound, product_truncation(act, 2, scale=scale, bias=bias), measured))
    return tuple(points)


def product_counts(most: int) -> tuple[ProductCount, ...]:
    """Return the neurons of products of 2 to `most` factors: 4 (n - 1) in a tree, 2^n in one layer, the best in between."""
    return tuple(
        ProductCount(n, 4 * (n - 1), 2**n, *(fewest_neurons(n, layers=layers, carry=1) for layers in (2, 3)))
        for n in range(2, most + 1)
    )

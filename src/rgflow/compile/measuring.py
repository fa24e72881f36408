"""How far a compiled network is from its polynomial on sampled inputs, against a reference of more digits.

The reference is evaluated in numpy's longdouble: 64 bits of mantissa on x86, so that its own rounding stays below that of
float64 networks; where longdouble is float64 the measured error of an exact network includes the reference's rounding.
"""

from dataclasses import dataclass

import numpy as np
import torch

from rgflow.compile.network import CompiledNetwork
from rgflow.numerics.sparse_polynomial import SparsePolynomial

__all__ = ["Measured", "measured_error", "reference_values", "sampled_inputs"]

_CORNERS = 0.25  # share of the samples that are corners of the box, where truncation is largest
_BATCH = 4096  # samples at a time: wide networks then take megabytes


@dataclass(frozen=True)
class Measured:
    """The largest error seen over `samples` inputs drawn with `seed`, and the largest size of an output."""

    error: float
    size: float
    samples: int
    seed: int


def measured_error(network: CompiledNetwork, *, samples: int = 4096, seed: int = 0) -> Measured:
    """Return the largest |network - polynomial| over sampled inputs, a quarter of them corners of the domain."""
    inputs = sampled_inputs(network, samples=samples, seed=seed)
    error = size = 0.0
    for part in inputs.split(_BATCH):
        with torch.no_grad():
            found = network.module(part).double().numpy()
        for column, polynomial in enumerate(network.polynomials):
            truth = reference_values(polynomial, part.double().numpy())
            gap = np.abs(found[:, column].astype(np.longdouble) - truth)
            error, size = max(error, float(gap.max())), max(size, float(np.abs(truth).max()))
    return Measured(error, size, len(inputs), seed)


def sampled_inputs(network: CompiledNetwork, *, samples: int, seed: int) -> torch.Tensor:
    """Return inputs (samples, variables) of the network's domain in its dtype: all of them where bits or spins are few."""
    generator = np.random.default_rng(seed)
    count = len(network.domain)
    low = 0.0 if network.kind == "bit" else -1.0
    if network.kind != "real" and 2**count <= samples:
        states = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
        return torch.from_numpy(low + (1.0 - low) * states).to(network.dtype)
    corners = generator.choice([low, 1.0], (samples if network.kind != "real" else int(_CORNERS * samples), count))
    inside = generator.uniform(-1.0, 1.0, (samples - len(corners), count))
    widths = torch.tensor(network.domain, dtype=torch.float64)
    points = (torch.from_numpy(np.concatenate([corners, inside])) * widths).to(network.dtype)
    edge = widths.to(network.dtype)
    return torch.minimum(torch.maximum(points, -edge), edge)


def reference_values(polynomial: SparsePolynomial, points: np.ndarray) -> np.ndarray:
    """Return the values at `points` (samples, variables) in longdouble."""
    columns = points.astype(np.longdouble).T
    total = np.zeros(len(points), dtype=np.longdouble)
    for exponents, coefficient in polynomial.terms():
        product = np.full(len(points), coefficient, dtype=np.longdouble)
        for variable in np.flatnonzero(exponents):
            product = product * columns[variable] ** int(exponents[variable])
        total += product
    return total

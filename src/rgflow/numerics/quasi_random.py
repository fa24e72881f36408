"""Covariances of products of features over many inputs at once, by randomised quasi-Monte Carlo.

Method: independently scrambled Sobol sets in the eigenbasis of the kernel, mirrored (z and -z) unless s is even or odd; the
products are centred with their exact means, so that every scramble gives an unbiased P x P covariance by one product of
matrices. The error is five standard errors over the scrambles, none taken below the typical relative one.
Source: Owen 1995 (scrambling); Joe and Kuo 2008 (direction numbers, through scipy.stats.qmc).
"""

import math

import numpy as np
import torch
from scipy.special import ndtri
from scipy.stats import qmc
from torch import Tensor

from rgflow.numerics.pair_space import pair_inputs
from rgflow.numerics.pointwise import Activation
from rgflow.numerics.product_averages import Averages

__all__ = ["quasi_random_covariance"]

SCRAMBLES = 16
STANDARD_ERRORS = 5.0
_CHUNK = 2**12  # 4096 samples of 465 products in float64 are 15 MB
_NULL = 1e-14


def quasi_random_covariance(
    activation: Activation, kernel: Tensor, *, mean: Tensor, points: int, seed: int
) -> Averages:
    """Return Cov(s_a s_b, s_c s_d) (P, P) given the means <s_a s_b> (P,), from `points` samples in all.

    Errors: five standard errors over 16 scrambles.
    """
    values, vectors = torch.linalg.eigh(kernel)
    kept = values > _NULL * values[-1].clamp(min=1e-300)
    root = (vectors[:, kept] * values[kept].sqrt()).flip(1)  # Sobol's best coordinates on the largest directions
    generators = np.random.SeedSequence(seed).spawn(SCRAMBLES)
    size = max(points // SCRAMBLES, 2)
    found = torch.stack([_scramble(activation, root, mean, size=size, source=source) for source in generators])
    value = found.mean(0)
    error = found.std(0) / math.sqrt(SCRAMBLES)
    scale = torch.outer(value.diagonal(), value.diagonal()).clamp(min=0.0).sqrt()
    typical = (error / scale.clamp(min=1e-300)).median() if bool((scale > 0).any()) else 0.0
    return Averages(value, STANDARD_ERRORS * torch.maximum(error, typical * scale), "quasi-random")


def _scramble(
    activation: Activation, root: Tensor, mean: Tensor, *, size: int, source: np.random.SeedSequence
) -> Tensor:
    first, second = pair_inputs(len(root)).unbind(1)
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    if not root.shape[1]:
        return total
    sobol = qmc.Sobol(root.shape[1], scramble=True, rng=np.random.default_rng(source))
    exponent = int(math.log2(size))
    samples = torch.from_numpy(ndtri(sobol.random_base2(exponent).clip(1e-16, 1.0 - 1e-16)))
    for part in samples.split(_CHUNK):
        for sign in (1.0, -1.0):
            features = activation.function(sign * part @ root.T)
            products = features[:, first] * features[:, second] - mean
            total.addmm_(products.T, products)
    return total / (2.0 * len(samples))

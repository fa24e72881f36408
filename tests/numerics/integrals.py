"""Gaussian averages with exact answers, each for several variances; `test_integrals` checks the catalogue itself."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import ndtr
from torch import Tensor

__all__ = ["CATALOGUE", "VARIANCES", "Problem"]

VARIANCES = (1e-8, 1e-3, 0.3, 1.0, 2.5, 30.0, 1e3)


@dataclass(frozen=True)
class Problem:
    """<function> over N(mean, K) and its exact value as a function of K, valid up to `largest`."""

    name: str
    function: Callable[[Tensor], Tensor]
    exact: Callable[[float], float]
    kinks: tuple[float, ...] = ()
    mean: float = 0.0
    largest: float = 1e3


def _above(t: float, k: float) -> float:
    """P(z > t)."""
    return float(ndtr(-t / math.sqrt(k)))


def _density(t: float, k: float) -> float:
    return math.exp(-t * t / (2 * k)) / math.sqrt(2 * math.pi * k)


def _clipped_square(k: float) -> float:
    """<min(max(z, -1), 1)^2> = K - 2 K phi-term - (K - 1) P(|z| > 1)."""
    inside = 1.0 - 2.0 * _above(1.0, k)
    return k * inside - 2.0 * k * _density(1.0, k) + 2.0 * _above(1.0, k)


def _shifted_relu(k: float) -> float:
    """<max(z - 1/2, 0)>."""
    return k * _density(0.5, k) - 0.5 * _above(0.5, k)


CATALOGUE = (
    Problem("second power", lambda z: z**2, lambda k: k),
    Problem("sixth power", lambda z: z**6, lambda k: 15 * k**3),
    Problem("cosine", torch.cos, lambda k: math.exp(-k / 2), largest=2.5),
    Problem("square of the sine", lambda z: torch.sin(z) ** 2, lambda k: -math.expm1(-2 * k) / 2),
    Problem("exponential", torch.exp, lambda k: math.exp(k / 2), largest=2.5),
    Problem("narrow bell", lambda z: torch.exp(-50 * z * z), lambda k: (1 + 100 * k) ** -0.5),
    Problem(
        "bell far from 0",
        lambda z: torch.exp(-((z - 3) ** 2)),
        lambda k: math.exp(-9 / (1 + 2 * k)) / (1 + 2 * k) ** 0.5,
    ),
    Problem("square of erf", lambda z: torch.erf(z) ** 2, lambda k: 2 / math.pi * math.asin(2 * k / (1 + 2 * k))),
    Problem(
        "steep erf times z", lambda z: z * torch.erf(20 * z), lambda k: 40 * k / math.sqrt(math.pi * (1 + 800 * k))
    ),
    Problem("logistic", torch.sigmoid, lambda k: 0.5),
    Problem("modulus", torch.abs, lambda k: math.sqrt(2 * k / math.pi), kinks=(0.0,)),
    Problem("cube of relu", lambda z: torch.relu(z) ** 3, lambda k: math.sqrt(2 / math.pi) * k**1.5, kinks=(0.0,)),
    Problem("square of hardtanh", lambda z: z.clamp(-1, 1) ** 2, _clipped_square, kinks=(-1.0, 1.0)),
    Problem("relu of z - 1/2", lambda z: torch.relu(z - 0.5), _shifted_relu, kinks=(0.5,)),
    Problem("step at 1", lambda z: (z > 1).double(), lambda k: _above(1.0, k), kinks=(1.0,)),
    Problem(
        "root of |z|",
        lambda z: z.abs().sqrt(),
        lambda k: (2 * k) ** 0.25 * math.gamma(0.75) / math.sqrt(math.pi),
        kinks=(0.0,),
    ),
    Problem("square about a mean", lambda z: z**2, lambda k: k + 4.0, mean=2.0),
    Problem(
        "relu about a mean", torch.relu, lambda k: _above(-0.7, k) * 0.7 + k * _density(0.7, k), kinks=(0.0,), mean=0.7
    ),
)

"""Laws of drawn parameters: variance and kurtosis of a layer's weights and biases, and exact draws from them.

Convention: Var W = weight_variance / fan_in, Var b = bias_variance; excess kurtosis 0 is Gaussian, -6/5 uniform.
A law between the two is the sum of an independent uniform and Gaussian part; outside that range see `standard_draw`.
Bias averages split the bias into a Gaussian part, which joins the kernel, and a discrete mixture over the rest.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["BiasMixture", "LayerLaw", "bias_mixture", "standard_draw"]

UNIFORM_KURTOSIS = -6.0 / 5.0  # <x^4>/<x^2>^2 - 3 of the uniform law
SIGN_KURTOSIS = -2.0  # of the law of a random sign, the smallest possible
NEGLIGIBLE = 1e-5  # a bias kurtosis that moves the kernel by less than this fraction is treated as Gaussian
BIAS_NODES = 5  # Gauss-Legendre nodes; exact for polynomials of degree 9 in the bias


@dataclass(frozen=True)
class LayerLaw:
    """Variances and excess kurtoses of one layer's weights (times fan_in) and biases."""

    weight_variance: float
    bias_variance: float = 0.0
    weight_kurtosis: float = 0.0
    bias_kurtosis: float = 0.0

    def __post_init__(self) -> None:
        if min(self.weight_variance, self.bias_variance) < 0:
            raise SettingError(f"variances are {self.weight_variance} and {self.bias_variance}; both must be >= 0")
        if min(self.weight_kurtosis, self.bias_kurtosis) < SIGN_KURTOSIS:
            raise SettingError("an excess kurtosis lies below -2, which no law has; check the estimate")

    @property
    def gaussian(self) -> bool:
        """Whether weights and biases are Gaussian, so that a layer on fixed inputs is exactly Gaussian."""
        return self.weight_kurtosis == 0.0 and (self.bias_kurtosis == 0.0 or self.bias_variance == 0.0)


@dataclass(frozen=True)
class BiasMixture:
    """A bias as Gaussian part plus a discrete rest: values and probabilities (nodes,), variance of the Gaussian part."""

    values: tuple[float, ...]
    probabilities: tuple[float, ...]
    gaussian_variance: float


def _uniform_share(kurtosis: float) -> float:
    """Return the variance share a of a uniform part whose sum with a Gaussian has this kurtosis: a^2 * (-6/5)."""
    return math.sqrt(kurtosis / UNIFORM_KURTOSIS)


def bias_mixture(law: LayerLaw, *, kernel: float) -> BiasMixture:
    """Return the bias of `law` as a mixture; its shape is dropped where it changes averages by less than 1e-5.

    `kernel` is the smallest kernel that the bias adds to; the shape enters averages as kurtosis * (C_b / K)^2 / 24.
    """
    variance, kurtosis = law.bias_variance, law.bias_kurtosis
    weight = 0.0 if variance == 0.0 else abs(kurtosis) * (variance / kernel) ** 2 / 24.0  # 4!: fourth-order Edgeworth
    if weight < NEGLIGIBLE:
        return BiasMixture((0.0,), (1.0,), variance)
    if UNIFORM_KURTOSIS <= kurtosis < 0.0:
        share = _uniform_share(kurtosis)
        nodes, weights = np.polynomial.legendre.leggauss(BIAS_NODES)
        half_range = math.sqrt(3.0 * share * variance)  # Var = range^2 / 3
        return BiasMixture(
            tuple(half_range * float(x) for x in nodes), tuple(float(w) / 2 for w in weights), (1 - share) * variance
        )
    fourth = kurtosis + 3.0  # three points -r, 0, r with the law's second and fourth moments
    radius = math.sqrt(fourth * variance)
    return BiasMixture((-radius, 0.0, radius), (0.5 / fourth, 1.0 - 1.0 / fourth, 0.5 / fourth), 0.0)


def standard_draw(kurtosis: float, shape: tuple[int, ...], *, generator: torch.Generator) -> Tensor:
    """Return draws of zero mean, unit variance and the given excess kurtosis, symmetric, float64.

    -6/5..0: uniform plus Gaussian; below: random signs plus Gaussian; above: a Gaussian of two random scales.
    """
    normal = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kurtosis == 0.0:
        return normal
    if kurtosis < UNIFORM_KURTOSIS:
        share = math.sqrt(kurtosis / SIGN_KURTOSIS)
        signs = torch.randint(0, 2, shape, generator=generator).double() * 2 - 1
        return math.sqrt(share) * signs + math.sqrt(1 - share) * normal
    if kurtosis < 0.0:
        share = _uniform_share(kurtosis)
        uniform = (torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1) * math.sqrt(3.0)
        return math.sqrt(share) * uniform + math.sqrt(1 - share) * normal
    # scale s^2 in {0, 1 / p} with probability 1 - p, p: kurtosis 3 / p - 3
    probability = 3.0 / (kurtosis + 3.0)
    kept = torch.rand(shape, generator=generator, dtype=torch.float64) < probability
    return torch.where(kept, normal / math.sqrt(probability), torch.zeros_like(normal))

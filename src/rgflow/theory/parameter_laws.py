"""Laws of single weights and biases: their kurtosis, their quantiles, and a bias as a mixture over its values.

Convention: a law has mean 0 and variance 1; the network's variances scale it. All laws here are symmetric. The bias of
a neuron is one number that all inputs share, so the shape of its law survives at any width: every average is
<f(z)> = sum_k p_k <f(value_k + g)>, g a Gaussian whose variance is the kernel's less C_b, plus the node's own.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy import special
from torch import Tensor

from rgflow.errors import SettingError

__all__ = ["BiasNodes", "EntryLaw", "entry_law", "laws_per_layer", "truncated_normal"]

# Nodes over the values of a bounded bias: exact for polynomials of degree 47; the coarse rule tells the error.
VALUES, COARSE = 24, 16


@dataclass(frozen=True)
class BiasNodes:
    """A bias as a mixture: node k is `values[k]` plus a Gaussian of variance `variances[k]`, with `probabilities[k]`."""

    values: tuple[float, ...]
    probabilities: tuple[float, ...]
    variances: tuple[float, ...]

    def scaled(self, variance: float) -> "BiasNodes":
        """Return the nodes of a bias with this variance."""
        if variance == 0.0:
            return BiasNodes((0.0,), (1.0,), (0.0,))
        size = math.sqrt(variance)
        return BiasNodes(
            tuple(size * value for value in self.values),
            self.probabilities,
            tuple(variance * part for part in self.variances),
        )


@dataclass(frozen=True)
class EntryLaw:
    """A symmetric law of variance 1: excess `kurtosis`, `quantile` (float64 tensors in (0, 1) to values), mixture `nodes`.

    Only `kurtosis` enters hidden layers' weights; `quantile` the first layer's weights; `nodes` biases, with a `coarse`
    rule of fewer nodes where the mixture is a quadrature (None where it is exact). A law given by
    its kurtosis alone, `EntryLaw.of_kurtosis`, is a symmetric beta law below 0 and, above, a Gaussian that is 0 with the
    probability that its kurtosis asks for.
    Source: hidden layers see weights through their fourth cumulant only, at order 1/n (central limit theorem).

    Example:
    >>> EntryLaw.of_kurtosis(-1.2).name
    'kurtosis -1.2'
    """

    name: str
    kurtosis: float
    quantile: Callable[[Tensor], Tensor]
    nodes: BiasNodes
    coarse: BiasNodes | None = None

    @property
    def gaussian(self) -> bool:
        """Whether this is the Gaussian law."""
        return self.name == "gaussian"

    @staticmethod
    def of_kurtosis(kurtosis: float) -> "EntryLaw":
        """Return a law of this excess kurtosis >= -2; raise SettingError below, where there is none."""
        if not -2.0 <= kurtosis < math.inf:
            raise SettingError(
                f"the excess kurtosis is {kurtosis}; every law has a finite one >= -2, give that of yours"
            )
        name = f"kurtosis {kurtosis:g}"
        if kurtosis == 0.0:
            return _GAUSSIAN
        if kurtosis == -2.0:
            return EntryLaw(name, kurtosis, _sign_quantile, _SIGNS)
        return _beta(name, kurtosis) if kurtosis < 0.0 else _sparse(name, kurtosis)


def _normal_quantile(u: Tensor) -> Tensor:
    return torch.special.ndtri(u)


def _uniform_quantile(u: Tensor) -> Tensor:
    return math.sqrt(3.0) * (2.0 * u - 1.0)  # range of the uniform law of variance 1


def _sign_quantile(u: Tensor) -> Tensor:
    return torch.where(u < 0.5, -1.0, 1.0).double()


def _weighed(values: np.ndarray, weights: np.ndarray) -> BiasNodes:
    probabilities = weights / weights.sum()
    return BiasNodes(tuple(values.tolist()), tuple(probabilities.tolist()), (0.0,) * len(values))


def _uniform_nodes(count: int) -> BiasNodes:
    x, weight = np.polynomial.legendre.leggauss(count)
    return _weighed(math.sqrt(3.0) * x, weight)  # range of the uniform law of variance 1


_SIGNS = BiasNodes((-1.0, 1.0), (0.5, 0.5), (0.0, 0.0))
_GAUSSIAN = EntryLaw("gaussian", 0.0, _normal_quantile, BiasNodes((0.0,), (1.0,), (1.0,)))


def _beta(name: str, kurtosis: float) -> EntryLaw:
    """X = scale * y with density (1 - y^2)^(a - 1), whose kurtosis is -6 / (2 a + 3) and variance 1 / (2 a + 1)."""
    a = -3.0 / kurtosis - 1.5
    scale = math.sqrt(2.0 * a + 1.0)

    def quantile(u: Tensor) -> Tensor:
        return scale * (2.0 * torch.from_numpy(special.betaincinv(a, a, u.numpy())) - 1.0)

    def rule(count: int) -> BiasNodes:
        x, weight = special.roots_jacobi(count, a - 1.0, a - 1.0)
        return _weighed(scale * x, weight)

    return EntryLaw(name, kurtosis, quantile, rule(VALUES), rule(COARSE))


def _sparse(name: str, kurtosis: float) -> EntryLaw:
    """N(0, 1 / p) with probability p, else 0: kurtosis 3 / p - 3."""
    p = 3.0 / (kurtosis + 3.0)

    def quantile(u: Tensor) -> Tensor:
        below = torch.special.ndtri((u / p).clamp(max=0.5)).clamp(max=0.0)
        above = torch.special.ndtri((1.0 - (1.0 - u) / p).clamp(min=0.5)).clamp(min=0.0)
        return (below + above) / math.sqrt(p)

    return EntryLaw(name, kurtosis, quantile, BiasNodes((0.0, 0.0), (1.0 - p, p), (0.0, 1.0 / p)))


def truncated_normal(bound: float = 2.0) -> EntryLaw:
    """Return the normal law cut at `bound` of its own standard deviations, rescaled to variance 1.

    PyTorch's `trunc_normal_(w, std=s, a=-bound * s, b=bound * s)` draws from it, with the variance s^2 times
    1 - 2 c phi(c) / (2 Phi(c) - 1), c = bound (0.774 for c = 2): that product is what `weight_variance` must hold.
    Raises: SettingError unless bound > 0.

    Example:
    >>> round(truncated_normal().kurtosis, 3)
    -0.634
    """
    if not 0.0 < bound < math.inf:
        raise SettingError(
            f"the bound is {bound}; a truncated normal law is cut at a positive number of its deviations"
        )
    # A panel of the rule resolves about three standard deviations of the normal density to rounding.
    panels = max(1, math.ceil(bound / 3.0))
    fine, coarse = (_cut_rule(bound, count * panels) for count in (VALUES, COARSE))
    values, weights = np.array(fine.values), np.array(fine.probabilities)
    second, fourth = float(weights @ values**2), float(weights @ values**4)
    quantile = partial(_truncated_quantile, bound=bound, deviation=math.sqrt(second))
    name = "truncated_normal" if bound == 2.0 else f"truncated_normal({bound:g})"
    nodes = (rule.scaled(1.0 / second) for rule in (fine, coarse))
    return EntryLaw(name, fourth / second**2 - 3.0, quantile, *nodes)


def _cut_rule(bound: float, count: int) -> BiasNodes:
    x, weight = np.polynomial.legendre.leggauss(count)
    return _weighed(bound * x, weight * np.exp(-((bound * x) ** 2) / 2.0))


def _truncated_quantile(u: Tensor, *, bound: float, deviation: float) -> Tensor:
    outside = math.erfc(bound / math.sqrt(2.0)) / 2.0
    return torch.special.ndtri(outside + u * (1.0 - 2.0 * outside)) / deviation


def entry_law(law: "str | EntryLaw") -> EntryLaw:
    """Return the law of that name: "gaussian", "uniform", "rademacher", "truncated_normal" or "truncated_normal(3)".

    Raises: SettingError for any other name; "orthogonal" is one matrix, not a law of independent entries.
    """
    if isinstance(law, EntryLaw):
        return law
    simple = {
        "gaussian": _GAUSSIAN,
        "normal": _GAUSSIAN,
        "uniform": EntryLaw(
            "uniform", -6.0 / 5.0, _uniform_quantile, *map(_uniform_nodes, (VALUES, COARSE))
        ),  # <x^4> / <x^2>^2 = 9/5
        "rademacher": EntryLaw("rademacher", -2.0, _sign_quantile, _SIGNS),
        "truncated_normal": truncated_normal(),
    }
    if law in simple:
        return simple[law]
    match = re.fullmatch(r"truncated_normal\(([0-9.eE+-]+)\)", str(law))
    if match:
        return truncated_normal(float(match[1]))
    if law == "orthogonal":
        raise SettingError(
            "the law is 'orthogonal'; this theory takes independent entries, and those of an orthogonal matrix are"
            " dependent at order 1/n: call theory.orthogonal_flow, or give 'gaussian' for order 0, where the two agree"
        )
    known = ", ".join(repr(name) for name in simple)
    raise SettingError(f"the law is {law!r}; give one of {known}, or EntryLaw.of_kurtosis(excess)")


def laws_per_layer(law: "str | EntryLaw | Sequence[str | EntryLaw]", *, layers: int, name: str) -> tuple[EntryLaw, ...]:
    """Return one law for each of `layers` layers, from one for all or a sequence of them."""
    if isinstance(law, (str, EntryLaw)):
        return (entry_law(law),) * layers
    laws = tuple(entry_law(one) for one in law)
    if len(laws) != layers:
        raise SettingError(f"{name} has {len(laws)} laws; give one, or {layers}, one for each weight layer")
    return laws

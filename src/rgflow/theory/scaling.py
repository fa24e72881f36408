"""Learning rates for each layer by the equivalence principle: every layer has an equal share of the tangent kernel.

Convention: the tangent kernel obeys Theta' = lambda_b + lambda_W <s^2> + C_W <s'^2> Theta; a weight's own rate is
lambda_W / fan_in, a bias's is lambda_b. All rates are multipliers of one base rate.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.criticality import criticality
from rgflow.numerics.gaussian import moments
from rgflow.records.architecture import MLP

__all__ = ["LearningRates", "Scheme", "TangentShares", "learning_rates", "tangent_shares"]

Scheme = Literal["critical", "ntk", "maximal-update"]
_OPTIMIZERS = ("sgd", "adam", "adamw")


@dataclass(frozen=True)
class LearningRates:
    """Rate multipliers of raw weights and biases, one per layer, and what the scheme asks of the last layer's variance.

    `head_variance` multiplies the last layer's C_W (1 except for "maximal-update", where it is 1 / width).
    """

    optimizer: str
    scheme: Scheme
    weight: tuple[float, ...]
    bias: tuple[float, ...]
    head_variance: float

    def relative(self) -> "LearningRates":
        """Return the same rates in units of the hidden weights' median: a base rate keeps its meaning."""
        inner = sorted(self.weight[1:-1] or self.weight)
        unit = inner[len(inner) // 2]
        weight, bias = (tuple(rate / unit for rate in rates) for rates in (self.weight, self.bias))
        return LearningRates(self.optimizer, self.scheme, weight, bias, self.head_variance)


@dataclass(frozen=True)
class TangentShares:
    """Each layer's share of the output's tangent kernel for one input, from weights and from biases; units of z^2."""

    weight: Tensor
    bias: Tensor


def learning_rates(
    network: MLP, *, optimizer: str = "sgd", scheme: Scheme = "critical", bias_ratio: float = 1.0
) -> LearningRates:
    """Return the rate multipliers of each layer's weights and biases.

    SGD: lambda_W = lambda_b = 1 / L for scale-invariant and half-stable activations. Where the kernel falls towards
    K* = 0 as l^(-1/s) with chi_perpendicular = 1 - p / l (tanh: s = p = 1), lambda_W^(l) = l^(1/s - p) L^(p - 1) and
    lambda_b^(l) = l^(-p) L^(p - 1). Scheme "ntk" leaves the depth factors out. "maximal-update" has hidden features
    move at order one at any width n: hidden rates 1, the first layer's n / n_0, the last's 1 / n, head variance C_W / n.
    Adam and AdamW: width rules only, 1 / sqrt(n) for the first layer and biases, n^(-3/2) for hidden layers, 1 / n for
    the last; with "maximal-update" 1, 1 / n, 1 / n. `bias_ratio` = lambda_b / lambda_W at the first layer.
    Errors: leading order in depth for the powers of l (tanh: shares flat to 7 % over layers 4..64); depth factors of
    "maximal-update" and of Adam are not known and left out.
    Raises: SettingError for an unknown optimizer or scheme.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, ch. 9; Yang and Hu 2021, arXiv:2011.14522; Yaida 2022,
    arXiv:2210.04909.

    Example:
    >>> learning_rates(MLP((64, 64, 64), weight_variance=2.0)).relative().weight
    (1.0, 1.0)
    """
    if optimizer not in _OPTIMIZERS:
        raise SettingError(f"optimizer is {optimizer!r}; it must be one of {_OPTIMIZERS}")
    if scheme not in get_args(Scheme):
        raise SettingError(f"scheme is {scheme!r}; it must be one of {get_args(Scheme)}")
    if not bias_ratio >= 0:
        raise SettingError(f"bias_ratio is {bias_ratio}; it must be >= 0")
    rule = _sgd if optimizer == "sgd" else _adam
    weight, bias = rule(network, scheme)
    head = 1.0 / _width(network) if scheme == "maximal-update" else 1.0
    return LearningRates(optimizer, scheme, weight, tuple(bias_ratio * rate for rate in bias), head)


def tangent_shares(network: MLP, rates: LearningRates, *, kernel: float) -> TangentShares:
    """Return every layer's share of the output's tangent kernel, (lambda_b + lambda_W <s^2>) prod chi_perpendicular.

    `kernel` is K^(1), the first layer's. Exact at infinite width.
    """
    first_square = (kernel - network.bias_variance[0]) / network.weight_variance[0]
    squares, slopes, value = [first_square], [], kernel
    for layer in range(1, network.depth):
        found = moments(network.activation, value)
        squares.append(float(found.square))
        slopes.append(network.weight_variance[layer] * float(found.slope_square))
        value = network.bias_variance[layer] + network.weight_variance[layer] * squares[-1]
    behind = [math.prod(slopes[layer:]) for layer in range(network.depth)]
    fans = network.widths[:-1]
    weight = [r * n * square * chi for r, n, square, chi in zip(rates.weight, fans, squares, behind, strict=True)]
    bias = [rate * chi for rate, chi in zip(rates.bias, behind, strict=True)]
    return TangentShares(*(torch.tensor(part, dtype=torch.float64) for part in (weight, bias)))


def _width(network: MLP) -> float:
    """Return the geometric mean of the hidden widths, or the input width of a network without hidden layers."""
    hidden = network.widths[1:-1] or network.widths[:1]
    return math.exp(sum(math.log(n) for n in hidden) / len(hidden))


def _sgd(network: MLP, scheme: Scheme) -> tuple[tuple[float, ...], tuple[float, ...]]:
    fans, depth = network.widths[:-1], network.depth
    if scheme == "maximal-update":
        width = _width(network)
        # First and hidden layers gain a factor n over the tangent-kernel scaling, the last does not.
        gains = [width] * (depth - 1) + [1.0]
        return tuple(g / n for g, n in zip(gains, fans, strict=True)), tuple(gains)
    if scheme == "ntk":
        return tuple(1.0 / n for n in fans), (1.0,) * depth
    power, fall = _decay_powers(network)
    layers = range(1, depth + 1)
    weight = (layer ** (fall - power) * depth ** (power - 1.0) / n for layer, n in zip(layers, fans, strict=True))
    return tuple(weight), tuple(layer**-power * depth ** (power - 1.0) for layer in layers)


def _decay_powers(network: MLP) -> tuple[float, float]:
    """Return p of chi_perpendicular = 1 - p / l and 1 / s of K^(l) ~ l^(-1/s); both 0 where the kernel stays put.

    On the way to K* = 0, K^(l) = (s |a| l)^(-1/s) and chi_perpendicular = 1 + b K^s give p = b / (s a).
    """
    point = criticality(network.activation)
    exponent, coefficient, slope = point.exponent, point.coefficient, point.perpendicular_coefficient
    if point.kind != "vanishing" or not coefficient or slope is None or exponent is None or not math.isfinite(exponent):
        return 0.0, 0.0
    return slope / (exponent * coefficient), 1.0 / exponent


def _adam(network: MLP, scheme: Scheme) -> tuple[tuple[float, ...], tuple[float, ...]]:
    width = _width(network)
    # Exponents of the one-parameter family: s = 1 for maximal updates, s = 0 for the tangent-kernel scaling.
    loss = 0.0 if scheme == "maximal-update" else 0.5
    fans, depth = network.widths[:-1], network.depth
    first = width**-loss
    inner = tuple(first / n for n in fans[1:-1])
    weight = (first, *inner, 1.0 / fans[-1]) if depth > 1 else (1.0 / fans[0],)
    return weight, (first,) * depth

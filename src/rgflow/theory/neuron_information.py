"""Entropy of neurons on one input, what neurons tell about each other, and the aspect ratio at which that would peak.

Neurons of a layer share the kernel Khat of their network, which differs from seed to seed with relative variance
eps = V / (n_{l-1} K^2); that makes them depend on each other. For m neurons and a mean kernel G,
    S_m = (m / 2) ln(2 pi e G) - D_m,    D_m = eps^2 m (m + 2) / 16 - eps^3 m (m + 2) (m + 8) / 48 + O(eps^4);
third and fourth cumulants of Khat drop out at this order, by orthogonality of Laguerre polynomials.
Units: entropies in nats, of z measured in its own unit; mutual information in nats.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import NoCriticalPoint, SettingError
from rgflow.numerics.activations import Activation, activation
from rgflow.numerics.criticality import criticality
from rgflow.records.estimate import Estimate
from rgflow.records.flow import Flow

__all__ = [
    "AspectRatio",
    "InformationCurve",
    "MutualInformation",
    "NeuronEntropy",
    "entropy",
    "lognormal_information",
    "mutual_information",
    "optimal_aspect_ratio",
]

WARNING = (
    "this maximum comes from stopping at the third order in depth / width: the mutual information of a log-normal"
    " kernel, the law of deep scale-invariant networks, grows without one, so read the ratio as the scale at which the"
    " expansion breaks down"
)
CURVE_POINTS = 13
CURVE_END = 3.0  # in units of the ratio: far enough to see the truncated form fall and turn negative


@dataclass(frozen=True)
class NeuronEntropy:
    """Entropy of `neurons` neurons in nats, its Gaussian part, and eps; the error is the size of the last term kept."""

    neurons: int
    entropy: Estimate
    gaussian: float
    relative_variance: float


@dataclass(frozen=True)
class MutualInformation:
    """What `first` neurons tell about `second` others, in nats: to order eps^3, and for a log-normal kernel of equal eps."""

    first: int
    second: int
    information: Estimate
    lognormal: float
    relative_variance: float


@dataclass(frozen=True)
class InformationCurve:
    """Mutual information of `first` neurons and `second` others against depth / width: truncated, and log-normal."""

    first: int
    second: int
    ratio: Tensor
    truncated: Tensor
    lognormal: Tensor


@dataclass(frozen=True)
class AspectRatio:
    """Depth / width at which the truncated mutual information of `outputs` neurons peaks, and why not to trust it."""

    ratio: float
    growth: float
    outputs: int
    warning: str
    curve: InformationCurve | None


def entropy(flow: Flow, *, layer: int, neurons: int, row: int = 0) -> NeuronEntropy:
    """Return the entropy of `neurons` neurons of layer `layer` (1..L) on input `row`, averaged over networks:
    (m / 2) ln(2 pi e G) - D_m, with G = K + G1 / n_{l-1} and D_m to order eps^3.

    Errors: "truncation", the size of the eps^3 term; refused where that term exceeds the one before it.
    Raises: SettingError for a flow of order 0, a layer, number of neurons or row that is not there, laws that are not
    Gaussian, a zero kernel, or eps (m + 8) >= 3.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, appendix A.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> found = entropy(flow(MLP((2, 50, 10), "relu", weight_variance=2.0), [[1.0, 1.0]]), layer=2, neurons=1)
    >>> round(found.gaussian - found.entropy.value, 7)  # 0.1**2 * 3 / 16 - 0.1**3 * 27 / 48
    0.0013125
    """
    mean, eps = _scale(flow, layer=layer, neurons=neurons, row=row)
    second, third = _terms(neurons, eps)
    _check_series(neurons, eps)
    gaussian = neurons / 2 * math.log(2 * math.pi * math.e * mean)
    return NeuronEntropy(neurons, Estimate(gaussian - second + third, third, "truncation"), gaussian, eps)


def mutual_information(flow: Flow, *, layer: int, first: int, second: int, row: int = 0) -> MutualInformation:
    """Return the mutual information of `first` neurons of layer `layer` and `second` others, on input `row`:
    D_(m1 + m2) - D_m1 - D_m2 = (m1 m2 / 8) (eps^2 - eps^3 (20 + 3 (m1 + m2)) / 6).

    Errors, Raises: as `entropy`. Beside it stands the same for a log-normal kernel, without truncation.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, appendix A.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> wide = flow(MLP((2, 500, 4), "relu", weight_variance=2.0), [[1.0, 1.0]])
    >>> found = mutual_information(wide, layer=2, first=1, second=1)
    >>> round(found.information.value * 1e6, 3), round(found.lognormal * 1e6, 3)
    (11.958, 11.984)
    """
    for count in (first, second):
        _scale(flow, layer=layer, neurons=count, row=row)
    _, eps = _scale(flow, layer=layer, neurons=first + second, row=row)
    _check_series(first + second, eps)
    value = _truncated(eps, first, second)
    error = first * second / 8 * eps**3 * (20 + 3 * (first + second)) / 6
    exact = lognormal_information(math.log1p(eps), first=first, second=second)
    return MutualInformation(first, second, Estimate(value, error, "truncation"), exact, eps)


def _scale(flow: Flow, *, layer: int, neurons: int, row: int) -> tuple[float, float]:
    """Return G and eps of one input, after all checks."""
    index = flow.index(layer)
    if flow.vertex is None or flow.correction is None:
        raise SettingError("the flow has order 0 and no vertex; entropies need flow(network, inputs, order=1)")
    if flow.network.skip != 0.0:
        raise SettingError(
            f"the network has skip {flow.network.skip:g}; its neurons are not a scale mixture of Gaussians: take skip=0"
        )
    if flow.neuron_cumulant is not None:
        raise SettingError("weights or biases are not Gaussian, and a neuron then has an entropy of its own shape")
    inputs, (below, width) = flow.kernel.shape[1], flow.network.widths[index : index + 2]
    if not 0 <= row < inputs:
        raise SettingError(f"row is {row}; the flow has the inputs 0 to {inputs - 1}")
    if neurons != int(neurons) or not 1 <= neurons <= width:
        raise SettingError(f"{neurons} neurons are asked for; layer {layer} has {width}, take 1 to {width}")
    kernel = float(flow.kernel[index, row, row])
    if kernel <= 0.0:
        raise SettingError(f"the kernel of input {row} is 0 in layer {layer}: its neurons are constant")
    position = int((flow.pairs == row).all(1).nonzero())
    eps = float(flow.vertex[index, position, position]) / (below * kernel**2)
    return kernel + float(flow.correction[index, row, row]) / below, eps


def _terms(m: int, eps: float) -> tuple[float, float]:
    """Return the eps^2 and the (subtracted) eps^3 term of D_m; 16 and 48 as in the module's title."""
    return eps**2 * m * (m + 2) / 16, eps**3 * m * (m + 2) * (m + 8) / 48


def _truncated(eps: float, m: int, other: int) -> float:
    return m * other / 8 * (eps**2 - eps**3 * (20 + 3 * (m + other)) / 6)


def _check_series(m: int, eps: float) -> None:
    if eps * (m + 8) >= 3.0:  # third term over second: eps (m + 8) / 3
        raise SettingError(
            f"the kernel's relative variance over seeds is {eps:.3g}; the expansion for {m} neurons needs less than"
            f" 3 / (neurons + 8) = {3.0 / (m + 8):.3g}: take fewer neurons, a wider or a shallower network"
        )


def lognormal_information(log_variance: float, *, first: int, second: int) -> float:
    """Return the mutual information in nats of `first` Gaussians and `second` others that share a log-normal variance.

    `log_variance` is the variance of the logarithm of the shared variance: nu * depth / width in deep scale-invariant
    networks. Errors: 1e-9 absolute. Raises: SettingError for a negative variance or numbers below 1.

    Example:
    >>> round(lognormal_information(0.1, first=1, second=1), 9)
    0.0009568
    """
    if not 0.0 <= log_variance < math.inf or min(first, second) < 1:
        raise SettingError(
            f"log_variance is {log_variance}, neurons are {first} and {second}; needed are >= 0, and >= 1 each"
        )
    return (
        _divergence(first + second, log_variance) - _divergence(first, log_variance) - _divergence(second, log_variance)
    )


def _divergence(m: int, log_variance: float) -> float:
    """Return D_m, the divergence of the mixture of N(0, lam)^m from N(0, 1)^m at E lam = 1, lam log-normal."""
    if log_variance == 0.0:
        return 0.0
    # All integrands are smooth and die out at both ends, where sums over equal steps converge exponentially.
    t = torch.arange(-9.0, 9.0, 0.08, dtype=torch.float64)
    share = torch.softmax(-t * t / 2, 0)
    logarithm = math.sqrt(log_variance) * t - log_variance / 2
    end = math.log(m) + 5.0 + 9.0 * math.sqrt(log_variance)
    y = torch.arange(-60.0, end, 0.05, dtype=torch.float64)  # y = ln |z|^2, density falls like exp(m y / 2)
    mixed = torch.exp(_log_density(y.unsqueeze(1) - logarithm, m)) @ share
    # y = ln |z|^2 has E exp(y) = m under the mixture, so this divergence is that of the z themselves.
    gap = torch.where(mixed > 0, mixed.clamp_min(1e-300).log() - _log_density(y, m), 0.0)
    return float((mixed * gap).sum() * 0.05)


def _log_density(y: Tensor, m: int) -> Tensor:
    """Return the log-density of y = ln chi^2 with m degrees of freedom."""
    return m / 2 * (y - math.log(2.0)) - torch.exp(y) / 2 - math.lgamma(m / 2)


def optimal_aspect_ratio(
    activation_or_name: "str | Activation | Callable[..., Tensor]", *, outputs: int
) -> AspectRatio:
    """Return r* = 4 / ((20 + 3 n_L) nu), depth / width at which the truncated mutual information of a critical network
    peaks, with the warning that the peak is made by the truncation, and both curves.

    The curves are those of one output against the others (None for a single output), at eps = nu r and, log-normal, at
    log-variance nu r. Raises: NoCriticalPoint without a growth nu; SettingError for outputs < 1.
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, appendix A; nu from `criticality`.

    Example:
    >>> round(optimal_aspect_ratio("relu", outputs=10).ratio, 4)
    0.016
    """
    if outputs != int(outputs) or outputs < 1:
        raise SettingError(f"outputs is {outputs}; a network has at least 1")
    rule = activation(activation_or_name)
    growth = criticality(rule).growth
    if growth is None:
        raise NoCriticalPoint(f"{rule.name} has no critical growth nu: {criticality(rule).reason}")
    ratio = 4.0 / ((20 + 3 * outputs) * growth)
    curve = None if outputs == 1 else _curve(growth, ratio=ratio, others=outputs - 1)
    return AspectRatio(ratio, growth, outputs, WARNING, curve)


def _curve(growth: float, *, ratio: float, others: int) -> InformationCurve:
    points = torch.linspace(0.0, CURVE_END * ratio, CURVE_POINTS, dtype=torch.float64)
    truncated = [_truncated(growth * r, 1, others) for r in points.tolist()]
    exact = [lognormal_information(growth * r, first=1, second=others) for r in points.tolist()]
    return InformationCurve(1, others, points, torch.tensor(truncated).double(), torch.tensor(exact).double())

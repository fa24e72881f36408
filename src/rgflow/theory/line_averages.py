"""Averages over one neuron on single inputs, its bias drawn from any law: what the diagonal of a flow is made of.

Convention: z = bias + Gaussian of variance Q; He are Hermite polynomials of the whitened Gaussian part, and a prime is
the derivative with respect to Q: <f>' = <f He2> / 2Q, <f>'' = <f He4> / 4Q^2. No derivative of s is taken but in
<s'^2> and <z^2 s'^2>. Where Q = 0 first derivatives are those of s itself, the mean of both sides at a kink.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.numerics.gaussian import gaussian_rule, mesh_of
from rgflow.numerics.pointwise import one_sided
from rgflow.theory.parameter_laws import BiasNodes

__all__ = ["LineAverages", "line_averages"]

ROWS = 8  # inputs handled at once; neighbours in size share the panels that they leave empty
DECAYED = 1e-16  # of an integrand at 13 standard deviations, against its largest value: then its tails are seen


@dataclass(frozen=True)
class LineAverages:
    """Averages over one neuron on each of N inputs, all (N,): <s^2>, <s^4>, <s^6>, their derivatives, <s'^2>, <z^2 s'^2>.

    NaN where an average does not exist, or its tails are not seen within 13 standard deviations.
    """

    square: Tensor
    fourth: Tensor
    sixth: Tensor
    square_slope: Tensor
    square_bend: Tensor
    fourth_slope: Tensor
    slope_square: Tensor
    stretch: Tensor


def line_averages(activation: Activation, kernel: Tensor, *, bias: BiasNodes, bias_variance: float) -> LineAverages:
    """Return the averages at total variances `kernel` (N,), of which `bias_variance` is that of `bias`.

    Errors: 1e-10 relative to the average of the absolute value, as `rgflow.numerics.gaussian.moments`.
    """
    gaussian = (kernel - bias_variance).clamp_min(0.0)
    order = torch.argsort(gaussian)
    parts = [_mixed(activation, piece, bias) for piece in gaussian[order].split(ROWS)]
    return LineAverages(*torch.cat(parts, dim=1)[:, torch.argsort(order)])


def _mixed(activation: Activation, gaussian: Tensor, bias: BiasNodes) -> Tensor:
    """Return the averages (8, rows) over all nodes of the bias."""
    nodes = zip(bias.values, bias.probabilities, bias.variances, strict=True)
    parts = [share * _node(activation, gaussian + own, mean=value) for value, share, own in nodes]
    return torch.stack(parts).sum(0)


def _node(activation: Activation, variance: Tensor, *, mean: float) -> Tensor:
    mesh = mesh_of(activation)
    x, z, weight = gaussian_rule(variance, mesh.edges, mean=mean)
    square, slope = activation.function(z) ** 2, activation.derivative(z) ** 2
    density = torch.exp(-0.5 * x * x)
    reached = abs(mean) + 8.0 * variance.sqrt() <= mesh.reach
    second, fourth = x * x - 1.0, x**4 - 6.0 * x * x + 3.0
    inverse = torch.where(variance > 0, 0.5 / variance, 0.0)
    at_zero = torch.where(variance > 0, 0.0, _point_slope(activation, mean))

    def average(values: Tensor) -> Tensor:
        """The average, where it is seen: dead at both ends, on a mesh that reaches them."""
        integrand = density * values.abs()
        seen = torch.maximum(integrand[:, 0], integrand[:, -1]) <= DECAYED * integrand.amax(1)
        return torch.where((seen & reached) | (variance <= 0), (values * weight).sum(1), torch.nan)

    fourth_power = square * square
    return torch.stack([
        average(square),
        average(fourth_power),
        average(fourth_power * square),
        average(square * second) * inverse + at_zero,
        average(square * fourth) * inverse**2,
        average(fourth_power * second) * inverse,
        average(slope),
        average(slope * z * z),
    ])  # fmt: skip


def _point_slope(activation: Activation, mean: float) -> float:
    """Return (s^2)'' / 2 = s'^2 + s s'' at one point, the mean of both sides at a kink: d<s^2>/dQ at Q = 0."""
    sides = zip(one_sided(activation.derivative, mean), one_sided(activation.second_derivative, mean), strict=True)
    value = float(activation.function(torch.tensor([mean], dtype=torch.float64)))
    return sum((slope**2 + value * bend) / 2 for slope, bend in sides)

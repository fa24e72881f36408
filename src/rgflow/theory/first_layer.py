"""The first layer on given inputs: a finite sum over input features, Gaussian only if its weights are.

Hidden width does not help here: z^(1) = b + W x keeps the shape of the weights' law. Where that is not Gaussian,
virtual neurons are drawn from the true law, in sign-reversed twins, and weighted so that their second and fourth
moments, which are known exactly from the inputs, are exact; what remains is a small sampling error.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.numerics.activations import Activation
from rgflow.theory.laws import BiasMixture, LayerLaw, standard_draw
from rgflow.theory.pair_flow import Nodes, PairState, mixture_nodes, output_features
from rgflow.theory.pair_kernel import PairKernel

__all__ = ["FirstLayer", "first_layer", "pair_distance", "second_state"]

EMPTY = 1e-6  # deviation of a whitened monomial, of order one in any direction that exists
VIRTUAL_NEURONS = 8192  # twins included: sampling error 0.1 % of a kernel, 1 % of its variance over seeds


@dataclass(frozen=True)
class FirstLayer:
    """The first layer on B inputs: `kernel` (B,) = C_b + C_W |x|^2 / n_0, `law`, and virtual neurons (B, S) or None."""

    inputs: Tensor
    law: LayerLaw
    kernel: Tensor
    neurons: Tensor | None


def first_layer(inputs: Tensor, *, law: LayerLaw, seed: int) -> FirstLayer:
    """Return the first layer on `inputs` (B, n_0), with virtual neurons where its law is not Gaussian."""
    x = inputs.double()
    kernel = law.bias_variance + law.weight_variance * x.square().mean(1)
    if law.gaussian:
        return FirstLayer(x, law, kernel, None)
    generator = torch.Generator().manual_seed(seed)
    half = VIRTUAL_NEURONS // 2
    weights = standard_draw(law.weight_kurtosis, (x.shape[1], half), generator=generator)
    biases = standard_draw(law.bias_kurtosis, (1, half), generator=generator)
    z = x @ weights * math.sqrt(law.weight_variance / x.shape[1]) + biases * math.sqrt(law.bias_variance)
    return FirstLayer(x, law, kernel, torch.cat([z, -z], dim=1))


def pair_distance(inputs: Tensor, *, first: Tensor, second: Tensor, law: LayerLaw) -> Tensor:
    """Return D = C_W |x_a - x_b|^2 / (2 n_0) of the pairs `first`, `second` (P,)."""
    return law.weight_variance * (inputs[first] - inputs[second]).square().mean(1) / 2


def second_state(
    layer: FirstLayer,
    *,
    first: Tensor,
    second: Tensor,
    activation: Activation,
    width: int,
    law: LayerLaw,
    mixtures: Sequence[BiasMixture],
    order: int,
) -> PairState:
    """Return layer 2's state on the pairs `first`, `second`: exact mean, exact covariance, no shift.

    `width` = n_1, `law` that of layer 2, `mixtures` those of the biases of layers 1 and 2.
    """
    distance = pair_distance(layer.inputs, first=first, second=second, law=layer.law)
    kernel = PairKernel(layer.kernel[first], layer.kernel[second], distance)
    if layer.neurons is None:
        nodes = _gaussian_nodes(kernel, layer.law, mixture=mixtures[0], activation=activation, order=order)
    else:
        nodes = _virtual_nodes(layer, kernel, first=first, second=second)
    features = output_features(activation, nodes, width=width, law=law, mixture=mixtures[1])
    return features.state(covariance=features.fresh, shift=torch.zeros_like(features.fresh[:, 0]), propagator=None)


def _gaussian_nodes(
    kernel: PairKernel, law: LayerLaw, *, mixture: BiasMixture, activation: Activation, order: int
) -> Nodes:
    part = kernel.shifted(mixture.gaussian_variance - law.bias_variance)
    return mixture_nodes(part, mixture, activation=activation, order=order)


def _virtual_nodes(layer: FirstLayer, kernel: PairKernel, *, first: Tensor, second: Tensor) -> Nodes:
    """Return the virtual neurons as nodes whose second and fourth whitened moments are exact."""
    assert layer.neurons is not None
    basis = kernel.whitening()
    z, other = layer.neurons[first], layer.neurons[second]
    u, v = basis.coordinates(other, z - other)
    scale = math.sqrt(layer.law.weight_variance / layer.inputs.shape[1])
    x, y = scale * layer.inputs[first], scale * layer.inputs[second]
    p, q = basis.coordinates(y, x - y)
    bias = torch.full_like(z[:, :1], math.sqrt(layer.law.bias_variance))
    p_bias, q_bias = (t[:, 0] for t in basis.coordinates(bias, torch.zeros_like(bias)))
    kurtosis = layer.law.weight_kurtosis
    cumulants = [
        kurtosis * (p**i * q ** (4 - i)).sum(1) + layer.law.bias_kurtosis * p_bias**i * q_bias ** (4 - i)
        for i in (4, 3, 2, 1, 0)
    ]
    one, zero = torch.ones_like(cumulants[0]), torch.zeros_like(cumulants[0])
    targets = torch.stack(
        [one, zero, one, 3 + cumulants[0], cumulants[1], 1 + cumulants[2], cumulants[3], 3 + cumulants[4]], 1
    )
    monomials = torch.stack([u**2, u * v, v**2, u**4, u**3 * v, u**2 * v**2, u * v**3, v**4], dim=1)
    weights = calibrated_weights(monomials, targets)
    return Nodes(first=z, second=other, difference=z - other, u=u, v=v, weight=weights)


def calibrated_weights(values: Tensor, targets: Tensor) -> Tensor:
    """Return weights (P, S), summing to one, for which the mean of `values` (P, k, S) is `targets` (P, k).

    The smallest change of equal weights that does it (linear control variates). A value that hardly varies, as in an
    empty whitened direction, is left alone; the normal matrix is regularised at rounding level.
    """
    samples = values.shape[-1]
    centred = values - values.mean(2, keepdim=True)
    scale = centred.square().mean(2, keepdim=True).sqrt()
    varies = scale > EMPTY
    centred = torch.where(varies, centred / scale.clamp_min(EMPTY), 0.0)
    normal = centred @ centred.mT / samples
    normal = normal + 1e-10 * torch.eye(values.shape[1], dtype=values.dtype)
    gap = torch.where(varies, (targets - values.mean(2)).unsqueeze(2) / scale.clamp_min(EMPTY), 0.0)
    multipliers = torch.linalg.solve(normal, gap)
    return (1 + (multipliers.mT @ centred)[:, 0]) / samples

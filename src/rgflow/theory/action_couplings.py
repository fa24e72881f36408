"""Couplings of the action of a layer's preactivations at order 1/n, in closed form from kernel and vertex.

Convention: p(z) ~ exp(-S) for m neurons of one layer on N inputs, indices raised with the inverse kernel,
    S = 1/2 sum_i g^ab z_ia z_ib - 1/8 sum_ij v^(ab)(cd) z_ia z_ib z_jc z_jd,
summed over all ordered a, b, c, d. The minus sign is right: v is positive semi-definite on pairs, so that the truncated
exp(-S) is an expansion of the true density, not a density to draw from.
Units: quadratic 1 / z^2, quartic 1 / z^4.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records.flow import Flow
from rgflow.theory.pair_space import pair_space

__all__ = ["Couplings", "couplings"]

# Beyond this ratio of eigenvalues four raised indices leave fewer than two digits: (1e-7)^2 against 2e-16 of rounding.
SINGULAR = 1e-7


@dataclass(frozen=True)
class Couplings:
    """Quadratic (N, N) and quartic (P, P) couplings, raised indices, of `neurons` neurons of layer `layer`.

    `quadratic_count`, `quartic_count`: how many couplings are independent (P, and P (P + 1) / 2, or the
    C(N + 3, 4) fully symmetric ones that a single neuron sees). `error` is the numerical error of the largest entry of
    each, relative to it; the truncation is of order 1/n^2.
    """

    layer: int
    neurons: int
    quadratic: Tensor
    quartic: Tensor
    quadratic_count: int
    quartic_count: int
    error: float

    def action(self, preactivations: Tensor) -> Tensor:
        """Return S(z) up to a constant; shapes (..., neurons, N) to (...); raises SettingError for other shapes."""
        z = torch.as_tensor(preactivations, dtype=torch.float64)
        inputs = len(self.quadratic)
        if z.ndim < 2 or z.shape[-2:] != (self.neurons, inputs):
            raise SettingError(
                f"preactivations have shape {tuple(z.shape)}; these couplings take (..., {self.neurons}, {inputs})"
            )
        squares = z.mT @ z
        space = pair_space(inputs)
        pairs = space.vector(squares) * space.multiplicity
        quadratic = (squares * self.quadratic).sum((-2, -1))
        return quadratic / 2 - torch.einsum("...p,pq,...q->...", pairs, self.quartic, pairs) / 8


def couplings(flow: Flow, *, layer: int, neurons: int) -> Couplings:
    """Return the action's couplings for `neurons` of the neurons of layer `layer` (1..L), the others integrated out:
    v^(ab)(cd) = V raised / n_{l-1},  g^ab = (K + G1 / n_{l-1})^-1 + sum_cd K_cd (v^(ac)(db) + (m / 2) v^(ab)(cd)).

    Shapes: quadratic (N, N), quartic (P, P). Units: 1 / z^2 and 1 / z^4.
    Errors: truncation of order 1/n^2; the term m v / 2 is of order m / n, which is no small number for a whole layer.
    Raises: SettingError for a layer or number of neurons that the network does not have, a flow of order 0, laws that
    are not Gaussian, or a kernel without an inverse (coincident or linearly dependent inputs).
    Source: Roberts, Yaida and Hanin 2022, arXiv:2106.10165, sections 4.2 and 4.4, here for any number of neurons.

    Example:
    >>> from rgflow import MLP
    >>> from rgflow.theory import flow
    >>> found = couplings(flow(MLP((3, 50, 4), "relu", weight_variance=2.0), [[1.0, 1.0, 1.0]]), layer=2, neurons=4)
    >>> round(float(found.quartic * 2.0**2), 9)  # 5 / n at K = 2
    0.1
    """
    index = flow.index(layer)
    _check(flow, layer=layer, neurons=neurons)
    assert flow.vertex is not None
    assert flow.correction is not None
    assert flow.vertex_error is not None
    width, kernel = flow.network.widths[index], flow.kernel[index]
    inverse, condition = _inverse(kernel, layer=layer)
    inputs = len(kernel)
    space = pair_space(inputs)
    raising = _raising(inverse)
    quartic = raising @ flow.vertex[index] @ raising.T / width
    whole = quartic[space.position][:, :, space.position]  # v^(ab)(cd) as (N, N, N, N)
    shift = torch.einsum("cd,acdb->ab", kernel, whole) + neurons / 2 * torch.einsum("cd,abcd->ab", kernel, whole)
    # Inverse of K + G1/n to first order, so that nothing beyond 1/n is mixed in.
    first = inverse - inverse @ flow.correction[index] @ inverse / width
    pairs = len(space.first)
    seen = math.comb(inputs + 3, 4) if neurons == 1 else pairs * (pairs + 1) // 2
    error = condition * (4 * _relative(flow.kernel_error[index], kernel) + 1e-15)
    error += _relative(flow.vertex_error[index], flow.vertex[index])
    return Couplings(layer, neurons, first + (shift + shift.T) / 2, quartic, pairs, seen, error)


def _relative(error: Tensor, values: Tensor) -> float:
    largest = float(values.abs().max())
    return float(error) / largest if largest > 0 else 0.0


def _check(flow: Flow, *, layer: int, neurons: int) -> None:
    if flow.vertex is None:
        raise SettingError("the flow has order 0 and no vertex; couplings need flow(network, inputs, order=1)")
    width = flow.network.widths[layer]
    if isinstance(neurons, bool) or neurons != int(neurons) or not 1 <= neurons <= width:
        raise SettingError(f"neurons is {neurons}; layer {layer} has {width}, take 1 to {width} of them")
    if flow.network.skip != 0.0:
        raise SettingError(
            f"the network has skip {flow.network.skip:g}; its neurons are not Gaussian at a given kernel, so kernel and vertex"
            " alone do not make the action: take skip=0"
        )
    if flow.neuron_cumulant is not None:
        raise SettingError(
            "weights or biases are not Gaussian; their own fourth cumulant adds couplings of single neurons that this"
            " action does not hold: take weight_law='gaussian' and bias_law='gaussian'"
        )


def _inverse(kernel: Tensor, *, layer: int) -> tuple[Tensor, float]:
    """Return the inverse and the condition number of the kernel, which must be far from singular."""
    scale = kernel.diagonal().clamp_min(1e-300).sqrt()
    normalised = kernel / torch.outer(scale, scale)
    values, vectors = torch.linalg.eigh(normalised)
    if float(kernel.diagonal().min()) <= 0.0 or float(values[0]) < SINGULAR * float(values[-1]):
        raise SettingError(
            f"the kernel of layer {layer} is singular (smallest eigenvalue of its correlations {float(values[0]):.3g}),"
            " so indices cannot be raised: merge coincident inputs, drop zero rows, or keep a set of linearly"
            " independent inputs"
        )
    inverse = (vectors / values) @ vectors.T / torch.outer(scale, scale)
    return (inverse + inverse.T) / 2, float(values[-1] / values[0])


def _raising(inverse: Tensor) -> Tensor:
    """Return (P, P): S^ab = sum over pairs (cd) of R[(ab), (cd)] S_cd, both indices of symmetric S raised."""
    space = pair_space(len(inverse))
    a, b = space.first, space.second
    direct = inverse[a][:, a] * inverse[b][:, b] + inverse[a][:, b] * inverse[b][:, a]
    return direct * (space.multiplicity / 2)

"""Networks with orthogonal weights at order 1/n: what the dependence of a matrix's rows adds to vertex and mean shift.

A Haar matrix with n_l rows and n_{l-1} columns is part of one with m = max(n_l, n_{l-1}) orthonormal rows. Given the layer
below, its neurons carry Q = K - C_b exactly, but are not independent: over m neurons sum_j z_ja z_jb does not fluctuate at all.
To order 1/m this leaves two cumulants (Weingarten calculus; docs/laws.md has the derivation),
    same neuron:        - (2 / m) (Q_ab Q_cd + Q_ac Q_bd + Q_ad Q_bc),
    neurons i != j:     - (1 / m) (Q_ac Q_bd + Q_ad Q_bc)    for  z_ia z_ib z_jc z_jd,
so that, in units of the previous width as everywhere, r = n_l / n_{l-1} and t = n_l / m,
    V'  = C_W^2 Cov(s_a s_b, s_c s_d) + M [r V - t (Q_ac Q_bd + Q_ad Q_bc)] M^T,
    G1' = r M G1 + H[r V - 2 t Q_ab Q_cd].
Gaussian independent weights are t = 0. In the first step r V = 0. Linear square networks have V = 0, as they must.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.numerics.feature_covariance import feature_covariance
from rgflow.numerics.kernel_derivatives import kernel_curvature, kernel_response
from rgflow.records.architecture import MLP
from rgflow.records.flow import Flow
from rgflow.theory.effective_flow import flow
from rgflow.theory.pair_space import pair_space

__all__ = ["OrthogonalSources", "orthogonal_flow", "orthogonal_sources"]

# Numerical error of M and H relative to their size, as `numerics.kernel_derivatives` reports it, with room to spare.
_DERIVATIVES = 1e-9


@dataclass(frozen=True)
class OrthogonalSources:
    """What orthogonal weights add, both (P, P): `vertex` to r V inside M [.] M^T, `curvature` to r V inside H[.]."""

    vertex: Tensor
    curvature: Tensor


def orthogonal_sources(weight_kernel: Tensor, *, width: int, fan_in: int) -> OrthogonalSources:
    """Return the sources of the step out of a layer of `width` neurons whose orthogonal weights read `fan_in` numbers.

    Shapes: `weight_kernel` Q = K - C_b (N, N), the part of the layer's kernel that its weights make. Units: of z^4.
    Errors: leading order in 1/n. Source: Collins and Sniady 2006, math-ph/0402073 (Weingarten functions of O(m)).
    """
    space = pair_space(len(weight_kernel))
    share = width / max(width, fan_in)
    crossed, vector = space.crossed(weight_kernel), space.vector(weight_kernel)
    symmetric = (torch.outer(vector, vector) + crossed) / 3.0  # over the three ways to pair four indices
    return OrthogonalSources(-share * crossed, -2.0 * share * symmetric)


def orthogonal_flow(network: MLP, inputs: Tensor) -> Flow:
    """Return kernel, vertex and correction of a network all of whose weight matrices are Haar, biases Gaussian or zero.

    `weight_variance` is fan_in times the mean square of an entry; PyTorch's `orthogonal_(w, gain=g)` has
    g^2 fan_in / max(fan_in, n_out). The kernel is that of Gaussian weights; the correction starts in layer 2, not 3.
    Shapes: `inputs` (N, n_0), all different; results as `rgflow.records.Flow` says.
    Errors: truncation of relative order `control`; numerical ones 1e-9 relative to the largest entry.
    Raises: SettingError as `flow`, and where more inputs than neurons leave no orthonormal frame.
    """
    plain = flow(network, inputs, order=0)
    size, space = plain.kernel.shape[1], pair_space(plain.kernel.shape[1])
    if size > min(network.widths[:-1]):
        raise SettingError(f"{size} inputs in a network of widths {network.widths}; give at most the smallest width")
    vertices, corrections = [torch.zeros(2 * (len(space.first),), dtype=torch.float64)], []
    corrections.append(vertices[0][0])
    for layer in range(1, network.depth):
        kernel, weight = plain.kernel[layer - 1], network.weight_variance[layer]
        width, fan_in = network.widths[layer], network.widths[layer - 1]
        ratio = 0.0 if layer == 1 else width / fan_in
        own = orthogonal_sources(kernel - network.bias_variance[layer - 1], width=width, fan_in=fan_in)
        answer = kernel_response(network.activation, kernel)
        bend = kernel_curvature(network.activation, kernel).contract(
            ratio * vertices[-1] + own.curvature, weight_variance=weight
        )
        fresh = weight**2 * feature_covariance(network.activation, kernel).covariance
        passed = answer.propagate(ratio * vertices[-1] + own.vertex, weight_variance=weight)
        corrections.append(ratio * answer.apply(corrections[-1], weight_variance=weight) + bend.value)
        vertices.append(fresh + passed)
    return _completed(plain, torch.stack(vertices), space.matrix(torch.stack(corrections)))


def _completed(plain: Flow, vertex: Tensor, correction: Tensor) -> Flow:
    own = vertex.diagonal(dim1=1, dim2=2)[:, pair_space(plain.kernel.shape[1]).diagonal]
    below = torch.tensor(plain.network.widths[:-1], dtype=torch.float64).unsqueeze(1)
    size = plain.kernel.diagonal(dim1=1, dim2=2)
    relative = torch.where(own == 0, 0.0, own / (below * size**2))
    return replace(
        plain,
        order=1,
        vertex=vertex,
        correction=correction,
        control=relative.amax(1),
        vertex_error=_DERIVATIVES * size.amax(1) ** 2,
        correction_error=_DERIVATIVES * size.amax(1),
        weight_laws=("orthogonal",) * plain.network.depth,
    )

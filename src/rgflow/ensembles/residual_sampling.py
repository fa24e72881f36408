"""Kernels of residual networks drawn exactly in law, without weight matrices, by carrying the preactivations.

Convention: z' = skip * z + b + W s(z) from layer 2 on, Gaussian weights and biases. Given z, the neurons of the next
layer are independent Gaussians with covariance C_b + (C_W / n) s s^T; where the width changes the skip is a Gaussian
projection of entry variance 1 / fan-in, which adds skip^2 z z^T / n to that covariance. A residual network remembers
z itself, so its kernel alone is not enough to go on.
"""

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records import MLP

__all__ = ["sample_residual"]

# Preactivations held at once: 2^22 numbers are 32 MiB, and four such tensors live together.
_AT_ONCE = 2**22


def sample_residual(network: MLP, inputs: Tensor, *, networks: int, seed: int) -> Tensor:
    """Return the kernels q^(l)_ab = (1/n_l) sum_j z_ja z_jb of drawn networks, in every layer; skip = 0 is allowed.

    Shapes: `inputs` (N, n_0) to (networks, L, N, N), float64, layers 1..L at index 0..L-1.
    Units: of z^2.
    Errors: none but sampling; every network is exact in law at its own widths.
    Raises: SettingError for inputs that do not fit the network or fewer than one network.

    Example:
    >>> net = MLP((2, 8, 8), "relu", weight_variance=1.0, skip=0.5)
    >>> tuple(sample_residual(net, torch.eye(2), networks=3, seed=0).shape)
    (3, 2, 2, 2)
    """
    values = _checked(network, inputs, networks)
    generator = torch.Generator().manual_seed(seed)
    share = max(1, _AT_ONCE // (len(values) * max(network.widths[1:])))
    sizes = [min(share, networks - start) for start in range(0, networks, share)]
    return torch.cat([_drawn(network, values, networks=size, generator=generator) for size in sizes])


def _checked(network: MLP, inputs: Tensor, networks: int) -> Tensor:
    values = torch.as_tensor(inputs, dtype=torch.float64)
    if values.ndim != 2 or values.shape[1] != network.widths[0] or not len(values):
        raise SettingError(
            f"inputs have shape {tuple(values.shape)}; this network takes (N, {network.widths[0]}) with N >= 1"
        )
    if networks < 1:
        raise SettingError(f"networks is {networks}; at least one network must be drawn")
    return values


def _drawn(network: MLP, inputs: Tensor, *, networks: int, generator: torch.Generator) -> Tensor:
    skip = network.skip

    def fresh(covariance: Tensor, width: int) -> Tensor:
        noise = torch.randn(networks, width, len(inputs), generator=generator, dtype=torch.float64)
        return noise @ _root(covariance).mT

    first = network.bias_variance[0] + network.weight_variance[0] / network.widths[0] * (inputs @ inputs.T)
    z = fresh(first.expand(networks, -1, -1), network.widths[1])
    found = [z.mT @ z / network.widths[1]]
    for layer in range(1, network.depth):
        fan_in, width = network.widths[layer], network.widths[layer + 1]
        out = network.activation.function(z)
        covariance = network.bias_variance[layer] + network.weight_variance[layer] / fan_in * (out.mT @ out)
        projected = skip**2 * found[-1] if width != fan_in else 0.0
        carried = skip * z if width == fan_in else 0.0
        z = fresh(covariance + projected, width) + carried
        found.append(z.mT @ z / width)
    return torch.stack(found, dim=1)


def _root(covariance: Tensor) -> Tensor:
    """Return R with R R^T = covariance: Cholesky, or eigenvectors where dead or coinciding rows make it singular."""
    root, failed = torch.linalg.cholesky_ex(covariance)
    singular = failed != 0
    if bool(singular.any()):
        # A pivot of pure rounding may pass the Cholesky test instead; what it adds is of the size of rounding.
        values, vectors = torch.linalg.eigh(covariance[singular])
        root[singular] = vectors * values.clamp(min=0.0).sqrt().unsqueeze(-2)
    return root

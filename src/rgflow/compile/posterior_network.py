"""The network that ends in the posterior of Hamiltonian classes: standardise, compute the polynomials, take the softmax.

The module maps raw inputs to the logits -H_y - mu_y; a softmax, or a cross-entropy loss, comes after it as after any
classifier. Bounds hold where every standardised input lies in [-domain, domain].
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from rgflow.compile.class_hamiltonians import ClassHamiltonians
from rgflow.compile.compiling import polynomial
from rgflow.compile.network import CompiledNetwork, Wire
from rgflow.errors import SettingError
from rgflow.numerics.sparse_polynomial import Kind

__all__ = ["PosteriorNetwork", "posterior_network"]


@dataclass(frozen=True)
class PosteriorNetwork:
    """A network of Linear and activation layers from raw inputs to logits, with a bound on logits and probabilities.

    `module` maps (batch, inputs) to (batch, classes); `compiled` is the part after the standardising first layer and
    speaks of standardised inputs; `error_bound` bounds |logit - (-H_y - mu_y)|, `probability_bound` |softmax - p(y | x)|.
    """

    module: nn.Sequential
    compiled: CompiledNetwork
    error_bound: float
    probability_bound: float

    @property
    def neurons(self) -> int:
        """Number of activations."""
        return self.compiled.neurons

    @property
    def layers(self) -> int:
        """Number of hidden layers."""
        return self.compiled.layers

    @property
    def scale(self) -> float:
        """Scale of the products of the first hidden layer."""
        return self.compiled.scale

    def wiring(self) -> tuple[Wire, ...]:
        """Return every neuron with the monomial it is for; inputs are counted among the variables in use."""
        return self.compiled.wiring()

    def posterior(self, inputs: Any) -> Tensor:
        """Return softmax of the logits, shape (batch, classes), in the network's precision."""
        with torch.no_grad():
            return torch.softmax(self.module(torch.as_tensor(inputs, dtype=self.compiled.dtype)), dim=1)


def posterior_network(
    classes: ClassHamiltonians,
    *,
    mean: Any = 0.0,
    scale: Any = 1.0,
    domain: float = 1.0,
    activation: str = "gelu",
    tolerance: float = 1e-6,
    dtype: torch.dtype = torch.float64,
) -> PosteriorNetwork:
    """Return the network whose softmax is p(y | x) = softmax_y(-H_y(z) - mu_y), z = (x - mean) / scale, |z| <= domain.

    `tolerance` bounds the error of each logit. Of spins and bits, whose Hamiltonians have the values -1, 1 or 0, 1, only
    these values are promised, and mean 0 and scale 1 are needed.
    Shapes: `mean`, `scale` one number or (inputs,).
    Errors: probabilities differ by at most half the largest error of a logit, for
    |dp_y| = p_y |e_y - sum_k p_k e_k| <= 2 p_y (1 - p_y) max|e| <= max|e| / 2 along the straight path between logits.
    Raises: SettingError for a classifier without variables, means or scales that do not fit, and as `polynomial` does.

    Example:
    >>> from rgflow.compile import gaussian_hamiltonians
    >>> classes = gaussian_hamiltonians([[-1.0], [1.0]], [[[1.0]], [[2.0]]], [0.5, 0.5])
    >>> network = posterior_network(classes, domain=3.0, tolerance=1e-4)
    >>> network.error_bound < 1e-4
    True
    """
    centres, scales = _per_input(mean, scale, inputs=len(classes.variables))
    powers = np.max([h.polynomial.degrees for h in classes.hamiltonians], axis=0)
    used = np.flatnonzero(powers > 0)
    if not len(used):
        raise SettingError(
            "no Hamiltonian depends on any variable, so that the posterior is the prior; nothing to compile"
        )
    names = [classes.variables[i] for i in used]
    kind = classes.hamiltonians[0].kind
    values: Kind = "spin" if kind == "spin" else "bit" if kind in ("bit", "categorical") else "real"
    logits = [part.over(names) for part in classes.polynomials]
    reach = domain if values == "real" else 1.0
    bounds = [reach] * len(used)
    # Standardising rounds three times, relative to its largest intermediate number (Higham 2002, ch. 3).
    size = (np.abs(centres) / np.abs(scales) * 2.0 + reach)[used]
    rounding = 4.0 * torch.finfo(dtype).eps * size
    slopes = [sum(p.partial(n).size(bounds) * r for n, r in zip(names, rounding, strict=True)) for p in logits]
    # The rounded z may leave the domain by as much; the polynomials are compiled a little beyond it.
    wide = tuple(float(reach + r) for r in rounding) if values == "real" else 1.0
    compiled = polynomial(
        logits,
        activation=activation,
        tolerance=tolerance,
        domain=wide,
        dtype=dtype,
        variables=tuple(names),
        kind=values,
    )
    error = float(compiled.error_bound + max(slopes))
    first = _standardising(centres, scales, used, dtype)
    return PosteriorNetwork(nn.Sequential(first, *compiled.module.children()), compiled, error, error / 2.0)


def _per_input(mean: Any, scale: Any, *, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    centres, scales = (np.asarray(given, dtype=np.float64) for given in (mean, scale))
    if any(given.shape not in ((), (inputs,)) for given in (centres, scales)) or not (scales > 0.0).all():
        raise SettingError(
            f"mean and scale have shapes {centres.shape} and {scales.shape}; give one number each, or {inputs}, one for"
            " each variable, and scales above 0"
        )
    return np.broadcast_to(centres, (inputs,)), np.broadcast_to(scales, (inputs,))


def _standardising(mean: np.ndarray, scale: np.ndarray, used: np.ndarray, dtype: torch.dtype) -> nn.Linear:
    """The layer from all raw inputs to the standardised ones in use."""
    layer = cast(nn.Linear, nn.utils.skip_init(nn.Linear, len(mean), len(used), dtype=dtype))
    weight = torch.zeros(len(used), len(mean), dtype=torch.float64)
    weight[torch.arange(len(used)), torch.from_numpy(used)] = torch.from_numpy(1.0 / scale[used])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(torch.from_numpy(-mean[used] / scale[used]))
    return layer

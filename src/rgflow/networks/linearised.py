"""A model linearised at its parameters on one batch: products with its Jacobian and the transpose, graph built once.

J^T u is a backward pass. J v is one more: J^T u is linear in u, so its own transpose, applied to v, is J v; this
works for every operation that can be differentiated twice, and never runs the model again (dropout stays frozen).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from rgflow.errors import ModelError
from rgflow.networks.private_copy import parameter_names, private_copy, widened
from rgflow.networks.rows import first_tensor

__all__ = ["Linearised", "linearised"]


@dataclass(frozen=True)
class Linearised:
    """Outputs of a model and the Jacobian there; `names` are the user's names of `parameters`, the trained ones."""

    names: tuple[str, ...]
    parameters: tuple[Tensor, ...]
    outputs: Tensor
    _live: Tensor
    _probe: Tensor
    _pulled: tuple[Tensor, ...]

    def pull(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Return J^T u, one tensor per parameter."""
        found = torch.autograd.grad(self._live, self.parameters, cotangent, retain_graph=True, allow_unused=True)
        return _filled(found, self.parameters)

    def push(self, tangent: Sequence[Tensor]) -> Tensor:
        """Return J v for one tensor v per parameter."""
        linked = [(g, v) for g, v in zip(self._pulled, tangent, strict=True) if g.requires_grad]
        if not linked:
            return torch.zeros_like(self.outputs)
        (found,) = torch.autograd.grad(
            [g for g, _ in linked], self._probe, [v for _, v in linked], retain_graph=True, allow_unused=True
        )
        return torch.zeros_like(self.outputs) if found is None else found


def linearised(network: nn.Module, inputs: Tensor) -> Linearised:
    """Return `network` linearised on `inputs`, in float64 and in its own train/eval mode; it is not changed.

    Raises: ModelError if the model returns no tensor of floats or trains no parameter.
    """
    module = private_copy(network, inputs)
    renamed = parameter_names(module)
    trained = [(renamed[name], parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    if not trained:
        raise ModelError("the model has no parameter that is trained (requires_grad)")
    names, parameters = tuple(name for name, _ in trained), tuple(parameter for _, parameter in trained)
    # The fused attention kernels have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        live = first_tensor(module(widened(inputs)))
        if live is None or not live.requires_grad:
            raise ModelError("the model returns no tensor of floats that depends on its parameters")
        probe = torch.zeros_like(live, requires_grad=True)
        pulled = torch.autograd.grad(live, parameters, probe, create_graph=True, allow_unused=True)
    return Linearised(names, parameters, live.detach(), live, probe, _filled(pulled, parameters))


def _filled(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(torch.zeros_like(p) if g is None else g for g, p in zip(found, like, strict=True))

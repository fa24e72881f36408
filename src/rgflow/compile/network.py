"""A compiled network: an ordinary module, what it computes, how exact it is, and what every neuron is for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rgflow.compile.assembly import Block
from rgflow.numerics.sparse_polynomial import Kind, SparsePolynomial

__all__ = ["CompiledNetwork", "Sharing", "Wire"]


@dataclass(frozen=True)
class Wire:
    """One neuron: its hidden layer (from 1), its place in it, the monomial or sum it helps to form, and how.

    `kind` is "product" (a factor of several) or "pass" (a value carried through the layer); `inputs` are the values of the
    layer before that it reads, counted from 0, `outputs` those of its own layer that it gives to.
    """

    layer: int
    neuron: int
    label: str
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True)
class Sharing:
    """What sharing saved: products and neurons of this network, and of one that multiplies every monomial alone."""

    products: int
    products_alone: int
    neurons: int
    neurons_alone: int


@dataclass(frozen=True)
class CompiledNetwork:
    """A network that computes polynomials of bounded inputs.

    `module` has Linear and activation layers only and maps (batch, variables) to (batch, outputs) in `dtype`. For inputs
    |x_v| <= domain[v] every output differs from its polynomial by at most `error_bound` (`error_bounds`, one an output),
    rounding included. `neurons` counts activations, `layers` hidden layers, `scale` the scale l of the first layer's
    products (`scales`: of every layer), `memory` the bytes of all weights.
    """

    module: nn.Module
    polynomials: tuple[SparsePolynomial, ...]
    activation: str
    dtype: torch.dtype
    domain: tuple[float, ...]
    kind: Kind
    error_bound: float
    error_bounds: tuple[float, ...]
    neurons: int
    layers: int
    scale: float
    scales: tuple[float, ...]
    gates: str
    memory: int
    sharing: Sharing
    blocks: tuple[tuple[Block, ...], ...]

    @property
    def variables(self) -> tuple[str, ...]:
        """The names of the inputs in order."""
        return self.polynomials[0].variables

    @property
    def widths(self) -> tuple[int, ...]:
        """The number of neurons of every hidden layer."""
        return tuple(sum(block.neurons for block in blocks) for blocks in self.blocks)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the outputs (batch, outputs) for `inputs` (batch, variables)."""
        return self.module(inputs)

    def spelled(self) -> str:
        """Return the module as one types it in PyTorch, without its weights."""
        layers = ", ".join(_spelled(layer) for layer in self.module.children())
        return f"nn.Sequential({layers})" + (".double()" if self.dtype == torch.float64 else "")

    def wiring(self) -> tuple[Wire, ...]:
        """Return every neuron with the monomial it is for, layer after layer."""
        return tuple(wire for number, blocks in enumerate(self.blocks, 1) for wire in _wires(number, blocks))


def _spelled(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"nn.Linear({layer.in_features}, {layer.out_features})"
    home = "nn" if hasattr(nn, type(layer).__name__) else "rgflow.compile"
    return f"{home}.{type(layer).__name__}()"


def _wires(layer: int, blocks: Sequence[Block]) -> list[Wire]:
    wires, value = [], 0
    for block in blocks:
        read = tuple(dict.fromkeys(index for form in block.forms for index in form.indices))
        made = tuple(range(value, value + len(block.offset)))
        value += len(block.offset)
        for _ in range(block.neurons):
            wires.append(Wire(layer, len(wires), block.label, block.kind, read, made))
    return wires

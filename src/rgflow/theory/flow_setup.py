"""What a flow starts from: checked inputs without repetitions, laws of all layers, and the first layer's kernel.

Convention: as in `records.flow`. Coincident inputs have equal preactivations in every network; one of them is carried.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow.errors import SettingError
from rgflow.records.architecture import MLP
from rgflow.theory.first_neurons import FirstNeurons, first_neurons
from rgflow.theory.parameter_laws import BiasNodes, EntryLaw, laws_per_layer

__all__ = ["FlowSetup", "checked_rows", "flow_setup"]

COINCIDENT = 1e-15  # relative to the input's size: below it rows of float64 differ by their last digit only


@dataclass(frozen=True)
class FlowSetup:
    """Distinct inputs (M, n_0), where each of the N given ones stands among them (N,), laws, and layer 1.

    `biases` are the mixtures of layers 1..L, scaled; `neurons` are virtual neurons of layer 1 where its weights are not
    Gaussian, else None; `kernel` (M, M) = K^(1).
    """

    network: MLP
    inputs: Tensor
    position: Tensor
    weight_laws: tuple[EntryLaw, ...]
    bias_laws: tuple[EntryLaw, ...]
    biases: tuple[BiasNodes, ...]
    coarse_biases: tuple[BiasNodes | None, ...]
    kernel: Tensor
    neurons: FirstNeurons | None

    @property
    def gaussian(self) -> bool:
        """Whether every weight and bias is Gaussian."""
        biases = zip(self.bias_laws, self.network.bias_variance, strict=True)
        return all(law.gaussian for law in self.weight_laws) and all(law.gaussian or size == 0 for law, size in biases)


def flow_setup(
    network: MLP,
    inputs: object,
    *,
    weight_law: "str | EntryLaw | Sequence[str | EntryLaw]",
    bias_law: "str | EntryLaw | Sequence[str | EntryLaw]",
    seed: int,
) -> FlowSetup:
    """Return the start of a flow of `network` on `inputs` (N, n_0).

    Raises: SettingError for inputs of another shape or not finite, or laws that are not known.
    """
    if not isinstance(network, MLP):
        raise SettingError(f"the network is a {type(network).__name__}; flow takes rgflow.MLP(widths, activation, ...)")
    x = checked_rows(inputs, features=network.widths[0])
    distinct, position = _distinct(x)
    layers = network.depth
    weights = laws_per_layer(weight_law, layers=layers, name="weight_law")
    biases = laws_per_layer(bias_law, layers=layers, name="bias_law")
    sizes = network.bias_variance
    weight_variance = network.weight_variance[0]
    neurons = None
    if not weights[0].gaussian and weight_variance > 0.0:
        neurons = first_neurons(
            distinct,
            weight_variance=weight_variance,
            bias_variance=sizes[0],
            weight_law=weights[0],
            bias_law=biases[0],
            seed=seed,
        )
    return FlowSetup(
        network=network,
        inputs=distinct,
        position=position,
        weight_laws=weights,
        bias_laws=biases,
        biases=tuple(law.nodes.scaled(size) for law, size in zip(biases, sizes, strict=True)),
        coarse_biases=tuple(
            None if law.coarse is None or size == 0.0 else law.coarse.scaled(size)
            for law, size in zip(biases, sizes, strict=True)
        ),
        kernel=sizes[0] + weight_variance * (distinct @ distinct.T) / x.shape[1],
        neurons=neurons,
    )


def checked_rows(inputs: object, *, features: int) -> Tensor:
    """Return `inputs` as float64 (N, features) on the CPU; raise SettingError where they do not fit."""
    try:
        x = torch.as_tensor(inputs, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as failure:
        raise SettingError(f"inputs cannot be read as numbers ({failure}); give an array of shape (N, n_0)") from None
    if x.ndim != 2 or x.shape[1] != features or not len(x):
        raise SettingError(
            f"inputs have shape {tuple(x.shape)}; (N, {features}) with N >= 1 is needed, {features} the network's first width"
        )
    if not bool(torch.isfinite(x).all()):
        raise SettingError("inputs hold a number that is not finite; drop or repair these rows")
    return x.detach().cpu()


def _distinct(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the different rows of x in order of appearance, and where each row stands among them."""
    size = x.abs().amax(1, keepdim=True).clamp_min(1e-300)
    # Rows that agree to rounding get the same key; a pair split by the grid is carried twice, which costs time only.
    grid = torch.exp2(torch.ceil(torch.log2(size)))
    keys = torch.cat([torch.round(x / (grid * COINCIDENT)), grid], dim=1)
    _, group = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.full((int(group.max()) + 1,), len(x)).scatter_reduce(0, group, torch.arange(len(x)), "amin")
    kept, rank = torch.sort(first)
    place = torch.empty_like(rank)
    place[rank] = torch.arange(len(rank))
    return x[kept], place[group]

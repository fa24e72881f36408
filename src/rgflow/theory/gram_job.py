"""What a Gram matrix on disk is computed from, and the fingerprint by which its store is recognised.

The fingerprint covers everything that the numbers depend on: network, inputs, rates, kinds, dtype, tile side, version.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rgflow import __version__
from rgflow.records import MLP
from rgflow.theory.gram_planning import GramPlan, gram_plan

__all__ = ["GramJob"]

_NUMERICS = 1  # raised whenever a tile of the same job gets other numbers


@dataclass(frozen=True)
class GramJob:
    """The arguments of one Gram matrix, as `gram_plan` takes them."""

    network: MLP
    x1: Tensor
    x2: Tensor | None
    kind: tuple[str, ...]
    dtype: torch.dtype
    device: str
    bias_rate: float | Sequence[float]
    weight_rate: float | Sequence[float]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrices."""
        return len(self.x1), len(self.x1 if self.x2 is None else self.x2)

    def plan(self) -> GramPlan:
        """Return the plan of the tiles; raises what `gram_plan` raises."""
        return gram_plan(
            self.network,
            self.x1,
            self.x2,
            kind=self.kind,
            dtype=self.dtype,
            device=self.device,
            bias_rate=self.bias_rate,
            weight_rate=self.weight_rate,
        )

    def fingerprint(self, side: int) -> str:
        """Return the SHA-256 of all that the numbers in tiles of this side depend on."""
        described = {
            "numerics": [_NUMERICS, __version__],
            "network": [self.network.widths[0], self.network.depth, *_described(self.network)],
            "rates": [_rates(self.bias_rate, self.network.depth), _rates(self.weight_rate, self.network.depth)],
            "kind": sorted(self.kind),
            "dtype": str(self.dtype),
            "device": torch.device(self.device).type,
            "side": side,
        }
        digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
        for name, inputs in (("x1", self.x1), ("x2", self.x2)):
            digest.update(f"{name} {None if inputs is None else tuple(torch.as_tensor(inputs).shape)}".encode())
            if inputs is not None:
                digest.update(torch.as_tensor(inputs).detach().to("cpu", torch.float64).contiguous().numpy().data)
        return digest.hexdigest()


def _described(network: MLP) -> list[object]:
    """Variances and the activation by its values: two callables of one name are told apart."""
    points = torch.linspace(-4.0, 4.0, 65, dtype=torch.float64)
    values = network.activation(points)
    # Nine digits: the last bits of exp and tanh differ between processors.
    return [
        list(network.weight_variance),
        list(network.bias_variance),
        network.skip,
        network.activation.family,
        [f"{float(value):.8e}" for value in values],
    ]


def _rates(value: float | Sequence[float], layers: int) -> list[float]:
    return [float(value)] * layers if isinstance(value, int | float) else [float(v) for v in value]

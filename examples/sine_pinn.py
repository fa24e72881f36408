"""The sine variant (SIREN): a first layer sin(30 z), sine layers behind it, uniform weights of variance 2 / fan_in.

Source of the initialisation: Sitzmann et al. 2020, arXiv:2006.09661. The data are those of `tanh_pinn.py`.

    rgflow check examples/sine_pinn.py:build --data examples/tanh_pinn.py:loader
"""

import math

import torch
from torch import Tensor, nn

FIRST_FREQUENCY = 30.0


class Sine(nn.Module):
    def __init__(self, frequency: float = 1.0) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, z: Tensor) -> Tensor:
        return torch.sin(self.frequency * z)


def build() -> nn.Module:
    network = nn.Sequential(nn.Linear(2, 64), Sine(FIRST_FREQUENCY))
    for _ in range(4):
        network.extend([nn.Linear(64, 64), Sine()])
    network.append(nn.Linear(64, 1))
    linears = [layer for layer in network if isinstance(layer, nn.Linear)]
    nn.init.uniform_(linears[0].weight, -1 / 2, 1 / 2)
    for layer in linears[1:]:
        bound = math.sqrt(6.0 / layer.in_features)
        nn.init.uniform_(layer.weight, -bound, bound)
    return network

"""A network of the kind used for differential equations, on the heat equation u_t = u_xx / 10 in a rod with cold ends.

Inputs (x, t) in [0, 1]^2, target u = sin(pi x) exp(-pi^2 t / 10) + sin(3 pi x) exp(-9 pi^2 t / 10) / 2.

    rgflow check examples/tanh_pinn.py:build --data examples/tanh_pinn.py:loader
"""

import math

import torch
from torch import Tensor, nn

DIFFUSIVITY = 0.1


def build() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(2, 64), nn.Tanh()]
    for _ in range(4):
        layers += [nn.Linear(64, 64), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(64, 1))


def temperature(points: Tensor) -> Tensor:
    x, t = points.unbind(1)
    modes = ((1, 1.0), (3, 0.5))
    decay = [amplitude * torch.exp(-DIFFUSIVITY * (k * math.pi) ** 2 * t) for k, amplitude in modes]
    return sum(d * torch.sin(k * math.pi * x) for d, (k, _) in zip(decay, modes, strict=True))


def loader() -> tuple[Tensor, Tensor]:
    points = torch.rand(1024, 2, generator=torch.Generator().manual_seed(0))
    return points, temperature(points)[:, None]

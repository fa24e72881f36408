"""A network with an activation of one's own, snake(z) = z + sin(a z)^2 / a, written as plain Python.

rgflow check examples/custom_activation.py:build --data digits
rgflow tune examples/custom_activation.py:build --data digits
"""

import torch
from torch import Tensor, nn


class Snake(nn.Module):
    def __init__(self, frequency: float = 1.5) -> None:
        super().__init__()
        self.frequency = frequency

    def forward(self, z: Tensor) -> Tensor:
        return z + torch.sin(self.frequency * z).square() / self.frequency


class Network(nn.Module):
    def __init__(self, width: int = 96, depth: int = 6) -> None:
        super().__init__()
        self.first = nn.Linear(64, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.head = nn.Linear(width, 10)
        self.snake = Snake()

    def forward(self, x: Tensor) -> Tensor:
        h = self.snake(self.first(x))
        for layer in self.hidden:
            h = self.snake(layer(h))
        return self.head(h)


def build() -> nn.Module:
    return Network()

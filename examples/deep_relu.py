"""A deep ReLU network with PyTorch's own initialisation: 64-[64 x 12]-10, 50,570 parameters.

It looks harmless and does not train with plain SGD on digits.

    rgflow check examples/deep_relu.py:build --data digits
    rgflow tune examples/deep_relu.py:build --data digits --verify
"""

from torch import nn


def build() -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(12):
        layers += [nn.Linear(64, 64), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(64, 10))

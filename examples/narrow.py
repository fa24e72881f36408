"""Twelve layers of width 8: depth over width is so large that two seeds have little in common.

rgflow check examples/narrow.py:build --data digits
"""

from torch import nn


def build() -> nn.Module:
    layers: list[nn.Module] = [nn.Linear(64, 8), nn.Tanh()]
    for _ in range(11):
        layers += [nn.Linear(8, 8), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(8, 10))

"""A self-normalising network for tables: 30-[64 x 6]-2, SELU, weights of variance 1 / fan_in (LeCun normal).

The columns of breast_cancer have very different scales, which no initialisation can repair.

    rgflow check examples/selu_tabular.py:build --data breast_cancer
"""

from itertools import pairwise

from torch import nn


def build() -> nn.Module:
    widths = (30, 64, 64, 64, 64, 64, 64)
    layers: list[nn.Module] = []
    for fan_in, width in pairwise(widths):
        layers += [nn.Linear(fan_in, width), nn.SELU()]
    network = nn.Sequential(*layers, nn.Linear(64, 2))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")  # LeCun normal
            nn.init.zeros_(layer.bias)
    return network

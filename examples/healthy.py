"""A network in order: four He-initialised ReLU layers of width 128 on digits.

rgflow check examples/healthy.py:build --data digits
"""

from itertools import pairwise

from torch import nn


def build() -> nn.Module:
    widths = (64, 128, 128, 128, 128)
    layers: list[nn.Module] = []
    for fan_in, width in pairwise(widths):
        layers += [nn.Linear(fan_in, width), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(widths[-1], 10))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    # Logits of order one: the head sees no ReLU behind it.
    nn.init.normal_(network[-1].weight, std=widths[-1] ** -0.5)
    return network

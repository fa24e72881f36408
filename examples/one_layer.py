"""Softmax regression: a single linear layer.

rgflow check examples/one_layer.py:build --data digits
"""

from torch import nn


def build() -> nn.Module:
    return nn.Linear(64, 10)

"""A convolutional classifier of 8x8 images without normalisation.

Try `rgflow check examples/cnn.py:build --data digits`.
"""

import torch
from torch import nn


class ConvNet(nn.Module):
    def __init__(self, channels: int = 32, classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(2 * channels, 2 * channels, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(2 * channels, 2 * channels, 1),
            nn.Tanh(),
        )
        self.head = nn.Linear(8 * channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        images = x.reshape(-1, 1, 8, 8)
        return self.head(self.features(images).flatten(1))


def build() -> nn.Module:
    return ConvNet()

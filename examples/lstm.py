"""An LSTM that reads an 8x8 image row by row.

Try `rgflow check examples/lstm.py:build --data digits`.
"""

import torch
from torch import nn


class Recurrent(nn.Module):
    def __init__(self, width: int = 32, memory: int = 64, classes: int = 10):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.lstm = nn.LSTM(width, memory, batch_first=True)
        self.head = nn.Linear(memory, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = torch.tanh(self.embed(x.reshape(-1, 8, 8)))
        states, _ = self.lstm(rows)
        return self.head(states.mean(dim=1))


def build() -> nn.Module:
    return Recurrent()

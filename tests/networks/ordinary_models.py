"""Models as users write them, on rows of 64 numbers (digits), and the cells that compare forecast and ensemble."""

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from rgflow.networks.mean_field import MeanFieldResult, forecast_rows
from rgflow.networks.measure import measure_ensemble
from rgflow.records.measurement import EnsembleMeasurement

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> Callable[[], nn.Module]:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build


def digits(count: int = 8) -> tuple[Tensor, Tensor]:
    data = load_digits()
    return torch.tensor(data.data[:count] / 16, dtype=torch.float32), torch.tensor(data.target[:count])


def compared(
    build: Callable[[], nn.Module], *, networks: int = 32, loss: Callable = F.cross_entropy, **settings
) -> tuple[EnsembleMeasurement, MeanFieldResult]:
    """An ensemble and a forecast from different draws."""
    x, y = digits()
    torch.manual_seed(11)
    measured = measure_ensemble((build() for _ in range(networks)), x, y, loss=loss)
    draws = [build() for _ in range(networks)]
    return measured, forecast_rows(draws, x, y, loss=loss, time_budget=600.0, **settings)


def good_share(
    measured: EnsembleMeasurement, forecast: MeanFieldResult, quantities: Sequence[str] = ("signal", "spread")
) -> tuple[float, int]:
    """Share of the forecast cells within 10 % or 4 combined errors, and the number of cells."""
    good, cells = 0, 0
    for row, column in zip(forecast.rows, range(len(measured.rows)), strict=True):
        for quantity in quantities:
            seen, said = getattr(measured, quantity)[:, column], getattr(row, quantity)
            if said is None or bool(seen.isnan().any()):
                continue
            mean, error = float(seen.mean()), float(seen.std()) / math.sqrt(len(seen))
            cells += 1
            close = abs(mean - said.value) <= 0.1 * abs(said.value)
            good += close or abs(mean - said.value) <= 4.0 * math.hypot(error, said.error)
    return good / max(cells, 1), cells


class SwiGLU(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class GatedNet(nn.Module):
    """Gated blocks in a loop, state in a dictionary, a dictionary as output."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(64, 48)
        self.blocks = nn.ModuleDict({f"block{i}": SwiGLU(48, 96) for i in range(3)})
        self.norms = nn.ModuleList([nn.RMSNorm(48) for _ in range(3)])
        self.head = nn.Linear(48, 10)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        state = {"hidden": self.embed(x)}
        for norm, block in zip(self.norms, self.blocks.values(), strict=True):
            state["hidden"] = state["hidden"] + block(norm(state["hidden"]))
        return {"features": state["hidden"], "logits": self.head(state["hidden"])}


class Encoder(nn.Module):
    """Two encoder layers on eight tokens: independent ones, or torch's copies of one."""

    def __init__(self, *, copies: bool, norm_first: bool = True):
        super().__init__()
        self.embed, self.head = nn.Linear(8, 32), nn.Linear(32, 10)
        layers = [
            nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=norm_first, dropout=0.1)
            for _ in range(2)
        ]
        encoder = nn.TransformerEncoder(layers[0], 2, enable_nested_tensor=False)
        self.layers = encoder if copies else nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(self.embed(x.reshape(-1, 8, 8))).mean(1))


class PooledNet(nn.Module):
    """Odd convolutions and one mean over all positions, which lives on the covariances between positions."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        images = x.reshape(-1, 1, 8, 8)
        return self.head(torch.tanh(self.second(torch.tanh(self.first(images)))).mean((2, 3)))


class Step(nn.Module):
    """A module made of a function and named parts: user code in one line."""

    def __init__(self, function: Callable, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)

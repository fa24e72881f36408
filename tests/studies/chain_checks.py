"""Small fully connected chains, and the comparison of every forecast of `rgflow.check` with what it measured.

STATISTICAL: no cell of a case lies beyond the |z| of a false-alarm rate of 1e-6 for all cells of all cases, were the
scores normal; standard errors from 48 networks make it some 1e-4. Seeds are fixed: a test that passes keeps passing.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

import rgflow
from rgflow.records import Quantity
from rgflow.report import CheckReport
from tolerances import ROUNDING, z_limit

__all__ = ["CASES", "Case", "Gated", "cells", "chain", "forecasts_agree", "points", "report_of"]

ALL_CELLS = 500  # of all cases together
Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Case:
    """A model, its data, and the number of networks drawn."""

    build: Build
    inputs: Tensor
    targets: Tensor | None
    networks: int = 48


class Gated(nn.Module):
    """An activation that nobody listed."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


def points(samples: int = 48, features: int = 12, *, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Inputs of different lengths, and class indices."""
    generator = torch.Generator().manual_seed(5)
    lengths = 0.5 + torch.rand(samples, 1, generator=generator)
    return lengths * torch.randn(samples, features, generator=generator), torch.arange(samples) % classes


def chain(
    widths: list[int], act: Build = nn.ReLU, *, gain: float | None = None, bias: float = 0.0, uniform: bool = False
) -> Build:
    """A factory of Linear layers with `act` between them: C_W = `gain` and C_b = `bias`, or as PyTorch draws them."""

    def build() -> nn.Module:
        layers: list[nn.Module] = []
        for fan_in, width in pairwise(widths):
            linear = nn.Linear(fan_in, width)
            if gain is not None:
                size = (gain / fan_in) ** 0.5
                if uniform:
                    nn.init.uniform_(linear.weight, -(3**0.5) * size, 3**0.5 * size)
                else:
                    nn.init.normal_(linear.weight, std=size)
                nn.init.normal_(linear.bias, std=bias**0.5)
            layers += [linear, act()]
        return nn.Sequential(*layers[:-1])

    return build


def _cases() -> dict[str, Case]:
    x, y = points()
    noise = torch.randn(len(x), generator=torch.Generator().manual_seed(7))
    line = torch.linspace(-1.5, 1.5, 16).unsqueeze(1)
    return {
        "relu, He": Case(chain([12, 48, 48, 48, 3], gain=2.0), x, y),
        "relu, PyTorch default": Case(chain([12, 32, 32, 32, 3]), x, y),
        "relu, biased": Case(chain([12, 40, 40, 40, 3], gain=1.5, bias=0.4), x, y),
        "tanh": Case(chain([12, 32, 32, 32, 3], nn.Tanh, gain=1.0, uniform=True), x, y),
        "gelu": Case(chain([12, 32, 32, 32, 3], nn.GELU), x, y),
        "custom activation": Case(chain([12, 40, 40, 3], Gated, gain=1.8), x, y),
        "regression": Case(chain([12, 40, 40, 1], nn.Tanh), x, x[:, :1] + 0.1 * noise.unsqueeze(1)),
        "binary output": Case(chain([12, 40, 40, 1], gain=2.0), x, y % 2),
        "uniform weights on one feature": Case(
            chain([1, 24, 2], nn.Tanh, gain=2.0, bias=0.05, uniform=True), line, torch.arange(16) % 2, networks=96
        ),
        "a batch of six": Case(chain([12, 48, 2], gain=2.0), x[:6], y[:6] % 2, networks=160),
        "narrow tanh": Case(chain([12, 12, 12, 12, 2], nn.Tanh, gain=1.5), x, y % 2, networks=96),
    }


CASES = _cases()


def report_of(case: Case, *, seed: int = 3) -> CheckReport:
    """The report of one case."""
    return rgflow.check(case.build, case.inputs, case.targets, networks=case.networks, seed=seed)


def cells(report: CheckReport, names: tuple[str, ...]) -> Iterator[tuple[str, float]]:
    """Name and z of every compared cell."""
    for layer in report.layers:
        for name in names:
            quantity: Quantity = getattr(layer, name)
            if quantity.z is not None:
                yield f"{layer.name} {name}", quantity.z


def forecasts_agree(report: CheckReport) -> None:
    """Assert that every layer is forecast by the theory and every compared number agrees."""
    linear = [layer for layer in report.layers if layer.parametric]
    assert all(layer.source == "theory" for layer in linear)
    names = ("signal", "spread", "signal_deviation", "spread_deviation", "gradient", "tangent_share")
    found = dict(cells(report, names))
    assert len(found) >= 6 * len(linear)
    rate = report.learning_rate
    whole = {"limit": rate.stable_limit, "trace": rate.tangent_trace, "output deviation": report.output_deviation}
    found |= {name: quantity.z for name, quantity in whole.items()}
    limit = z_limit(ALL_CELLS)
    beyond = {name: z for name, z in found.items() if z is None or abs(z) > limit}
    step, top = rate.stable_limit.predicted, rate.tangent_top.predicted
    assert step is not None
    assert top is not None
    if not math.isclose(step.value * top.value, 2.0, rel_tol=ROUNDING):
        beyond["limit"] = None
    shares = [layer.tangent_share.predicted for layer in linear]
    if not math.isclose(sum(share.value for share in shares if share is not None), 1.0, rel_tol=ROUNDING):
        beyond["sum of shares"] = None
    assert not beyond, beyond

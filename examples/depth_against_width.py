"""Train tanh networks to multiply six numbers: depth against width, the experiment of Rolnick and Tegmark in small.

    python examples/depth_against_width.py                 # the table of docs/cheap_learning.md, about two minutes
    python examples/depth_against_width.py --steps 600     # a quick look

Inputs are uniform on [0, 2], the loss is the mean absolute error, Adam with a cosine schedule from 3e-3, batches of 256
fresh inputs. The error on 100,000 other inputs is printed; a network that says the median everywhere errs by 0.93.
"""

import argparse
import math
from itertools import pairwise

import torch
from torch import nn

__all__ = ["main"]

FACTORS = 6
HIDDEN = ((8,), (16,), (32,), (64,), (128,), (8, 8), (16, 16), (32, 32), (8, 8, 8), (16, 16, 16))
RATE = 3e-3


def inputs(count: int, generator: torch.Generator) -> torch.Tensor:
    return 2.0 * torch.rand(count, FACTORS, generator=generator)


def network(hidden: tuple[int, ...], generator: torch.Generator) -> nn.Sequential:
    widths = (FACTORS, *hidden, 1)
    modules: list[nn.Module] = []
    for fan_in, width in pairwise(widths):
        linear = nn.Linear(fan_in, width)
        with torch.no_grad():
            linear.weight.normal_(0.0, math.sqrt(1.5 / fan_in), generator=generator)
            linear.bias.zero_()
        modules += [linear, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def error(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x)[:, 0] - x.prod(1)).abs().mean()


def trained_error(hidden: tuple[int, ...], *, steps: int, seed: int) -> float:
    generator = torch.Generator().manual_seed(seed)
    model = network(hidden, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        error(model, inputs(256, generator)).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return float(error(model, inputs(100_000, torch.Generator().manual_seed(77))))


def main() -> None:
    parser = argparse.ArgumentParser(description="Depth against width in learning to multiply six numbers.")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    given = parser.parse_args()
    print(f"{given.steps} steps, seeds {given.seeds}: mean absolute error of each")
    print("hidden layers  neurons  errors")
    for hidden in HIDDEN:
        errors = [trained_error(hidden, steps=given.steps, seed=seed) for seed in given.seeds]
        name = "-".join(map(str, hidden))
        print(f"{name:13}  {sum(hidden):7}  {' '.join(f'{value:.3f}' for value in errors)}", flush=True)


if __name__ == "__main__":
    main()

"""Gram matrices on a GPU: equal to those of the CPU within the stated errors, and how long they take.

For ReLU (with and without bias), erf and GELU networks, rows of equal and of different norm, float64 and float32: the
largest deviation from the CPU's plain torch route relative to sqrt(F_aa F_bb), the error that the plan states, and
seconds for `--size` inputs on each device (after one warm-up). Needs torch, numpy and scipy only. Exit code 1 if a
deviation exceeds the sum of both stated errors.

    python benchmarks/gram_device.py --size 8192
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import torch

from rgflow.records import MLP
from rgflow.theory.gram_matrix import gram
from rgflow.theory.gram_planning import gram_plan
from rgflow.theory.gram_tiles import torch_tile

__all__ = ["main"]

DIMENSION = 64
CASES = (("relu", 0.0, 3), ("relu", 0.0, 30), ("relu", 0.1, 30), ("erf", 0.0, 30), ("gelu", 0.0, 3), ("gelu", 0.0, 30))
SAMPLE = 512  # inputs compared between the devices


def deviation(network: MLP, x: torch.Tensor, dtype: torch.dtype, device: str) -> tuple[float, float]:
    """Return the largest relative deviation between the devices and the sum of the errors that they state."""
    here, there = gram_plan(network, x, dtype=dtype), gram_plan(network, x, dtype=dtype, device=device)
    span = slice(0, len(x))
    one, two = torch_tile(here, span, span), torch_tile(there, span, span)
    worst, stated = 0.0, 0.0
    for name in ("kernel", "tangent"):
        own = getattr(here.row_values, f"{name}_diagonal").sqrt()
        off = (getattr(one, name).double() - getattr(two, name).cpu().double()).abs() / torch.outer(own, own)
        worst = max(worst, float(off.max()))
        stated = max(stated, getattr(here.error, name) + getattr(there.error, name))
    return worst, stated


def seconds(network: MLP, x: torch.Tensor, dtype: torch.dtype, device: str) -> float:
    """Return the wall time of a whole matrix pair after one warm-up on a few inputs."""
    gram(network, x[:SAMPLE], dtype=dtype, device=device)
    if device != "cpu":
        torch.cuda.synchronize()
    start = time.perf_counter()
    found = gram(network, x, dtype=dtype, device=device)
    if device != "cpu":
        torch.cuda.synchronize()
    del found
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Gram matrices on a GPU beside those of the CPU.")
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--cpu", action="store_true", help="also time the CPU on all inputs")
    given = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    free = torch.randn(given.size, DIMENSION, dtype=torch.float64, generator=generator)
    unit = free / free.norm(dim=1, keepdim=True) * DIMENSION**0.5
    print(
        f"{'network':>18} {'data':>5} {'dtype':>8}  {'deviation':>9} {'stated':>9}  {'device s':>8} {'ns/entry':>8}  cpu s"
    )
    failed = False
    for activation, bias, depth in CASES:
        network = MLP((DIMENSION,) + (512,) * (depth - 1) + (1,), activation, weight_variance=1.96, bias_variance=bias)
        for data, x in (("free", free), ("unit", unit)):
            for dtype in (torch.float64, torch.float32):
                worst, stated = deviation(network, x[:SAMPLE], dtype, given.device)
                took = seconds(network, x, dtype, given.device)
                cpu = f"{seconds(network, x, dtype, 'cpu'):7.2f}" if given.cpu else "-"
                failed |= worst > stated
                print(
                    f"{activation:>8} b={bias:.1f} L={depth:<3} {data:>5} {str(dtype)[6:]:>8}  {worst:9.1e} {stated:9.1e}"
                    f"  {took:8.3f} {took / given.size**2 * 1e9:8.2f}  {cpu}{'  FAIL' if worst > stated else ''}",
                    flush=True,
                )
    sys.exit(int(failed))


if __name__ == "__main__":
    main()

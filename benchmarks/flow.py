"""Time and memory of the flow of a network, against the number of inputs and layers.

Order 1 is compared with the naive route: one feature average for every entry of the vertex's symmetric half, N (N + 1) / 2
pairs squared, instead of one for every multiset of four inputs. Its time is that of a sample of entries, scaled up.
Run: python benchmarks/flow.py [--activation tanh] [--inputs 2 4 8 16 30] [--depths 4 16].
"""

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch

from rgflow.numerics import quadruple_covariance
from rgflow.records import MLP
from rgflow.theory import flow

SAMPLED = 40  # entries timed by the naive route


def seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def megabytes() -> float:
    """Return the largest memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def network(activation: str, depth: int) -> MLP:
    """Return a network of width 100 and the given depth on ten features."""
    return MLP([10, *[100] * (depth - 1), 1], activation, weight_variance=1.5, bias_variance=0.1)


def naive(tuned: MLP, inputs: torch.Tensor) -> float:
    """Return the CPU seconds of one average per entry of the vertex, in all layers but the first."""
    kernel = 0.1 + 1.5 * inputs @ inputs.T / 10
    pairs = len(inputs) * (len(inputs) + 1) // 2
    generator = torch.Generator().manual_seed(1)
    chosen = torch.randint(len(inputs), (SAMPLED, 4), generator=generator)
    each = seconds(lambda: [quadruple_covariance(tuned.activation, kernel, quadruples=row) for row in chosen.split(1)])
    return each / SAMPLED * pairs * (pairs + 1) / 2 * (tuned.depth - 1)


def table(activation: str, *, counts: Sequence[int], depths: Sequence[int]) -> None:
    """Print one line per number of inputs and layers."""
    print(f"{activation}: CPU seconds of flow, one thread; ratio of the naive route's time at order 1")
    print(f"{'N':>6} {'L':>4} {'order 0':>9} {'order 1':>9} {'naive':>10} {'ratio':>7} {'memory MB':>10}")
    generator = torch.Generator().manual_seed(0)
    for count in counts:
        inputs = torch.randn(count, 10, generator=generator, dtype=torch.float64)
        for depth in depths:
            tuned = network(activation, depth)
            plain = seconds(partial(flow, tuned, inputs, order=0))
            whole = seconds(partial(flow, tuned, inputs))
            slow = naive(tuned, inputs)
            print(
                f"{count:6d} {depth:4d} {plain:9.3f} {whole:9.3f} {slow:10.2f} {slow / whole:7.1f} {megabytes():10.0f}",
                flush=True,
            )


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activation", default="tanh")
    parser.add_argument("--inputs", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 16])
    given = parser.parse_args()
    torch.set_num_threads(1)
    flow(network(given.activation, 3), torch.eye(4, 10, dtype=torch.float64))  # compiles what is compiled once
    table(given.activation, counts=given.inputs, depths=given.depths)


if __name__ == "__main__":
    main()

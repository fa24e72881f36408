"""What error bars of a kernel regression cost in time and memory against the number of inputs, beside 60 drawn networks.

Four hidden layers of 1024 neurons, ridge chosen so that the effective dimension is a fiftieth of the width or less. Every run
is a process of its own. Times are CPU seconds of one run, imports left out; memory is the peak resident set in MiB, imports in.
The ensemble's deviation has an error of 9 % by itself.

    python benchmarks/functional_statistics.py            # 250, 500, 1000, 2000 inputs
    python benchmarks/functional_statistics.py --quick    # 250 and 500
"""

import argparse
import json
import resource
import subprocess
import sys
import time

__all__ = ["main"]

SIZES, QUICK = (250, 500, 1000, 2000), (250, 500)
WIDTHS, FEATURES, RIDGE = (1024,) * 4, 20, 30.0
NETWORKS = 60
KIB_PER_MIB = 1024  # ru_maxrss is in KiB on Linux
LAWS = {"relu": (1.9, 0.05), "tanh": (1.6, 0.1)}


def _question(name: str, size: int):
    import torch

    from rgflow.records import MLP
    from rgflow.theory import GaussianProcessPrediction

    generator = torch.Generator().manual_seed(1)
    x = torch.randn(size, FEATURES, generator=generator, dtype=torch.float64)
    x = x / x.square().mean(1, keepdim=True).sqrt()
    target = torch.tanh(x[:-1, 0]) + 0.3 * x[:-1, 1] * x[:-1, 2]
    weight, bias = LAWS[name]
    network = MLP([FEATURES, *WIDTHS, 1], name, weight_variance=weight, bias_variance=bias)
    return network, x, GaussianProcessPrediction(target, ridge=RIDGE)


def _theory(name: str, size: int) -> dict:
    from rgflow.theory import functional_statistics

    found = functional_statistics(*_question(name, size), seed=1)
    return {"deviation": found.deviation.value, "error": found.deviation_sampling, "control": found.control}


def _ensemble(name: str, size: int) -> dict:
    import torch

    from rgflow.theory.infinite_width import drawn_neurons, kernel_of

    network, x, functional = _question(name, size)
    generator, values = torch.Generator().manual_seed(2), []
    for _ in range(NETWORKS):
        hidden = x
        for layer in range(1, network.depth):
            count = network.widths[layer]
            hidden = network.activation(drawn_neurons(network, hidden, layer=layer, count=count, generator=generator))
        values.append(functional(kernel_of(network, hidden, layer=network.depth)))
    deviation = float(torch.stack(values).std())
    return {"deviation": deviation, "error": deviation / (2 * NETWORKS - 2) ** 0.5}


def _job(job: str, name: str, size: int) -> None:
    import torch

    torch.set_num_threads(1)
    _question(name, 8)  # imports
    start = time.process_time()
    result = {"theory": _theory, "ensemble": _ensemble}[job](name, size)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB
    print(json.dumps({**result, "seconds": seconds, "memory": peak}))


def _measured(job: str, name: str, size: int) -> dict:
    words = [sys.executable, __file__, "--job", job, "--activation", name, "--size", str(size)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--job", choices=["theory", "ensemble"])
    parser.add_argument("--activation", choices=list(LAWS), default="relu")
    parser.add_argument("--size", type=int, default=250)
    options = parser.parse_args()
    if options.job:
        _job(options.job, options.activation, options.size)
        return
    print(f"{'':12}{'order 1/n':^42}{f'{NETWORKS} networks':^36}")
    print(
        f"{'':5} {'inputs':>6}  {'s':>7} {'MiB':>6} {'deviation':>18} {'d/n':>6}  {'s':>7} {'MiB':>6} {'deviation':>18}"
    )
    for name in LAWS:
        for size in QUICK if options.quick else SIZES:
            theory, drawn = _measured("theory", name, size), _measured("ensemble", name, size)
            shown = [
                f"{x['seconds']:7.1f} {x['memory']:6.0f} {x['deviation']:9.4g} ({x['error']:.1g})"
                for x in (theory, drawn)
            ]
            print(f"{name:5} {size:>6}  {shown[0]:<33} {theory['control']:6.3f}  {shown[1]}", flush=True)


if __name__ == "__main__":
    main()

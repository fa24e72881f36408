"""What a statistic of kernels costs: networks drawn exactly in law, beside networks with explicit weights.

Two inputs, tanh, width 64, depth 5. Times are CPU seconds of one thread; `error` is the relative standard error of the
mean of Khat_aa in the last layer and of its variance; `cost` is the CPU time in which explicit weights reach that mean.

    python benchmarks/ensembles.py              # 250,000 networks without weights, 10,000 with
    python benchmarks/ensembles.py --quick      # a tenth
"""

import argparse
import time

import torch

from rgflow.ensembles import sample_kernels, sample_networks
from rgflow.records import MLP

__all__ = ["main"]

NETWORK = MLP((4, 64, 64, 64, 64, 1), "tanh", weight_variance=1.5, bias_variance=0.1)
INPUTS = torch.tensor([[1.0, 0.2, -0.5, 0.3], [0.4, 1.0, 0.1, -0.6]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    share = 10 if parser.parse_args().quick else 1
    torch.set_num_threads(1)
    rows = []
    for name, function, networks in (
        ("exact in law", sample_kernels, 250_000 // share),
        ("explicit weights", sample_networks, 10_000 // share),
    ):
        function(NETWORK, INPUTS, networks=100, seed=1)
        cpu, wall = time.process_time(), time.perf_counter()
        sample = function(NETWORK, INPUTS, networks=networks, seed=0)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        mean = float(sample.mean_error[-1, 0, 0] / sample.mean[-1, 0, 0])
        variance = float(sample.covariance_error[-1, 0, 0] / sample.covariance[-1, 0, 0])
        rows.append((cpu, mean))
        print(f"{name:17} {networks:7} networks  {cpu:6.2f} s CPU  {wall:6.2f} s wall  error {mean:.1e} {variance:.1e}")
    print(
        f"cost {rows[1][0] * (rows[1][1] / rows[0][1]) ** 2:.0f} s for the error of the mean that took {rows[0][0]:.2f} s"
    )


if __name__ == "__main__":
    main()

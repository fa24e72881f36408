"""What Gram matrices cost beside neural-tangents and ten lines of NumPy: equal work, CPU and wall seconds, peak memory.

Kernel and tangent kernel (NTK parameterisation, no bias) of `--activations` networks of `--depths` weight layers on
`--sizes` random inputs of dimension 64, full matrices. Each measurement is a process of its own: one warm-up run
(compilation, printed apart), then medians of `--runs`. Memory: growth of the peak resident set by the runs, compilation
included. "limit": one matrix product and one write per entry of both matrices, the least that any method pays.
Data: rows of different norm (`free`) and of equal norm (`unit`). neural-tangents lives in an environment that this script
builds once (pip: neural-tangents, jax 0.5.3) in `--cache`. On a busy machine compare CPU seconds at `--threads 1`: threads that
wait for a core burn time in all methods.

    python benchmarks/gram.py
    python benchmarks/gram.py --sizes 1000 --depths 3 --activations relu --dtypes float64 --runs 1
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

__all__ = ["main"]

DIMENSION = 64
VARIANCE = 1.96
METHODS = ("rgflow", "neural-tangents", "numpy", "limit")
ROOT = Path(__file__).parents[1]
PINS = ("neural-tangents", "jax==0.5.3", "jaxlib==0.5.3", "numpy<2.5")
KIB_PER_MIB = 1024


def inputs(size: int, data: str, dtype: str):
    import numpy as np

    x = np.random.default_rng(0).normal(size=(size, DIMENSION))
    if data == "unit":
        x *= np.sqrt(DIMENSION) / np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(dtype)


def job_rgflow(activation: str, depth: int, x):
    import torch

    from rgflow import MLP
    from rgflow.theory import gram

    network = MLP((DIMENSION,) + (512,) * (depth - 1) + (1,), activation, weight_variance=VARIANCE)
    values, dtype = torch.from_numpy(x), getattr(torch, str(x.dtype))

    def run():
        found = gram(network, values, dtype=dtype, bias_rate=0.0, weight_rate=network.weight_variance)
        return found.kernel.numpy(), found.tangent.numpy()

    return run


def job_neural_tangents(activation: str, depth: int, x):
    import jax

    jax.config.update("jax_enable_x64", str(x.dtype) == "float64")
    from neural_tangents import stax

    nonlinear = {"relu": stax.Relu, "erf": stax.Erf, "gelu": stax.Gelu}[activation]
    layers = [stax.Dense(512, W_std=VARIANCE**0.5, b_std=None)]
    for _ in range(depth - 1):
        layers += [nonlinear(), stax.Dense(512, W_std=VARIANCE**0.5, b_std=None)]
    kernel = jax.jit(lambda values: stax.serial(*layers)[2](values, None, ("nngp", "ntk")))
    values = jax.numpy.asarray(x)

    def run():
        found = jax.block_until_ready(kernel(values))
        return found.nngp, found.ntk

    return run


def job_numpy(activation: str, depth: int, x):
    from math import pi

    import numpy as np

    def run():
        kernel = x @ x.T * x.dtype.type(VARIANCE / DIMENSION)
        tangent = kernel.copy()
        for _ in range(depth - 1):
            own = np.diag(kernel)
            if activation == "relu":
                size = np.sqrt(np.outer(own, own))
                angle = np.arccos(np.clip(kernel / size, -1, 1))
                value = (size * np.sin(angle) + (pi - angle) * kernel) / (2 * pi)
                slope = (pi - angle) / (2 * pi)
            elif activation == "erf":
                size = np.sqrt(np.outer(1 + 2 * own, 1 + 2 * own))
                value = 2 / pi * np.arcsin(2 * kernel / size)
                slope = 4 / pi / np.sqrt(size**2 - 4 * kernel**2)
            else:
                p, size = 1 + own, np.outer(1 + own, 1 + own)
                root = np.sqrt(size - kernel**2)
                angle, ends = np.arcsin(kernel / np.sqrt(size)) / (2 * pi) + 0.25, np.add.outer(1 / p, 1 / p) - 1
                peak = (np.outer(own, own) + kernel**2 * ends) / (2 * pi * root)
                value = kernel * angle + peak
                slope = angle + kernel * (1 + 2 * ends) / (2 * pi * root) + peak * kernel / root**2
            kernel, tangent = VARIANCE * value, VARIANCE * (value + slope * tangent)
        return kernel, tangent

    return run


def job_limit(activation: str, depth: int, x):
    import numpy as np

    def run():
        product = x @ x.T
        other = np.empty_like(product)
        other[:] = product
        return product, other

    return run


class Peak:
    """The largest resident set of this process while the block runs, in MiB, above what it was at the start."""

    def __enter__(self):
        self.start, self.most, self.going = self._now(), 0.0, True
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.going = False
        self.thread.join()
        self.growth = max(self.most, self._now()) - self.start

    @staticmethod
    def _now() -> float:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * resource.getpagesize() / 2**20

    def _watch(self):
        while self.going:
            self.most = max(self.most, self._now())
            time.sleep(0.002)


def measure(method: str, activation: str, depth: int, size: int, dtype: str, data: str, runs: int) -> None:
    """Run one job in this process and print its cost as JSON."""
    jobs = {"rgflow": job_rgflow, "neural-tangents": job_neural_tangents, "numpy": job_numpy, "limit": job_limit}
    run = jobs[method](activation, depth, inputs(size, data, dtype))
    start = time.perf_counter()
    kernel, tangent = run()
    warm = time.perf_counter() - start
    probe = [[float(m[i, j]) for i, j in ((0, 0), (0, 1), (size // 2, size - 1))] for m in (kernel, tangent)]
    del kernel, tangent
    costs = []
    with Peak() as peak:
        run()
    for _ in range(runs):
        cpu, wall = time.process_time(), time.perf_counter()
        run()
        costs.append((time.process_time() - cpu, time.perf_counter() - wall))
    print(
        json.dumps(
            {
                "cpu": statistics.median(cost[0] for cost in costs),
                "wall": statistics.median(cost[1] for cost in costs),
                "peak": peak.growth,
                "warm": warm,
                "probe": probe,
            }
        )
    )


def environment(cache: Path) -> str:
    """Return the interpreter with neural-tangents, building its environment at first use."""
    python = cache / "bin" / "python"
    if not (cache / ".ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PINS], check=True)
        (cache / ".ready").touch()
    return str(python)


def cost(python: str, method: str, case: tuple, runs: int, threads: int) -> dict:
    activation, depth, size, dtype, data = case
    words = [python, __file__, "--job", method, "--case", activation, str(depth), str(size), dtype, data]
    paths = {"PYTHONPATH": str(ROOT / "src")} if method == "rgflow" else {"PYTHONPATH": ""}
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        paths[name] = str(threads)
    done = subprocess.run(
        [*words, "--runs", str(runs), "--threads", str(threads)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **paths},
    )
    if done.returncode:
        raise SystemExit(f"{method} {case} fails:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def disagreement(first: dict, second: dict) -> float:
    """Largest relative difference of the probed entries."""
    pairs = [
        (a, b) for one, two in zip(first["probe"], second["probe"], strict=True) for a, b in zip(one, two, strict=True)
    ]
    scale = [abs(row[0]) for row in first["probe"] for _ in row]
    return max(abs(a - b) / s for (a, b), s in zip(pairs, scale, strict=True))


def row(case: tuple, *, nt: str, runs: int, threads: int) -> dict:
    pythons = {"neural-tangents": nt}
    found = {m: cost(pythons.get(m, sys.executable), m, case, runs, threads) for m in METHODS}
    own, other, plain, limit = (found[m] for m in METHODS)
    activation, depth, size, dtype, data = case
    print(
        f"{activation:>5} {depth:>5} {size:>6} {dtype:>8} {data:>5}  {own['cpu']:8.3f} {own['wall']:8.3f}"
        f" {own['peak']:7.0f}  {other['cpu'] / own['cpu']:8.1f} {other['wall'] / own['wall']:8.1f}"
        f" {own['peak'] / max(other['peak'], 1.0):6.2f}  {plain['cpu'] / own['cpu']:8.1f} {plain['wall'] / own['wall']:8.1f}"
        f"  {own['cpu'] / max(limit['cpu'], 1e-9):7.1f}  {own['warm']:6.1f} {other['warm']:6.1f}"
        f"  {disagreement(own, other):8.0e}",
        flush=True,
    )
    return {"case": case, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of Gram matrices beside neural-tangents and NumPy.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 4000])
    parser.add_argument("--depths", type=int, nargs="+", default=[3, 10, 30])
    parser.add_argument("--activations", nargs="+", default=["relu", "erf", "gelu"])
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--data", nargs="+", default=["free", "unit"], choices=["free", "unit"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores that each method may use")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rgflow-benchmarks" / "neural-tangents")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers as JSON")
    parser.add_argument("--job", choices=METHODS, help=argparse.SUPPRESS)
    parser.add_argument("--case", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        activation, depth, size, dtype, data = given.case
        # XLA counts the cores that it may run on.
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-given.threads :])
        measure(given.job, activation, int(depth), int(size), dtype, data, given.runs)
        return
    nt = environment(given.cache)
    print("cpu, wall in s; peak in MiB; warm = first run, compilation included, in s; ratios > 1: rgflow needs less")
    print(
        f"{'':34} {'rgflow':^26}  {'neural-tangents / rgflow':^24}  {'numpy / rgflow':^17}  {'/limit':>7}  {'warm':^13}\n"
        f"  act depth   size    dtype  data  {'cpu':>8} {'wall':>8} {'peak':>7}  {'cpu':>8} {'wall':>8} {'peak*':>6}"
        f"  {'cpu':>8} {'wall':>8}  {'cpu':>7}  {'own':>6} {'nt':>6}  {'differ':>8}     (* rgflow / neural-tangents)"
    )
    cases = [
        (a, d, n, t, k)
        for a in given.activations
        for n in given.sizes
        for d in given.depths
        for t in given.dtypes
        for k in given.data
    ]
    rows = [row(case, nt=nt, runs=given.runs, threads=given.threads) for case in cases]
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

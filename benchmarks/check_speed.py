"""What `rgflow check` costs in time and memory, against depth and width, and beside torchinfo's summary and LSUV.

ReLU networks with PyTorch's own initialisation on digits; `check` draws 64 of them, the other two look at one on a batch
of 256. Every run is a process of its own. Times are medians in seconds and leave imports out; memory is the peak
resident set in MiB and has them in (one `bare` process only imports torch and loads the data, to compare with).

    python benchmarks/check_speed.py            # the whole table
    python benchmarks/check_speed.py --quick    # two networks, one run each
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["main"]

DEPTHS, DEPTH_WIDTH = (2, 6, 12, 24), 64
WIDTHS, WIDTH_DEPTH = (32, 64, 128, 256, 512), 6
NETWORKS = 64
BATCH = 256
RUNS = 3
JOBS = ("check", "torchinfo", "lsuv")
KIB_PER_MIB = 1024  # ru_maxrss is in KiB on Linux
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """Median wall and CPU seconds, largest peak memory in MiB, and how many runs stand behind them."""

    wall: float
    cpu: float
    memory: float
    runs: int


def _check(spec: str) -> None:
    import rgflow
    from rgflow.datasets import load
    from rgflow.networks.factories import load_factory

    factory, data = load_factory(spec), load("digits")
    _print_cost(lambda: rgflow.check(factory, data, networks=NETWORKS, seed=0))


def _torchinfo(spec: str) -> None:
    from torchinfo import summary

    model, batch = _model_and_batch(spec)
    _print_cost(lambda: summary(model, input_data=batch, verbose=0))


def _lsuv(spec: str) -> None:
    from lsuv import lsuv_with_singlebatch

    model, batch = _model_and_batch(spec)
    _print_cost(lambda: lsuv_with_singlebatch(model, batch, verbose=False))


def _bare(spec: str) -> None:
    _model_and_batch(spec)
    _print_cost(lambda: None)


def _model_and_batch(spec: str):
    from rgflow.datasets import load
    from rgflow.networks.factories import load_factory

    return load_factory(spec)(), load("digits").inputs[:BATCH].float()


def _print_cost(work) -> None:
    """Run `work` in this process, which has imported what it needs, and print its cost as JSON."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB
    print(json.dumps(asdict(Cost(wall, cpu, peak, 1))))


def _measured(job: str, spec: str, *, runs: int) -> Cost:
    # This parent stays small: a child's peak counts the memory of the parent it was forked from.
    single = [sys.executable, __file__, "--job", job, "--model", spec]
    costs = [Cost(**json.loads(_output(single).splitlines()[-1])) for _ in range(runs)]
    return _median(costs)


def _command(*words: str, runs: int) -> Cost:
    """Return the cost of a whole command, imports and interpreter included."""
    costs = []
    for _ in range(runs):
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _output([sys.executable, "-m", "rgflow.cli", *words])
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        costs.append(Cost(wall, cpu, float("nan"), 1))
    return _median(costs)


def _median(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.memory for cost in costs),
        len(costs),
    )


def _output(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode not in (0, 1):  # 1: `rgflow check` has findings, which is a result
        raise SystemExit(f"{' '.join(words)} fails:\n{done.stderr}")
    return done.stdout


def _specs(*, quick: bool) -> list[tuple[int, int]]:
    if quick:
        return [(2, 64), (12, 64)]
    sizes = [*((depth, DEPTH_WIDTH) for depth in DEPTHS), *((WIDTH_DEPTH, width) for width in WIDTHS)]
    return list(dict.fromkeys(sizes))


def _row(depth: int, width: int, *, runs: int) -> dict:
    spec = f"mlp:64-{width}x{depth}-10:relu"
    costs = {job: _measured(job, spec, runs=runs) for job in JOBS}
    check, info, lsuv = (costs[job] for job in JOBS)
    print(
        f"{depth:>5} {width:>5}  {check.wall:6.2f} {check.cpu:6.2f} {check.memory:6.0f}"
        f"  {info.wall:6.3f} {info.cpu:6.3f} {info.memory:6.0f}  {lsuv.wall:6.3f} {lsuv.cpu:6.3f} {lsuv.memory:6.0f}"
        f"  {check.cpu / info.cpu:9.0f} {check.memory / info.memory:6.2f}"
        f"  {check.cpu / lsuv.cpu:9.0f} {check.memory / lsuv.memory:6.2f}",
        flush=True,
    )
    return {"depth": depth, "width": width, "model": spec, **{job: asdict(cost) for job, cost in costs.items()}}


def _table(*, quick: bool) -> dict:
    runs = 1 if quick else RUNS
    print(f"rgflow check: {NETWORKS} networks on digits; medians of {runs}; wall and cpu in s, peak memory in MiB")
    three = f"  {'wall':>6} {'cpu':>6} {'peak':>6}" * len(JOBS)
    ratios = f"  {'cpu':>9} {'peak':>6}" * 2
    groups = f"{'check':^22}{'torchinfo.summary':^22}{'LSUV':^22}{'check / torchinfo':^18}{'check / LSUV':^18}"
    print(f"{'':11}{groups}\ndepth width{three}{ratios}")
    rows = [_row(depth, width, runs=runs) for depth, width in _specs(quick=quick)]
    bare = _measured("bare", "mlp:64-64x2-10:relu", runs=runs)
    command = _command("check", "examples/deep_relu.py:build", "--data", "digits", "--quiet", runs=runs)
    asked = _command("--help", runs=runs)
    print(f"bare process (torch, scikit-learn, digits, nothing done): peak {bare.memory:.0f} MiB")
    print(f"whole command, examples/deep_relu.py: wall {command.wall:.1f} s, cpu {command.cpu:.1f} s")
    print(f"rgflow --help: wall {asked.wall:.2f} s, cpu {asked.cpu:.2f} s")
    kept = ("wall", "cpu", "runs")
    commands = {
        name: {key: asdict(cost)[key] for key in kept} for name, cost in (("deep_relu", command), ("help", asked))
    }
    return {"networks": NETWORKS, "batch": BATCH, "rows": rows, "bare": asdict(bare), "commands": commands}


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of `rgflow check` in time and memory.")
    parser.add_argument("--quick", action="store_true", help="two networks, one run each")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers as JSON")
    parser.add_argument("--job", choices=(*JOBS, "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        {"check": _check, "torchinfo": _torchinfo, "lsuv": _lsuv, "bare": _bare}[given.job](given.model)
        return
    numbers = _table(quick=given.quick)
    if given.json:
        given.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

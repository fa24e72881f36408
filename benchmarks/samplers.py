"""How many spins a nanosecond of one core moves: rgflow beside peapods (Rust) and a NumPy checkerboard, same runs.

CPU seconds (all threads of the process together), medians of `--runs` after one warm-up run (compilation). Square lattice
`--side`^2 at the critical temperature. "flips" are visits of a site by a local update, "sites" are sites moved by clusters.
peapods makes a Metropolis sweep before each cluster update and measures energies every sweep: its cluster updates are the
difference of two runs, and rgflow is timed with a record every sweep and the verdict (`every=1`) and with one record.
pip install --no-deps peapods==0.2.0 (needs NumPy alone); without it, its column is empty.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/samplers.py
    python benchmarks/samplers.py --runs 1 --sweeps 100
"""

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rgflow.lattice import Ising, SpinGlass, sample, temper

__all__ = ["main"]

CRITICAL = 2.0 / math.log(1.0 + math.sqrt(2.0))
MEAN_CLUSTER = 0.394  # of the sites, 64^2 at the critical temperature; of other sides within some per cent


@dataclass(frozen=True)
class Row:
    task: str
    unit: str
    ours: float
    peer: float
    numpy: float


def cpu_seconds(job: Callable[[], object], *, runs: int) -> float:
    job()
    taken = []
    for _ in range(runs):
        start = time.process_time()
        job()
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def numpy_checkerboard(side: int, *, sweeps: int, replicas: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    spins = np.ones((replicas, side, side), dtype=np.int8)
    parity = np.indices((side, side)).sum(0) % 2
    accept = np.exp(-2.0 / CRITICAL * np.arange(-4, 5))
    for _ in range(sweeps):
        for half in (0, 1):
            total = np.roll(spins, 1, 1) + np.roll(spins, -1, 1) + np.roll(spins, 1, 2) + np.roll(spins, -1, 2)
            flip = (generator.random(spins.shape, dtype=np.float32) < accept[spins * total + 4]) & (parity == half)
            spins = np.where(flip, -spins, spins)
    return spins


def peer_seconds(
    side: int, *, sweeps: int, replicas: int, runs: int, couplings="ferro", dimension=2, **options
) -> float:
    if importlib.util.find_spec("peapods") is None:
        return math.nan
    from peapods import Ising as Peer

    temperatures = options.pop("temperatures", np.array([CRITICAL]))
    model = Peer((side,) * dimension, couplings=couplings, temperatures=temperatures, n_replicas=replicas)
    return cpu_seconds(lambda: model.sample(sweeps, warmup_ratio=0.0, sequential=True, **options), runs=runs)


def local(side: int, *, sweeps: int, runs: int) -> list[Row]:
    flips = side * side * sweeps
    settings = {"shape": (side, side), "chains": 1, "sweeps": sweeps, "discard": 0, "seed": 0}
    model = Ising(temperature=CRITICAL)
    numpy_time = cpu_seconds(lambda: numpy_checkerboard(side, sweeps=sweeps // 10, replicas=1), runs=runs) * 10
    rows = []
    for method, mode in (("heat-bath", "gibbs"), ("metropolis", "metropolis")):
        peer = peer_seconds(side, sweeps=sweeps, replicas=1, runs=runs, sweep_mode=mode)
        for every, name in ((sweeps, "one record"), (1, "all records, verdict")):
            ours = cpu_seconds(lambda m=method, e=every: sample(model, method=m, every=e, **settings), runs=runs)
            rows.append(_row(f"{method}, 1 chain, {name}", "flips", flips, ours=ours, peer=peer, numpy=numpy_time))
    return rows


def replicas(side: int, *, sweeps: int, runs: int) -> list[Row]:
    flips = 64 * side * side * sweeps
    settings = {"shape": (side, side), "chains": 64, "sweeps": sweeps, "discard": 0, "seed": 0, "method": "bit-coded"}
    model = Ising(temperature=CRITICAL)
    peer = peer_seconds(side, sweeps=sweeps, replicas=64, runs=runs, sweep_mode="metropolis")
    numpy_time = cpu_seconds(lambda: numpy_checkerboard(side, sweeps=max(1, sweeps // 10), replicas=64), runs=runs)
    numpy_time *= sweeps / max(1, sweeps // 10)
    rows = []
    for every, name in ((sweeps, "one record"), (5, "every 5th sweep, verdict")):
        ours = cpu_seconds(lambda e=every: sample(model, every=e, **settings), runs=runs)
        rows.append(_row(f"bit-coded, 64 chains, {name}", "flips", flips, ours=ours, peer=peer, numpy=numpy_time))
    return rows


def clusters(side: int, *, sweeps: int, runs: int) -> list[Row]:
    settings = {
        "shape": (side, side),
        "chains": 1,
        "sweeps": sweeps,
        "discard": sweeps // 10,
        "seed": 0,
        "every": sweeps,
    }
    model = Ising(temperature=CRITICAL)
    base = peer_seconds(side, sweeps=sweeps, replicas=1, runs=runs)
    rows = []
    for method, mode, moved in (("swendsen-wang", "sw", 1.0), ("wolff", "wolff", MEAN_CLUSTER)):
        both = peer_seconds(side, sweeps=sweeps, replicas=1, runs=runs, cluster_update_interval=1, cluster_mode=mode)
        ours = cpu_seconds(lambda m=method: sample(model, method=m, **settings), runs=runs)
        # a sweep of Wolff moves about the lattice once here, an update of the peer one cluster
        count = sweeps * side * side * moved
        a_sweep = 1.1 * (_clusters_a_sweep() if method == "wolff" else 1.0)  # a tenth is discarded
        rows.append(_row(method, "sites", count, ours=ours / a_sweep, peer=both - base, numpy=math.nan))
    return rows


def _clusters_a_sweep() -> float:
    return max(1.0, round(1.0 / MEAN_CLUSTER))


def glass(*, sweeps: int, runs: int) -> list[Row]:
    temperatures = np.geomspace(2.0, 0.8, 12)
    flips = 12 * 8**3 * sweeps
    peer = peer_seconds(
        8, sweeps=sweeps, replicas=1, runs=runs, couplings="bimodal", dimension=3, temperatures=temperatures,
        sweep_mode="gibbs", pt_interval=1,
    )  # fmt: skip
    settings = {"shape": (8, 8, 8), "chains": 1, "sweeps": sweeps, "discard": 0, "seed": 0, "every": 10}
    ours = cpu_seconds(
        lambda: temper(
            lambda t: SpinGlass(temperature=t, disorder="binary"), temperatures=temperatures.tolist(), **settings
        ),
        runs=runs,
    )
    return [
        _row("tempering of a binary glass 8^3, 12 temperatures", "flips", flips, ours=ours, peer=peer, numpy=math.nan)
    ]


def _row(task: str, unit: str, count: float, *, ours: float, peer: float, numpy: float) -> Row:
    return Row(task, unit, *(count * 1e-9 / seconds for seconds in (ours, peer, numpy)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    rows = local(chosen.side, sweeps=chosen.sweeps, runs=chosen.runs)
    rows += replicas(chosen.side, sweeps=max(20, chosen.sweeps // 10), runs=chosen.runs)
    rows += clusters(chosen.side, sweeps=chosen.sweeps // 2, runs=chosen.runs)
    rows += glass(sweeps=chosen.sweeps, runs=chosen.runs)
    print("| task | unit / ns | rgflow | peapods | NumPy checkerboard | rgflow / peapods | rgflow / NumPy |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        ratios = [_text(row.ours / other, "") for other in (row.peer, row.numpy)]
        print(
            f"| {row.task} | {row.unit} | {_text(row.ours)} | {_text(row.peer)} | {_text(row.numpy)} | {' | '.join(ratios)} |"
        )


def _text(number: float, unknown: str = "") -> str:
    return unknown if math.isnan(number) else f"{number:.3g}"


if __name__ == "__main__":
    main()

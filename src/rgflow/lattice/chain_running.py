"""Starts of chains, and chains that run side by side on the cores a process may use.

Chains start far apart on purpose, so that split R-hat sees what is not forgotten: every third at random, every third with all
spins 1, every third with all -1. Compiled loops release the interpreter; the result does not depend on the number of cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

__all__ = ["run_side_by_side", "spin_starts"]


def spin_starts(chains: int, *, sites: int, seed: int) -> np.ndarray:
    """Return the first states (chains, sites), int8, values -1 and 1."""
    generator = np.random.default_rng(np.random.SeedSequence(entropy=seed, spawn_key=(1,)))
    spins = generator.integers(0, 2, size=(chains, sites), dtype=np.int8) * np.int8(2) - np.int8(1)
    spins[1::3], spins[2::3] = 1, -1
    return spins


def run_side_by_side(job: Callable[[int], None], *, count: int) -> None:
    """Call job(0), ..., job(count - 1) on as many threads as numba may use."""
    threads = min(numba.get_num_threads(), count)
    if threads == 1:
        for number in range(count):
            job(number)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(job, range(count)))

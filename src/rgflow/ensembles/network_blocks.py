"""Ensembles drawn in blocks: each block of networks has its own stream of random numbers, fixed by seed and block alone.

So the same seed gives the same networks however many are drawn, and on any number of threads: the blocks are drawn whole,
worked on side by side, and joined in their order.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from rgflow.errors import SettingError

__all__ = ["Progress", "block_generator", "checked_draw", "joined_blocks", "one_thread_each", "pilot_generator"]

Progress = Callable[[int], None]
Part = TypeVar("Part")

_PILOT, _BLOCKS = 0, 1  # branches of the tree of seeds


def block_generator(seed: int, block: int) -> np.random.Generator:
    """Return the generator of block 0, 1, ...; SFC64 draws normals fastest of numpy's generators."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(_BLOCKS, block))))


def pilot_generator(seed: int) -> np.random.Generator:
    """Return a generator independent of those of all blocks."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(_PILOT,))))


def joined_blocks(
    work: Callable[[int, int], Part], *, networks: int, size: int, threads: int, progress: Progress | None
) -> Iterator[Part]:
    """Yield `work(block, count)` in the order of the blocks, `count` networks of block `block` wanted.

    At most twice as many blocks as threads are held at once. `progress` receives the networks done since the last call.
    Interrupted, it waits for the blocks at work and starts no others.
    """
    counts = [min(size, networks - start) for start in range(0, networks, size)]
    if threads == 1:
        for block, count in enumerate(counts):
            yield _reported(work(block, count), count, progress)
        return
    pool = ThreadPoolExecutor(threads)
    waiting: deque[tuple[Future[Part], int]] = deque()
    try:
        for block, count in enumerate(counts):
            waiting.append((pool.submit(work, block, count), count))
            if len(waiting) == 2 * threads:
                future, done = waiting.popleft()
                yield _reported(future.result(), done, progress)
        for future, done in waiting:
            yield _reported(future.result(), done, progress)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def one_thread_each() -> Iterator[int]:
    """Give torch one thread inside each worker, and yield the number of workers: torch's thread count, put back after."""
    found = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield found
    finally:
        torch.set_num_threads(found)


def checked_draw(networks: int, seed: int, *, least: int) -> None:
    """Raise SettingError for too few networks or a seed that is no integer >= 0."""
    if networks < least:
        raise SettingError(f"networks is {networks}; at least {least} are needed for a standard error")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise SettingError(f"seed is {seed!r}; it must be an integer >= 0")


def _reported(part: Part, count: int, progress: Progress | None) -> Part:
    if progress is not None:
        progress(count)
    return part

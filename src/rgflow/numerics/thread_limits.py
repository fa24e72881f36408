"""One thread for each linear-algebra call, where the work itself already runs side by side.

Threads of BLAS and of torch that share cores with other busy threads wait for each other longer than they work.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

__all__ = ["single_threaded"]


@contextmanager
def single_threaded() -> Iterator[None]:
    """Limit BLAS and torch to one thread a call, in threads started meanwhile too; all limits are put back at the end."""
    found = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(found)

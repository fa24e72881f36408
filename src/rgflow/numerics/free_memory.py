"""The memory that is free for a new array, as the operating system tells it.

Units: bytes.
"""

import math
import os
from pathlib import Path

__all__ = ["free_memory"]


def free_memory() -> float:
    """Return the bytes that are free; infinite where the system does not say."""
    try:
        # Counts what the system keeps of files as free: after gigabytes were written to a store nearly all memory is that.
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * float(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        pass
    try:
        return float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # systems that do not tell
        return math.inf

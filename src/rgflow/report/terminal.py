"""The parts of rich that reports use, imported without touching the user's random numbers.

Importing rich draws from Python's global `random`; here its state is put back.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Box", "Console", "Group", "Padding", "RenderableType", "Table", "Text", "cell_len"]


@contextmanager
def _same_random_state() -> Iterator[None]:
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


with _same_random_state():
    from rich.box import Box
    from rich.cells import cell_len
    from rich.console import Console, Group, RenderableType
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

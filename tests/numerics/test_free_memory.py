"""Free memory: what the system says, in bytes, between what one array takes and what the machine has."""

import os

from rgflow.numerics.free_memory import free_memory


def test_free_memory_lies_between_a_page_and_all_memory() -> None:
    everything = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert os.sysconf("SC_PAGE_SIZE") < free_memory() <= everything

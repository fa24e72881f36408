"""Thread limits: one inside, in threads started there as well, and as found afterwards, after an error too."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from threadpoolctl import threadpool_info

from rgflow.numerics.thread_limits import single_threaded


def blas_threads() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def checked_inside() -> None:
    with single_threaded():
        assert torch.get_num_threads() == 1
        assert set(blas_threads()) <= {1}
        with ThreadPoolExecutor(max_workers=1) as lane:
            assert lane.submit(torch.get_num_threads).result() == 1
        raise KeyError


def test_inside_every_call_has_one_thread_and_afterwards_as_many_as_before() -> None:
    before, found = torch.get_num_threads(), blas_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError):
            checked_inside()
        assert torch.get_num_threads() == 2
        assert blas_threads() == found
    finally:
        torch.set_num_threads(before)

"""Settings of every test run: repeatable property tests and a bounded number of threads."""

import os
import sys
from pathlib import Path

import torch
from hypothesis import settings

sys.path[:0] = [str(Path(__file__).parent)]
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
# Two processes share two cores; a process alone may use both.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))

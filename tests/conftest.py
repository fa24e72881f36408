"""Settings of every test run: repeatable property tests and a bounded number of threads."""

import os
import sys
from pathlib import Path

import torch
from hypothesis import settings

sys.path[:0] = [str(Path(__file__).parent)]
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
torch.set_num_threads(min(2, os.cpu_count() or 1))

"""The memory that Gram matrices take, measured on a process of its own beside the forecast, and tiles that shrink first."""

import json
import subprocess
import sys

import pytest
import torch

from rgflow import MLP
from rgflow.errors import SettingError
from rgflow.theory import gram
from rgflow.theory.gram_matrix import forecast_memory, tile_spans

NETWORK = MLP((16, 64, 64, 1), "relu", weight_variance=2.0)
BOTH = ("kernel", "tangent")

PROGRAMME = """
import json, sys, torch
from pathlib import Path
from rgflow import MLP
from rgflow.theory import gram

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))

name, bias, count, dtype, kind = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5].split(",")
network = MLP((16, 64, 64, 1), name, weight_variance=2.0, bias_variance=bias)
x = torch.randn(count, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
start = status("VmRSS")
found = gram(network, x, kind=kind, dtype=getattr(torch, dtype))
print(json.dumps([found.memory, status("VmHWM") - start]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize(
    ("name", "bias", "count", "dtype", "kind"),
    [
        ("relu", 0.0, 3000, "float64", BOTH),
        ("gelu", 0.1, 3000, "float64", ("tangent",)),
        ("relu", 0.1, 4000, "float32", BOTH),
    ],
)
def test_the_measured_peak_lies_between_half_of_the_forecast_and_the_forecast(name, bias, count, dtype, kind):
    words = [sys.executable, "-c", PROGRAMME, name, str(bias), str(count), dtype, ",".join(kind)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    forecast, measured = json.loads(done.stdout)
    assert measured <= forecast <= 2 * measured


def test_tiles_shrink_before_a_budget_refuses():
    x = torch.randn(600, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    whole, small = (
        forecast_memory(NETWORK, 600, 600, kind=BOTH, dtype=torch.float64, shrink=shrink) for shrink in (1, 8)
    )
    assert small < whole
    tight, free = gram(NETWORK, x, memory=small), gram(NETWORK, x)
    assert tight.memory == small
    assert len(list(tile_spans(free.plan, shrink=8))) > len(list(tile_spans(free.plan)))
    for name in BOTH:
        one, two = getattr(tight, name), getattr(free, name)
        assert torch.equal(one, one.T)
        assert float((one - two).abs().max() / two.abs().max()) <= getattr(free.error, name)
    with pytest.raises(SettingError, match="GiB may be used"):
        gram(NETWORK, x, memory=small - 1)

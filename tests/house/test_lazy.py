"""`import rgflow`, `rgflow --help` and `rgflow --version` answer at once: nothing heavy loaded, 0.6 s CPU at most."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import rgflow

HEAVY = (
    "torch",
    "numba",
    "sympy",
    "zarr",
    "dask",
    "distributed",
    "plotly",
    "sklearn",
    "pandas",
    "scipy",
    "numpy",
    "jinja2",
    "pyarrow",
    "PIL",
)
CPU_SECONDS = 0.6
SOURCE = Path(rgflow.__file__).parents[1]

# Runs a statement in a fresh interpreter and prints which heavy modules it left loaded, on stderr.
PROBE = """
import json, sys
try:
    exec(sys.argv[1])
except SystemExit:
    pass
print(json.dumps(sorted(set(sys.modules) & set(json.loads(sys.argv[2])))), file=sys.stderr)
"""

MAIN = "import sys; from rgflow.cli import main; sys.exit(main([{words}]))"


def fresh(*words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=120, check=True
    )


def loaded_by(statement: str) -> list[str]:
    return json.loads(fresh("-c", PROBE, statement, json.dumps(HEAVY)).stderr.splitlines()[-1])


def cpu_seconds(*words: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    fresh(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


@pytest.mark.parametrize(
    "statement",
    [
        "import rgflow",
        "import rgflow; dir(rgflow); rgflow.__version__",
        *(
            MAIN.format(words=w)
            for w in (
                '"--help"',
                '"--version"',
                '"check", "--help"',
                '"tune", "--help"',
                '"theory", "--help"',
                '"data", "--help"',
                '"nonsense"',
            )
        ),
    ],
)
def test_nothing_heavy_is_loaded_by(statement):
    assert loaded_by(statement) == []


def test_the_probe_sees_a_heavy_module_that_is_loaded():
    assert "numpy" in loaded_by("import numpy")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_command_line_answers_within_its_cpu_time(option):
    assert min(cpu_seconds("-m", "rgflow.cli", option) for _ in range(3)) <= CPU_SECONDS


def test_the_cpu_clock_counts_what_a_child_computes():
    assert cpu_seconds("-c", "import time\nwhile time.process_time() < 0.7: pass") > CPU_SECONDS


def test_every_public_name_resolves_and_is_not_hidden_by_a_module_of_the_same_name():
    program = """
import importlib, json, pkgutil, types, rgflow
names = [m.name for m in pkgutil.walk_packages(rgflow.__path__, "rgflow.") if not m.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
packages = [rgflow, *(importlib.import_module(n) for n in names if hasattr(importlib.import_module(n), "__path__"))]
rooms = {n for n in names if n.count(".") == 1}
hidden = [f"{p.__name__}.{n}" for p in packages for n in p.__all__
          if isinstance(getattr(p, n), types.ModuleType) and f"{p.__name__}.{n}" not in rooms]
print(json.dumps(hidden))
"""
    assert json.loads(fresh("-c", program).stdout) == []

"""`rgflow check` on real networks: table, files, JSON on standard output, exit codes, and silence where asked for."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rgflow
from cli.signals import interruptible
from rgflow.cli import main
from tests.tolerances import SINGLE

NETWORKS = ["--networks", "4", "--batch", "8"]
MODELS = """
import torch
from torch import nn

def talking():
    print("building a network", flush=True)
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

def deep():
    layers = [module for _ in range(12) for module in (nn.Linear(16, 16), nn.Tanh())]
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), *layers, nn.Linear(16, 3))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("check")
    (place / "models.py").write_text(MODELS)
    return place


@pytest.fixture(scope="module")
def run(folder) -> subprocess.CompletedProcess[str]:
    """One run of the command as a user's shell makes it, with both files asked for."""
    words = ["check", "models.py:talking", "--data", "iris", *NETWORKS, "--html", "r.html", "--json", "r.json"]
    with started(words, folder=folder) as process:
        out, err = process.communicate(timeout=300)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def started(words: list[str], *, folder: Path) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(rgflow.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-m", "rgflow.cli", *words],
        cwd=folder, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=interruptible,
    )  # fmt: skip


def measured(document: dict) -> list[float]:
    return [row[name]["measured"] for row in document["layers"] for name in ("signal", "spread")]


def test_a_run_prints_a_table_in_a_pipe_without_colour_and_nothing_on_stderr(run):
    assert run.stderr == ""
    assert "models.py:talking" in run.stdout
    assert "iris" in run.stdout
    assert "\x1b" not in run.stdout


def test_a_run_leaves_exactly_the_files_asked_for_complete(run, folder):
    assert sorted(path.name for path in folder.iterdir()) == ["models.py", "r.html", "r.json"]
    assert (folder / "r.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    document = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert document["schema"] == "rgflow.check/1"
    assert document["seed"] == 0


def test_an_interrupted_run_ends_with_130_one_line_and_no_file(tmp_path):
    (tmp_path / "models.py").write_text(MODELS)
    words = ["check", "models.py:talking", "--data", "iris", *NETWORKS, "--html", "r.html", "--json", "r.json"]
    with started(words, folder=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the model speaks as soon as the first network is built
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    assert (process.returncode, err) == (130, "rgflow: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["models.py"]


def test_the_exit_code_is_the_verdict(run, folder):
    verdict = json.loads((folder / "r.json").read_text(encoding="utf-8"))["verdict"]
    assert run.returncode == {"healthy": 0, "findings": 1}[verdict]


def test_json_on_standard_output_is_json_alone_even_where_the_model_talks(run, folder, capsys):
    code = main(["check", f"{folder / 'models.py'}:talking", "--data", "iris", *NETWORKS, "--json", "-"])
    out, err = capsys.readouterr()
    first, second = json.loads(out), json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert code == run.returncode
    assert "building a network" in err
    assert measured(first) == pytest.approx(measured(second), rel=SINGLE)
    assert first["verdict"] == second["verdict"]


def test_a_network_that_forgets_its_inputs_ends_with_code_one_and_quiet_says_nothing_else(folder, capsys):
    words = ["check", f"{folder / 'models.py'}:deep", "--data", "iris", *NETWORKS, "--seed", "3", "--quiet"]
    assert main(words) == 1
    assert capsys.readouterr() == ("", "")


def test_a_wrong_input_width_is_refused_with_both_widths(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "mlp:7-16-3:relu", "--data", "iris", *NETWORKS, "--json", "r.json", "--html", "r.html"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rgflow: ")
    assert err.count("\n") == 1
    assert "7" in err
    assert "4" in err
    assert list(tmp_path.iterdir()) == []

"""`rgflow tune` on real networks: a dry run by default, weights that plain PyTorch loads, a proof when asked for."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from cli.signals import interruptible
from rgflow.cli import main
from rgflow.networks import load_factory

MODEL = "mlp:4-32x4-3:relu"


def test_a_dry_run_shows_the_diff_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", MODEL, "--data", "iris"]) == 0
    out, err = capsys.readouterr()
    assert "dry run" in out
    assert "redrawn" in out
    assert err == ""
    assert list(tmp_path.iterdir()) == []


def test_written_weights_are_loaded_by_plain_pytorch_and_have_the_variances_of_the_diff(capsys, tmp_path):
    words = ["tune", MODEL, "--data", "iris", "--seed", "5", "--json", "-"]
    assert main([*words, "--write", str(tmp_path / "t.pt")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "rgflow.tune/1"
    assert document["seed"] == 5
    assert document["comparison"] is None
    model = load_factory(MODEL)()
    model.load_state_dict(torch.load(tmp_path / "t.pt", weights_only=True))
    maps = [module for module in model.modules() if isinstance(module, nn.Linear)]
    wanted = [row["weight_variance_after"] for row in document["changes"] if row["action"] == "redrawn"]
    assert len(wanted) == len(maps)
    # 32 x 32 independent weights: the relative standard error of their variance is sqrt(2 / 1024) = 4.4 % at most
    for module, variance in list(zip(maps, wanted, strict=True))[1:-1]:
        found = float(module.weight.detach().double().var()) * module.in_features
        assert found == pytest.approx(variance, rel=5.2 * 0.0442)


def test_one_seed_gives_one_file_and_two_seeds_give_two(tmp_path):
    for name, seed in [("a", 0), ("b", 0), ("c", 1)]:
        assert (
            main(["tune", MODEL, "--data", "iris", "--seed", str(seed), "--write", str(tmp_path / name), "--quiet"])
            == 0
        )
    a, b, c = (torch.load(tmp_path / name, weights_only=True) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_the_proof_is_a_paired_experiment_with_an_interval_and_a_verdict(capsys, tmp_path):
    words = ["tune", MODEL, "--data", "iris", "--verify", "--networks", "3", "--steps", "20", "--rates", "0.01,0.1"]
    assert main([*words, "--json", str(tmp_path / "t.json")]) == 0
    shown = capsys.readouterr().out
    found = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["comparison"]
    assert (found["networks"], found["steps"]) == (3, 20)
    assert found["stock"]["rates"] == found["tuned"]["rates"] == [0.01, 0.1]
    assert found["interval"][0] <= found["difference"]["value"] <= found["interval"][1]
    assert found["verdict"] in shown
    assert found["optimizer"] == "sgd"
    assert [len(found[arm]["failed"]) for arm in ("stock", "tuned")] == [2, 2]
    assert found["notes"]
    assert all(note.split()[0] in shown for note in found["notes"])
    assert "95 % interval" in shown


def test_data_without_targets_cannot_be_proved_on_and_nothing_is_written(capsys, tmp_path):
    words = [
        "tune",
        "mlp:16-32-3:relu",
        "--data",
        "ising:4x4:T=2.5:samples=40",
        "--verify",
        "--write",
        str(tmp_path / "t.pt"),
    ]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_proof_of_a_model_whose_layers_are_all_kept_says_that_there_is_nothing_to_gain(capsys, tmp_path):
    layers = "nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)"
    source = f"from torch import nn\ndef build():\n    return nn.Sequential({layers})\n"
    (tmp_path / "normed.py").write_text(source, encoding="utf-8")
    words = ["tune", f"{tmp_path / 'normed.py'}:build", "--data", "iris", "--verify", "--networks", "2", "--steps", "5"]
    assert main([*words, "--rates", "0.1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "nothing to tune: every layer is kept" in shown
    assert "no benefit by construction" in shown
    assert "[+0.000, +0.000]: no benefit" in shown


def test_verify_shows_its_progress_and_ctrl_c_ends_it_with_130_and_no_file(tmp_path):
    terminal, other = pty.openpty()
    words = ["tune", MODEL, "--data", "iris", "--verify", "--steps", "100000", "--write", "t.pt", "--json", "t.json"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "rgflow.cli", *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=other,
        stdin=subprocess.DEVNULL,
        preexec_fn=interruptible,
    )
    os.close(other)
    shown = b""
    while b"training stock networks" not in shown:  # ends with OSError if the program ends before that
        shown += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while True:
            shown += os.read(terminal, 4096)
    except OSError:  # how Linux says that the other side is closed
        pass
    out, _ = process.communicate(timeout=30)
    os.close(terminal)
    assert process.returncode == 130
    assert out == b""
    assert b"rgflow: interrupted" in shown
    assert b"Traceback" not in shown
    assert list(tmp_path.iterdir()) == []

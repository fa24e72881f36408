"""Bad usage and bad input of every verb: exit code 2, one sentence on stderr that names the matter, nothing written."""

import os
import stat

import pytest

from rgflow.cli import main

MODEL, DATA = "mlp:64-16x2-10:relu", "digits"

STATIC = {
    "no such verb": (["frobnicate"], "frobnicate"),
    "no such option": (["check", MODEL, "--data", DATA, "--bogus"], "--bogus"),
    "no model": (["check", "--data", DATA], "MODEL"),
    "no data": (["check", MODEL], "--data"),
    "two models": (["check", MODEL, MODEL, "--data", DATA], MODEL),
    "networks a word": (["check", MODEL, "--data", DATA, "--networks", "many"], "--networks"),
    "one network": (["check", MODEL, "--data", DATA, "--networks", "1"], "--networks is 1"),
    "negative seed": (["check", MODEL, "--data", DATA, "--seed", "-1"], "--seed is -1"),
    "huge seed": (["check", MODEL, "--data", DATA, "--seed", str(2**32)], "--seed is 4294967296"),
    "one sample": (["check", MODEL, "--data", DATA, "--batch", "1"], "--batch is 1"),
    "rate zero": (["check", MODEL, "--data", DATA, "--learning-rate", "0"], "--learning-rate is 0"),
    "rate nan": (["check", MODEL, "--data", DATA, "--learning-rate", "nan"], "--learning-rate is nan"),
    "optimizer": (["check", MODEL, "--data", DATA, "--optimizer", "lion"], "sgd, adam, adamw"),
    "no such device": (["check", MODEL, "--data", DATA, "--device", "cuda:99"], "cuda:99"),
    "device of no kind": (["check", MODEL, "--data", DATA, "--device", "abacus"], "abacus"),
    "device without numbers": (["check", MODEL, "--data", DATA, "--device", "meta"], "meta"),
    "html nowhere": (["check", MODEL, "--data", DATA, "--html", "no/such/place/r.html"], "no/such/place"),
    "html a folder": (["check", MODEL, "--data", DATA, "--html", "."], "folder"),
    "html empty": (["check", MODEL, "--data", DATA, "--html", ""], "--html is empty"),
    "json nowhere": (["check", MODEL, "--data", DATA, "--json", "no/such/place/r.json"], "no/such/place"),
    "both to one file": (["check", MODEL, "--data", DATA, "--json", "r", "--html", "./r"], "two outputs"),
    "tune: one network": (["tune", MODEL, "--data", DATA, "--verify", "--networks", "1"], "--networks is 1"),
    "tune: no steps": (["tune", MODEL, "--data", DATA, "--verify", "--steps", "0"], "--steps is 0"),
    "tune: rates of words": (["tune", MODEL, "--data", DATA, "--verify", "--rates", "fast,slow"], "fast,slow"),
    "tune: steps alone": (["tune", MODEL, "--data", DATA, "--steps", "5"], "add --verify"),
    "tune: rates alone": (["tune", MODEL, "--data", DATA, "--rates", "5"], "add --verify"),
    "tune: negative rate": (["tune", MODEL, "--data", DATA, "--verify", "--rates", "0.1,-1"], "--rates is -1"),
    "tune: write nowhere": (["tune", MODEL, "--data", DATA, "--write", "no/such/place/t.pt"], "no/such/place"),
    "tune: optimizer": (["tune", MODEL, "--data", DATA, "--optimizer", "lion"], "sgd, adam, adamw"),
    "tune: seed": (["tune", MODEL, "--data", DATA, "--seed", "-3"], "--seed is -3"),
}


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line and return its one sentence, after checking that it is all there is."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rgflow: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize("case", STATIC)
def test_a_wrong_setting_is_refused_before_any_work(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, said = STATIC[case]
    assert said in refused(arguments, capsys)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["check", "tune"])
def test_settings_are_judged_before_the_model_and_the_data_are_looked_at(verb, capsys):
    assert "--seed" in refused([verb, "nowhere.py:nothing", "--data", "nowhere.csv", "--seed", "-1"], capsys)


@pytest.mark.parametrize("verb", ["check", "tune"])
@pytest.mark.parametrize(
    ("model", "data", "said"),
    [
        ("nowhere.py:build", DATA, "nowhere.py"),
        (MODEL, "nowhere.csv", "nowhere.csv"),
        (MODEL, "digitz", "breast_cancer"),
        (MODEL, "digits@label", "digits@label"),
    ],
)
def test_a_model_or_data_set_that_is_not_there_is_refused(verb, model, data, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused([verb, model, "--data", data, "--json", "r.json"], capsys)
    assert list(tmp_path.iterdir()) == []


FACTORIES = """
import torch
def arguments(width): return torch.nn.Linear(64, width)
def number(): return 3
def raising(): raise RuntimeError("out of ideas")
"""


@pytest.mark.parametrize("verb", ["check", "tune"])
@pytest.mark.parametrize(
    ("factory", "said"),
    [("absent", "absent"), ("arguments", "width"), ("number", "Module"), ("raising", "out of ideas")],
)
def test_a_factory_that_gives_no_model_is_refused(verb, factory, said, capsys, tmp_path):
    (tmp_path / "models.py").write_text(FACTORIES)
    assert said in refused([verb, f"{tmp_path / 'models.py'}:{factory}", "--data", DATA], capsys)


@pytest.mark.parametrize("words", [["check", "--html"], ["check", "--json"], ["tune", "--write"], ["tune", "--json"]])
def test_a_pipe_or_device_is_refused_and_not_replaced(words, capsys, tmp_path):
    # a pipe of our own stands for all of them: were the check to fail, no device of the machine would be lost
    os.mkfifo(tmp_path / "pipe")
    verb, option = words
    assert "not an ordinary file" in refused(
        [verb, "none.py:f", "--data", DATA, option, str(tmp_path / "pipe")], capsys
    )
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_a_write_protected_file_is_refused(capsys, tmp_path, monkeypatch):
    target = tmp_path / "r.json"
    target.write_text("mine")
    target.chmod(stat.S_IRUSR)
    # the superuser may write anywhere; the question that the product asks is answered as for anybody else
    monkeypatch.setattr(os, "access", lambda path, mode: not (str(path) == str(target) and mode & os.W_OK))
    assert "write-protected" in refused(["check", MODEL, "--data", DATA, "--json", str(target)], capsys)
    assert target.read_text() == "mine"


def test_a_traceback_is_shown_only_when_asked_for(capsys):
    assert main(["check", MODEL, "--data", "nowhere.csv", "--debug"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("rgflow: ")


@pytest.mark.parametrize("words", [[], ["--help"], ["check", "--help"], ["tune", "--help"], ["--version"]])
def test_help_and_version_end_with_code_zero(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out


def test_help_names_every_option_of_the_contract(capsys):
    main(["check", "--help"])
    shown = capsys.readouterr().out
    for option in ("--data", "--target", "--optimizer", "--learning-rate", "--networks", "--seed", "--batch", "--html"):
        assert option in shown

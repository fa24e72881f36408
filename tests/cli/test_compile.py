"""`rgflow compile`: what it prints and writes, and how it refuses."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
import typer
from torch import nn

import rgflow
from rgflow.cli import main
from rgflow.cli.application import application

EXPRESSION = "x1*x2*x3 + 2*x1**2"


def test_the_table_says_how_many_neurons_how_exact_and_what_one_layer_needs(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["compile", EXPRESSION]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "10 neurons in 2 hidden layers (6-4)" in out
    assert "bound 1.9e-09" in out
    assert "at least 7 without biases, at least 4 with biases" in out
    assert "no weights written" in out
    assert all(len(line) <= 120 for line in out.splitlines())
    assert list(tmp_path.iterdir()) == []


def test_written_weights_fit_the_module_that_is_printed(capsys, tmp_path):
    path = tmp_path / "net.pt"
    assert main(["compile", EXPRESSION, "--write", str(path), "--domain", "x1=1,x2=2,x3=0.5"]) == 0
    spelled = next(line for line in capsys.readouterr().out.splitlines() if "net = " in line).partition("net = ")[2]
    net = eval(spelled, {"nn": nn, "rgflow": rgflow})
    net.load_state_dict(torch.load(path, weights_only=True))
    x = torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.1, -0.2]], dtype=torch.float64)
    assert torch.allclose(net(x)[:, 0], x.prod(1) + 2 * x[:, 0] ** 2, rtol=0, atol=1e-6)


def test_json_and_page_are_written_whole(capsys, tmp_path):
    words = ["compile", EXPRESSION, "--activation", "tanh", "--tolerance", "1e-5", "--seed", "3", "--quiet"]
    assert main([*words, "--json", str(tmp_path / "r.json"), "--html", str(tmp_path / "r.html")]) == 0
    assert capsys.readouterr() == ("", "")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["schema"] == "rgflow.compile/1"
    assert document["measured_error"] <= document["error_bound"] <= document["tolerance"]
    assert len(document["wiring"]) == document["neurons"] == sum(document["widths"])
    assert document["seed"] == 3
    page = (tmp_path / "r.html").read_text()
    assert "default-src 'none'" in page
    assert page.rstrip().endswith("</html>")


def test_json_on_standard_output_is_all_there_is(capsys):
    assert main(["compile", "x*y", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["neurons"] == 4


REFUSED = {
    "empty": (["compile", "  "], "empty"),
    "unreadable": (["compile", "x*(y"], "character 5"),
    "division": (["compile", "x/y"], "numbers only"),
    "function": (["compile", "exp(x)"], "no polynomial"),
    "symbolic coefficient": (["compile", "a*x", "--variables", "x"], "coefficients must be numbers"),
    "complex": (["compile", "1j*x"], "complex"),
    "overflow": (["compile", "x**200", "--domain", "1e9"], "beyond the range"),
    "activation": (["compile", "x*y", "--activation", "lion"], "lion"),
    "linear activation": (["compile", "x*y", "--activation", "identity"], "linear"),
    "tolerance": (["compile", "x*y", "--tolerance", "1e-13"], "squared_relu"),
    "tolerance zero": (["compile", "x*y", "--tolerance", "0"], "--tolerance is 0"),
    "layers": (["compile", "x*y", "--layers", "0"], "--layers is 0"),
    "domain words": (["compile", "x*y", "--domain", "wide"], "wide"),
    "domain negative": (["compile", "x*y", "--domain", "-1"], "--domain is -1"),
    "domain count": (["compile", "x*y", "--domain", "1,2,3"], "3 bounds"),
    "dtype": (["compile", "x*y", "--dtype", "float16"], "float64, float32"),
    "kind": (["compile", "x*y", "--kind", "trit"], "real, bit, spin"),
    "gates": (["compile", "x*y", "--gates", "wooden"], "automatic"),
    "seed": (["compile", "x*y", "--seed", "-1"], "--seed is -1"),
    "samples": (["compile", "x*y", "--samples", "1"], "--samples is 1"),
    "write nowhere": (["compile", "x*y", "--write", "no/such/place/n.pt"], "no/such/place"),
    "one file": (["compile", "x*y", "--json", "r", "--html", "./r"], "two outputs"),
    "no expression": (["compile"], "EXPRESSION"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence_and_code_2(case, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words, said = REFUSED[case]
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("rgflow: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("page", ["compile.md", "cheap_learning.md"])
def test_every_command_of_the_pages_works(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```sh\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.S)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) >= 4
    for words in commands:
        assert words[0] == "rgflow"
        assert main(words[1:]) == 0
    assert "76 neurons in 5 hidden layers" in capsys.readouterr().out or page == "compile.md"


def test_every_option_is_on_the_page():
    command = typer.main.get_command(application())
    options = {name for p in command.commands["compile"].params for name in p.opts if name.startswith("--")}
    text = (DOCS / "compile.md").read_text(encoding="utf-8")
    assert {name for name in options - {"--help"} if f"`{name}`" not in text} == set()


def test_the_python_of_the_pages_runs():
    for page in ("compile.md", "cheap_learning.md"):
        for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.S):
            exec(code, {})

"""`rgflow data` from words to table, JSON and page; wrong words get one sentence, and no file is left."""

import json
from dataclasses import replace

import pytest

from rgflow import structure
from rgflow.cli import main
from tests.report.structure_examples import ising_report


@pytest.fixture
def asked(monkeypatch):
    """The settings with which the card is made; the card itself is one made by hand."""
    calls = []

    def card(dataset, **settings):
        calls.append((dataset, settings))
        return replace(ising_report().card, name=dataset.name, samples=len(dataset.inputs), seed=settings["seed"])

    monkeypatch.setattr(structure, "card", card, raising=False)
    return calls


def test_words_reach_the_card_as_they_were_said(asked, capsys):
    assert main(["data", "digits", "--grid", "8x8", "--max-order", "3", "--samples", "70", "--seed", "7"]) == 0
    dataset, settings = asked[0]
    assert dataset.inputs.shape == (70, 64)
    assert (dataset.grid, dataset.periodic) == ((8, 8), False)
    assert (settings["max_order"], settings["seed"]) == (3, 7)
    out, err = capsys.readouterr()
    assert err == ""
    assert "seed 7" in out
    assert "70 of them taken at random (seed 7)" in " ".join(out.split())


def test_without_words_the_data_are_taken_whole_with_their_own_lattice(asked, capsys):
    assert main(["data", "ising:4x4:T=2.5:samples=40", "--quiet"]) == 0
    dataset, settings = asked[0]
    assert len(dataset.inputs) == 40
    assert (dataset.grid, dataset.periodic) == ((4, 4), True)
    assert settings["max_order"] == 4
    assert capsys.readouterr() == ("", "")


def test_all_three_outputs_are_written_whole(asked, capsys, tmp_path):
    page, document = tmp_path / "card.html", tmp_path / "card.json"
    assert main(["data", "iris", "--html", str(page), "--json", str(document)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.html", "card.json"]
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert json.loads(document.read_text())["schema"] == "rgflow.data/1"
    assert "indices beside their nulls" in capsys.readouterr().out


def test_json_on_standard_output_is_json_alone(asked, capsys):
    assert main(["data", "iris", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["name"] == "iris"
    assert err == ""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nothing"], "no bundled data set"),
        (["nothing.csv"], "no file or folder"),
        (["digits", "--grid", "8by8"], "give the sides of the lattice"),
        (["digits", "--grid", "0x64"], "every side must be >= 1"),
        (["digits", "--grid", "7x9"], "do not fill the grid (7, 9)"),
        (["digits", "--grid", "2x32", "--periodic"], "must be >= 3"),
        (["wine", "--periodic"], "has none of its own"),
        (["wine", "--missing", "guess"], "must be one of drop, mean, refuse"),
        (["wine", "--duplicates", "merge"], "must be one of keep, drop"),
        (["wine", "--text", "read"], "must be one of drop, encode, refuse"),
        (["wine", "--max-order", "0"], "must be >= 1"),
        (["wine", "--max-order", "9"], "must be 1 to 4"),
        (["wine", "--samples", "3"], "must be >= 60"),
        (["wine", "--seed", "-1"], "must be >= 0"),
        (["wine", "--target", "price"], "price"),
        ([], "DATA"),
    ],
)
def test_wrong_words_get_one_sentence_and_no_file(asked, capsys, tmp_path, words, part):
    assert main(["data", *words, "--html", str(tmp_path / "page.html")]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert part in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
    assert asked == []


def test_an_interrupt_while_the_card_is_made_leaves_no_file(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(structure, "card", interrupted, raising=False)
    assert main(["data", "iris", "--html", str(tmp_path / "a.html"), "--json", str(tmp_path / "a.json")]) == 130
    assert capsys.readouterr().err == "rgflow: interrupted\n"
    assert list(tmp_path.iterdir()) == []

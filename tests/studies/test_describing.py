"""`describe` hands the structure room the data that were asked for, and says everything that was done to them."""

import json
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch

import rgflow
from rgflow import structure
from rgflow.errors import DataError, SettingError
from rgflow.records.dataset import Dataset
from rgflow.report.data_json import data_schema
from tests.report.structure_examples import ising_report
from tests.tolerances import z_limit

TABLE = torch.arange(120, dtype=torch.float64).reshape(40, 3).sin()


@pytest.fixture
def handed(monkeypatch):
    """The datasets that reach the structure room; the card itself is one made by hand."""
    found = []

    def card(dataset, **settings):
        found.append(dataset)
        return replace(ising_report().card, samples=len(dataset.inputs), seed=settings["seed"])

    monkeypatch.setattr(structure, "card", card, raising=False)
    return found


def test_an_array_a_dataset_and_a_name_are_all_described(handed):
    rgflow.describe(TABLE)
    rgflow.describe(TABLE.numpy().tolist())
    rgflow.describe(Dataset("mine", TABLE, None, "unsupervised"))
    rgflow.describe("iris")
    assert [data.inputs.shape for data in handed] == [(40, 3)] * 3 + [(150, 4)]
    assert torch.equal(handed[1].inputs, TABLE)


def test_the_lattice_of_the_data_is_kept_unless_another_is_given(handed):
    mine = Dataset("mine", torch.zeros(20, 12), None, "unsupervised", grid=(3, 4), periodic=True)
    rgflow.describe(mine)
    rgflow.describe(mine, grid=(2, 6))
    rgflow.describe(mine, periodic=False)
    rgflow.describe(mine, grid=[12], periodic=True)
    assert [(data.grid, data.periodic) for data in handed] == [
        ((3, 4), True), ((2, 6), True), ((3, 4), False), ((12,), True),
    ]  # fmt: skip


def test_rows_are_taken_in_their_order_by_the_seed_and_the_card_says_so(handed):
    first, again, other = (rgflow.describe(TABLE, samples=30, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(handed[0].inputs, handed[1].inputs)
    assert not torch.equal(handed[0].inputs, handed[2].inputs)
    places = [int((row == TABLE).all(1).nonzero()) for row in handed[0].inputs]
    assert places == sorted(set(places))
    assert len(places) == 30
    assert first.card.preparation[-1].treatment == "30 of them taken at random (seed 1), in their order"
    assert again.card.preparation == first.card.preparation != other.card.preparation


def test_shuffled_rows_are_the_same_rows_in_another_order_and_the_card_says_so(handed):
    report = rgflow.describe(TABLE, shuffle=True, seed=3)
    rgflow.describe(TABLE, shuffle=True, samples=25, seed=3)
    places = [int((row == TABLE).all(1).nonzero()) for row in handed[0].inputs]
    assert sorted(places) == list(range(40))
    assert places != sorted(places)
    assert torch.equal(handed[1].inputs, handed[0].inputs[:25])
    assert report.card.preparation[-1].treatment == "all taken (seed 3), in random order"


def test_as_many_rows_as_there_are_leave_the_data_as_they_are(handed):
    report = rgflow.describe(TABLE, samples=40)
    assert torch.equal(handed[0].inputs, TABLE)
    assert report.card.preparation == ()


def test_the_users_array_and_the_global_random_state_are_left_as_found(handed):
    mine, state = TABLE.clone(), torch.get_rng_state()
    rgflow.describe(mine, samples=20)
    assert torch.equal(mine, TABLE)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_cannot_be_done_is_refused_in_one_sentence(handed):
    with pytest.raises(SettingError, match="has none of its own"):
        rgflow.describe(TABLE, periodic=True)
    with pytest.raises(DataError, match="do not fill the grid"):
        rgflow.describe(TABLE, grid=(2, 2))
    with pytest.raises(DataError, match="nothing"):
        rgflow.describe("nothing")
    assert handed == []


def ising(seed: int) -> str:
    return rgflow.describe("ising:4x4:T=2.5:samples=300", max_order=2, seed=seed).to_json()


@pytest.fixture(scope="module")
def document() -> str:
    """A card that is really made: 300 samples of an Ising model on a torus of 16 sites, coupling 0.4."""
    return ising(0)


def untimed(text: str) -> dict:
    return {key: value for key, value in json.loads(text).items() if key not in ("timing", "seed")}


def test_a_real_card_keeps_the_schema_and_finds_what_was_planted(document):
    found = json.loads(document)
    jsonschema.Draft202012Validator(json.loads(data_schema())).validate(found)
    assert found["order"]["estimate"]["value"] == 2.0
    rungs = {rung["name"]: rung for rung in found["ladder"]["rungs"]}
    fair = rungs["independent"]["deficit"]
    assert fair["value"] > z_limit(1) * fair["error"]
    assert rungs["2-local"]["parameters"] == 16 + 120
    nearest = found["coupling_range"]["strengths"][0]
    assert abs(nearest["value"] - 0.4) < z_limit(1) * nearest["error"]
    assert (found["kind"], found["grid"], found["periodic"]) == ("spin", [4, 4], True)


def test_one_seed_gives_one_card_and_two_seeds_differ(document):
    assert untimed(ising(0)) == untimed(document) != untimed(ising(1))


def test_coins_have_no_structure_and_get_no_suggestion():
    coins = torch.randint(0, 2, (300, 9), generator=torch.Generator().manual_seed(4)) * 2.0 - 1.0
    card = rgflow.describe(coins, grid=(3, 3), max_order=2, seed=0).card
    assert card.implications == ()
    assert (card.order.verdict, card.geometry.verdict) == ("no", "no")
    assert card.coupling_range is not None
    assert card.coupling_range.reach is None


def test_the_python_example_of_the_tutorial_runs(capsys):
    text = (Path(__file__).parents[2] / "docs" / "structure_of_data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, "structure_of_data.md", "exec"), {})
    assert "indices beside their nulls" in capsys.readouterr().out

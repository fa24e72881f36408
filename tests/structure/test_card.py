"""The structure card: what it says of planted data, of noise, and of data that leave gaps."""

import threading
import time
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from rgflow.errors import DataError, SettingError
from rgflow.lattice import Lattice
from rgflow.records.dataset import Dataset
from rgflow.records.structure_card import StructureCard
from rgflow.structure import card, card_parts
from rgflow.structure.card_input import read_card_input
from structure.planted_lattices import ising_rows


@pytest.fixture(scope="module")
def ising() -> StructureCard:
    rows = torch.tensor(ising_rows(5, temperature=2.5, samples=1200, seed=0), dtype=torch.int8)
    data = Dataset("ising", rows, None, "unsupervised", provenance="planted", grid=(5, 5), periodic=True)
    return card(data, seed=0, max_order=3)


def test_the_ising_card_states_what_was_planted(ising):
    assert (ising.kind, ising.samples, ising.variables, ising.grid, ising.periodic) == ("spin", 1200, 25, (5, 5), True)
    assert ising.order.estimate is not None
    assert ising.order.estimate.value == 2.0
    assert ising.locality.verdict == "yes"
    assert ising.coupling_range is not None
    assert ising.coupling_range.reach == 1.0
    assert ising.geometry.agreement is not None
    assert ising.geometry.agreement >= 0.99
    assert ising.ladder.chosen == "order 2, reach 1, translation+rotation+flip"
    assert ising.preparation == ()
    assert len(ising.spectrum) == 25
    assert sum(ising.spectrum) == pytest.approx(25.0)


def test_the_ising_card_suggests_a_small_convolution_with_the_evidence(ising):
    said = {one.suggestion: one.evidence for one in ising.implications}
    assert any("3 x 3" in suggestion for suggestion in said)
    assert any("convolution" in suggestion and "p = " in evidence for suggestion, evidence in said.items())
    assert not any("set" in suggestion.split() for suggestion in said)


def test_parameter_counts_fall_from_any_law_to_the_simplest(ising):
    name, count = ising.parameter_counts[0]
    assert (name, count) == ("any law at all", "2^25 - 1")
    numbers = [int(text.replace(",", "")) for _, text in ising.parameter_counts[1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[-1] <= 1


def test_noise_suggests_nothing():
    rows = np.random.default_rng(0).standard_normal((1500, 6))
    seen = []
    found = card(rows, seed=0, max_order=3, progress=lambda stage, fraction: seen.append((stage, fraction)))
    assert found.kind == "continuous"
    assert found.order.verdict == "no"
    assert found.locality.verdict == "no"
    assert "yes" in {
        test.verdict for test in found.symmetries if test.name == "permutation"
    }  # noise has every symmetry
    assert found.implications == ()
    assert found.coupling_range is None
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)
    assert 0.0 <= min(fractions) <= max(fractions) <= 1.0
    assert {stage for stage, _ in seen} == set(found.timing)


def test_the_same_seed_gives_the_same_card():
    rows = np.random.default_rng(1).standard_normal((200, 6))
    first, second = (card(rows, seed=3, max_order=2) for _ in range(2))
    for entry in fields(StructureCard):
        if entry.name in ("timing", "coupling_matrix", "geometry"):
            continue
        assert repr(getattr(first, entry.name)) == repr(getattr(second, entry.name)), entry.name
    assert first.coupling_matrix is not None
    assert second.coupling_matrix is not None
    assert torch.equal(first.coupling_matrix, second.coupling_matrix)
    assert card(rows, seed=4, max_order=2).compressibility.nulls != first.compressibility.nulls


def test_constant_columns_of_a_table_go_and_those_of_a_lattice_stay():
    rows = np.random.default_rng(0).standard_normal((100, 9))
    rows[:, 4] = 1.0
    table = read_card_input(Dataset("t", torch.tensor(rows), None, "unsupervised", feature_names=tuple("abcdefghi")))
    assert table.values.shape == (100, 8)
    assert table.names == tuple("abcdfghi")
    field = read_card_input(rows, lattice=(3, 3))
    assert field.values.shape == (100, 9)
    assert field.active.sum() == 8
    assert "constant" in field.preparation[0].finding


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.0, 1.0], "spin"),
        ([3.0, 7.0], "spin"),
        ([0.0, 1.0, 2.0], "categorical"),
        ([0.0, 0.5, 1.0], "continuous"),
        (list(range(30)), "continuous"),
    ],
)
def test_the_kind_follows_from_the_values(values, kind):
    rows = np.random.default_rng(0).choice(values, size=(200, 4))
    found = read_card_input(rows)
    assert found.kind == kind
    if kind == "spin":
        assert set(np.unique(found.values)) == {-1.0, 1.0}
        assert np.array_equal(found.values > 0, rows == max(values))


def test_channels_are_averaged_and_said():
    rows = np.random.default_rng(0).standard_normal((80, 3, 4, 4))
    data = Dataset("rgb", torch.tensor(rows), None, "unsupervised", axes=("channel", "height", "width"), grid=(4, 4))
    found = read_card_input(data)
    assert found.values == pytest.approx(rows.mean(1).reshape(80, 16))
    assert "3 channels" in found.preparation[0].finding


def test_large_data_sets_are_thinned_and_it_is_said():
    rows = np.random.default_rng(0).standard_normal((10_003, 3))
    found = read_card_input(rows)
    assert found.values.shape == (10_000, 3)
    assert "10,003 samples" in found.preparation[0].finding


def test_a_part_that_refuses_leaves_a_gap_with_its_reason():
    rows = np.random.default_rng(0).standard_normal((80, 2))  # two variables: no basis, no scales
    found = card(rows, seed=0, max_order=2)
    assert found.basis.given.verdict == "not applicable"
    assert any(note.startswith("basis: ") for note in found.notes)


def test_unusable_data_are_refused():
    with pytest.raises(DataError, match="at least 60"):
        card(np.zeros((10, 3)), seed=0)
    with pytest.raises(DataError, match="vary"):
        card(np.zeros((100, 3)), seed=0)
    with pytest.raises(SettingError, match="seed"):
        card(np.zeros((100, 3)), seed=-1)
    with pytest.raises(SettingError, match="sites"):
        card(np.random.default_rng(0).standard_normal((100, 5)), seed=0, lattice=Lattice((2, 2), periodic=False))


def test_a_lattice_of_two_rows_is_open_even_where_the_data_set_says_periodic():
    rows = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    data = Dataset("thin", rows, None, "unsupervised", grid=(2, 4), periodic=True)
    found = read_card_input(data)
    assert found.lattice is not None
    assert not found.lattice.periodic
    assert read_card_input(replace(data, grid=())).lattice is None


def test_an_interruption_ends_the_card_at_once_and_its_lanes_before_their_next_parts(monkeypatch) -> None:
    """The part that runs cannot be stopped from outside; none may be begun after it, and nobody waits for it."""
    begun: list[str] = []
    release = threading.Event()

    def interrupting(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def waiting(*_: object, **__: object) -> None:
        release.wait(30.0)

    monkeypatch.setattr(card_parts, "fit_pair_couplings", interrupting)
    monkeypatch.setattr(card_parts, "ladder", waiting)
    coins = np.random.default_rng(0).choice([-1.0, 1.0], (200, 9))
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        card(coins, seed=0, progress=lambda stage, _: begun.append(stage))
    assert time.perf_counter() - start < 10.0
    release.set()
    time.sleep(0.5)
    assert "symmetries" not in begun

"""Batches and splits: sizes, shares of classes, no repetition, and no trace in the global random state."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rgflow.datasets import as_dataset, batch_of, load, splits
from rgflow.errors import DataError, SettingError


def numbered(classes: list[int]):
    """Return a data set whose single feature numbers the samples."""
    return as_dataset(np.arange(len(classes), dtype=float)[:, None], np.array(classes))


def rows(data) -> list[int]:
    return [int(row) for row in data.inputs.flatten()]


@given(st.lists(st.integers(0, 4), min_size=10, max_size=60).filter(lambda c: len(set(c)) > 1), st.data())
def test_a_batch_has_its_size_no_repetition_and_every_class_its_share_to_within_one(classes, draw):
    size, data = draw.draw(st.integers(2, len(classes))), numbered(classes)
    batch = batch_of(data, size=size, seed=0)
    assert len(set(rows(batch))) == size
    assert torch.equal(batch.targets, data.targets[rows(batch)])
    for label in range(data.classes):
        share = size * float((data.targets == label).double().mean())
        assert abs(int((batch.targets == label).sum()) - share) < 1.0


def test_a_batch_as_large_as_the_data_is_the_data():
    data = load("iris")
    assert batch_of(data, size=150, seed=0) is data
    assert batch_of(data, size=500, seed=0) is data


def test_a_batch_is_not_sorted_by_class_and_covers_the_data_evenly_over_seeds():
    data = numbered([0] * 50 + [1] * 50)
    assert len(set(batch_of(data, size=40, seed=0).targets[:20].tolist())) == 2
    counts = np.zeros(100)
    for seed in range(200):
        counts[rows(batch_of(data, size=20, seed=seed))] += 1
    # each sample is drawn with probability 0.2: 40 +- 5.7 of 200; 5.7 * 5.6 for a false-alarm rate of 1e-6 over 100
    assert np.abs(counts - 40).max() < 5.66 * 5.7


def test_one_seed_gives_one_batch_and_two_seeds_give_two():
    data = load("diabetes")
    assert rows_equal(batch_of(data, size=64, seed=1), batch_of(data, size=64, seed=1))
    assert not rows_equal(batch_of(data, size=64, seed=1), batch_of(data, size=64, seed=2))


def rows_equal(one, other) -> bool:
    return torch.equal(one.inputs, other.inputs)


def test_the_global_random_states_are_left_alone():
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state())  # noqa: NPY002 - the state itself is the subject
    batch_of(load("iris"), size=20, seed=0)
    splits(load("iris"), validation=0.2, test=0.2, seed=0)
    load("ising:4x4:T=2:samples=4")
    assert before[0] == random.getstate()
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.equal(before[2], torch.get_rng_state())


@pytest.mark.parametrize("name", ["digits", "diabetes"])
def test_splits_are_disjoint_complete_and_sized_as_asked(name):
    data = load(name)
    numbers = as_dataset(np.arange(len(data.inputs), dtype=float)[:, None], data.targets, task=data.task)
    train, validation, test = splits(numbers, validation=0.25, test=0.15, seed=4)
    assert len(validation.inputs) == round(0.25 * len(data.inputs))
    assert len(test.inputs) == round(0.15 * len(data.inputs))
    assert sorted(rows(train) + rows(validation) + rows(test)) == list(range(len(data.inputs)))


def test_every_part_keeps_the_shares_of_the_classes():
    data = load("breast_cancer")
    share = float(data.targets.double().mean())
    for part in splits(data, validation=0.2, test=0.2, seed=0):
        assert abs(float(part.targets.double().mean()) - share) < 2.0 / len(part.targets)


def test_a_part_says_in_its_provenance_what_it_is():
    parts = splits(load("iris"), validation=0.2, test=0.2, seed=7)
    assert ["training" in parts.train.provenance, "validation" in parts.validation.provenance] == [True, True]
    assert "test part, seed 7" in parts.test.provenance


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.2), (0.5, 0.5), (-0.1, 0.2), (0.2, 1.0)])
def test_impossible_fractions_are_refused(validation, test):
    with pytest.raises(SettingError, match="fractions"):
        splits(load("iris"), validation=validation, test=test, seed=0)


def test_too_few_samples_too_small_a_batch_and_a_negative_seed_are_refused():
    with pytest.raises(DataError, match="too few"):
        splits(numbered([0, 1, 0, 1, 0]), validation=0.2, test=0.2, seed=0)
    with pytest.raises(SettingError, match="batch size"):
        batch_of(load("iris"), size=1, seed=0)
    with pytest.raises(SettingError, match="seed"):
        batch_of(load("iris"), size=10, seed=-1)

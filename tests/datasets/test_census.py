"""The feature census against features whose scales are known by construction."""

import math

import numpy as np
import pytest
import torch

from rgflow.datasets import as_dataset, feature_census, load
from rgflow.records.dataset import Dataset
from tests.tolerances import ROUNDING

SIGNS = np.array([1.0, -1.0, 1.0, -1.0])


def test_constant_features_are_named_and_left_out_of_the_ranges():
    data = Dataset(
        name="made",
        inputs=torch.tensor(np.stack([SIGNS, 0 * SIGNS + 1e9, 0 * SIGNS, 10 * SIGNS], axis=1)),
        targets=None,
        task="unsupervised",
        feature_names=("a", "b", "c", "d"),
    )
    census = feature_census(data)
    assert (census.constant, census.constant_names) == ((1, 2), ("b", "c"))
    assert (census.scale_range, census.peak_range) == (10.0, 10.0)
    assert (census.largest, census.smallest) == ("d", "a")


def test_mean_and_rms_are_over_all_entries():
    census = feature_census(as_dataset([[1.0, 2.0], [3.0, 6.0]]))
    assert census.mean == pytest.approx(3.0, rel=ROUNDING)
    assert census.rms == pytest.approx(math.sqrt(50.0 / 4.0), rel=ROUNDING)


def test_features_of_equal_scale_all_count_and_one_dominant_feature_counts_alone():
    generator = np.random.default_rng(0)
    equal = SIGNS[generator.integers(0, 4, size=(40, 8))]
    assert feature_census(as_dataset(equal)).effective_features == pytest.approx(8.0, rel=ROUNDING)
    equal[:, 3] *= 1e6
    assert feature_census(as_dataset(equal)).effective_features == pytest.approx(1.0, abs=1e-10)


def test_rare_features_widen_the_rms_range_but_not_the_peak_range():
    rare = np.tile(SIGNS, 100)[:, None] * np.ones((1, 2))
    rare[:, 0] = 0.0
    rare[0, 0] = 1.0
    census = feature_census(as_dataset(rare))
    assert census.scale_range == pytest.approx(20.0, rel=ROUNDING)  # rms 1 against 1/sqrt(400)
    assert census.peak_range == 1.0


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_units_neither_overflow_nor_vanish(scale):
    census = feature_census(as_dataset(scale * np.stack([SIGNS, 3 * SIGNS], axis=1)))
    assert census.scale_range == pytest.approx(3.0, rel=ROUNDING)
    assert census.rms == pytest.approx(scale * math.sqrt(5.0), rel=ROUNDING)


def test_data_that_never_vary_have_ranges_of_one():
    census = feature_census(as_dataset(np.zeros((3, 2))))
    assert (len(census.constant), census.scale_range, census.effective_features) == (2, 1.0, 0.0)


def test_the_bundled_tables_are_told_apart():
    assert feature_census(load("digits")).constant_names == ("pixel_0_0", "pixel_4_0", "pixel_4_7")
    assert feature_census(load("breast_cancer")).peak_range > 1e5
    assert feature_census(load("digits")).peak_range == 16.0


def test_pixels_of_images_are_features():
    census = feature_census(as_dataset(np.random.default_rng(0).normal(size=(5, 1, 2, 2))))
    assert census.features == 4
    assert census.largest.startswith("feature ")

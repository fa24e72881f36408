"""Bundled data arrive with the published shapes, the documented units, and a provenance that says what was changed."""

import pytest
import torch

from rgflow.datasets import BUNDLED, load
from rgflow.errors import DataError

# samples, features, classes as their publishers state them (UCI; diabetes: Efron et al. 2004)
TABLES = {
    "digits": (1797, 64, 10),
    "breast_cancer": (569, 30, 2),
    "wine": (178, 13, 3),
    "iris": (150, 4, 3),
    "diabetes": (442, 10, None),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_bundled_table_has_its_published_shape_and_named_features(name):
    data, (samples, features, classes) = load(name), TABLES[name]
    assert tuple(data.inputs.shape) == (samples, features)
    assert data.inputs.dtype == torch.float64
    assert data.classes == classes
    assert len(set(data.feature_names)) == features
    assert data.provenance


def test_digits_are_pixels_over_sixteen_and_the_provenance_says_so():
    data = load("digits")
    assert float(data.inputs.max()) == 1.0
    assert torch.equal((data.inputs * 16).round(), data.inputs * 16)
    assert "/ 16" in data.provenance


def test_columns_of_breast_cancer_are_left_unscaled():
    assert float(load("breast_cancer").inputs.max()) == 4254.0  # the largest "worst area" of the published table


def test_diabetes_is_a_regression_with_one_output_in_its_own_unit():
    data = load("diabetes")
    assert data.task == "regression"
    assert tuple(data.targets.shape) == (442, 1)
    assert (float(data.targets.min()), float(data.targets.max())) == (25.0, 346.0)


def test_classes_are_indices_and_all_occur():
    data = load("wine")
    assert data.targets.dtype == torch.int64
    assert torch.bincount(data.targets).tolist() == [59, 71, 48]


def test_photos_are_grey_patches_that_tile_the_two_photographs():
    from sklearn.datasets import load_sample_image

    data = load("photos")
    assert tuple(data.inputs.shape) == (2 * (427 // 16) * (640 // 16), 1, 16, 16)
    assert (data.task, data.targets, data.axes) == ("unsupervised", None, ("channel", "height", "width"))
    colour = torch.tensor(load_sample_image("china.jpg"), dtype=torch.float64)[16:32, 32:48] / 255.0
    grey = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
    torch.testing.assert_close(data.inputs[640 // 16 + 2, 0], grey)


def test_photos_can_be_cut_into_other_patches():
    data = load("photos:8x12")
    assert tuple(data.inputs.shape) == (2 * (427 // 8) * (640 // 12), 1, 8, 12)
    assert (data.name, data.grid) == ("photos:8x12", (8, 12))
    assert torch.equal(load("photos:16x16").inputs, load("photos").inputs)
    corner = load("photos").inputs[0, 0, :8, :12]
    assert torch.equal(data.inputs[0, 0], corner)


def test_images_know_their_lattice_and_tables_have_none():
    assert (load("digits").grid, load("digits").periodic) == ((8, 8), False)
    assert (load("photos").grid, load("photos").periodic) == ((16, 16), False)
    assert load("wine").grid == ()


def test_units_stand_in_the_names_of_columns():
    assert load("iris").units == ("cm",) * 4
    assert load("wine").units == ()
    assert load("digits").units == ("ink / 16",)


def test_an_unknown_name_is_answered_with_the_list_of_names():
    with pytest.raises(DataError) as error:
        load("digitz")
    assert all(name in str(error.value) for name in BUNDLED)


def test_a_target_column_makes_no_sense_for_bundled_data():
    with pytest.raises(DataError, match="--target"):
        load("digits", target="label")

"""Arrays become data sets: dtype, task and classes by the documented rules, and bad ones by one sentence."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rgflow.datasets import as_dataset, load
from rgflow.datasets.arrays import class_limit
from rgflow.errors import DataError, RgflowError, SettingError

ROWS = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    "inputs", [ROWS, ROWS.tolist(), torch.tensor(ROWS), ROWS.astype(np.uint8), torch.tensor(ROWS).bool()]
)
def test_inputs_of_any_kind_become_float64(inputs):
    assert as_dataset(inputs).inputs.dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_a_torch_tensor_of_token_indices_stays_an_integer_tensor(dtype):
    assert as_dataset(torch.arange(6, dtype=dtype).reshape(3, 2)).inputs.dtype == torch.int64


def test_the_data_set_owns_its_numbers():
    array, tensor = ROWS.copy(), torch.tensor(ROWS)
    first, second = as_dataset(array), as_dataset(tensor)
    array[:] = -1.0
    tensor[:] = -1.0
    assert float(first.inputs.min()) == float(second.inputs.min()) == 0.0


def test_a_gradient_does_not_follow_the_inputs_into_the_data_set():
    assert not as_dataset(torch.tensor(ROWS, requires_grad=True)).inputs.requires_grad


@pytest.mark.parametrize(
    ("targets", "indices"),
    [
        (["b", "a", "b", "c", "a", "b"], [1, 0, 1, 2, 0, 1]),
        ([7, -3, 7, 90, -3, 7], [1, 0, 1, 2, 0, 1]),
        ([True, False, True, True, False, True], [1, 0, 1, 1, 0, 1]),
        ([[2], [1], [2], [3], [1], [2]], [1, 0, 1, 2, 0, 1]),
        (np.array(["b", "a", "b", "c", "a", "b"], dtype=object), [1, 0, 1, 2, 0, 1]),
    ],
)
def test_integers_booleans_and_texts_become_classes_in_sorted_order(targets, indices):
    data = as_dataset(ROWS, targets)
    assert (data.task, data.classes) == ("classification", len(set(indices)))
    assert data.targets.tolist() == indices


def test_floats_are_regression_targets_with_an_output_axis():
    assert tuple(as_dataset(ROWS, np.linspace(0, 1, 6)).targets.shape) == (6, 1)
    assert tuple(as_dataset(ROWS, np.ones((6, 3))).targets.shape) == (6, 3)
    assert as_dataset(ROWS, [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]).task == "regression"


@pytest.mark.parametrize(("samples", "limit"), [(10, 20), (400, 20), (440, 20), (441, 21), (10_000, 100)])
def test_integers_count_as_classes_up_to_the_documented_number(samples, limit):
    assert class_limit(samples) == limit
    inputs = np.zeros((max(samples, limit + 1), 1))
    few, many = (np.arange(len(inputs)) % distinct for distinct in (limit, limit + 1))
    assert as_dataset(inputs, few).task == "classification"
    assert as_dataset(inputs, many).task == "regression"


def test_the_task_can_be_chosen():
    assert as_dataset(ROWS, [0, 1, 0, 1, 0, 1], task="regression").task == "regression"
    assert as_dataset(ROWS, [0.0, 1.5, 0.0, 1.5, 0.0, 1.5], task="classification").targets.tolist() == [0, 1] * 3
    assert as_dataset(ROWS, [0, 1, 0, 1, 0, 1], task="unsupervised").targets is None


def test_a_data_set_passes_as_it_is():
    data = load("iris")
    assert as_dataset(data) is data
    with pytest.raises(SettingError, match="its own targets"):
        as_dataset(data, data.targets)
    with pytest.raises(SettingError, match="contradicts"):
        as_dataset(data, task="regression")


def test_names_of_columns_are_kept():
    assert as_dataset(pd.DataFrame({"height": [1.0, 2.0], "mass": [3.0, 5.0]})).feature_names == ("height", "mass")


def test_a_unit_in_brackets_at_the_end_of_a_column_is_read():
    frame = pd.DataFrame({"length (cm)": [1.0, 2.0], "mass [kg]": [3.0, 5.0], "age": [7.0, 8.0], "(odd)": [1.0, 0.0]})
    assert as_dataset(frame).units == ("cm", "kg", "", "")
    assert as_dataset(frame[["age"]]).units == ()


@pytest.mark.parametrize(
    ("shape", "grid"), [((6,), ()), ((4, 5), (4, 5)), ((3, 4, 5), (4, 5)), ((2, 3, 4, 5), ())], ids=str
)
def test_stacks_of_images_know_their_lattice(shape, grid):
    assert as_dataset(np.random.default_rng(0).normal(size=(2, *shape))).grid == grid
    assert as_dataset(torch.zeros((2, *shape), dtype=torch.int64)).grid == ()  # token indices stand on no lattice


BAD = {
    "one sample": (ROWS[:1], None),
    "no samples": (np.zeros((0, 3)), None),
    "no features": (np.zeros((3, 0)), None),
    "one axis": (ROWS[:, 0], None),
    "nan": (np.where(ROWS == 3, np.nan, ROWS), None),
    "infinite": (np.where(ROWS == 3, np.inf, ROWS), None),
    "text": ([["a", "b"], ["c", "d"]], None),
    "objects": (np.array([[object(), 1], [2, 3]], dtype=object), None),
    "none inside": ([[1.0, None], [2.0, 3.0]], None),
    "complex": (ROWS * 1j, None),
    "complex tensor": (torch.tensor(ROWS * 1j), None),
    "ragged": ([[1.0, 2.0], [3.0]], None),
    "dates": (np.array([["2020-01-01"], ["2020-01-02"]], dtype="datetime64[D]"), None),
    "fewer targets": (ROWS, [0, 1]),
    "nan target": (ROWS, [0.0, 1.0, np.nan, 0.0, 1.0, 2.0]),
    "single class": (ROWS, ["a"] * 6),
    "no targets": (ROWS, []),
    "free text": (np.zeros((30, 2)), [f"text {n}" for n in range(30)]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_refused_in_one_sentence(case):
    inputs, targets = BAD[case]
    with pytest.raises(DataError) as error:
        as_dataset(inputs, targets, name="mine")
    assert "mine" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_without_targets_and_an_unknown_task_are_refused():
    with pytest.raises(DataError, match="no targets"):
        as_dataset(ROWS, task="regression")
    with pytest.raises(SettingError, match="clustering"):
        as_dataset(ROWS, [0, 1] * 3, task="clustering")


values = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=3))


@given(
    st.lists(st.lists(values, min_size=2, max_size=2), max_size=5), st.one_of(st.none(), st.lists(values, max_size=5))
)
def test_whatever_is_given_becomes_a_sound_data_set_or_an_error_of_ours(inputs, targets):
    try:
        data = as_dataset(inputs, targets)
    except RgflowError as error:
        sentence = str(error)
        data = None
    assert data is not None or "\n" not in sentence
    assert data is None or torch.isfinite(data.inputs).all()
    assert data is None or data.targets is None or len(data.targets) == len(data.inputs)

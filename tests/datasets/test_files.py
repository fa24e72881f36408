"""Files, folders and functions of the user: what is read, and the one sentence for each way it can go wrong."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from rgflow.datasets import load
from rgflow.errors import DataError

GENERATOR = np.random.default_rng(0)
INPUTS = GENERATOR.normal(size=(30, 3))
LABELS = GENERATOR.integers(0, 3, size=30)


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(INPUTS, columns=["a", "b", "c"]).assign(target=LABELS)


def refused(spec: object, **options: str) -> str:
    with pytest.raises(DataError) as error:
        load(str(spec), **options)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def test_npy_gives_inputs_without_targets(tmp_path):
    np.save(tmp_path / "x.npy", INPUTS.astype(np.float32))
    data = load(str(tmp_path / "x.npy"))
    assert (data.task, data.targets, tuple(data.inputs.shape)) == ("unsupervised", None, (30, 3))


@pytest.mark.parametrize("inputs_key", ["X", "x", "inputs", "data"])
@pytest.mark.parametrize("targets_key", ["y", "targets", "labels"])
def test_npz_gives_inputs_and_targets_under_well_known_keys(tmp_path, inputs_key, targets_key):
    np.savez(tmp_path / "d.npz", **{inputs_key: INPUTS, targets_key: LABELS})
    data = load(str(tmp_path / "d.npz"))
    assert torch.equal(data.inputs, torch.tensor(INPUTS))
    assert data.targets.tolist() == LABELS.tolist()


def test_npz_without_targets_is_unsupervised_and_a_key_can_be_named(tmp_path):
    np.savez(tmp_path / "d.npz", X=INPUTS, wanted=LABELS)
    assert load(str(tmp_path / "d.npz")).task == "unsupervised"
    assert load(str(tmp_path / "d.npz"), target="wanted").classes == 3
    assert load(f"{tmp_path / 'd.npz'}@wanted").classes == 3
    assert "wanted" in refused(tmp_path / "d.npz", target="missing")


def test_npz_with_unknown_or_doubtful_keys_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", features=INPUTS)
    assert "features" in refused(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", X=INPUTS, y=LABELS, labels=LABELS)
    assert "several" in refused(tmp_path / "b.npz")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01nonsense\xff" * 20, b"PK\x03\x04broken"], ids=["empty", "noise", "zip"]
)
def test_an_unreadable_file_is_refused_in_one_sentence(tmp_path, suffix, content):
    (tmp_path / f"bad{suffix}").write_bytes(content)
    assert "bad" in refused(tmp_path / f"bad{suffix}")


def test_a_truncated_archive_is_refused(tmp_path):
    np.savez(tmp_path / "d.npz", X=INPUTS, y=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "d.npz").read_bytes()[:300])
    refused(tmp_path / "cut.npz")


def test_an_archive_damaged_inside_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", X=INPUTS, y=LABELS)
    content = bytearray((tmp_path / "d.npz").read_bytes())
    for position in range(80, len(content) - 80, 97):
        content[position] ^= 0xFF
    (tmp_path / "d.npz").write_bytes(content)
    assert "d.npz" in refused(tmp_path / "d.npz")


def test_object_arrays_are_never_unpickled(tmp_path):
    np.save(tmp_path / "o.npy", np.array([[1, "a"], [2, None]], dtype=object), allow_pickle=True)
    assert "objects" in refused(tmp_path / "o.npy")
    np.savez(tmp_path / "o.npz", X=np.array([[1, None]], dtype=object))
    assert "objects" in refused(tmp_path / "o.npz")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_gives_named_features_and_its_target(tmp_path, table, suffix):
    path = tmp_path / f"t{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    data = load(str(path))
    assert data.feature_names == ("a", "b", "c")
    assert data.targets.tolist() == LABELS.tolist()
    torch.testing.assert_close(data.inputs, torch.tensor(INPUTS), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("name", ["target", "label", "y", "class", "Target", "CLASS"])
def test_a_well_known_name_makes_a_column_the_target(tmp_path, table, name):
    table.rename(columns={"target": name}).to_csv(tmp_path / "t.csv", index=False)
    assert load(str(tmp_path / "t.csv")).classes == 3


def test_a_column_can_be_named_in_the_text_or_by_option(tmp_path, table):
    table.to_csv(tmp_path / "t.csv", index=False)
    for data in (load(f"{tmp_path / 't.csv'}@b"), load(str(tmp_path / "t.csv"), target="b")):
        assert (data.task, data.feature_names) == ("regression", ("a", "c", "target"))
    assert "b" in refused(f"{tmp_path / 't.csv'}@b", target="c")


def test_text_classes_and_booleans_are_read(tmp_path):
    frame = pd.DataFrame({"a": [1, 2, 3, 4], "flag": [True, False, True, False], "label": ["x", "y", "x", "y"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = load(str(tmp_path / "t.csv"))
    assert data.targets.tolist() == [0, 1, 0, 1]
    assert data.inputs[:, 1].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_a_table_without_a_known_target_lists_its_columns_and_says_how_to_name_one(tmp_path, table):
    table.rename(columns={"target": "outcome"}).to_csv(tmp_path / "t.csv", index=False)
    sentence = refused(tmp_path / "t.csv")
    assert "'outcome'" in sentence
    assert "--target" in sentence
    assert "t.csv@COLUMN" in sentence
    assert "nothere" in refused(tmp_path / "t.csv", target="nothere")


BROKEN_TABLES = {
    "text column": (lambda t: t.assign(city="Rome"), "'city'"),
    "missing value": (lambda t: t.assign(b=t.b.where(t.b < 0)), "'b'"),
    "infinite value": (lambda t: t.assign(b=np.inf), "'b'"),
    "missing target": (lambda t: t.assign(target=t.target.where(t.target > 0)), "missing values in the target"),
    "two targets": (lambda t: t.assign(label=1), "may be the target"),
    "saved index": (lambda t: t.rename(columns={"a": ""}), "without a name"),
    "only a target": (lambda t: t[["target"]], "no feature"),
    "one row": (lambda t: t[:1], "1 sample"),
    "no rows": (lambda t: t[:0], "empty"),
}


@pytest.mark.parametrize("case", BROKEN_TABLES)
def test_a_broken_table_is_refused_by_naming_what_is_wrong(tmp_path, table, case):
    change, said = BROKEN_TABLES[case]
    change(table).to_csv(tmp_path / "t.csv", index=False)
    # a single row has a single class too; whichever is noticed first, the sentence names the file
    sentence = refused(tmp_path / "t.csv")
    assert said in sentence or (case == "one row" and "single value" in sentence)


def image(path, *, mode: str = "L", size: tuple[int, int] = (5, 4), value: int = 51) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new(mode, size, value if mode in ("L", "I;16") else (value, 0, 255)).save(path)


def test_a_folder_of_images_has_a_class_for_every_subfolder(tmp_path):
    for name, value in [("cat/1.png", 51), ("cat/2.png", 102), ("dog/1.png", 255)]:
        image(tmp_path / name, value=value)
    (tmp_path / "cat" / "notes.txt").write_text("mine")
    data = load(str(tmp_path))
    assert (tuple(data.inputs.shape), data.axes) == ((3, 1, 4, 5), ("channel", "height", "width"))
    assert data.inputs[:, 0, 0, 0].tolist() == [0.2, 0.4, 1.0]
    assert data.targets.tolist() == [0, 0, 1]
    assert "cat, dog" in data.provenance
    assert "1 other files left out" in data.provenance


def test_colour_and_grey_images_mix_into_three_channels(tmp_path):
    image(tmp_path / "a" / "1.png", mode="RGB")
    image(tmp_path / "b" / "2.png", mode="L")
    data = load(str(tmp_path))
    assert data.inputs[0, :, 0, 0].tolist() == [0.2, 0.0, 1.0]
    assert data.inputs[1, :, 0, 0].tolist() == [0.2, 0.2, 0.2]


def test_a_flat_folder_is_unsupervised(tmp_path):
    image(tmp_path / "1.png")
    image(tmp_path / "2.png", value=3)
    assert load(str(tmp_path)).task == "unsupervised"


def test_folders_that_make_no_data_set_are_refused(tmp_path):
    assert "no images" in refused(tmp_path)
    image(tmp_path / "a" / "1.png")
    assert "single value" in refused(tmp_path)
    image(tmp_path / "b" / "2.png", size=(6, 4))
    assert "4x5" in refused(tmp_path)
    (tmp_path / "b" / "2.png").write_bytes(b"no image")
    assert "2.png" in refused(tmp_path)
    image(tmp_path / "b" / "2.png", mode="I;16")
    assert "I;16" in refused(tmp_path)
    image(tmp_path / "loose.png")
    assert "beside its subfolders" in refused(tmp_path)


LOADERS = """
import numpy as np, torch
from neighbour import SIZE
from rgflow.records import Dataset

def pair(): return np.ones((SIZE, 2)).cumsum(0), ["a", "b"] * (SIZE // 2)
def listed(): return [torch.ones(SIZE, 2), torch.arange(SIZE) % 2]
def alone(): return torch.arange(SIZE * 2.0).reshape(SIZE, 2)
def rows(): return [[1.0, 2.0], [3.0, 4.0]]
def tokens(): return torch.arange(SIZE).reshape(2, -1)
def whole(): return Dataset(name="own", inputs=alone(), targets=None, task="unsupervised")
def defaults(size=4): return np.ones((size, 2))
def arguments(path, *, size): return None
def three(): return 1, 2, 3
def nothing(): return None
def mapping(): return {"X": 1}
def seeding():
    torch.manual_seed(5); np.random.seed(5); torch.set_default_dtype(torch.float64)
    return torch.rand(3, 2)
def raising(): raise KeyError("gone\\naway")
def leaving(): raise SystemExit(3)
number = 3
"""


@pytest.fixture
def loaders(tmp_path):
    (tmp_path / "neighbour.py").write_text("SIZE = 6\n")
    (tmp_path / "mine.py").write_text(LOADERS)
    return tmp_path / "mine.py"


@pytest.mark.parametrize(
    ("function", "task", "samples"),
    [
        ("pair", "classification", 6),
        ("listed", "classification", 6),
        ("alone", "unsupervised", 6),
        ("rows", "unsupervised", 2),
        ("tokens", "unsupervised", 2),
        ("whole", "unsupervised", 6),
        ("defaults", "unsupervised", 4),
    ],
)
def test_a_function_may_return_inputs_a_pair_or_a_data_set(loaders, function, task, samples):
    data = load(f"{loaders}:{function}")
    assert (data.task, len(data.inputs)) == (task, samples)


def test_tokens_from_a_function_stay_integers_and_the_import_path_is_left_as_found(loaders):
    before, modules = list(sys.path), set(sys.modules)
    assert load(f"{loaders}:tokens").inputs.dtype == torch.int64
    assert sys.path == before
    assert set(sys.modules) - modules == set()
    assert sorted(path.name for path in loaders.parent.iterdir()) == ["mine.py", "neighbour.py"]


def test_a_function_that_seeds_the_global_generators_leaves_them_as_found(loaders):
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the state itself is the subject
    load(f"{loaders}:seeding")
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    assert torch.get_default_dtype() == torch.float32


def test_two_files_each_see_their_own_neighbour_of_one_name(loaders, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "neighbour.py").write_text("SIZE = 10\n")
    (tmp_path / "other" / "mine.py").write_text(LOADERS)
    sizes = [len(load(f"{file}:pair").inputs) for file in (loaders, tmp_path / "other" / "mine.py")]
    assert sizes == [6, 10]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("absent", "whole"),
        ("number", "not a function"),
        ("arguments", "path, size"),
        ("three", "3 things"),
        ("nothing", "nothing"),
        ("mapping", "dict"),
        ("raising", "KeyError"),
        ("leaving", "SystemExit"),
    ],
)
def test_a_function_that_does_not_deliver_is_refused(loaders, function, said):
    assert said in refused(f"{loaders}:{function}")


def test_a_file_that_fails_on_import_is_refused(tmp_path):
    (tmp_path / "bad.py").write_text("import nonexistent_module_of_nobody\n")
    assert "nonexistent_module_of_nobody" in refused(f"{tmp_path / 'bad.py'}:f")
    (tmp_path / "wrong.py").write_text("def f(:\n")
    assert "SyntaxError" in refused(f"{tmp_path / 'wrong.py'}:f")


def test_names_that_lead_nowhere_are_refused(tmp_path):
    assert "no file or folder" in refused(tmp_path / "none.csv")
    assert "no file or folder" in refused(tmp_path / "none.csv@a")
    assert "no file or folder" in refused(tmp_path / "none.py:f")
    assert "cannot be reached" in refused("x" * 5000)
    (tmp_path / "x.xlsx").write_text("x")
    assert ".xlsx" in refused(tmp_path / "x.xlsx")
    (tmp_path / "x.py").write_text("x = 1")
    assert "name the function" in refused(tmp_path / "x.py")
    np.save(tmp_path / "x.npy", INPUTS)
    assert "--target" in refused(tmp_path / "x.npy", target="a")


@pytest.mark.parametrize(("library", "name"), [("pandas", "t.csv"), ("PIL", "folder")])
def test_a_missing_optional_library_is_named_with_the_command_that_installs_it(
    tmp_path, table, monkeypatch, library, name
):
    table.to_csv(tmp_path / "t.csv", index=False)
    image(tmp_path / "folder" / "1.png")
    monkeypatch.setitem(sys.modules, library, None)
    assert "pip install 'rgflow[io]'" in refused(tmp_path / name)

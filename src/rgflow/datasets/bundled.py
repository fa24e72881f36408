"""The data sets that come with the package: five tables and patches of two photographs.

Units: as found, except that pixels are divided by their largest possible value (16 for digits, 255 for photos).
"""

import re
from dataclasses import replace

import numpy as np

from rgflow.datasets.arrays import as_dataset, named_features, with_source
from rgflow.datasets.extras import needs_extra
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["BUNDLED", "bundled", "photos"]

BUNDLED = ("digits", "breast_cancer", "wine", "iris", "diabetes", "photos")

_DIGIT = (8, 8)  # height and width of the images behind the 64 features of digits
_PHOTO = (427, 640)  # height and width of the two photographs
_PATCH = 16
_PATCH_SPEC = re.compile(r"photos:(?P<height>\d{1,4})x(?P<width>\d{1,4})")
# Luma of ITU-R BT.601, the grey of most image programs.
_GREY = np.array([0.299, 0.587, 0.114])


def bundled(name: str) -> Dataset:
    """Return the bundled data set `name`, one of `BUNDLED`.

    Raises: DataError for any other name.
    """
    if name not in BUNDLED:
        raise DataError(f"there is no bundled data set {name!r}; bundled are {', '.join(BUNDLED)}")
    return _photos(_PATCH, width=_PATCH) if name == "photos" else _table(name)


def photos(spec: str) -> Dataset:
    """Return the photographs cut into patches of HEIGHTxWIDTH pixels, from `photos:HEIGHTxWIDTH`.

    Raises: DataError if `spec` does not have this form, or a patch is smaller than 2x2 or larger than the photographs.
    """
    found = _PATCH_SPEC.fullmatch(spec)
    if found is None:
        raise DataError(f"{spec!r} is not understood; write photos:HEIGHTxWIDTH, for example photos:8x8")
    height, width = int(found["height"]), int(found["width"])
    if not (2 <= height <= _PHOTO[0] and 2 <= width <= _PHOTO[1]):
        raise DataError(f"patches of {height}x{width} pixels asked for; needed: 2x2 to {_PHOTO[0]}x{_PHOTO[1]}")
    return _photos(height, width=width)


def _table(name: str) -> Dataset:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    columns = tuple(str(column) for column in found.feature_names)
    if name == "digits":
        values, source = found.data / 16.0, "UCI optical digits of scikit-learn, 8x8 images as 64 features, pixels / 16"
    else:
        values, source = found.data, f"{name} of scikit-learn, columns as found"
    data = as_dataset(values, found.target, name=name, task="regression" if name == "diabetes" else None)
    named = named_features(with_source(data, provenance=source), names=columns)
    return replace(named, grid=_DIGIT, units=("ink / 16",)) if name == "digits" else named


def _photos(height: int, *, width: int) -> Dataset:
    from sklearn.datasets import load_sample_images

    try:
        images = load_sample_images().images
    except ImportError as error:
        raise needs_extra("photos", library="pillow") from error
    patches = np.concatenate([_patches(image @ _GREY / 255.0, height=height, width=width) for image in images])
    data = as_dataset(patches[:, None], name="photos" if height == width == _PATCH else f"photos:{height}x{width}")
    source = f"two sample photographs of scikit-learn, grey (ITU-R BT.601) / 255, cut into {height}x{width} patches"
    return replace(with_source(data, provenance=source), units=("grey level / 255",))


def _patches(image: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Return the non-overlapping patches of a grey image, row by row, the incomplete rim left out."""
    rows, columns = image.shape[0] // height, image.shape[1] // width
    whole = image[: rows * height, : columns * width].reshape(rows, height, columns, width)
    return whole.transpose(0, 2, 1, 3).reshape(rows * columns, height, width)

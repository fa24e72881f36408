"""The data sets that come with the package: six real ones and generated physics.

Units: as found, except that pixels are divided by their largest possible value (16 for digits, 255 for photos).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from rgflow.datasets.arrays import as_dataset, with_source
from rgflow.datasets.extras import needs_extra
from rgflow.datasets.ising import IsingSettings, sample_ising
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

__all__ = ["BUNDLED", "GENERATED", "bundled", "generated"]

BUNDLED = ("digits", "breast_cancer", "wine", "iris", "diabetes", "photos")
GENERATED = ("ising",)

_PATCH = 16
# Luma of ITU-R BT.601, the grey of most image programs.
_GREY = np.array([0.299, 0.587, 0.114])


def bundled(name: str) -> Dataset:
    """Return the bundled data set `name`, one of `BUNDLED`.

    Raises: DataError for any other name.
    """
    if name not in BUNDLED:
        raise DataError(f"there is no bundled data set {name!r}; bundled are {', '.join(BUNDLED)}")
    return _photos() if name == "photos" else _table(name)


def generated(spec: str) -> Dataset:
    """Return generated physics, `ising:HEIGHTxWIDTH:T=TEMPERATURE` with optional `:samples=N` and `:seed=S`.

    Raises: DataError if `spec` does not have this form.
    """
    kind, *parts = spec.split(":")
    if kind not in GENERATED or not parts:
        raise DataError(f"{spec!r} is no generated data set; write for example ising:32x32:T=2.5")
    settings = _ising_settings(spec, parts=parts)
    spins = torch.from_numpy(sample_ising(settings)).to(torch.float64)[:, None]
    origin = f"Ising model, periodic {settings.height}x{settings.width} lattice, T={settings.temperature}"
    return Dataset(
        name=spec,
        inputs=spins,
        targets=None,
        task="unsupervised",
        axes=("channel", "height", "width"),
        provenance=f"{origin}, Swendsen-Wang, {settings.samples} samples of spins +-1, seed {settings.seed}",
    )


def _ising_settings(spec: str, *, parts: list[str]) -> IsingSettings:
    form = f"{spec!r} is not understood; write ising:HEIGHTxWIDTH:T=TEMPERATURE, then :samples=N and :seed=S if wanted"
    readers: dict[str, Callable[[str], float]] = {"T": float, "samples": int, "seed": int}
    try:
        height, width = (int(side) for side in parts[0].split("x"))
        options = dict(part.split("=", 1) for part in parts[1:])
        values = {key: readers[key](text) for key, text in options.items()}
        temperature = values.pop("T")
    except (ValueError, KeyError) as error:
        raise DataError(form) from error
    return IsingSettings(height, width, temperature, **values)  # type: ignore[arg-type]


def _table(name: str) -> Dataset:
    from sklearn import datasets

    found = getattr(datasets, f"load_{name}")()
    columns = tuple(str(column) for column in found.feature_names)
    if name == "digits":
        values, source = found.data / 16.0, "UCI optical digits of scikit-learn, 8x8 images as 64 features, pixels / 16"
    else:
        values, source = found.data, f"{name} of scikit-learn, columns as found"
    data = as_dataset(values, found.target, name=name, task="regression" if name == "diabetes" else None)
    return replace(with_source(data, provenance=source), feature_names=columns)


def _photos() -> Dataset:
    from sklearn.datasets import load_sample_images

    try:
        images = load_sample_images().images
    except ImportError as error:
        raise needs_extra("photos", library="pillow") from error
    patches = np.concatenate([_patches(image @ _GREY / 255.0) for image in images])
    data = as_dataset(patches[:, None], name="photos")
    source = f"two sample photographs of scikit-learn, grey (ITU-R BT.601) / 255, cut into {_PATCH}x{_PATCH} patches"
    return with_source(data, provenance=source)


def _patches(image: np.ndarray) -> np.ndarray:
    """Return the non-overlapping patches of a grey image (height, width), row by row, the incomplete rim left out."""
    rows, columns = image.shape[0] // _PATCH, image.shape[1] // _PATCH
    whole = image[: rows * _PATCH, : columns * _PATCH].reshape(rows, _PATCH, columns, _PATCH)
    return whole.transpose(0, 2, 1, 3).reshape(rows * columns, _PATCH, _PATCH)

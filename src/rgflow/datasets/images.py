"""A folder of images, one subfolder for every class, as an array with channel, height and width.

Units: pixels / 255, grey images with one channel, colour with three. Images are never resized or cropped.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rgflow.datasets.arrays import as_dataset, with_source
from rgflow.datasets.extras import needs_extra
from rgflow.errors import DataError
from rgflow.records.dataset import Dataset

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["IMAGE_SUFFIXES", "Images", "load_folder", "read_folder"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
# PIL's modes of 8 bits or fewer a channel; wider ones would lose their range when divided by 255.
_GREY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")


@dataclass(frozen=True)
class _Files:
    """Image files with the class of each (None for a flat folder), and how many other files were left out."""

    paths: tuple[Path, ...]
    classes: tuple[str, ...] | None
    others: int


def load_folder(folder: Path) -> Dataset:
    """Return the images of `folder`: classes are its subfolders; without subfolders there are no targets.

    Raises: DataError if there is no image, an image cannot be read, or their sizes differ.
    """
    found = read_folder(folder)
    data = as_dataset(found.pixels, found.classes, name=folder.name or str(folder))
    return replace(with_source(data, provenance=found.source), units=(found.unit,))


@dataclass(frozen=True, eq=False)
class Images:
    """Pixels (images, channels, height, width) from 0 to 1, the class of every image or None, and where they come from."""

    pixels: np.ndarray
    classes: list[str] | None
    source: str
    unit: str


def read_folder(folder: Path) -> Images:
    """Return the images of `folder` before any judgement of their classes. Raises: DataError as in `load_folder`."""
    files = _image_files(folder)
    images = [_pixels(path) for path in files.paths]
    _check_sizes(files.paths, images=images)
    channels = max(image.shape[0] for image in images)
    stack = np.stack([np.repeat(image, channels // image.shape[0], axis=0) for image in images]) / 255.0
    left_out = f", {files.others} other files left out" if files.others else ""
    source = f"folder {folder.name} of {len(images)} images, pixels / 255{left_out}"
    unit = "grey level / 255" if channels == 1 else "colour level / 255"
    return Images(stack, None if files.classes is None else list(files.classes), source, unit)


def _image_files(folder: Path) -> _Files:
    try:
        subfolders = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
        found = [p for sub in subfolders or [folder] for p in sorted(sub.iterdir()) if not p.name.startswith(".")]
        loose = [p for p in folder.iterdir() if subfolders and p.is_file() and not p.name.startswith(".")]
    except OSError as error:
        raise DataError(f"folder {folder} cannot be read ({error.strerror})") from error
    paths = tuple(p for p in found if p.suffix.lower() in IMAGE_SUFFIXES)
    if any(p.suffix.lower() in IMAGE_SUFFIXES for p in loose):
        raise DataError(
            f"folder {folder} has images beside its subfolders; put every image into the subfolder of its class"
        )
    if not paths:
        raise DataError(
            f"folder {folder} has no images; put {', '.join(IMAGE_SUFFIXES[:3])} files into one subfolder a class"
        )
    classes = tuple(p.parent.name for p in paths) if subfolders else None
    return _Files(paths, classes, len(found) + len(loose) - len(paths))


def _pixels(path: Path) -> np.ndarray:
    """Return one image as floats (channels, height, width), 0..255."""
    try:
        from PIL import Image
    except ImportError as error:
        raise needs_extra("images", library="pillow") from error
    try:
        with Image.open(path) as image:
            return _eight_bit(image, path=path)
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"image {path} cannot be read ({' '.join(str(error).split())})") from error


def _eight_bit(image: "Image", *, path: Path) -> np.ndarray:
    if image.mode in _GREY_MODES:
        return np.asarray(image.convert("L"), dtype=np.float64)[None]
    if image.mode in _COLOUR_MODES:
        return np.asarray(image.convert("RGB"), dtype=np.float64).transpose(2, 0, 1)
    raise DataError(f"image {path} has mode {image.mode}; grey or colour images of 8 bits a channel are needed")


def _check_sizes(paths: tuple[Path, ...], *, images: list[np.ndarray]) -> None:
    first = images[0].shape[1:]
    for path, image in zip(paths, images, strict=True):
        if image.shape[1:] != first:
            sizes = f"{paths[0].name} is {first[0]}x{first[1]}, {path.name} is {image.shape[1]}x{image.shape[2]}"
            raise DataError(f"images differ in size: {sizes}; resize them all to one size first")

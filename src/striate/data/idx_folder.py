"""A folder that holds a data set as MNIST is published: four IDX files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .dataset import Dataset
from .idx import read_idx

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def find_idx_files(folder: Path) -> dict[str, Path]:
    """Those of the four files that lie in `folder`, by their published names.

    Each may be packed (.gz) or not, and have a dot in place of the hyphen before
    "idx", as some archives name them.
    """
    found: dict[str, Path] = {}
    for name in FILES:
        for spelling in (name, name.replace("-idx", ".idx")):
            for path in (folder / spelling, folder / f"{spelling}.gz"):
                if path.is_file():
                    found.setdefault(name, path)
    return found


def load_idx_folder(
    folder: Path, name: str, classes: tuple[str, ...] | None = None
) -> tuple[Dataset, Dataset]:
    """The training and the test part that the four files in `folder` hold.

    Without `classes` the label values that occur name themselves, in rising order.
    Raises DataError naming what is missing, damaged or does not fit.
    """
    paths = find_idx_files(folder)
    missing = [file for file in FILES if file not in paths]
    if missing:
        raise DataError(
            f"{folder} must hold the four IDX files of a data set (each with or "
            f"without .gz) but lacks {', '.join(missing)}"
        )
    train_images, train_labels = _read_pair(paths[FILES[0]], paths[FILES[1]])
    test_images, test_labels = _read_pair(paths[FILES[2]], paths[FILES[3]])
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{folder} has training images of {train_images.shape[1:]} pixels but "
            f"test images of {test_images.shape[1:]}; they must have one size"
        )
    if classes is None:
        values = np.union1d(train_labels, test_labels)
        train_labels = np.searchsorted(values, train_labels)
        test_labels = np.searchsorted(values, test_labels)
        classes = tuple(map(str, values.tolist()))
    return (
        Dataset(train_images, train_labels, classes, name),
        Dataset(test_images, test_labels, classes, name),
    )


def _read_pair(
    images_path: Path, labels_path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(
            f"{images_path} must hold images, N x H x W bytes, but holds "
            f"{images.dtype} of shape {images.shape}"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{labels_path} must hold labels, one integer an image, but holds "
            f"{labels.dtype} of shape {labels.shape}"
        )
    if len(images) != len(labels):
        raise DataError(
            f"{images_path} has {len(images)} images but {labels_path} has "
            f"{len(labels)} labels; they must belong together"
        )
    return images[..., np.newaxis], labels.astype(np.int64)

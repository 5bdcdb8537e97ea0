"""Arrays as data sets: NPZ files, folders of .npy files, and arrays in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ShapeError
from ..images.arrays import as_array, as_images
from ..images.labels import as_labels
from .listing import Listing, Part, Source, listed

KEYS: dict[str, Part] = {"train": "training", "val": "validation", "test": "test"}
"""What the arrays x_... and y_... of each part are called."""

CHANNELS = (1, 3, 4)  # grey, RGB, RGB with alpha


def find_npy_files(folder: Path) -> dict[str, Path]:
    """Those of x_train.npy, y_train.npy, ... that lie in a folder, by their names."""
    names = [f"{axis}_{key}" for key in KEYS for axis in "xy"]
    paths = {name: folder / f"{name}.npy" for name in names}
    return {name: path for name, path in paths.items() if path.is_file()}


def list_npy_folder(folder: Path, name: str) -> Listing:
    """The images and labels of a folder's .npy files, mapped into memory."""
    arrays = {}
    for key, path in find_npy_files(folder).items():
        try:
            arrays[key] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _unreadable(path, error) from error
    return list_arrays(arrays, name, str(folder))


def list_npz(file: Path, name: str) -> Listing:
    """The images and labels of an NPZ file with x_train, y_train, x_test, y_test."""
    import zipfile
    import zlib

    try:
        with file.open("rb") as opened:
            archive = np.load(opened, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{file} holds one array only; use numpy.savez")
            found = list(archive.files)
            wanted = [f"{axis}_{key}" for key in KEYS for axis in "xy"]
            arrays = {key: archive[key] for key in wanted if key in found}
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(file, error) from error
    except MemoryError as error:
        raise DataError(
            f"{file} needs more memory than there is; save its arrays as x_train.npy, "
            "y_train.npy, ... in a folder, which are mapped instead"
        ) from error
    return list_arrays(arrays, name, str(file), found)


def list_arrays(
    arrays: Mapping[str, Any], name: str, place: str, found: Sequence[str] = ()
) -> Listing:
    """The images of arrays x_train, y_train and, where given, of x_val and x_test.

    Raises DataError for arrays that are missing, no uint8 pixels, or do not belong
    together, naming them with `place`.
    """
    sources: list[Source] = []
    names: list[str] = []
    labels: list[int | str] = []
    parts: list[Part] = []
    channels: dict[int, str] = {}
    for key, part in KEYS.items():
        x, y = f"x_{key}", f"y_{key}"
        if key != "train" and x not in arrays and y not in arrays:
            continue
        for wanted in (x, y):
            if wanted not in arrays:
                known = f", only {', '.join(found)}" if found else ""
                raise DataError(
                    f"{place} has no {wanted}{known}; data of arrays are x_train and "
                    "y_train and, where given, x_val, y_val, x_test and y_test"
                )
        try:
            pixels = as_pixels(arrays[x], x)
            named = as_names(arrays[y], len(pixels), y)
        except (DataError, ShapeError) as error:
            raise type(error)(f"{place}: {error}") from error
        channels.setdefault(pixels[0].shape[2], x)
        sources += pixels
        names += [f"{x}[{index}]" for index in range(len(pixels))]
        labels += named
        parts += [part] * len(pixels)
    if len(channels) > 1:
        sizes = " and ".join(f"{name} has {count}" for count, name in channels.items())
        raise DataError(f"{place} mixes channels: {sizes}; give all images the same")
    given = parts if len(set(parts)) > 1 else ()
    return list_labelled(name, sources, names, labels, parts=given)


def list_labelled(
    name: str,
    sources: Sequence[Source],
    names: Sequence[str],
    labels: Sequence[int | str],
    *,
    parts: Sequence[Part] = (),
    groups: Sequence[str] = (),
) -> Listing:
    """A listing whose labels are integers or strings, sorted as such."""
    kinds = {type(label) for label in labels}
    if len(kinds) > 1:
        raise DataError(f"{name} has labels that are integers and others that are text")
    classes = [str(label) for label in labels]
    order = [str(value) for value in sorted(set(labels))]
    return listed(
        name, sources, names, classes, order=order, parts=parts, groups=groups
    )


def as_pixels(images: object, what: str) -> list[NDArray[np.uint8]]:
    """The images of an array N,H,W or N,H,W,C as views H,W,C into it."""
    array = as_images(images, what=what)
    if array.dtype != np.uint8:
        given = as_array(images, what).dtype  # as_images has made them float32
        code = what if hasattr(images, "astype") else f"np.asarray({what})"
        raise DataError(
            f"{what} must be uint8 pixels, 0 to 255, but are {given} "
            f"{_scaling(float(array.min()), float(array.max()), code)}"
        )
    if array.shape[3] not in CHANNELS:
        raise DataError(
            f"{what} have {array.shape[3]} channels but images to be fitted have 1, 3 "
            "or 4; give others to Network.fit, which takes any number"
        )
    return list(array.astype(np.uint8, copy=False))


def _scaling(low: float, high: float, code: str) -> str:
    """The range of floats, and what makes pixels of them."""
    if low < 0 or high > 255:
        return f"from {low:g} to {high:g}: scale them to 0 ... 255"
    scaled = f"({code} * 255)" if high <= 1 else code
    return f'from {low:g} to {high:g}: give {scaled}.round().astype("uint8")'


def as_names(labels: object, count: int, what: str) -> list[int | str]:
    """Labels as Python's integers or strings, one for each of `count` images."""
    indices, classes = as_labels(labels, count, what=what)
    return [classes[index] for index in indices.tolist()]


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return DataError(
        f"{path} cannot be read as arrays: {reason}; write it with numpy.save or "
        "numpy.savez, without Python objects"
    )

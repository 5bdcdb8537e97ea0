"""What every source of data becomes: uint8 images, integer labels, class names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images that lie in memory in one piece.

    Arguments:
        images: uint8 pixels, shape (N, H, W, C).
        labels: shape (N,), each an index into `classes`; kept as int64.
        classes: the name of every class.
        name: what the data are called in reports.

    Raises DataError when the parts do not fit together.

    >>> pixels = np.zeros((2, 28, 28, 1), np.uint8)
    >>> Dataset(pixels, np.array([0, 1]), ("cat", "dog"), "pets")
    <Dataset pets: 2 images of 28x28x1 in 2 classes>
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        images, labels = self.images, np.asarray(self.labels)
        if images.ndim != 4 or images.dtype != np.uint8:
            raise DataError(
                f"the images of {self.name} must be uint8 of shape (N, H, W, C) but "
                f"are {images.dtype} of shape {images.shape}"
            )
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise DataError(
                f"the labels of {self.name} must be integers of shape (N,) but are "
                f"{labels.dtype} of shape {labels.shape}"
            )
        if len(images) != len(labels):
            raise DataError(
                f"{self.name} has {len(images)} images but {len(labels)} labels; "
                "every image needs one"
            )
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self.classes):
            raise DataError(
                f"the labels of {self.name} run from {labels.min()} to {labels.max()} "
                f"but there are {len(self.classes)} classes"
            )
        object.__setattr__(self, "labels", labels.astype(np.int64, copy=False))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.images.shape[1:]))
        return (
            f"<Dataset {self.name}: {len(self)} images of {size} "
            f"in {len(self.classes)} classes>"
        )


def data_hash(images: NDArray[Any], labels: NDArray[Any] | Iterable[Any]) -> str:
    """Fingerprint of images with their labels, for the record of a training run.

    The SHA-256, in hex, of both arrays' types, shapes and bytes: the same for the
    same values on every machine, whatever their layout in memory.

    >>> data_hash(np.zeros((1, 2, 2, 1), np.uint8), np.zeros(1, np.int64))[:12]
    '6462fc377904'
    """
    import hashlib

    digest = hashlib.sha256()
    for array in (images, np.asarray(labels)):
        if array.dtype.kind in "OT":  # Python's own strings or integers
            array = np.array(array.tolist())
        portable = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{portable.dtype.str}{portable.shape}".encode())
        digest.update(portable.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()

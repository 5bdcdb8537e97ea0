"""What training sees: augmented images to look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..engine.lowering import augmentation_rule
from ..engine.randomness import check_seed
from ..errors import DataError
from ..images.inputs import InputRule, prepare
from ..images.preprocess import Preprocessing
from .augmentation import Augmentation, Level, as_augmentation


def augmented_images(
    images: object,
    preprocessing: Preprocessing,
    augmentation: Augmentation | Level,
    *,
    seed: int = 0,
    epoch: int = 1,
    indices: Sequence[int] | NDArray[np.integer] | None = None,
) -> NDArray[np.uint8]:
    """Return what `fit` shows the network of training images in an epoch.

    Arguments:
        images: all training images, uint8 of shape (N, H, W, C).
        preprocessing: what a network learned of them (`network.preprocessing`), or
            `Preprocessing.measure(images, input_shape)`.
        augmentation: as `fit` takes it.
        seed: as `fit` takes it.
        epoch: counted from 1.
        indices: which images; all by default. Their augmentation is the same whichever
            are asked for.

    Returns uint8 pixels of the network's input, (n, height, width, C), rounded.
    Raises DataError or ShapeError where images or indices do not fit.

    >>> images = np.zeros((3, 8, 8, 1), np.uint8)
    >>> images[:, 2:6, 3:5] = 255
    >>> known = Preprocessing.measure(images, (10, 10, 1))
    >>> augmented_images(images, known, "default", indices=[2]).shape
    (1, 10, 10, 1)
    """
    rule = InputRule(preprocessing.input_shape, preprocessing, floats=False)
    given = prepare(images, rule)
    if given.array.dtype != np.uint8:
        raise DataError(
            f"only uint8 pixels are augmented, but images are {given.array.dtype}."
        )
    wanted = np.arange(given.count) if indices is None else np.asarray(indices)
    wanted = wanted.astype(np.int64, casting="same_kind")
    if wanted.size and not 0 <= wanted.min() <= wanted.max() < given.count:
        raise DataError(
            f"indices must be from 0 to {given.count - 1}, the last image, but go from "
            f"{wanted.min()} to {wanted.max()}."
        )
    settled = (as_augmentation(augmentation) or Augmentation()).settled(preprocessing)
    values = _core.augmented(
        given.source,
        augmentation_rule(settled),
        check_seed(seed),
        epoch,
        np.ascontiguousarray(wanted),
    )
    return preprocessing.pixels(values)

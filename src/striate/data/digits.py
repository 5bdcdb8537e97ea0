"""The built-in digits: 1,797 handwritten ones of the UCI set, in MNIST's manner.

Source and licence of the data lie beside them, in DIGITS.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset

FILE = Path(__file__).with_name("digits.npz")
CLASSES = tuple("0123456789")
SOURCE_SIZE, BOX, FIELD = 8, 20, 28  # MNIST: a box of 20 pixels in a field of 28
MAX_LEVEL = 16
TEST_EVERY = 5


def load_digits() -> tuple[Dataset, Dataset]:
    """The digits as 28 x 28 white-on-black images: 1,438 to train, 359 to test.

    The test part is every fifth image: those at 4, 9, 14, ... in scikit-learn's order.

    >>> train, test = load_digits()
    >>> train
    <Dataset digits: 1438 images of 28x28x1 in 10 classes>
    >>> len(test)
    359
    """
    with np.load(FILE) as archive:
        levels, labels = archive["levels"], archive["labels"].astype(np.int64)
    images = _centre(_enlarge(levels))[..., np.newaxis]
    test = np.arange(len(images)) % TEST_EVERY == TEST_EVERY - 1
    return (
        Dataset(images[~test], labels[~test], CLASSES, "digits"),
        Dataset(images[test], labels[test], CLASSES, "digits"),
    )


def _enlarge(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """From (N, 8, 8) levels to (N, 20, 20) pixels, in integers: the same everywhere."""
    weights, unit = _cubic_weights()
    largest = MAX_LEVEL * unit * unit
    sums = weights @ levels.astype(np.int64) @ weights.T
    rounded = (sums * 255 * 2 + largest) // (2 * largest)
    return rounded.clip(0, 255).astype(np.uint8)


def _cubic_weights() -> tuple[NDArray[np.int64], int]:
    """Cubic convolution (Keys 1981, a = -1/2) from 8 to 20 samples, as (20, 8) weights.

    The distances between source and target pixels are tenths, n / 10, so that all
    weights are whole multiples of 1 / 2000. What lies outside is black.
    """
    targets = np.arange(BOX)[:, np.newaxis] * 4 - 3  # centres, in tenths of a source
    n = np.abs(targets - np.arange(SOURCE_SIZE) * 10)
    near = 3 * n**3 - 50 * n**2 + 2000
    far = -(n**3) + 50 * n**2 - 800 * n + 4000
    return np.where(n <= 10, near, np.where(n < 20, far, 0)), 2000


def _centre(boxes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each (20, 20) box in a (28, 28) field, its centre of mass in the middle."""
    places = np.arange(BOX) * 2 + 1  # centres of the pixels, in half pixels
    mass = 2 * boxes.sum(axis=(1, 2), dtype=np.int64)
    corners = [
        # FIELD / 2 - (places @ ink) / mass, rounded to whole pixels
        ((mass * (FIELD + 1) - 2 * (ink @ places)) // (2 * mass)).clip(0, FIELD - BOX)
        for ink in (boxes.sum(axis=axis, dtype=np.int64) for axis in (2, 1))
    ]
    fields = np.zeros((len(boxes), FIELD, FIELD), np.uint8)
    for box, field, top, left in zip(boxes, fields, *corners, strict=True):
        field[top : top + BOX, left : left + BOX] = box
    return fields

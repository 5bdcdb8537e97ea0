"""From a box of the network's input back to the pixels of the file, by measurement."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from striate.data import load_data
from striate.images import fitting
from striate.images.imagefile import as_stored, upright_size
from striate.images.preprocess import Preprocessing

FITS = ("pad", "crop", "stretch")


def preprocessing(size: tuple[int, int], fit: str) -> Preprocessing:
    """Files are fitted to `size`, and centred in an input two and three pixels larger."""
    shape = (size[0] + 2, size[1] + 3, 1)
    return Preprocessing(size, shape, 0, "mixed", (0.5,), (0.25,), fit)


def seen(known: Preprocessing, pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """What the network gets of a file of these pixels, (rows, columns) of its input."""
    height, width = known.image_size
    whole = np.zeros(known.input_shape[:2], np.int64)
    read, _ = known.load_image(Image.fromarray(pixels), invert=False)
    whole[1 : 1 + height, 1 : 1 + width] = read[..., 0]
    return whole


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.sampled_from(FITS))
def test_a_box_holds_what_its_pixel_shows(
    file_size: tuple[int, int], size: tuple[int, int], fit: str
) -> None:
    """Lighting one row of a file after the other tells which rows of the input see it.

    At least half of what a row of the input shows is of the rows in its box; nothing is
    of rows further away than resampling reaches. The background shows nothing.
    """
    known = preprocessing(size, fit)
    with pytest.MonkeyPatch.context() as patch:
        # Else lighting a whole row can change the colour that fills up.
        patch.setattr(fitting, "_border_colour", lambda image: 0)
        for axis in (0, 1):
            length = file_size[axis]
            weights = []
            for place in range(length):
                pixels = np.zeros(file_size, np.uint8)
                np.moveaxis(pixels, axis, 0)[place] = 255
                weights.append(seen(known, pixels).max(axis=1 - axis))
            changed = np.array(weights)  # of the file, of the input
            for place in range(known.input_shape[axis]):
                box = [0, 0, *known.input_shape[:2]]
                box[axis], box[axis + 2] = place, place + 1
                found = known.file_box(box, file_size)
                first, last = found[axis], found[axis + 2]
                if first == last:
                    assert not changed[:, place].any()
                    continue
                assert 0 <= first < last <= length
                light = np.zeros(file_size, np.uint8)
                np.moveaxis(light, axis, 0)[first:last] = 255
                shown = seen(known, light).max(axis=1 - axis)[place]
                assert shown >= 127
                around = max(2, last - first) + 1
                near = slice(max(0, first - around), last + around)
                assert changed[near, place].sum() == changed[:, place].sum()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_one_pixel_of_a_turned_file_is_found_again(orientation: int, fit: str) -> None:
    """Its box is where it lies in the file as it is stored, whatever EXIF says."""
    stored, exif = (18, 24), Image.Exif()
    exif[0x0112] = orientation
    known = preprocessing((9, 8), fit)
    for row, column in [(0, 0), (17, 23), (3, 18), (9, 11), (16, 5)]:
        pixels = np.zeros(stored, np.uint8)
        pixels[row, column] = 255
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", exif=exif)
        read, _ = known.load_image(file.getvalue(), invert=False)
        if not read.any():
            assert fit == "crop"
            continue
        brightest = np.argwhere(read[..., 0] == read.max())
        boxes = [
            known.file_box((y + 1, x + 1, y + 2, x + 2), stored, orientation)
            for y, x in brightest
        ]
        assert any(
            top <= row < bottom and left <= column < right
            for top, left, bottom, right in boxes
        )
        upright = known.file_box((1, 1, 10, 9), upright_size(stored, orientation))
        assert as_stored(upright, upright_size(stored, orientation), orientation) == (
            known.file_box((1, 1, 10, 9), stored, orientation)
        )


def test_a_file_of_the_training_images_size_is_only_centred() -> None:
    train, _ = load_data("digits")
    known = Preprocessing.measure(train.images, (32, 32, 1))
    assert known.offset == (2, 2)
    assert known.file_box((2, 2, 30, 30), (28, 28)) == (0, 0, 28, 28)
    assert known.file_box((0, 10, 12, 33), (28, 28)) == (0, 8, 10, 28)
    assert known.file_box((0, 0, 2, 32), (28, 28)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("fit", "box", "expected"),
    [
        # 100 x 50 becomes 32 x 16 in the middle of 32 x 32.
        ("pad", (0, 0, 32, 8), (0, 0, 0, 0)),
        ("pad", (-9, -9, 99, 99), (0, 0, 100, 50)),
        ("pad", (8, 6, 16, 10), (25, 0, 50, 7)),
        # The middle 50 x 50 of it.
        ("crop", (0, 0, 32, 32), (25, 0, 75, 50)),
        ("crop", (16, 0, 17, 16), (50, 0, 52, 25)),
        ("stretch", (16, 16, 32, 32), (50, 25, 100, 50)),
    ],
)
def test_each_fit_by_hand(
    fit: str, box: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    known = Preprocessing((32, 32), (32, 32, 1), 0, "mixed", (0.5,), (0.25,), fit)
    assert known.file_box(box, (100, 50)) == expected


@settings(max_examples=200, deadline=None)
@given(sizes, sizes)
def test_cropping_is_pillows(
    given_size: tuple[int, int], size: tuple[int, int]
) -> None:
    """Bit for bit: models were trained on it."""
    random = np.random.default_rng(given_size[0] * 41 + size[1])
    image = Image.fromarray(random.integers(0, 256, given_size, np.uint8))
    wanted = (size[1], size[0])
    smaller = max(wanted[0] / image.width, wanted[1] / image.height) < 1
    filters = Image.Resampling
    method = filters.HAMMING if smaller else filters.BICUBIC
    found = fitting.fit_image(image, size, "crop")
    np.testing.assert_array_equal(found, ImageOps.fit(image, wanted, method))


@pytest.mark.parametrize(
    ("box", "size", "message"),
    [
        (
            (1, 2, 3),
            (28, 28),
            r"box must be 4 whole numbers \(top, left, .*\(1, 2, 3\)",
        ),
        ((0, 0, 1.5, 2), (28, 28), "box must be 4 whole numbers"),
        (None, (28, 28), "box must be 4 whole numbers .* but is None"),
        ((5, 0, 4, 9), (28, 28), r"top at most bottom .* \[5, 0, 4, 9\]"),
        ((0, 0, 4, 9), 28, r"file_size must be 2 whole numbers \(height, width\)"),
        ((0, 0, 4, 9), (0, 28), r"file_size must be at least 1 x 1 but is \[0, 28\]"),
    ],
)
def test_what_is_no_box_and_no_size(box: object, size: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        preprocessing((28, 28), "pad").file_box(box, size)  # type: ignore[arg-type]

"""What is measured on training images, and travels with the model."""

import json
import math
import tracemalloc
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image
from sheets import DIGITS, INK, PHOTOS, encoded

from striate.data import load_data
from striate.errors import ShapeError
from striate.images.preprocess import Preprocessing

# --- what is measured on the training images


@given(
    npst.arrays(
        np.uint8,
        st.tuples(*map(st.integers, (1,) * 4, (9, 6, 6, 3))),
        fill=st.nothing(),
    )
)
def test_mean_and_std_are_exact(images):
    known = Preprocessing.measure(images, (8, 8, images.shape[3]))
    for channel in range(images.shape[3]):
        values = images[..., channel].ravel().tolist()
        count, total = len(values), sum(values)
        squares = count * sum(value * value for value in values)
        variance = Fraction(squares - total * total, (255 * count) ** 2)
        assert known.mean[channel] == float(Fraction(total, 255 * count))
        assert known.std[channel] == (math.sqrt(variance) if variance else 1.0)


def test_counting_in_pieces_changes_nothing(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 9, 7, 3), np.uint8)
    whole = Preprocessing.measure(images, (9, 7, 3))
    monkeypatch.setattr("striate.images.preprocess.CHUNK", 100)
    assert Preprocessing.measure(images, (9, 7, 3)) == whole
    assert Preprocessing.measure(images[::-1], (9, 7, 3)).mean == whole.mean


def test_measuring_needs_no_copy_of_the_images():
    images = np.zeros((60_000, 28, 28, 1), np.uint8)
    tracemalloc.start()
    Preprocessing.measure(images, (32, 32, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < images.nbytes


def test_a_constant_channel_is_not_divided_by_nothing():
    known = Preprocessing.measure(np.full((3, 4, 4, 1), 51, np.uint8), (4, 4, 1))
    assert (known.mean, known.std) == ((0.2,), (1.0,))
    assert known.pixel_table()[0, 51] == 0


def test_the_numbers_of_mnist(real_data, monkeypatch):
    monkeypatch.setenv("STRIATE_DATA", str(real_data("mnist")))
    known = Preprocessing.measure(load_data("mnist")[0].images, (32, 32, 1))
    assert round(known.mean[0], 4) == 0.1307
    assert round(known.std[0], 4) == 0.3081
    assert (known.polarity, known.background, known.offset) == ("dark", 0, (2, 2))


def test_photographs_have_no_polarity(real_data):
    for folder, pattern in ("orl-faces", "s*/*.pgm"), ("gtsrb-small", "*/*.png"):
        files = sorted(real_data(folder).glob(pattern))[::4]
        images = [Image.open(file).convert("L").resize((24, 24)) for file in files]
        stack = np.stack([np.asarray(image) for image in images])[..., None]
        assert Preprocessing.measure(stack, (24, 24, 1)).polarity == "mixed"


def test_a_background_is_judged_against_its_ink():
    ink = load_data("digits")[0].images.astype(float) / 255
    shaded = (120 - 110 * ink).astype(np.uint8)  # paper in the shade, and black ink
    known = Preprocessing.measure(shaded, (32, 32, 1))
    assert (known.polarity, known.background) == ("bright", 120)
    assert Preprocessing.measure(255 - shaded, (32, 32, 1)).polarity == "dark"
    read, note = DIGITS.load_image(encoded(Image.fromarray(shaded[0, ..., 0])))
    assert note == (
        "its background is bright, that of the training images dark: inverted"
    )
    assert read[0, 0, 0] == 255 - 120


def test_the_polarity_of_drawings():
    train, _ = load_data("digits")
    known = Preprocessing.measure(train.images, (32, 32, 1))
    assert (known.polarity, known.background) == ("dark", 0)
    turned = Preprocessing.measure(255 - train.images, (32, 32, 1))
    assert (turned.polarity, turned.background) == ("bright", 255)
    half = train.images.copy()
    half[::2] = 255 - half[::2]
    assert Preprocessing.measure(half, (32, 32, 1)).polarity == "mixed"
    few = train.images.copy()
    few[::20] = 255 - few[::20]
    assert Preprocessing.measure(few, (32, 32, 1)).polarity == "dark"


def test_images_must_fit_into_the_input():
    images = np.zeros((2, 33, 28, 1), np.uint8)
    with pytest.raises(ShapeError, match=r"33x28 pixels don't fit .* input of 32x32"):
        Preprocessing.measure(images, (32, 32, 1))
    with pytest.raises(
        ShapeError, match="takes 3 channels but the training images hav"
    ):
        Preprocessing.measure(images, (40, 40, 3))


def test_an_odd_remainder_goes_to_the_bottom_and_the_right():
    assert replace(DIGITS, image_size=(27, 30)).offset == (2, 1)
    assert replace(DIGITS, image_size=(32, 32)).offset == (0, 0)


def test_the_pixel_table_is_rounded_once():
    table = PHOTOS.pixel_table()
    assert (table.shape, table.dtype) == ((3, 256), np.float32)
    expected = [np.float32((value / 255 - 0.5) / 0.25) for value in range(256)]
    assert table[1].tolist() == expected


# --- the record in the model file


@pytest.mark.parametrize("known", [DIGITS, INK, PHOTOS, replace(PHOTOS, fit="crop")])
def test_settings_survive_the_model_file(known):
    text = json.dumps(known.to_config())
    assert Preprocessing.from_config(json.loads(text)) == known


HOSTILE = [
    ("image_size", [28], "2 integers"),
    ("image_size", [28.0, 28], "2 integers"),
    ("image_size", [0, 28], "from 1 to 65536"),
    ("image_size", [28, True], "2 integers"),
    ("image_size", [40, 28], "don't fit"),
    ("image_size", "28", "2 integers"),
    ("input_shape", [32, 32], "3 integers"),
    ("input_shape", [10**30, 32, 1], "from 1 to 65536"),
    ("background", 256, "an integer from 0 to 255 but is 256"),
    ("background", None, "but is None"),
    ("polarity", "grey", "one of"),
    ("polarity", [], "one of"),
    ("fit", "squeeze", "'squeeze'"),
    ("mean", [0.1, 0.2], "1 numbers, one a channel"),
    ("mean", ["0.1"], "1 numbers"),
    ("mean", [math.nan], "1 numbers"),
    ("mean", [10**400], "1 numbers"),
    ("std", [math.inf], "1 numbers"),
    ("std", [0.0], "1 numbers"),
    ("std", [1e-300], "1 numbers"),
    ("std", {"0": 1}, "1 numbers"),
]


@pytest.mark.parametrize(("name", "value", "message"), HOSTILE)
def test_hostile_settings_are_refused_in_words(name, value, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_config({**DIGITS.to_config(), name: value})


@pytest.mark.parametrize("config", [None, [], "x", {}, {"image_size": [1, 1]}])
def test_settings_that_lack_something_are_refused(config):
    with pytest.raises(ValueError, match="must consist of image_size, input_shape"):
        Preprocessing.from_config(config)
    with pytest.raises(ValueError, match="must consist of"):
        Preprocessing.from_config({**DIGITS.to_config(), "more": 1})

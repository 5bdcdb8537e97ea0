"""From image files of any kind, size and colours to the pixels a network was trained on."""

import io
import tracemalloc
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sheets import DIGITS, INK, PHOTOS, drawing, encoded

from striate.data import load_data
from striate.errors import DataError
from striate.images import fitting
from striate.images.imagefile import read_image, read_size

# --- files of the right kind


def test_a_file_of_the_training_images_size_stays_as_it_is(tmp_path):
    pixels = load_data("digits")[1].images
    for index in range(0, 40, 7):
        path = tmp_path / f"{index}.png"
        Image.fromarray(pixels[index, ..., 0]).save(path)
        read, note = DIGITS.load_image(path)
        np.testing.assert_array_equal(read, pixels[index])
        assert note is None


def test_every_way_to_give_a_file(tmp_path):
    image = drawing((28, 28), 0, 255)
    path = tmp_path / "a.png"
    image.save(path)
    ways = [path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), image]
    with path.open("rb") as file:
        for way in (*ways, file):
            read, _ = DIGITS.load_image(way)
            np.testing.assert_array_equal(read[..., 0], np.asarray(image))
    with pytest.raises(TypeError, match="not as ndarray"):
        DIGITS.load_image(np.zeros((28, 28)))


def gradient(mode, size=(28, 28)):
    """Grey values from 0 to 255 as an image of any mode."""
    grey = np.linspace(0, 255, size[0] * size[1]).reshape(size[1], size[0])
    image = Image.fromarray(grey.astype(np.uint8))
    return image, image.convert(mode)


@pytest.mark.parametrize(
    ("mode", "kind", "tolerance"),
    [
        ("L", "PNG", 0),
        ("L", "BMP", 0),
        ("L", "TIFF", 0),
        ("RGB", "PNG", 0),
        ("RGBA", "PNG", 0),
        ("LA", "PNG", 0),
        ("P", "PNG", 0),
        ("P", "GIF", 0),
        ("RGB", "WEBP", 3),
        ("RGB", "JPEG", 3),
        ("CMYK", "JPEG", 3),
        ("CMYK", "TIFF", 1),
        ("YCbCr", "TIFF", 2),
        ("LAB", "TIFF", 3),
    ],
)
def test_modes_and_formats(mode, kind, tolerance):
    grey, image = gradient(mode)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    read, note = DIGITS.load_image(encoded(image, kind, **lossless), invert=False)
    assert note is None
    difference = read[..., 0].astype(int) - np.asarray(grey)
    assert np.abs(difference).max() <= tolerance
    colour = replace(DIGITS, input_shape=(32, 32, 3), mean=(0.1,) * 3, std=(0.3,) * 3)
    read, _ = colour.load_image(encoded(image, kind, **lossless), invert=False)
    assert read.shape == (28, 28, 3)
    assert np.abs(read.astype(int) - np.asarray(grey)[..., None]).max() <= tolerance


def test_one_bit_images_become_black_and_white():
    image = drawing((28, 28), 0, 1, "1")
    assert set(np.unique(DIGITS.load_image(encoded(image))[0])) == {0, 255}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_cut_off(kind):
    wide = np.linspace(0, 65535, 784).reshape(28, 28).astype(np.uint16)
    read, _ = DIGITS.load_image(encoded(Image.fromarray(wide), kind), invert=False)
    np.testing.assert_array_equal(read[..., 0], np.rint(wide / 257))
    dark = (wide // 257).astype(np.uint16)  # all of it nearly black
    read, _ = DIGITS.load_image(encoded(Image.fromarray(dark), kind), invert=False)
    assert read.max() == 1


def test_thirty_two_bits_of_a_known_range():
    steps = np.linspace(0, 255, 784).reshape(28, 28)
    whole = np.rint(steps)
    for values in (
        whole.astype(np.int32),
        (whole * 257).astype(np.int32),
        (steps / 255).astype(np.float32),
        steps.astype(np.float32),
        (whole * 257).astype(np.float32),
    ):
        content = encoded(Image.fromarray(values), "TIFF")
        np.testing.assert_array_equal(
            DIGITS.load_image(content, invert=False)[0][..., 0], whole
        )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((4, 4), -1, np.int32), "values from -1 to -1"),
        (np.full((4, 4), 1 << 20, np.int32), r"scale them to 0 \.\.\. 255"),
        (np.full((4, 4), np.nan, np.float32), "NaN or infinite"),
        (np.full((4, 4), np.inf, np.float32), "NaN or infinite"),
    ],
)
def test_thirty_two_bits_of_another_range_are_refused(tmp_path, values, message):
    path = tmp_path / "deep.tif"
    Image.fromarray(values).save(path)
    with pytest.raises(DataError, match=f"{path} has pixel.*{message}"):
        DIGITS.load_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(orientation):
    upright = np.zeros((28, 28), np.uint8)
    upright[4:10, 3:24] = 255
    upright[4:22, 3:8] = 128
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.T,
        6: lambda a: np.rot90(a),
        7: lambda a: a[::-1, ::-1].T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    read, _ = DIGITS.load_image(encoded(stored, exif=exif))
    np.testing.assert_array_equal(read[..., 0], upright)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_size_is_read_as_the_image_is_seen(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.new("RGB", (30, 20)), kind, exif=exif)
    image = read_image(content)
    assert read_size(io.BytesIO(content), "a") == (image.height, image.width)


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("L", (28, 28), level) for level in (40, 90, 200)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.unique(DIGITS.load_image(content)[0]) == 40


def test_networks_that_no_image_file_suits():
    five = replace(DIGITS, input_shape=(32, 32, 5), mean=(0.0,) * 5, std=(1.0,) * 5)
    with pytest.raises(DataError, match="the network takes 5; give it arrays instead"):
        five.load_image(encoded(drawing((28, 28), 0, 255)))


# --- another size


def test_pad_keeps_the_aspect_and_goes_on_with_the_border():
    wide = drawing((280, 140), 30, 250)
    read, _ = DIGITS.load_image(encoded(wide))
    assert read.shape == (28, 28, 1)
    assert (read[:7] == 30).all()
    assert (read[21:] == 30).all()
    column = read[8:20, 13, 0]
    assert column.max() == 250
    # the bar is 57 x 85 pixels, so 5.7 x 8.5 of the new ones
    ink = (read.astype(float) - 30).sum() / 220
    assert ink == pytest.approx(5.7 * 8.5, rel=0.02)


def test_a_drawn_digit_comes_out_like_a_training_image():
    sheet = drawing((150, 200), 0, 255)
    read, note = DIGITS.load_image(encoded(sheet))
    assert note is None
    rows, columns = np.nonzero(read[..., 0] > 128)
    assert (rows.min(), rows.max()) == (6, 22)
    assert columns.max() - columns.min() + 1 in (4, 5)  # 30 of 150 pixels are 4.2
    assert columns.min() + columns.max() in (26, 27, 28)
    assert (read[:, :3] == 0).all()


def test_fine_strokes_are_averaged_and_not_dropped():
    stripes = np.zeros((560, 560), np.uint8)
    stripes[:, ::2] = 255
    read, _ = DIGITS.load_image(encoded(Image.fromarray(stripes)), invert=False)
    assert np.abs(read[2:-2, 2:-2].astype(int) - 128).max() <= 2


def test_crop_and_stretch():
    wide = Image.fromarray(np.repeat([[10, 100, 200, 250]], 8, 0).astype(np.uint8))
    wide = wide.resize((64, 32), Image.Resampling.NEAREST)
    grey = replace(PHOTOS, input_shape=(8, 8, 1), mean=(0.5,), std=(0.25,))
    cropped = replace(grey, fit="crop").load_image(wide)[0]
    np.testing.assert_allclose(cropped[:, 0], 100, atol=6)  # of the middle half
    np.testing.assert_allclose(cropped[:, 7], 200, atol=6)
    stretched = replace(grey, fit="stretch").load_image(wide)[0]
    assert stretched[0, 0, 0] == 10
    assert stretched[0, -1, 0] == 250
    for fit in ("pad", "crop", "stretch"):
        assert (
            replace(grey, fit=fit).load_image(Image.new("L", (3, 2), 9))[0].max() == 9
        )


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from(["pad", "crop"]))
def test_any_size_is_fitted(width, height, fit):
    image = Image.new("RGB", (width, height), (10, 20, 30))
    read, note = replace(PHOTOS, fit=fit).load_image(image)
    assert note is None
    assert (read == (10, 20, 30)).all()


# --- polarity


@pytest.mark.parametrize("size", [(28, 28), (150, 200)])
def test_a_bright_file_is_turned_for_a_network_that_knows_dark_ones(size):
    sheet = encoded(drawing(size, 255, 0))
    dark = encoded(drawing(size, 0, 255))
    read, note = DIGITS.load_image(sheet)
    assert (
        note == "its background is bright, that of the training images dark: inverted"
    )
    np.testing.assert_allclose(read, DIGITS.load_image(dark)[0], atol=1)
    kept, note = DIGITS.load_image(sheet, invert=False)
    assert note.endswith("kept as it is")
    np.testing.assert_array_equal(kept, 255 - read)
    turned, note = DIGITS.load_image(sheet, invert=True)
    assert note is None
    np.testing.assert_array_equal(turned, read)
    assert INK.load_image(sheet)[1] is None
    assert "is dark, that of the training images bright" in INK.load_image(dark)[1]


def test_photographs_are_never_turned_unasked():
    sheet = drawing((8, 8), (255, 255, 255), (0, 0, 0), "RGB")
    read, note = PHOTOS.load_image(sheet)
    assert note is None
    assert read[0, 0].tolist() == [255, 255, 255]
    assert PHOTOS.load_image(sheet, invert=True)[0][0, 0].tolist() == [0, 0, 0]


def test_invert_takes_three_values():
    with pytest.raises(ValueError, match="True, False or 'auto', not 'yes'"):
        DIGITS.load_image(drawing((28, 28), 0, 255), invert="yes")


@pytest.mark.parametrize("ink", [0, 255])
def test_a_drawing_on_nothing_stays_visible(ink):
    """Black strokes on transparency, as drawing programs save them, and white ones."""
    sheet = drawing((56, 56), (0, 0, 0, 0), (ink, ink, ink, 255), "RGBA")
    expected, _ = DIGITS.load_image(drawing((56, 56), 0, 255))
    read, note = DIGITS.load_image(encoded(sheet))
    np.testing.assert_allclose(read, expected, atol=1)  # turned after its rounding
    assert (note is None) == (ink == 255)
    read, _ = INK.load_image(encoded(sheet))
    np.testing.assert_allclose(read, 255 - expected, atol=1)


def test_what_is_transparent_gets_the_background():
    half = Image.new("RGBA", (8, 8), (255, 255, 255, 128))
    read, _ = PHOTOS.load_image(half)
    assert np.abs(read.astype(int) - (70 + 185 * 128 / 255)).max() <= 1
    nothing = Image.new("RGBA", (28, 28), (9, 9, 9, 0))
    assert DIGITS.load_image(nothing)[0].max() == 0
    black = drawing((28, 28), (0, 0, 0, 0), (0, 0, 0, 255), "RGBA")
    assert DIGITS.load_image(black, invert=True)[0].max() == 255
    assert DIGITS.load_image(black, invert=False)[0].max() == 0


def test_a_transparent_colour_of_a_palette():
    image = drawing((28, 28), 0, 1, "P")
    image.putpalette([200, 200, 200, 255, 255, 255])
    read, _ = DIGITS.load_image(encoded(image, transparency=0))
    assert set(np.unique(read)) == {0, 255}
    read, _ = DIGITS.load_image(encoded(image, transparency=b"\0\xff"))
    assert set(np.unique(read)) == {0, 255}


# --- files that are none


GOOD = encoded(drawing((40, 40), 0, 255))


def test_unreadable_files_are_named_with_the_reason(tmp_path):
    def check(content, message):
        path = tmp_path / "bad.png"
        path.write_bytes(content)
        with pytest.raises(DataError, match=message) as caught:
            DIGITS.load_image(path)
        assert str(path) in str(caught.value)

    check(b"", "is empty")
    check(b"this is text", "not an image file of a kind that Pillow reads")
    check(GOOD[: len(GOOD) // 2], "cannot be read as an image")
    check(GOOD[:20], r"not an image file|cannot be read as an image")
    with pytest.raises(DataError, match="is a folder; give the image files in it"):
        DIGITS.load_image(tmp_path)
    with pytest.raises(DataError, match=r"none\.png cannot be read: No such file"):
        DIGITS.load_image(tmp_path / "none.png")
    with pytest.raises(DataError, match="not a regular file"):
        DIGITS.load_image("/dev/zero")
    with pytest.raises(DataError, match="null byte"):
        DIGITS.load_image("a\0b.png")
    with pytest.raises(DataError, match="the image is empty"):
        DIGITS.load_image(b"")
    with pytest.raises(DataError, match="mode 'rb'"):
        DIGITS.load_image(io.StringIO("text"))


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_no_damage_does_worse_than_a_data_error(place, noise):
    content = GOOD[:place] + noise + GOOD[place + len(noise) :]
    try:
        pixels, _ = DIGITS.load_image(content)
    except DataError:
        return
    assert pixels.shape == (28, 28, 1)


def test_a_decompression_bomb_is_refused_before_it_takes_memory(tmp_path, monkeypatch):
    path = tmp_path / "bomb.pgm"
    path.write_bytes(b"P5 20000 20000 255\n" + b"\0" * 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as some programs do
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.pgm has 20000 x 20000 pixels"):
        DIGITS.load_image(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
    monkeypatch.undo()
    with pytest.raises(DataError, match="decompression bomb"):
        DIGITS.load_image(path)


def test_the_warnings_of_pillow_do_not_leak(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # 1,600 pixels: a warning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        DIGITS.load_image(GOOD)
    assert caught == []


@pytest.mark.parametrize("size", [(1, 7), (7, 1), (2, 5), (5, 2), (9, 6), (90, 130)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_the_border_is_the_same_however_it_is_taken(size, mode, monkeypatch):
    channels = len(mode)
    pixels = np.random.default_rng(1).integers(0, 256, (*size, channels), np.uint8)
    image = Image.fromarray(pixels.squeeze(2) if mode == "L" else pixels)
    taken = [np.asarray(fitting.fit_image(image, (200, 140), "pad"))]
    monkeypatch.setattr(fitting, "FEW", 0)
    taken.append(np.asarray(fitting.fit_image(image, (200, 140), "pad")))
    np.testing.assert_array_equal(*taken)
    border = fitting.border_pixels(pixels[np.newaxis])[0]
    np.testing.assert_array_equal(
        taken[0][0, 0], np.median(border, axis=0).astype(np.uint8).squeeze()
    )

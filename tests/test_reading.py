"""From files to pixels: size, colour, fit, what cannot be read, memory."""

import io
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies
from noise_files import fill, noise, pixels, read
from PIL import Image

import striate as st
from striate.data import Reading, read_data
from striate.data.sizes import Sizes, default_size
from striate.errors import DataError, ShapeError, UsageError

pytestmark = pytest.mark.usefixtures("cache_home")


# --- size and colour


@pytest.mark.parametrize(
    ("sizes", "chosen"),
    [
        ([(16, 16)] * 9, (16, 16)),
        ([(9, 30)] * 9, (9, 30)),
        ([(112, 92)] * 9, (56, 46)),
        ([(130, 65)] * 9, (43, 22)),
        ([(25, 25), (44, 43), (191, 207)], (48, 40)),
        ([(300, 400), (400, 300), (350, 350)], (64, 64)),
        ([(10, 10), (11, 12), (12, 11)], (16, 16)),
        ([(20, 200), (30, 300), (40, 100)], (16, 64)),
    ],
)
def test_the_default_size(sizes, chosen):
    assert default_size(Sizes.of(np.array(sizes))) == chosen


def test_size_and_colour_are_taken_from_the_files_and_told(tmp_path):
    data = read(fill(tmp_path, [(20, 30), (40, 50), (50, 70)] * 8))
    assert (data.size, data.channels) == ((40, 48), 3)
    said = "\n".join(data.survey.choices)
    assert (
        "size 40x48 (--size changes it), made from 20x30 to 50x70, median 40x50" in said
    )
    assert "RGB, as there are colours" in said
    data = read(tmp_path, size=(12, 10), color="grey")
    assert (data.size, data.channels) == ((12, 10), 1)
    assert "size 12x10 (as asked)" in data.survey.choices[0]
    assert "grey, as asked" in data.survey.choices[1]


def test_files_with_three_equal_channels_are_grey(tmp_path):
    for number in range(20):
        grey = np.repeat(noise(number, 12, 12, 1), 3, axis=2)
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(grey).save(path)
    data = read(tmp_path)
    assert data.channels == 1
    assert "grey, as all pixels looked at are" in data.survey.choices[1]
    assert read(tmp_path, color="rgb").channels == 3
    red = np.zeros((12, 12, 3), np.uint8)
    red[3:9, 3:9, 0] = 200
    Image.fromarray(red).save(tmp_path / "a" / "red.png")
    assert read(tmp_path).channels == 3


def test_images_of_one_size_up_to_64_stay_as_they_are(tmp_path):
    root = fill(tmp_path, [(28, 20)] * 10, channels=1)
    for name, image in pixels(read(root)).items():
        np.testing.assert_array_equal(
            image[..., 0], np.asarray(Image.open(root / name))
        )


# --- a network gets files as it was trained on them


def draw(kind, number):
    """An image of a kind that files come in, and how to save it."""
    rng = np.random.default_rng(number)
    size = tuple(rng.integers(9, 40, 2).tolist())
    grey = rng.integers(0, 256, size, np.uint8)
    if kind in ("I;16", "1", "L"):
        values = grey.astype(np.uint16) * 257 if kind == "I;16" else grey
        image = Image.fromarray(values)
        return image.convert("1") if kind == "1" else image
    color = Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8))
    if kind == "RGBA":
        color.putalpha(Image.fromarray(grey))
        return color
    return color.convert(kind)


KINDS = [
    ("L", "png"),
    ("1", "tif"),
    ("I;16", "png"),
    ("I;16", "tif"),
    ("L", "pgm"),
    ("P", "gif"),
    ("P", "png"),
    ("RGB", "jpg"),
    ("RGB", "webp"),
    ("RGB", "bmp"),
    ("RGBA", "png"),
    ("CMYK", "jpg"),
    ("CMYK", "tif"),
    ("LAB", "tif"),
]


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory):
    root = tmp_path_factory.mktemp("kinds")
    for number in range(2 * len(KINDS)):
        mode, ending = KINDS[number % len(KINDS)]
        path = root / f"class {number % 3}" / f"{number:02} {mode}.{ending}"
        path.parent.mkdir(exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = number % 8 + 1
        extra = {"exif": exif} if ending in ("jpg", "webp", "png") else {}
        draw(mode.replace("P", "RGB") if mode == "P" else mode, number).save(
            path, **extra
        )
    return root


@settings(max_examples=12, deadline=None)
@given(
    fit=strategies.sampled_from(["pad", "crop", "stretch"]),
    color=strategies.sampled_from(["auto", "grey", "rgb"]),
    size=strategies.none()
    | strategies.tuples(strategies.integers(1, 40), strategies.integers(1, 40)),
)
def test_a_model_reads_files_as_they_were_trained_on(every_kind, fit, color, size):
    data = read(every_kind, fit=fit, color=color, size=size, cache=False)
    assert data.survey.unreadable == ()
    known = data.preprocessing((64, 64, data.channels))
    assert known.fit == fit
    for name, trained in pixels(data).items():
        again, note = known.load_image(every_kind / name)
        np.testing.assert_array_equal(again, trained, name)
        assert note is None


def icons(root, ink):
    """A disc of a grey level on nothing, in two classes."""
    y, x = np.mgrid[:16, :16]
    for number in range(20):
        inside = (y - 8) ** 2 + (x - 8) ** 2 < 20 + number
        image = np.full((16, 16, 4), ink, np.uint8)
        image[..., 3] = 255 * inside
        path = root / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return root


@pytest.mark.parametrize(("ink", "ground"), [(0, 255), (120, 255), (255, 0)])
def test_transparent_images_lie_on_white_unless_they_would_vanish(
    tmp_path, ink, ground
):
    data = read(icons(tmp_path, ink))
    assert (data.ground, data.channels) == (ground, 1)
    assert set(np.unique(data.training.images)) == {ink, ground}
    assert data.survey.kind == "drawings"


# --- what cannot be read


def damage(root):
    """Three files of many that cannot be read, each in another way."""
    fill(root, [(12, 12)] * 30)
    good = (root / "class 0" / "00000.png").read_bytes()
    (root / "class 0" / "cut.png").write_bytes(good[:200])
    (root / "class 1" / "empty.jpg").write_bytes(b"")
    (root / "class 1" / "text.png").write_bytes(b"<html>404</html>")
    return root


def test_unreadable_files_are_named_and_the_others_used(tmp_path):
    data = read(damage(tmp_path))
    assert sum(len(part) for part in data.parts().values()) == 30
    assert data.survey.notes[0].startswith("3 of 33 images cannot be read and are left")
    why = "\n".join(data.survey.unreadable)
    assert "cut.png cannot be read as an image: " in why
    assert "empty.jpg is empty" in why
    assert "text.png is not an image file of a kind that Pillow reads" in why
    for name, image in pixels(data).items():
        np.testing.assert_array_equal(image, np.asarray(Image.open(tmp_path / name)))
    assert read(tmp_path).survey == data.survey  # from the cache


def test_strict_makes_them_an_error(tmp_path):
    with pytest.raises(DataError, match=r"empty\.jpg is empty, and 1 more image; mend"):
        read(damage(tmp_path), strict=True)
    (tmp_path / "class 1" / "empty.jpg").unlink()
    (tmp_path / "class 1" / "text.png").unlink()
    with pytest.raises(
        DataError, match=r"cut\.png cannot be read .*; mend or remove it"
    ):
        read(tmp_path, strict=True)


def test_a_part_of_which_nothing_can_be_read_is_named(tmp_path):
    fill(tmp_path / "train", [(12, 12)] * 8)
    (tmp_path / "test" / "class 0").mkdir(parents=True)
    (tmp_path / "test" / "class 0" / "a.png").write_bytes(b"none")
    with pytest.raises(DataError, match="no image in its test part that can be read"):
        read(tmp_path)


def test_a_claimed_size_is_refused_before_memory_is_taken(tmp_path):
    fill(tmp_path, [(12, 12)] * 10)
    bomb = b"P5 100000 100000 255\n" + bytes(100)
    (tmp_path / "class 0" / "bomb.pgm").write_bytes(bomb)
    data = read(tmp_path)
    assert "bomb.pgm" in data.survey.unreadable[0]
    assert "100000 x 100000" in data.survey.unreadable[0] or (
        "decompression bomb" in data.survey.unreadable[0]
    )


# --- memory

LIMITED = """
import resource, sys, threading
import numpy as np
import striate as st
from striate.data import Reading, read_data

def go(data, labels=None):
    found = read_data(data, labels, Reading(), quiet=True)
    input_shape = (*found.size, found.channels)
    layers = [st.Conv2D(2, 8, stride=8), st.MaxPool2D(4), st.Flatten(), st.Dense(2)]
    network = st.Network(layers, input_shape)
    network.fit(
        found.training.images, found.training.labels, epochs=1, threads=1,
        validation_data=(found.validation.images, found.validation.labels),
        preprocessing=found.preprocessing(input_shape),
    )
    network.score(found.test.images, found.test.labels, threads=1)
    return sum(part.images.nbytes for part in found.parts().values())

threading.stack_size(256 << 10)  # eight megabytes each would say nothing about images
few = np.random.default_rng(0).integers(0, 256, (60, 100, 100, 3), np.uint8)
go(few, np.arange(60) % 2)  # everything is imported and every thread has run
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
limit = 16 << 20
resource.setrlimit(resource.RLIMIT_DATA, ((used << 10) + limit,) * 2)
assert go(sys.argv[1]) >= 10 * limit
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux sets them")
def test_a_set_ten_times_the_memory(tmp_path):
    rng = np.random.default_rng(0)
    pixels = np.frombuffer(rng.bytes(5600 * 100 * 100 * 3), np.uint8)
    np.save(tmp_path / "x_train.npy", pixels.reshape(5600, 100, 100, 3))
    np.save(tmp_path / "y_train.npy", np.arange(5600) % 2)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"STRIATE_THREADS": "2", "MALLOC_ARENA_MAX": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_all_images_of_a_part_are_one_slice_of_one_file(tmp_path):
    data = read(fill(tmp_path, [(12, 12)] * 40))
    bases = {id(part.images.base) for part in data.parts().values()}
    assert len(bases) == 1
    assert all(part.images.flags.c_contiguous for part in data.parts().values())


def test_settings_that_mean_nothing_are_refused():
    for wrong, message in (
        ({"size": (0, 5)}, "size must be a whole number of at least 1, not 0"),
        ({"size": (5, 5, 3)}, r"one number or a \(height, width\) pair, not 3 values"),
        ({"size": 70_000}, "size can be at most 65536 pixels a side but is 70000"),
        ({"fit": "bend"}, "fit must be one of"),
        ({"color": "blue"}, "color must be one of"),
        ({"validation": 1.0}, "validation must be a share from 0"),
        ({"train_per_class": 0}, "train_per_class must be at least 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"train_per_class": 3, "test_share": 0.5}, "contradict each other"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(Reading(), **wrong)


def test_one_size_is_for_both_sides_and_other_types_are_refused(tmp_path):
    assert Reading(size=24) == Reading(size=(24, 24))
    for wrong in ("24", 24.5, (24, "24")):
        with pytest.raises(TypeError, match="Reading: size must be a whole number"):
            Reading(size=wrong)
    with pytest.raises(TypeError, match=r"such as Reading\(size=24\), but is '24'"):
        read_data(tmp_path, reading="24")


def test_files_are_given_in_memory_too(tmp_path):
    content = io.BytesIO()
    Image.fromarray(noise(1, 8, 8)).save(content, "PNG")
    with pytest.raises(DataError, match="images"):
        read([content.getvalue()] * 4, [0, 1, 0, 1])


# --- fit is told


def test_fit_takes_what_the_files_told():
    images, labels = noise(0, 20, 8, 8, 1), np.arange(20) % 2
    network = st.Network([st.Flatten(), st.Dense(2)], (8, 8, 1))
    known = st.Preprocessing.measure(images, (8, 8, 1), fit="crop", ground=255)
    network.fit(images, labels, epochs=1, preprocessing=known)
    assert network.preprocessing == known
    network.fit(images, labels, epochs=1, preprocessing=known)
    with pytest.raises(UsageError, match="cannot change once a network is trained"):
        network.fit(images, labels, preprocessing=replace(known, fit="pad"))
    other = st.Network([st.Flatten(), st.Dense(2)], (9, 9, 1))
    with pytest.raises(
        ShapeError, match="for an input of 8x8x1 but the network's is 9x9"
    ):
        other.fit(images, labels, preprocessing=known)


def test_settings_of_model_files_from_before_have_no_ground():
    known = st.Preprocessing.measure(noise(0, 20, 8, 8, 1), (8, 8, 1))
    config = known.to_config()
    del config["ground"]
    assert st.Preprocessing.from_config(config) == known

"""Images and labels as users give them, or an error in their words."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from striate.errors import DataError, ShapeError, UsageError
from striate.images.arrays import as_images
from striate.images.labels import as_labels

GREY = (28, 28, 1)
COLOUR = (32, 24, 3)


class ArrayOnly:
    """An array of another library that offers `__array__`."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


class DLPackOnly:
    """An array of another library that offers DLPack."""

    def __init__(self, array):
        self.__dlpack__ = array.__dlpack__
        self.__dlpack_device__ = array.__dlpack_device__


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


# --- images that are taken


def test_nothing_is_copied_that_need_not_change():
    for images in (pixels(3, 28, 28, 1), np.zeros((3, 28, 28, 1), np.float32)):
        assert np.shares_memory(as_images(images, GREY), images)
        assert np.shares_memory(as_images(images[..., 0], GREY), images)
    double = np.zeros((3, 28, 28, 1))
    assert np.shares_memory(as_images(double, GREY, double=True), double)


@given(
    npst.arrays(
        st.sampled_from(["u1", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]),
        st.tuples(*[st.integers(1, 4)] * 4),
        elements=st.integers(0, 255),
    ),
    st.permutations(range(4)),
    st.sampled_from([1, -1, 2]),
    st.booleans(),
)
def test_layout_order_and_writeability_do_not_matter(images, axes, step, double):
    given = images.transpose(axes)[::step, ::step]
    given.flags.writeable = False
    taken = as_images(given, given.shape[1:], double=double)
    assert taken.flags.c_contiguous
    assert taken.dtype.isnative
    floats = np.float64 if double else np.float32
    assert taken.dtype == (np.uint8 if images.dtype == "u1" else floats)
    np.testing.assert_array_equal(taken, given.astype(np.float64))


def test_other_libraries_and_lists():
    images = pixels(2, 28, 28, 1)
    for foreign in (ArrayOnly(images), DLPackOnly(images)):
        np.testing.assert_array_equal(as_images(foreign, GREY), images)
    floats = (images / 255).tolist()
    np.testing.assert_allclose(as_images(floats, GREY), images / 255, rtol=1e-6)


@pytest.mark.oracle
def test_tensors_of_pytorch():
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    tensor = torch.arange(2 * 28 * 28, dtype=torch.uint8).reshape(2, 28, 28)
    np.testing.assert_array_equal(as_images(tensor, GREY)[..., 0], tensor.numpy())
    with pytest.raises(DataError, match=r"cannot be read as one array: .*grad"):
        as_images(tensor.float().requires_grad_(), GREY)


def test_the_channel_axis_may_be_missing_when_there_is_one():
    assert as_images(pixels(5, 28, 28), GREY).shape == (5, 28, 28, 1)
    assert as_images(pixels(5, 28, 20)).shape == (5, 28, 20, 1)
    assert as_images(pixels(5, 28, 20), (None, None, 1)).shape == (5, 28, 20, 1)
    assert as_images(pixels(1, 28, 28), GREY).shape == (1, 28, 28, 1)
    # three columns are columns where the network says so
    assert as_images(pixels(5, 28, 3), (28, 3, 1)).shape == (5, 28, 3, 1)
    # or where the input it is for does: an image fills it, or one image would not go in
    free = (None, None, 1)
    assert as_images(pixels(1, 4, 4), free, within=(4, 4)).shape == (1, 4, 4, 1)
    assert as_images(pixels(9, 8, 1), free, within=(8, 1)).shape == (9, 8, 1, 1)
    assert as_images(pixels(90, 28, 3), free, within=(32, 32)).shape == (90, 28, 3, 1)
    # an input that reads both ways is taken as N,H,W,C
    assert as_images(pixels(5, 3, 32, 3), (3, 32, 3)).shape == (5, 3, 32, 3)


# --- shapes that are not


SHAPES = [
    ((9, 3, 32, 24), COLOUR, "N,C,H,W = 9x3x32x24; give x.transpose(0, 2, 3, 1)"),
    ((9, 1, 28, 28), GREY, "N,C,H,W = 9x1x28x28; give x.transpose(0, 2, 3, 1)"),
    ((9, 1, 28, 28), (None, None, 1), "N,C,H,W"),
    ((9, 3, 28, 28), (None, None, 3), "N,C,H,W"),
    ((9, 3, 28, 28), (None, None, None), "N,C,H,W"),
    ((32, 24, 3), COLOUR, "one image H,W,C = 32x24x3; give x[None]"),
    ((28, 28, 1), GREY, "one image H,W,C = 28x28x1; give x[None]"),
    ((28, 28), GREY, "one image H,W = 28x28; give x[None]"),
    ((28, 28, 3), (None, None, None), "one image H,W,C = 28x28x3; give x[None]"),
    ((28, 28, 1), (None, None, 1), "one image H,W,C = 28x28x1; give x[None]"),
    ((3, 32, 24), COLOUR, "one image C,H,W = 3x32x24; give x.transpose(1, 2, 0)[None]"),
    ((9, 784), GREY, "flat rows, 9x784; give x.reshape(-1, 28, 28, 1)"),
    ((9, 2304), COLOUR, "flat rows, 9x2304; give x.reshape(-1, 32, 24, 3)"),
    ((9, 32, 24), COLOUR, "give np.repeat(x[..., None], 3, axis=3)"),
    ((9, 28, 28, 3), GREY, 'turn them grey, as by x.mean(axis=3).astype("uint8")'),
    ((9, 30, 30, 1), GREY, "are 9x30x30x1; bring them to that size and order"),
    ((9, 30, 30), GREY, "are 9x30x30; bring them"),
    ((28, 28, 3), GREY, "one image in colour, H,W,C = 28x28x3; turn it grey, as by"),
    ((28,), GREY, "are 28; bring them"),
    ((1, 9, 28, 28, 1), GREY, "are 1x9x28x28x1; bring them"),
]


@pytest.mark.parametrize(("shape", "expected", "message"), SHAPES)
def test_another_shape_is_named_with_its_remedy(shape, expected, message):
    x = pixels(*shape)
    with pytest.raises(ShapeError, match=re.escape(message)) as caught:
        as_images(x, expected, what="x")
    wanted = "x".join("?" if size is None else str(size) for size in expected)
    assert str(caught.value).startswith(f"x must be N,H,W,C = Nx{wanted} but are ")
    remedy = re.search(r"; give (.*?)(?: \(or|$)", str(caught.value))
    if remedy:  # what is advised works
        mended = eval(remedy[1], {"np": np, "x": x})
        taken = as_images(mended, expected)
        assert np.sort(np.unique(taken)).tolist() == np.unique(x).tolist()


ONE, MANY = "x[None]", "x[..., None]"
COLOURS = 'x[..., :3].mean(axis=2).astype("uint8")[None]'
WITHIN = [  # for an input of 28x28x1 that has not seen any images yet
    ((28, 28), "one image H,W = 28x28; give ", (ONE,)),
    ((9, 784), "flat rows, 9x784; give ", ("x.reshape(-1, 28, 28, 1)",)),
    ((9, 5, 1), "one image H,W,C = 9x5x1; give ", (ONE, MANY)),
    ((28, 28, 3), "one image in colour, H,W,C = 28x28x3; turn it", (COLOURS, MANY)),
    ((9, 5, 4), "one image in colour, H,W,C = 9x5x4; turn it grey", (COLOURS, MANY)),
]


@pytest.mark.parametrize(("shape", "message", "remedies"), WITHIN)
def test_the_input_tells_what_is_wrong_with_a_shape(shape, message, remedies):
    x = pixels(*shape)
    with pytest.raises(ShapeError, match=re.escape(message)) as caught:
        as_images(x, (None, None, 1), what="x", within=(28, 28))
    for remedy in remedies:
        assert remedy in str(caught.value)
        mended = eval(remedy, {"x": x})
        assert as_images(mended, (None, None, 1), within=(28, 28)).ndim == 4


@given(npst.array_shapes(min_dims=0, max_dims=5, max_side=4), st.data())
def test_every_shape_is_taken_or_refused_in_words(shape, data):
    axis = st.sampled_from([None, 1, 2, 3, 4])
    expected = data.draw(st.tuples(axis, axis, axis))
    try:
        taken = as_images(np.zeros(shape, np.uint8), expected)
    except ShapeError as error:
        assert "must be N,H,W,C" in str(error)  # noqa: PT017 - either way is fine
        return
    assert taken.size == np.prod(shape, dtype=int)
    for size, rule in zip(taken.shape[1:], expected, strict=True):
        assert rule in (None, size)


def test_what_memory_does_not_hold_is_refused_before_it_is_copied():
    huge = np.broadcast_to(np.uint8(0), (1, 60_000, 60_000, 3))
    with pytest.raises(
        ShapeError, match=r"60000x60000 pixels do not fit .* of 28x28; m"
    ):
        as_images(huge, (None, None, 3), within=(28, 28))
    many = np.broadcast_to(np.uint8(0), (2**40, 28, 28, 1))
    for images in (many, np.broadcast_to(np.float64(0), many.shape)):
        with pytest.raises(
            UsageError, match=r"a copy of images, .* takes .* fewer ima"
        ):
            as_images(images, GREY)


# --- types and values that are not


def complain(x, message, **options):
    with pytest.raises(DataError, match=re.escape(message)):
        as_images(x, GREY, **options)


def test_another_type_is_named_with_its_remedy():
    images = pixels(2, 28, 28, 1)
    complain(images.astype("i8"), 'pixels from 0 to 255: give images.astype("uint8")')
    complain(images.tolist(), 'give np.asarray(images, dtype="uint8")')
    complain(images > 9, 'are bool; give images.astype("uint8") * 255')
    complain(images.astype("u2") * 257, 'give (images // 257).astype("uint8")')
    complain(images.astype("i2") - 9, "run from -9 to 246: scale them to 0 ... 255")
    complain(images.astype("i4") << 20, "scale them to 0 ... 255")
    complain(images.astype(complex), "are complex128; give their real part or magni")
    complain(images.astype(object), "are object; they must be numbers")
    complain(images.astype(str), "they must be numbers")
    complain(images.astype("i8"), 'give x.astype("uint8")', what="x")


def test_what_is_no_array_is_named():
    complain(None, "images must be an array, not NoneType")
    complain("a.png", "images must be an array, not str")
    complain({"images": 1}, "images must be an array, not dict")
    complain(iter([1]), "images must be an array, not list_iterator")
    complain([[1, 2], [3]], "images cannot be read as one array")


@pytest.mark.parametrize("shape", [(0, 28, 28, 1), (0,), (3, 0, 28, 1)])
def test_nothing_at_all(shape):
    complain(np.zeros(shape, np.uint8), f"images hold nothing: their shape is {shape}")


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named_with_their_place(dtype, value):
    images = np.zeros((3, 28, 28, 1), dtype)
    images[1, 5, 7, 0] = images[2] = value
    complain(images, f"images[1, 5, 7, 0] is {value} but all values must be finite")
    complain(images, "785 of 2352 are not")


def test_values_beyond_float32_are_not_made_infinite():
    images = np.full((1, 28, 28, 1), 1e39)
    complain(images, "images[0, 0, 0, 0] is 1e+39 but all values must be finite as fl")
    assert as_images(images, GREY, double=True)[0, 0, 0, 0] == 1e39


# --- labels


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3)


@given(
    st.one_of(
        st.lists(NAMES, min_size=1, max_size=20),
        st.lists(st.integers(0, 2**40), min_size=1, max_size=20),
    )
)
def test_labels_come_back_in_the_users_words(labels):
    indices, classes = as_labels(labels, len(labels))
    assert indices.dtype == np.int32
    assert [classes[index] for index in indices] == labels
    assert np.asarray(classes)[indices].tolist() == labels
    assert list(classes) == sorted(set(labels))
    again, same = as_labels(labels[::-1], len(labels), classes)
    assert again.tolist() == indices[::-1].tolist()
    assert same == classes


def test_integers_below_the_number_of_outputs_stand_for_themselves():
    indices, classes = as_labels([0, 3, 1], 3, outputs=10)
    assert indices.tolist() == [0, 3, 1]
    assert classes == tuple(range(10))
    indices, classes = as_labels([1, 26, 7], 3, outputs=3)
    assert indices.tolist() == [0, 2, 1]
    assert classes == (1, 7, 26)


def test_every_kind_of_integers_and_strings():
    for dtype in ("i1", "u1", ">i4", "u8", object):
        labels = np.array([2, 0, 1, 1], dtype)[::2]
        assert as_labels(labels, 2, outputs=3)[0].tolist() == [2, 1]
    for labels in (["b", "a"], np.array(["b", "a"]), np.array(["b", "a"], object)):
        assert as_labels(labels, 2)[1] == ("a", "b")
    assert as_labels(np.array([np.int64(4), 3], object), 2)[1] == (3, 4)
    if hasattr(np.dtypes, "StringDType"):
        labels = np.array(["b", "a"], np.dtypes.StringDType())
        assert as_labels(labels, 2)[1] == ("a", "b")


LABELS = [
    ([0, 1], 3, "there are 2 for 3 images"),
    ([], 0, "labels are empty"),
    (3, 1, "have shape ()"),
    ([[0], [1]], 2, "give labels.ravel()"),
    (np.eye(3), 3, "are one-hot rows, 3x3; give labels.argmax(1)"),
    (np.eye(3, dtype=bool), 3, "are one-hot rows, 3x3; give labels.argmax(1)"),
    (np.full((2, 4), 0.25), 2, "are rows of numbers, 2x4; give labels.argmax(1)"),
    (np.zeros((2, 2, 2), int), 2, "have shape 2x2x2"),
    ([0.0, 1.0], 2, "are float64; give labels.astype(int)"),
    ([0.5, 1.0], 2, "are float64; give class numbers or class names"),
    ([0.0, np.nan], 2, "are float64; give class numbers or class names"),
    ([True, False], 2, "are bool; give labels.astype(int)"),
    ([b"a", b"b"], 2, "give labels.astype(str)"),
    ([1j, 2], 2, "are complex128"),
    ([3, -1], 2, "labels[1] is -1 but labels start at 0"),
    (np.array([2**63], "u8"), 1, "more than 64 bits hold"),
    (["a", None], 2, "labels[0] is 'a' but labels[1] is None"),
    ([1, "a"], 2, "labels[0] is 1 but labels[1] is 'a'; labels must be all integers"),
    (("a", True), 2, "labels[0] is 'a' but labels[1] is True"),
    (np.array([1, "a"], object), 2, "labels[0] is 1 but labels[1] is 'a'"),
    (np.array([1, True], object), 2, "labels[0] is 1 but labels[1] is True"),
    ([None, None], 2, "must be integers or strings but labels[0] is None"),
    (None, 2, "labels must be an array, not NoneType"),
    ("ab", 2, "labels must be an array, not str"),
]


@pytest.mark.parametrize(("labels", "count", "message"), LABELS)
def test_labels_that_are_none_are_refused_in_words(labels, count, message):
    with pytest.raises((ShapeError, DataError), match=re.escape(message)):
        as_labels(labels, count)


def test_unknown_labels_are_named():
    known = ("cat", "dog")
    with pytest.raises(DataError, match=r"y\[1\] is 'cow' but the classes are 'cat', "):
        as_labels(["cat", "cow"], 2, known, what="y")
    with pytest.raises(DataError, match=r"np\.asarray\(net\.classes\)\[labels\]"):
        as_labels([0, 1], 2, known)
    with pytest.raises(DataError, match=r"\[2\] is 10 but the classes are 0, .*, 9$"):
        as_labels([0, 1, 10], 3, tuple(range(10)))
    with pytest.raises(DataError, match=r"is 200 but the classes are 0, .*, 11 \.\.\."):
        as_labels([200], 1, tuple(range(100)))


def test_the_number_of_classes_must_be_that_of_the_network():
    with pytest.raises(DataError, match=r"2 classes \('a', 'b'\) but .* Dense\(2\)"):
        as_labels(["a", "b"], 2, outputs=10)
    with pytest.raises(DataError, match=r"name 3 classes .* tells 2 apart"):
        as_labels([0, 1, 2], 3, outputs=2)
    assert as_labels(["a", "b"], 2, outputs=2)[1] == ("a", "b")

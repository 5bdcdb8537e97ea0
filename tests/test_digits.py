"""The built-in digits: complete, in MNIST's manner, the same on every machine."""

import numpy as np
import pytest

from striate.data import data_hash, load_data
from striate.data.digits import FILE, _cubic_weights


@pytest.fixture(scope="module")
def digits():
    return load_data("digits")


def test_there_are_1797_and_every_fifth_is_for_the_test(digits):
    train, test = digits
    assert train.images.shape == (1438, 28, 28, 1)
    assert test.images.shape == (359, 28, 28, 1)
    assert train.images.dtype == np.uint8
    assert train.classes == test.classes == tuple("0123456789")
    # the set begins with 0 ... 9 three times, in this order
    assert train.labels[:8].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert test.labels[:6].tolist() == [4, 9, 4, 9, 4, 9]
    together = np.bincount(train.labels) + np.bincount(test.labels)
    assert together.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_they_look_like_mnist(digits):
    images = digits[0].images[..., 0].astype(float)
    assert 0.10 < images.mean() / 255 < 0.20
    assert (images.reshape(len(images), -1).max(axis=1) > 200).all()
    border = np.ones((28, 28), bool)
    border[1:-1, 1:-1] = False
    assert np.median(images[:, border]) == 0
    ink = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = images.sum(axis=3 - axis) @ (np.arange(28) + 0.5) / ink
        assert np.abs(centre - 14).max() <= 0.5


def test_the_pixels_are_the_same_everywhere(digits):
    train, test = digits
    assert data_hash(train.images, train.labels).startswith("f00438797e5b51af")
    assert data_hash(test.images, test.labels).startswith("b97233c652d95edb")


def test_the_weights_interpolate():
    weights, unit = _cubic_weights()
    assert weights.shape == (20, 8)
    inner = weights[4:16]  # nearer to the edge a part of the weight falls on black
    assert (inner.sum(axis=1) == unit).all()
    # cubic convolution gives straight lines back as they are
    line = np.arange(8)
    np.testing.assert_array_equal(
        10 * (inner @ line), unit * (np.arange(4, 16) * 4 - 3)
    )
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])


@pytest.mark.oracle
def test_the_levels_are_those_of_scikit_learn():
    datasets = pytest.importorskip("sklearn.datasets", reason="needs scikit-learn")
    published = datasets.load_digits()
    with np.load(FILE) as archive:
        np.testing.assert_array_equal(archive["levels"], published.images)
        np.testing.assert_array_equal(archive["labels"], published.target)


def test_the_licence_is_named_beside_the_data():
    text = (FILE.parent / "DIGITS.md").read_text()
    assert "CC BY 4.0" in text
    assert "10.24432/C50P49" in text

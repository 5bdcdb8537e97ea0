"""The effective receptive field: against brute force, and where theory says what it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from strategies import with_ones

from striate import (
    AvgPool2D,
    Conv2D,
    DataError,
    Dense,
    Flatten,
    MaxPool2D,
    Network,
    ReLU,
    ShapeError,
    UsageError,
    explain,
    lenet5,
    receptive_field,
)

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (10, 32, 32, 1), np.uint8)


# ------------------------------------------------------------------- what it measures


@pytest.mark.parametrize(
    ("layer", "unit", "units"),
    [
        ("conv2", (3, 4, 5), [(3, 4, 5)]),
        ("conv2", (3, 4), [(3, 4, k) for k in range(16)]),
        ("conv2", None, [(5, 5, k) for k in range(16)]),
        ("dense3", 7, [7]),
        ("dense3", None, range(10)),
    ],
)
def test_it_is_the_mean_absolute_gradient(layer, unit, units) -> None:
    network = lenet5(seed=3)
    field = explain.effective_field(network, IMAGES, layer, unit)
    gradients = [network.input_gradient(IMAGES, layer=layer, unit=one) for one in units]
    expected = np.abs(np.array(gradients, np.float64)).mean(axis=(0, 1, 4))
    np.testing.assert_allclose(field.gradient, expected, rtol=1e-12)
    place = field.unit[:2] if layer == "conv2" else (0, 0)
    seen = receptive_field(network, layer)
    assert field.box == seen.box(*place)
    assert field.whole == seen.box(*place, clip=False)
    assert (field.layer, field.images) == (layer, 10)


def test_batches_and_mapped_files_change_nothing(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    network = lenet5()
    whole = explain.effective_field(network, IMAGES, "pool2")
    for batch_size in (1, 3, 16):
        part = explain.effective_field(network, mapped, "pool2", batch_size=batch_size)
        # Sums of 10 numbers in another order, in double.
        np.testing.assert_allclose(part.gradient, whole.gradient, rtol=1e-14)
    floats = IMAGES.astype(np.float32) / 255
    same = explain.effective_field(network, floats, "pool2", threads=1)
    np.testing.assert_allclose(same.gradient, whole.gradient, rtol=1e-5, atol=1e-8)


def test_nothing_lies_outside_of_the_field() -> None:
    network = lenet5()
    for unit in [(0, 0), (4, 2)]:
        field = explain.effective_field(network, IMAGES, "pool2", unit)
        pixels = receptive_field(network, "pool2").pixels(*unit)
        assert not field.gradient[~pixels].any()


# -------------------------------------------------------------------- its size in words


def test_a_uniform_field_is_as_large_as_its_box() -> None:
    network = Network([AvgPool2D(6)], (18, 24, 2))
    images = np.zeros((1, 18, 24, 2), np.float32)
    field = explain.effective_field(network, images, "pool1")
    assert field.box == (6, 12, 12, 18)
    assert field.size == 6
    assert field.center == pytest.approx((8.5, 14.5))
    assert field.deviation == pytest.approx([math.sqrt(35 / 12)] * 2)
    for share in (0.25, 0.5, 1.0):
        assert field.share(share) == pytest.approx(share, abs=1 / 36)
    assert str(field) == (
        "pool1 (1, 2) sees 6x6 pixels. 95 % of its gradient is in 97 % of these; its "
        "effective size is 6.0 pixels, the standard deviation 1.7 down and 1.7 across "
        "(1 image)."
    )


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_blurs_grow_by_the_root_of_their_number(depth: int) -> None:
    """n kernels of 3 x 3 ones: a place is the sum of n steps of variance 2/3 (Luo)."""
    side = 2 * depth + 1
    network = with_ones(Network([Conv2D(1, 3)] * depth, (side, side, 1)))
    field = explain.effective_field(network, np.zeros((1, side, side, 1)), -1)
    assert field.box == (0, 0, side, side)
    assert field.deviation == pytest.approx([math.sqrt(2 / 3 * depth)] * 2, rel=1e-5)
    assert field.share(1.0) == 1


def test_what_padding_takes_is_told() -> None:
    network = with_ones(Network([Conv2D(2, 5, padding=2)], (9, 9, 1)))
    images = np.zeros((2, 9, 9), np.uint8)
    field = explain.effective_field(network, images, "conv1", (0, 4, 1))
    assert (field.box, field.whole) == ((0, 2, 3, 7), (-2, 2, 3, 7))
    assert "conv1 (0, 4, 1) sees 5x5 pixels, 3x5 of them in the image." in str(field)
    assert "(2 images)" in str(field)


def test_mass_is_a_share() -> None:
    field = explain.effective_field(lenet5(), IMAGES, "conv1")
    with pytest.raises(ValueError, match="0 to 1, but is 95"):
        field.share(95)
    with pytest.raises(TypeError, match="mass must be a number, not 'all'"):
        field.share("all")


# ------------------------------------------------------------------------ every layer


def test_layers_alike_are_told_once() -> None:
    fields = explain.layer_fields(lenet5())
    assert [field.layers for field in fields[-3:]] == [
        ("conv2", "relu2"),
        ("pool2",),
        ("flatten1", "dense1", "relu3", "dense2", "relu4", "dense3"),
    ]
    assert fields[-1].box == (0, 0, 32, 32)
    assert fields[-1].unit == (0, 0)
    padded = explain.layer_fields(Network([Conv2D(1, 9, padding=4)], (4, 6, 1)))
    assert (padded[0].box, padded[0].whole) == ((0, 0, 4, 6), (-2, -1, 7, 8))


# -------------------------------------------------------------------------- bad input


def test_layers_and_units_there_are_not() -> None:
    network = lenet5()
    with pytest.raises(
        UsageError, match="no layer 'conv3'; the layers are conv1, relu"
    ):
        explain.effective_field(network, IMAGES, "conv3")
    with pytest.raises(ShapeError, match=r"no unit \(10, 0, 0\) in conv2, whose shape"):
        explain.effective_field(network, IMAGES, "conv2", (10, 0))
    with pytest.raises(ShapeError, match=r"of shape 10x10x16, is named by \(row, col"):
        explain.effective_field(network, IMAGES, "conv2", 3)
    with pytest.raises(ShapeError, match=r"no unit 10 in dense3"):
        explain.effective_field(network, IMAGES, "dense3", 10)
    with pytest.raises(ShapeError, match="images must be N,H,W,C"):
        explain.effective_field(network, IMAGES[..., 0, 0], "conv1")
    with pytest.raises(
        ValueError, match="batch_size must be a whole number of at leas"
    ):
        explain.effective_field(network, IMAGES, "conv1", batch_size=0)


def test_units_that_nothing_changes() -> None:
    network = Network([Conv2D(1, 1, padding=1), ReLU()], (4, 4, 1))
    images = np.ones((3, 4, 4, 1), np.float32)
    with pytest.raises(
        UsageError, match=r"changes conv1 \(0, 0\): it is dead, or sees"
    ):
        explain.effective_field(network, images, "conv1", (0, 0))
    network.set_weights({"conv1.weight": [[[[-1.0]]]], "conv1.bias": [0.0]})
    with pytest.raises(UsageError, match=r"relu1 \(3, 3\): it is dead"):
        explain.effective_field(network, images, "relu1")


def test_gradients_that_are_not_finite() -> None:
    network = Network([Conv2D(1, 1)] * 2, (2, 2, 1))
    network.set_weights(
        {
            name: np.full_like(array, 3e38 if array.ndim > 1 else 0)
            for name, array in network.weights.items()
        }
    )
    with pytest.raises(DataError, match=r"gradient of conv2 \(1, 1\) must be finite"):
        explain.effective_field(network, np.ones((1, 2, 2, 1), np.float32), "conv2")


def test_small_and_flat_networks() -> None:
    """One image, constant; maps of 1 x 1; no convolution at all."""
    network = Network([Conv2D(3, 4), MaxPool2D(1), Flatten(), Dense(2)], (4, 4, 1))
    for layer in ("conv1", "pool1", "dense1"):
        field = explain.effective_field(network, np.full((1, 4, 4), 9, np.uint8), layer)
        assert field.box == (0, 0, 4, 4)
        assert str(field)
    flat = Network([Flatten(), Dense(2)], (3, 5, 3))
    field = explain.effective_field(flat, np.zeros((1, 3, 5, 3), np.uint8), "dense1")
    assert (field.box, field.unit) == ((0, 0, 3, 5), ())
    assert [one.layers for one in explain.layer_fields(flat)] == [
        ("flatten1", "dense1")
    ]

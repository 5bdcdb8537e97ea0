"""The lecture's numbers, M1 to M8, through the public interface."""

from __future__ import annotations

import numpy as np
import pytest

import striate as st
from striate.receptive import depth_to_see

WORKED = np.array([[1, 5, 1, 7], [4, 6, 0, 8], [3, 2, 2, 3], [0, 1, 1, 4]], np.float32)
SLASH = np.array([[0, 1], [1, 0]], np.float32)
BACKSLASH = np.array([[1, 0], [0, 1]], np.float32)


def convolve(
    image: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: int = 0
) -> np.ndarray:
    """One feature map of one grey image H,W."""
    layer = st.Conv2D(1, kernel.shape, stride=stride, padding=padding, bias=False)
    network = st.Network([layer], (*image.shape, 1))
    network.set_weights({"conv1.weight": kernel[None, None]})
    return network.activations(image[None], "conv1")[0, :, :, 0]


def pool(image: np.ndarray, layer: st.MaxPool2D | st.AvgPool2D) -> np.ndarray:
    """One pooled map of one grey image H,W."""
    network = st.Network([layer], (*image.shape, 1))
    return network.activations(image[None], "pool1")[0, :, :, 0]


# ------------------------------------------------------- M1: colour images are volumes


@pytest.mark.parametrize("channels", [1, 3, 4, 10])
def test_m1_a_convolution_makes_a_volume_and_has_so_many_parameters(
    channels: int,
) -> None:
    layer = st.Conv2D(16, (5, 3), padding="same")
    network = st.Network([layer], (20, 30, channels))
    images = np.zeros((2, 20, 30, channels), np.float32)
    assert network.activations(images, "conv1").shape == (2, 20, 30, 16)
    assert network.parameters == (5 * 3 * channels + 1) * 16


def test_m1_one_output_is_a_dot_product_with_a_volumetric_patch_plus_bias() -> None:
    network = st.Network([st.Conv2D(4, 3)], (8, 8, 3), seed=1)
    image = np.random.default_rng(0).random((8, 8, 3), np.float32)
    output = network.activations(image[None], "conv1")[0]
    kernel, bias = network.weights["conv1.weight"][2], network.weights["conv1.bias"][2]
    patch = image[4:7, 1:4].transpose(2, 0, 1)
    assert output[4, 1, 2] == pytest.approx((patch * kernel).sum() + bias, abs=1e-6)


def test_m1_a_feature_map_belongs_to_one_kernel() -> None:
    """Changing one kernel changes its depth slice of the volume and no other."""
    network = st.Network([st.Conv2D(3, 3, padding="same")], (6, 6, 3))
    image = np.random.default_rng(1).random((1, 6, 6, 3), np.float32)
    before = network.activations(image, "conv1")
    weights = {name: array.copy() for name, array in network.weights.items()}
    weights["conv1.weight"][1] *= -1
    network.set_weights(weights)
    after = network.activations(image, "conv1")
    assert (before != after).any((0, 1, 2)).tolist() == [False, True, False]


# ------------------------------------------------------------- M2: receptive fields


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_m2_stacked_3x3_convolutions_see_two_more_pixels_each(depth: int) -> None:
    network = st.Network([st.Conv2D(1, 3)] * depth, (15, 15, 1))
    size = st.receptive_field(network, f"conv{depth}").size
    assert size == (2 * depth + 1, 2 * depth + 1)


def test_m2_four_1x3_convolutions_see_1x9() -> None:
    network = st.Network([st.Conv2D(1, (1, 3))] * 4, (5, 15, 1))
    assert st.receptive_field(network, "conv4").size == (1, 9)


def test_m2_an_object_of_300_pixels_takes_150_layers() -> None:
    assert depth_to_see(300, st.Conv2D(1, 3)) == 150
    network = st.Network([st.Conv2D(1, 3, padding=1)] * 150, (8, 8, 1))
    assert st.receptive_field(network, "conv150").size == (301, 301)


@pytest.mark.parametrize("unit", [(0, 0), (3, 2)])
def test_m2_the_gradient_sees_the_same_pixels(unit: tuple[int, int]) -> None:
    layers = [st.Conv2D(2, 3), st.AvgPool2D(2), st.Conv2D(2, 2, dilation=2, padding=1)]
    network = st.Network(layers, (13, 11, 1), seed=2)
    image = np.random.default_rng(2).random((1, 13, 11, 1), np.float32)
    gradient = network.input_gradient(image, layer="conv2", unit=(*unit, 0))[0, ..., 0]
    rows, columns = np.nonzero(gradient)
    found = (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert st.receptive_field(network, "conv2").box(*unit) == found


# --------------------------------------------------------- M3: stride grows it faster


def test_m3_a_backslash_with_stride_2_gives_7_9_4_6() -> None:
    found = convolve(WORKED, BACKSLASH, stride=2)
    np.testing.assert_array_equal(found, [[7, 9], [4, 6]])


def test_m3_max_pooling_the_same_image_begins_with_6_and_8() -> None:
    found = pool(WORKED, st.MaxPool2D(2))
    np.testing.assert_array_equal(found, [[6, 8], [3, 4]])


def test_m3_pixels_may_be_given_as_the_lecture_writes_them() -> None:
    network = st.Network([st.MaxPool2D(2)], (4, 4, 1))
    found = network.activations(WORKED.astype(np.uint8)[None], 0)
    np.testing.assert_allclose(found[0, ..., 0] * 255, [[6, 8], [3, 4]], rtol=1e-6)


def test_m3_stacked_2x2_with_stride_2_double_the_field() -> None:
    network = st.Network([st.Conv2D(1, 2, stride=2)] * 9, (512, 512, 1))
    sizes = [st.receptive_field(network, f"conv{n}").size[0] for n in range(1, 10)]
    assert sizes == [2, 4, 8, 16, 32, 64, 128, 256, 512]


def test_m3_300_pixels_take_9_layers_and_not_150() -> None:
    assert depth_to_see(300, st.Conv2D(1, 2, stride=2)) == 9


# ------------------------------------------------------- M4: translation invariance


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("column", range(4))
def test_m4_a_moved_slash_keeps_the_maximum_of_its_map(row: int, column: int) -> None:
    image = np.zeros((5, 5), np.float32)
    image[row : row + 2, column : column + 2] = SLASH
    found = convolve(image, SLASH)
    assert found.max() == 2
    assert np.argwhere(found == 2).tolist() == [[row, column]]
    whole_map = st.MaxPool2D(found.shape[0])
    assert pool(found, whole_map).item() == 2


@pytest.mark.parametrize(("kernel", "other"), [(SLASH, BACKSLASH), (BACKSLASH, SLASH)])
def test_m4_each_diagonal_gives_2_for_itself_and_1_for_the_other(
    kernel: np.ndarray, other: np.ndarray
) -> None:
    for row, column in np.ndindex(4, 4):
        image = np.zeros((2, 5, 5), np.float32)
        image[0, row : row + 2, column : column + 2] = kernel
        image[1, row : row + 2, column : column + 2] = other
        assert [convolve(one, kernel).max() for one in image] == [2, 1]


def test_m4_pooling_forgets_a_step_within_a_patch_and_stride_does_not() -> None:
    """Of a slash moved by one pixel inside of a patch, the pooled map stays the same."""
    here, there = np.zeros((2, 9, 9), np.float32)
    here[2:4, 2:4] = there[2:4, 3:5] = SLASH
    layer = st.MaxPool2D(2)
    maxima = [pool(convolve(image, SLASH), layer) for image in (here, there)]
    assert [one.max() for one in maxima] == [2, 2]
    assert [np.argwhere(one == 2).tolist() for one in maxima] == [[[1, 1]]] * 2
    strided = [convolve(image, SLASH, stride=2).max() for image in (here, there)]
    assert strided == [2, 0]


# ------------------------------------------------------------------- M5: pooling


@pytest.mark.parametrize("layer", [st.MaxPool2D(2), st.AvgPool2D(2, stride=2)])
def test_m5_pooling_halves_the_image_and_keeps_the_channels(
    layer: st.MaxPool2D | st.AvgPool2D,
) -> None:
    network = st.Network([layer], (200, 200, 64))
    assert network.resolved[0].output_shape == (100, 100, 64)
    assert network.parameters == 0


def test_m5_each_depth_slice_is_pooled_alone() -> None:
    image = np.random.default_rng(3).random((1, 6, 8, 5), np.float32)
    patches = image.reshape(1, 3, 2, 4, 2, 5)
    largest = st.Network([st.MaxPool2D(2)], (6, 8, 5)).activations(image, "pool1")
    np.testing.assert_array_equal(largest, patches.max((2, 4)))
    mean = st.Network([st.AvgPool2D(2)], (6, 8, 5)).activations(image, "pool1")
    np.testing.assert_allclose(mean, patches.mean((2, 4)), rtol=1e-6)


def test_m5_a_pooled_map_is_a_quarter_and_still_the_same_picture() -> None:
    """Its pixels, drawn twice as large, go with the map's and not with other digits'."""
    images = st.load_data("digits")[1].images[:10]
    network = st.lenet5()
    maps = network.activations(images, ["relu1", "pool1"])
    large, small = maps["relu1"], maps["pool1"]
    assert small.size * 4 == large.size
    enlarged = small.repeat(2, axis=1).repeat(2, axis=2)
    likeness = np.corrcoef(large.reshape(10, -1), enlarged.reshape(10, -1))[:10, 10:]
    assert likeness.diagonal().min() > 0.9
    assert (likeness.argmax(axis=1) == np.arange(10)).all()


# ------------------------------------------------- M6: backpropagation through pooling

PATCH = np.array([[1, 7], [0, 8]], np.float32)


def pooling_gradient(
    patch: np.ndarray, layer: st.MaxPool2D | st.AvgPool2D
) -> np.ndarray:
    """How each pixel of the patch changes its one pooled value."""
    network = st.Network([layer], (2, 2, 1))
    return network.input_gradient(patch[None], layer="pool1", unit=(0, 0, 0))[0, ..., 0]


def test_m6_only_the_maximum_gets_the_gradient() -> None:
    found = pooling_gradient(PATCH, st.MaxPool2D(2))
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])


@pytest.mark.parametrize(("place", "change"), [((0, 1), 0.0), ((1, 1), 0.25)])
def test_m6_a_nudge_to_the_7_changes_nothing_one_to_the_8_all(
    place: tuple[int, int], change: float
) -> None:
    nudged = PATCH.copy()
    nudged[place] += 0.25
    assert pool(nudged, st.MaxPool2D(2)).item() - 8 == change


def test_m6_a_tie_goes_to_the_first_in_row_major_order() -> None:
    tied = np.array([[1, 8], [8, 8]], np.float32)
    found = pooling_gradient(tied, st.MaxPool2D(2))
    np.testing.assert_array_equal(found, [[0, 1], [0, 0]])


def test_m6_average_pooling_shares_the_gradient_equally() -> None:
    found = pooling_gradient(PATCH, st.AvgPool2D(2))
    np.testing.assert_array_equal(found, np.full((2, 2), 0.25))


@pytest.mark.parametrize("layer", [st.MaxPool2D(2), st.AvgPool2D(2)])
def test_m6_agrees_with_numerical_differentiation(
    layer: st.MaxPool2D | st.AvgPool2D,
) -> None:
    """A step of 1/4 is exact in binary and crosses none of the patch's gaps of 1."""
    numerical = np.zeros((2, 2))
    for place in np.ndindex(2, 2):
        up, down = PATCH.copy(), PATCH.copy()
        up[place] += 0.25
        down[place] -= 0.25
        numerical[place] = (pool(up, layer) - pool(down, layer)).item() / 0.5
    np.testing.assert_array_equal(pooling_gradient(PATCH, layer), numerical)


# ------------------------------------------------------------------- M7: LeNet-5


def test_m7_lenet5_has_the_lectures_volumes() -> None:
    network = st.lenet5()
    maps = network.activations(np.zeros((1, 32, 32, 1), np.float32))
    shapes = {name: values.shape[1:] for name, values in maps.items()}
    assert shapes["conv1"] == (28, 28, 6)
    assert shapes["pool1"] == (14, 14, 6)
    assert shapes["conv2"] == (10, 10, 16)
    assert shapes["pool2"] == (5, 5, 16)
    assert [shapes[f"dense{n}"] for n in (1, 2, 3)] == [(120,), (84,), (10,)]


@pytest.mark.parametrize("activation", ["relu", "tanh", "scaled_tanh", "sigmoid"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_m7_lenet5_has_61706_parameters(activation: str, pooling: str) -> None:
    network = st.lenet5(activation, pooling)
    learned = [one.parameters for one in network.resolved if one.parameters]
    assert learned == [156, 2_416, 48_120, 10_164, 850]
    assert network.parameters == 61_706


def test_m7_the_outputs_are_probabilities_of_ten_digits() -> None:
    images = np.random.default_rng(4).integers(0, 256, (3, 28, 28), np.uint8)
    probabilities = st.lenet5().predict_proba(images)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-6)


def test_m7_lenet5_learns_the_digits() -> None:
    """Three epochs over the built-in digits are enough to read most of them."""
    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images, train.labels, epochs=3, batch_size=32)
    assert network.score(test.images, test.labels) > 0.9


# ------------------------------------------- M8: the convolutional part gives features


def test_m8_an_mlp_classifies_on_the_features_of_the_convolutional_part() -> None:
    """Nothing but the features reaches the dense layers: they give the same logits."""
    network = st.lenet5(seed=2)
    images = np.random.default_rng(5).integers(0, 256, (20, 28, 28), np.uint8)
    features = network.features(images)
    mlp = st.Network(
        [st.Flatten(), *network.layers[-5:]], input_shape=(1, 1, features.shape[1])
    )
    mlp.set_weights(
        {name: w for name, w in network.weights.items() if name.startswith("dense")}
    )
    found = mlp.logits(features[:, None, None, :])
    np.testing.assert_allclose(found, network.logits(images), rtol=1e-5, atol=1e-5)


def test_m8_a_linear_classifier_does_better_on_features_than_on_pixels() -> None:
    """By least squares it makes less than half as many errors."""
    train, test = st.load_data("digits")
    network = st.lenet5()
    network.fit(train.images, train.labels, epochs=3, batch_size=32)

    def errors(*parts: np.ndarray) -> float:
        rows, others = (np.c_[x, np.ones(len(x))].astype(float) for x in parts)
        square = rows.T @ rows + np.eye(rows.shape[1])
        weights = np.linalg.solve(square, rows.T @ np.eye(10)[train.labels])
        return float(np.mean((others @ weights).argmax(1) != test.labels))

    pixels = (part.images.reshape(len(part), -1) / 255 for part in (train, test))
    features = (network.features(part.images) for part in (train, test))
    assert errors(*features) < errors(*pixels) / 2

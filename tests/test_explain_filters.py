"""Filters and feature maps as pictures."""

import numpy as np
import pytest

import striate as st
from striate import explain

RNG = np.random.default_rng(4)


def test_grey_filters_are_symmetric_about_mid_grey() -> None:
    net = st.Network([st.Conv2D(3, 3)], (8, 8, 1))
    kernel = RNG.normal(size=(1, 3, 3))
    kernel[0, 1, 1] = 0
    net.set_weights(
        {"conv1.weight": [kernel, -5 * kernel, 0 * kernel], "conv1.bias": [0, 0, 0]}
    )
    one, opposite, nothing = explain.filter_pictures(net)[..., 0].astype(int)
    np.testing.assert_array_equal(one - 128, 128 - opposite)
    assert np.abs(one - 128).max() == 127
    assert one[1, 1] == 128
    assert (nothing == 128).all()
    order = np.argsort(kernel[0].ravel())
    assert (np.diff(one.ravel()[order]) >= 0).all()


def test_colour_filters_are_what_they_are_to_pixels() -> None:
    """A kernel acts on (pixel - mean) / std, so one of pixels is divided by std."""
    pixels = RNG.integers(0, 256, (10, 8, 8, 3), np.uint8)
    pixels[..., 1] //= 8
    net = st.Network([st.Conv2D(2, 3), st.Flatten(), st.Dense(2)], (8, 8, 3))
    net.fit(pixels, np.arange(10) % 2, epochs=1)
    weights = dict(net.weights)
    weights["conv1.weight"] = np.ones((2, 3, 3, 3))
    net.set_weights(weights)
    pictures = explain.filter_pictures(net)
    assert pictures.shape == (2, 3, 3, 3)
    assert net.preprocessing is not None
    inverse = 1 / np.array(net.preprocessing.std)
    expected = np.rint(128 + 127 * inverse / inverse.max())
    np.testing.assert_array_equal(pictures[0, 0, 0], expected)
    # Raising a pixel raises the output by what the picture says, colour by colour.
    base = np.full((1, 8, 8, 3), 100, np.uint8)
    rise = []
    for channel in range(3):
        more = base.copy()
        more[0, 1, 1, channel] += 50
        rise.append(
            np.ptp(net.activations(np.concatenate([base, more]), "conv1")[:, 0, 0, 0])
        )
    np.testing.assert_allclose(
        np.array(rise) / max(rise), inverse / inverse.max(), rtol=1e-3
    )


def test_deeper_filters_show_every_channel_in_a_grid() -> None:
    net = st.lenet5()
    picture = explain.filter_pictures(net, "conv2")[7, ..., 0].astype(int)
    kernel = net.weights["conv2.weight"][7]
    for channel in range(6):
        row, column = divmod(channel, 3)
        tile = picture[6 * row : 6 * row + 5, 6 * column : 6 * column + 5]
        expected = np.rint(128 + 127 * kernel[channel] / np.abs(kernel).max())
        np.testing.assert_array_equal(tile, expected)
    assert (picture[5] == 255).all()
    assert (picture[:, 11] == 255).all()


def test_units_of_a_dense_layer_look_at_places() -> None:
    net = st.Network([st.Flatten(), st.Dense(4)], (5, 6, 3))
    pictures = explain.filter_pictures(net)
    assert pictures.shape == (4, 5, 6, 3)
    image = RNG.integers(0, 256, (1, 5, 6, 3), np.uint8)
    logits = (image / 255 * (pictures.astype(float) - 128)).sum(axis=(1, 2, 3)) / 127
    scale = np.abs(net.weights["dense1.weight"]).max(axis=1)
    expected = net.logits(image)[0] - net.weights["dense1.bias"]
    rounding = 0.5 / 127 * scale * (image / 255).sum()
    assert (np.abs(logits * scale - expected) <= rounding).all()


def test_pictures_are_enlarged_by_whole_factors() -> None:
    net = st.lenet5()
    small, large = explain.filter_pictures(net), explain.filter_pictures(net, enlarge=3)
    assert large.shape == (6, 15, 15, 1)
    for row in range(3):
        for column in range(3):
            np.testing.assert_array_equal(large[:, row::3, column::3], small)
    with pytest.raises(
        ValueError, match="enlarge must be a whole number of at least 1"
    ):
        explain.filter_pictures(net, enlarge=0)


def test_layers_without_filters_say_which_have_some() -> None:
    net = st.lenet5()
    for name in ("relu1", "dense2"):
        with pytest.raises(
            st.UsageError,
            match=f"{name} has no filters.*here conv1, conv2, dense1 have",
        ):
            explain.filter_pictures(net, name)
    with pytest.raises(st.UsageError, match="no layer 'conv9'; the layers are conv1"):
        explain.filter_pictures(net, "conv9")
    with pytest.raises(st.UsageError, match=r"This network has no filters.*none of th"):
        explain.filter_pictures(st.Network([st.MaxPool2D(2)], (8, 8, 1)))


def test_a_dense_layer_behind_another_ones_flatten_has_no_places() -> None:
    layers = [st.Flatten(), st.Dense(4), st.Flatten(), st.Dense(2)]
    net = st.Network(layers, (3, 3, 1))
    assert explain.filter_pictures(net).shape == (4, 3, 3, 1)
    with pytest.raises(st.UsageError, match=r"dense2 has no filters.*here dense1 have"):
        explain.filter_pictures(net, "dense2")


def test_maps_share_one_scale() -> None:
    maps = RNG.uniform(0, 5, (6, 7, 3)).astype(np.float32)
    pictures = explain.map_pictures(maps, enlarge=2)
    assert pictures.shape == (3, 12, 14, 1)
    expected = np.rint(255 * maps / maps.max()).transpose(2, 0, 1)
    np.testing.assert_array_equal(pictures[:, ::2, ::2, 0], expected)
    signed = explain.map_pictures(maps - 2)[..., 0].astype(int)
    expected = 128 + 127 * (maps - 2) / np.abs(maps - 2).max()
    assert (np.abs(signed - expected.transpose(2, 0, 1)) <= 0.5001).all()


def test_maps_of_one_place_and_of_no_numbers() -> None:
    assert explain.map_pictures([1.0, 0.0, 4.0]).ravel().tolist() == [64, 0, 255]
    strange = np.array([[[np.nan, 1.0]], [[np.inf, -np.inf]]])
    assert explain.map_pictures(strange).ravel().tolist() == [0, 0, 255, 0]
    assert not explain.map_pictures(np.zeros((2, 2, 1))).any()
    with pytest.raises(st.ShapeError, match="the maps of one image, H,W,C, or D units"):
        explain.map_pictures(np.zeros((1, 2, 2, 1)))
    with pytest.raises(st.DataError, match="activations cannot be read as one array"):
        explain.map_pictures([[1], [1, 2]])

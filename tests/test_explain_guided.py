"""Guided backpropagation, and the deconvolutional projection of a unit."""

import numpy as np
import pytest
from strategies import make_case

import striate as st
from striate import explain


def network():
    layers = [st.Conv2D(4, 3), st.ReLU(), st.MaxPool2D(2), st.Conv2D(5, 2), st.ReLU()]
    return st.Network([*layers, st.Flatten(), st.Dense(3)], (10, 9, 2), seed=6)


def test_guided_backpropagation_is_the_gradient_by_its_rule():
    net = network()
    case = make_case(net, 4)
    asked = {"target": case.labels}, {"layer": "conv2", "unit": (1, 0, 3)}
    for what in asked:
        np.testing.assert_array_equal(
            explain.guided_backpropagation(net, case.images, **what),
            net.input_gradient(case.images, rule="guided", **what),
        )
    np.testing.assert_array_equal(
        explain.guided_backpropagation(net, case.images),
        explain.guided_backpropagation(
            net, case.images, target=net.predict(case.images)
        ),
    )


def test_guided_backpropagation_keeps_only_what_raises_units():
    """From a positive weight through positive kernels nothing is taken away."""
    net = st.Network([st.ReLU(), st.Flatten(), st.Dense(2, bias=False)], (1, 3, 1))
    net.set_weights({"dense1.weight": [[1, -2, 3], [0, 0, 0]]})
    image = np.array([[5, 5, -5]], np.float32)[None]
    found = explain.guided_backpropagation(net, image, target=0)
    assert found.ravel().tolist() == [1, 0, 0]


def test_the_projection_through_a_convolution_is_its_kernel_times_the_activation():
    net = network()
    images = make_case(net, 30).images
    found = explain.deconvolution(net, images, "relu1", unit=(2, 4, 1))
    kernel = net.weights["conv1.weight"][1].transpose(1, 2, 0)
    fired = net.activations(images, "relu1")[:, 2, 4, 1]
    assert (fired > 0).any()
    np.testing.assert_array_equal(found.activations, fired)
    wanted = np.zeros_like(images)
    wanted[:, 2:5, 4:7] = fired[:, None, None, None] * kernel
    np.testing.assert_allclose(found.values, wanted, atol=1e-6)
    assert found.units.tolist() == [[2, 4, 1]] * 30
    assert found.boxes.tolist() == [[2, 4, 5, 7]] * 30


def test_unpooling_goes_to_the_recorded_maximum():
    net = st.Network([st.MaxPool2D(2)], (4, 4, 1))
    image = np.array([[1, 5, 1, 7], [4, 6, 0, 8], [3, 2, 2, 3], [0, 1, 1, 4]])
    found = explain.deconvolution(net, image[None].astype(np.float32), "pool1")
    wanted = np.zeros((4, 4))
    wanted[1, 3] = 8
    np.testing.assert_array_equal(found.values[0, :, :, 0], wanted)
    assert found.units.tolist() == [[0, 1, 0]]


def test_a_projection_of_two_layers_by_hand():
    """What comes down negative stays in the ReLU below, on or off."""
    net = st.Network([st.Conv2D(2, 1), st.ReLU(), st.Conv2D(1, 1)], (1, 1, 1))
    net.set_weights(
        {
            "conv1.weight": np.array([3, 5]).reshape(2, 1, 1, 1),
            "conv1.bias": [0, 0],
            "conv2.weight": np.array([2, -1]).reshape(1, 2, 1, 1),
            "conv2.bias": [0],
        }
    )
    found = explain.deconvolution(net, np.full((1, 1, 1), 7, np.float32), "conv2")
    assert found.activations.tolist() == [2 * 21 - 35]
    assert found.values.ravel().tolist() == [7 * 2 * 3]


def test_the_strongest_unit_of_a_map_and_of_a_layer():
    net = network()
    images = make_case(net, 20).images
    maps = net.activations(images, "relu2")
    one = explain.deconvolution(net, images, "relu2", channel=3)
    every = explain.deconvolution(net, images, "relu2")
    np.testing.assert_array_equal(one.activations, maps[..., 3].max((1, 2)))
    np.testing.assert_array_equal(every.activations, maps.max((1, 2, 3)))
    assert (one.units[:, 2] == 3).all()
    for found in (one, every):
        rows, columns, channels = found.units.T
        np.testing.assert_array_equal(
            maps[np.arange(20), rows, columns, channels], found.activations
        )
        given = explain.deconvolution(net, images, "relu2", unit=found.units)
        np.testing.assert_array_equal(found.values, given.values)
        for values, box in zip(found.values, found.boxes, strict=True):
            top, left, bottom, right = box
            assert values.any()
            values[top:bottom, left:right] = 0
            assert not values.any()


def test_units_of_flat_layers():
    net = network()
    images = make_case(net, 4).images
    logits = net.logits(images)
    found = explain.deconvolution(net, images, "dense1")
    assert found.units.ravel().tolist() == logits.argmax(1).tolist()
    # The last column does not fill a patch of the pooling.
    assert found.boxes.tolist() == [[0, 0, 10, 8]] * 4
    same = explain.deconvolution(net, images, "dense1", unit=logits.argmax(1))
    np.testing.assert_array_equal(same.values, found.values)
    third = explain.deconvolution(net, images, "dense1", channel=2)
    np.testing.assert_array_equal(third.activations, logits[:, 2])


def test_what_does_not_fire_has_no_projection():
    net = network()
    quiet = dict(net.weights) | {"conv2.bias": np.full(5, -100)}
    net.set_weights(quiet)
    images = make_case(net, 2).images
    for layer in ("conv2", "relu2"):
        found = explain.deconvolution(net, images, layer, channel=1)
        assert (found.activations <= 0).all()
        assert not found.values.any()


def test_units_channels_and_layers_there_are_not():
    net = network()
    images = make_case(net, 2).images
    with pytest.raises(
        st.UsageError, match=r"not unit=\(0, 0, 0\) and channel=1 at on"
    ):
        explain.deconvolution(net, images, "conv2", unit=(0, 0, 0), channel=1)
    with pytest.raises(st.ShapeError, match="no channel 5 in conv2, which has 5"):
        explain.deconvolution(net, images, "conv2", channel=5)
    with pytest.raises(
        ValueError, match="channel must be a whole number of at least 0"
    ):
        explain.deconvolution(net, images, "conv2", channel=-1)
    with pytest.raises(st.ShapeError, match="no unit"):
        explain.deconvolution(net, images, "conv2", unit=(3, 0, 0))
    for explained in (explain.deconvolution, explain.guided_backpropagation):
        with pytest.raises(
            st.UsageError, match="no layer 'conv3'; the layers are conv1"
        ):
            explained(net, images, layer="conv3", unit=(0, 0, 0))
    with pytest.raises(st.UsageError, match="exactly one thing"):
        explain.guided_backpropagation(net, images, layer="conv2")


def test_networks_whose_numbers_are_not_finite():
    net = network()
    images = abs(make_case(net, 2).images)
    net.set_weights({name: np.full(w.shape, 1e20) for name, w in net.weights.items()})
    with pytest.raises(
        st.DataError, match="what makes conv2 fire must be finite to be"
    ):
        explain.deconvolution(net, images, "conv2")
    with pytest.raises(st.DataError, match="the gradient of the input must be finite"):
        explain.guided_backpropagation(net, images, target=0)

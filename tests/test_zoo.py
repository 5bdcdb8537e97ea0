"""Networks from the literature: their shapes, and how deep they are made."""

import numpy as np
import pytest

from striate import (
    AvgPool2D,
    Conv2D,
    Network,
    ReLU,
    ScaledTanh,
    ShapeError,
    receptive_field,
)
from striate.zoo import NETWORKS, lenet5, lenet5_strided, mobilenet, resnet, vgg


def test_lenet5_in_the_manner_of_1998() -> None:
    network = NETWORKS["lenet5-1998"](seed=3)
    assert network.layers[1:3] == (ScaledTanh(), AvgPool2D(2))
    assert ReLU() not in network.layers
    assert network.parameters == 61_706
    assert network.seed == 3


def test_lenet5_with_strides_has_the_same_maps_and_weights() -> None:
    """What is pooled is left out there: the first of every four units is computed."""
    pooled, strided = lenet5(seed=1), lenet5_strided(seed=1)
    assert strided.parameters == pooled.parameters
    strided.set_weights(pooled.weights)
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 1), np.uint8)
    every = pooled.activations(images, "conv1")
    found = strided.activations(images)
    np.testing.assert_allclose(found["conv1"], every[:, ::2, ::2], atol=1e-5)
    assert found["conv2"].shape[1:] == pooled.resolved[5].output_shape


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_command_line_take_shape_classes_and_seed(name: str) -> None:
    network = NETWORKS[name](input_shape=(16, 20, 3), classes=7, seed=1)
    assert isinstance(network, Network)
    assert network.input_shape == (16, 20, 3)
    assert network.resolved[-1].output_shape == (7,)


def test_lenet5_refuses_other_names_and_too_small_images() -> None:
    with pytest.raises(ValueError, match="activation must be one of 'relu', 'tanh'"):
        lenet5(activation="gelu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="pooling must be one of 'max', 'average', no"):
        lenet5(pooling=["max"])  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match=r"MaxPool2D\(2\) at layer 6 \(pool2\) needs"):
        lenet5(input_shape=(15, 15, 1))


@pytest.mark.parametrize("build", [vgg, mobilenet, resnet])
@pytest.mark.parametrize("size", [(16, 16), (28, 28), (48, 48), (56, 46), (70, 40)])
def test_the_last_stage_is_the_first_that_sees_the_whole_image(build, size):
    network = build((*size, 1), width=4)
    fields = [
        receptive_field(network, one.index)
        for one in network.resolved
        if isinstance(one.layer, Conv2D)
    ]
    assert max(field.size[0] for field in fields) >= size[0]
    assert max(field.size[1] for field in fields) >= size[1]
    # Before the map was halved for the last time, no convolution saw it all.
    last = max(field.jump for field in fields)
    before = [field.size for field in fields if field.jump < last]
    assert all(rows < size[0] or columns < size[1] for rows, columns in before)


@pytest.mark.parametrize("build", [vgg, mobilenet, resnet])
def test_large_images_are_made_smaller_by_the_first_convolution(build):
    network = build((200, 150, 3), width=4)
    first = network.layers[0]
    assert (first.stride, first.kernel_size) == (4, 9)
    assert network.resolved[0].output_shape == (50, 38, 4)


@pytest.mark.parametrize("build", [vgg, mobilenet, resnet])
def test_images_too_small_are_refused_in_words(build):
    message = rf"{build.__name__} needs images of at least 8x8 pixels but gets 7x9"
    with pytest.raises(ShapeError, match=message):
        build((7, 9, 1))
    with pytest.raises(ValueError, match="width must be a whole number of at least 1"):
        build((8, 8, 1), width=0)

"""Receptive fields against gradients: what changes a unit is what it is said to see.

All weights are one and all biases zero, so that no sum of products along two ways can be
zero, and all numbers are small whole ones or their quotients: nothing underflows and
nothing is cancelled. Below a max pooling one image shows one way; there the union over
images is taken in each of which another pixel is the only bright one.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from strategies import Stack, convolutions, numbers, poolings, with_ones

from striate import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    LeakyReLU,
    MaxPool2D,
    Network,
    ReLU,
    Residual,
    ShapeError,
    receptive_field,
)
from striate.layers import Layer


@st.composite
def blocks(draw: st.DrawFn, channels: int) -> Residual:
    """A block whose branches see different places, with gaps, at any stride."""
    filters, stride = draw(st.integers(1, 3)), draw(st.just(1) | numbers(3))

    def convolution(stride: int | tuple[int, int]) -> Conv2D:
        dilation = draw(st.just(1) | numbers(3))
        return Conv2D(filters, draw(numbers(4)), stride, "same", dilation)

    layers: list[Layer] = [convolution(stride)]
    layers += draw(
        st.sampled_from(
            [[], [ReLU()], [convolution(1)], [Residual([convolution(1)]), ReLU()]]
        )
    )
    if stride == 1 and filters == channels and draw(st.booleans()):
        return Residual(layers)
    return Residual(layers, shortcut=[convolution(stride)])


@st.composite
def seeing_networks(draw: st.DrawFn) -> Network:
    """Any stack whose gradients hide nothing; layers that do not fit are left out."""
    sides = st.integers(1, 10)
    stack = Stack(draw(st.tuples(sides, sides, st.integers(1, 3))))
    add = stack.add
    for _ in range(draw(st.integers(1, 4))):
        channels = stack.shape[2]
        add(draw(convolutions(channels) | poolings() | blocks(channels)))
        add(draw(st.sampled_from([ReLU(), LeakyReLU(), BatchNorm(), Dropout()])))
    if draw(st.booleans()):
        add(draw(st.sampled_from([Flatten(), GlobalAvgPool2D()])))
        add(Dense(3))
    return with_ones(Network(stack.layers, stack.input_shape))


def lit_pixels(network: Network) -> NDArray[np.float32]:
    """One image for every pixel, in which it alone is not black, and one all bright."""
    height, width, channels = network.input_shape
    alone = np.eye(height * width, dtype=np.float32)
    images = np.concatenate([alone, np.ones_like(alone[:1])])
    return np.repeat(images.reshape(-1, height, width, 1), channels, axis=3)


def bounds(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    if not mask.any():
        return 0, 0, 0, 0
    places = np.argwhere(mask)
    return (*places.min(0).tolist(), *(places.max(0) + 1).tolist())


@settings(max_examples=100, deadline=None)
@given(seeing_networks(), st.data())
def test_gradients_reach_just_the_pixels_of_the_field(
    network: Network, data: st.DataObject
) -> None:
    one = data.draw(st.sampled_from(network.resolved))
    images, field = lit_pixels(network), receptive_field(network, one.index)
    hidden = any(isinstance(each.layer, MaxPool2D) for each in network.resolved)
    for _ in range(3):
        row, column = (data.draw(st.integers(0, end - 1)) for end in field.units)
        channel = data.draw(st.integers(0, one.output_shape[-1] - 1))
        flat = len(one.output_shape) == 1
        unit = channel if flat else (row, column, channel)
        if isinstance(one.layer, Flatten):
            continue  # its field stands for all its units together
        gradient = network.input_gradient(images, layer=one.index, unit=unit)
        each = (gradient != 0).any(axis=3)
        seen = each.any(axis=0)
        np.testing.assert_array_equal(seen, field.pixels(row, column))
        assert bounds(seen) == field.box(row, column)
        if not hidden:  # then any image shows it
            np.testing.assert_array_equal(each[-1], seen)


@pytest.mark.parametrize("layer", ["flatten1", "dense1"])
@settings(max_examples=20, deadline=None)
@given(network=seeing_networks())
def test_flat_layers_see_what_any_unit_of_the_map_sees(
    layer: str, network: Network
) -> None:
    kept = [
        one
        for one in network.layers
        if not isinstance(one, Flatten | GlobalAvgPool2D | Dense)
    ]
    maps = with_ones(Network(kept or [ReLU()], network.input_shape))
    flat = with_ones(Network([*maps.layers, Flatten(), Dense(1)], network.input_shape))
    field = receptive_field(maps, -1)
    union = np.zeros(flat.input_shape[:2], np.bool_)
    for row, column in np.ndindex(field.units):
        union |= field.pixels(row, column)
    found = receptive_field(flat, layer)
    np.testing.assert_array_equal(found.pixels(), union)
    gradient = flat.input_gradient(lit_pixels(flat), layer="dense1", unit=0)
    np.testing.assert_array_equal((gradient != 0).any(axis=(0, 3)), union)


def test_branches_see_a_union_of_products_and_no_product_of_unions() -> None:
    """A wide kernel beside a high one see a cross, not all of its box."""
    cross = Residual(
        [Conv2D(1, (1, 5), padding="same")], [Conv2D(1, (5, 1), 1, "same")]
    )
    network = with_ones(Network([cross], (7, 7, 1)))
    pixels = receptive_field(network, "add1").pixels(3, 3)
    expected = np.zeros((7, 7), np.bool_)
    expected[3, 1:6] = expected[1:6, 3] = True
    np.testing.assert_array_equal(pixels, expected)
    gradient = network.input_gradient(
        np.zeros((1, 7, 7, 1), np.float32), layer="add1", unit=(3, 3, 0)
    )
    np.testing.assert_array_equal(gradient[0, :, :, 0] != 0, expected)


def test_a_branch_that_sees_only_padding_adds_nothing_to_the_box() -> None:
    """Its rows would lie in the image, but in the first column all is padding."""
    aside = [Conv2D(1, (5, 1), padding=(2, 1))]
    block = Residual(aside, shortcut=[Conv2D(1, 3, padding=(1, 2))])
    network = with_ones(Network([block], (7, 7, 1)))
    field = receptive_field(network, "add1")
    assert field.box(3, 0) == (2, 0, 5, 1)
    assert field.box(3, 1) == (1, 0, 6, 2)
    gradient = network.input_gradient(
        np.zeros((1, 7, 7, 1), np.float32), layer="add1", unit=(3, 0, 0)
    )
    assert bounds(gradient[0, :, :, 0] != 0) == field.box(3, 0)


def test_gaps_are_left_out() -> None:
    apart = Network([Conv2D(1, 2, stride=4), Conv2D(1, 2)], (10, 10, 1))
    field = receptive_field(apart, "conv2")
    assert field.box() == (0, 0, 6, 6)
    assert np.flatnonzero(field.pixels().any(axis=1)).tolist() == [0, 1, 4, 5]


def test_units_there_are_not_have_no_pixels() -> None:
    field = receptive_field(Network([Conv2D(1, 3)], (5, 5, 1)), 0)
    with pytest.raises(ShapeError, match=r"no unit \(0, 3\) in a map of 3x3; rows go"):
        field.pixels(0, 3)

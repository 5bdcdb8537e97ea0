"""Resolving a stack of layers: the lecture's numbers, names, weights and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from striate.errors import ShapeError, UsageError
from striate.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    ResolvedLayer,
    ScaledTanh,
    Sigmoid,
    Tanh,
    Window,
    resolve,
)
from striate.resolve import find_layer

LENET5 = [
    *(Conv2D(6, 5), ReLU(), MaxPool2D(2), Conv2D(16, 5), ReLU(), MaxPool2D(2)),
    *(Flatten(), Dense(120), ReLU(), Dense(84), ReLU(), Dense(10)),
]

# ------------------------------------------------------------ the lecture's numbers


def test_m1_parameters_and_volume_of_a_convolution() -> None:
    """(W_k * H_k * C_in + 1) * C_out parameters; W x H x C_out with enough padding."""
    for channels in (1, 3, 7):
        (conv,) = resolve([Conv2D(16, (5, 3), padding="same")], (30, 40, channels))
        assert conv.output_shape == (30, 40, 16)
        assert conv.parameters == (3 * 5 * channels + 1) * 16


@pytest.mark.parametrize("pool", [MaxPool2D(2), AvgPool2D(2, stride=2)])
def test_m5_pooling_halves_the_image_and_keeps_the_channels(pool: Layer) -> None:
    (resolved,) = resolve([pool], (200, 200, 64))
    assert resolved.output_shape == (100, 100, 64)
    assert resolved.parameters == resolved.multiply_adds == 0


def test_m7_lenet5_shapes_parameters_and_cost() -> None:
    resolved = resolve(LENET5, (32, 32, 1))
    shapes = {one.name: one.output_shape for one in resolved}
    assert shapes["conv1"] == (28, 28, 6)
    assert shapes["pool1"] == (14, 14, 6)
    assert shapes["conv2"] == (10, 10, 16)
    assert shapes["pool2"] == (5, 5, 16)
    assert shapes["flatten1"] == (400,)
    learned = [one.parameters for one in resolved if one.weights]
    assert learned == [156, 2_416, 48_120, 10_164, 850]
    assert sum(learned) == 61_706
    assert sum(one.multiply_adds for one in resolved) == 416_520


# ---------------------------------------------------------------------- resolving


def test_names_count_by_kind() -> None:
    stack = [
        *(Conv2D(2, 1), Tanh(), MaxPool2D(1), ScaledTanh(), AvgPool2D(1), ReLU()),
        *(LeakyReLU(), Sigmoid(), Dropout(), Conv2D(2, 1), Flatten(), Dense(1)),
    ]
    names = [one.name for one in resolve(stack, (4, 4, 1))]
    assert names == [
        *("conv1", "tanh1", "pool1", "tanh2", "pool2", "relu1"),
        *("leakyrelu1", "sigmoid1", "dropout1", "conv2", "flatten1", "dense1"),
    ]


def test_weights_are_named_and_ordered_as_pytorch_users_expect() -> None:
    stack = [Conv2D(8, (5, 3), groups=2), Flatten(), Dense(3), Dense(2, bias=False)]
    resolved = resolve(stack, (6, 4, 4))
    specs = [weight for one in resolved for weight in one.weights]
    assert [(spec.name, spec.shape, spec.fan_in) for spec in specs] == [
        ("conv1.weight", (8, 2, 5, 3), 30),
        ("conv1.bias", (8,), 30),
        ("dense1.weight", (3, 32), 32),
        ("dense1.bias", (3,), 32),
        ("dense2.weight", (2, 3), 3),
    ]


def test_groups_divide_the_cost() -> None:
    (whole,) = resolve([Conv2D(8, 3)], (9, 9, 4))
    (split,) = resolve([Conv2D(8, 3, groups=4)], (9, 9, 4))
    assert split.multiply_adds * 4 == whole.multiply_adds == 7 * 7 * 8 * 4 * 9


def test_same_padding_puts_the_odd_row_and_column_last() -> None:
    (conv,) = resolve([Conv2D(1, 2, padding="same")], (5, 5, 1))
    assert conv.window == Window((2, 2), (1, 1), (1, 1), (0, 1, 0, 1))
    (conv,) = resolve([Conv2D(1, 5, stride=2, padding="same")], (32, 33, 1))
    assert conv.window is not None
    assert conv.window.padding == (1, 2, 2, 2)
    assert conv.output_shape == (16, 17, 1)


def test_counts_are_exact_beyond_what_floats_hold() -> None:
    (conv,) = resolve([Conv2D(1000, 999, padding="same")], (9999, 9999, 1001))
    assert conv.multiply_adds == 9999 * 9999 * 1000 * 1001 * 999 * 999


# ------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("stack", "input_shape", "message"),
    [
        (
            [MaxPool2D(2), ReLU(), Conv2D(16, 5)],
            (8, 8, 1),
            (
                "Conv2D(16, 5) at layer 3 (conv1) needs an input of at least 5x5 but gets "
                "4x4; add padding=2 or drop a pooling layer."
            ),
        ),
        (
            [Conv2D(16, (1, 7), padding=1)],
            (8, 3, 1),
            (
                "Conv2D(16, (1, 7), padding=1) at layer 1 (conv1) needs an input of at "
                "least 1x5 but gets 8x3; use padding=(0, 3) or give a larger input_shape."
            ),
        ),
        (
            [Conv2D(6, 5)],
            (1, 28, 28),
            (
                "Conv2D(6, 5) at layer 1 (conv1) needs an input of at least 5x5 but gets "
                "1x28; add padding=2 or give a larger input_shape (input_shape is "
                "(height, width, channels); did you mean (28, 28, 1)?)."
            ),
        ),
        (
            [MaxPool2D(2), MaxPool2D(2)],
            (3, 3, 1),
            (
                "MaxPool2D(2) at layer 2 (pool2) needs an input of at least 2x2 but gets "
                "1x1; take a smaller size or drop a pooling layer."
            ),
        ),
        (
            [Conv2D(16, 5), Dense(10)],
            (9, 9, 1),
            (
                "Dense(10) at layer 2 (dense1) needs a flat input but gets 5x5x16; "
                "put Flatten() before it."
            ),
        ),
        (
            [Flatten(), ReLU(), Conv2D(16, 5)],
            (9, 9, 1),
            (
                "Conv2D(16, 5) at layer 3 (conv1) needs a volume of height x width x "
                "channels but gets a flat vector of 81 values; put it before Flatten()."
            ),
        ),
        (
            [Flatten(), AvgPool2D(2)],
            (9, 9, 1),
            (
                "AvgPool2D(2) at layer 2 (pool1) needs a volume of height x width x "
                "channels but gets a flat vector of 81 values; put it before Flatten()."
            ),
        ),
        (
            [Conv2D(16, 5, groups=4)],
            (9, 9, 6),
            (
                "Conv2D(16, 5, groups=4) at layer 1 (conv1) needs channels that groups=4 "
                "divides but gets 6; choose groups from 1, 2."
            ),
        ),
        (
            [Conv2D(2**20, 1)],
            (2**12, 2**12, 1),
            (
                "Conv2D(1048576, 1) at layer 1 (conv1) would put out 4096x4096x1048576 "
                "values, more than a network can hold; use smaller images, less padding "
                "or fewer filters."
            ),
        ),
        (
            [Flatten(), Dense(2**28)],
            (2**12, 2**12, 1),
            (
                "Dense(268435456) at layer 2 (dense1) would learn 268435456x16777216 "
                "weights, more than any memory holds; use fewer filters or units."
            ),
        ),
        (
            [],
            (9, 9, 6),
            "A network needs at least one layer; the list is empty.",
        ),
        (
            [ReLU()],
            (32, 32),
            (
                "input_shape must be (height, width, channels), for instance (32, 32, 1) "
                "for grey or (32, 32, 3) for colour images, not (32, 32)."
            ),
        ),
    ],
)
def test_shape_errors_say_what_and_what_to_do(
    stack: list[Layer], input_shape: tuple[int, int, int], message: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        resolve(stack, input_shape)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (
            [Conv2D(6, 5), "relu"],
            r"layers\[1\] is the string 'relu'.*write ReLU\(...\)",
        ),
        (["softmax"], r"layers\[0\] is the string 'softmax'.*take one of Conv2D, Max"),
        ([ReLU], r"layers\[0\] is the class ReLU, not a layer; write ReLU\(...\)"),
        ([Layer()], r"layers\[0\] is Layer\(\) of type Layer, not a layer; take one"),
        ([None], r"layers\[0\] is None of type NoneType, not a layer"),
        (ReLU(), r"layers must be a list of layers, not ReLU\(\)"),
        ("relu", "layers must be a list of layers, not 'relu'"),
        (3, "layers must be a list of layers, not 3"),
    ],
)
def test_things_that_are_no_layers_are_named(stack: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        resolve(stack, (32, 32, 1))


@pytest.mark.parametrize(
    ("input_shape", "error", "message"),
    [
        (32, TypeError, r"input_shape must be \(height, width, channels\).* not 32"),
        ("abc", TypeError, "input_shape must be .* not 'abc'"),
        ((32, 32, 0), ValueError, "input_shape: channels must be .* not 0"),
        ((32, 2.5, 1), TypeError, "input_shape: width must be .* not 2.5"),
        ((2**40, 1, 1), ValueError, "input_shape: height can be at most"),
    ],
)
def test_bad_input_shapes_are_named(
    input_shape: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        resolve([ReLU()], input_shape)


def test_layers_are_found_by_name_and_index() -> None:
    resolved = resolve(LENET5, (32, 32, 1))

    def found(layer: Any) -> ResolvedLayer:
        return find_layer(resolved, layer)

    assert found("conv2") is found(3) is found(np.int64(-9)) is resolved[3]
    with pytest.raises(UsageError, match="no layer 'conv3'; the layers are conv1, re"):
        found("conv3")
    with pytest.raises(UsageError, match="index 12; the 12 layers, from 0 to 11, are"):
        found(12)
    with pytest.raises(TypeError, match=r"by its name or index, not 1\.0"):
        found(1.0)

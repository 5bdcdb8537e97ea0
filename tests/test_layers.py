"""Layers: what constructors accept, how they are written down, what stacks give."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.arguments import both
from striate.errors import ShapeError
from striate.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    ResolvedLayer,
    ScaledTanh,
    Sigmoid,
    Tanh,
    layer_from_config,
    resolve,
)

numbers = st.integers(1, 6)
pairs = numbers | st.tuples(numbers, numbers)


@st.composite
def convolutions(draw: st.DrawFn) -> Conv2D:
    groups = draw(st.integers(1, 3))
    borders = st.integers(0, 5)
    return Conv2D(
        groups * draw(numbers),
        draw(pairs),
        draw(pairs),
        draw(
            st.sampled_from(["valid", "same"]) | borders | st.tuples(borders, borders)
        ),
        draw(pairs),
        groups,
        draw(st.booleans()),
    )


def resolved_or_refused(
    stack: list[Layer], input_shape: tuple[int, int, int]
) -> tuple[tuple[ResolvedLayer, ...], str]:
    try:
        return resolve(stack, input_shape), ""
    except ShapeError as error:
        return (), str(error)


@st.composite
def poolings(draw: st.DrawFn) -> Layer:
    size = draw(pairs)
    padding = draw(st.integers(0, min(both(size)) // 2))
    pooling = draw(st.sampled_from([MaxPool2D, AvgPool2D]))
    return pooling(size, draw(st.none() | pairs), padding)


others = st.one_of(
    st.sampled_from([ReLU(), Tanh(), ScaledTanh(), Sigmoid(), Flatten()]),
    st.builds(GlobalAvgPool2D),
    st.builds(LeakyReLU, st.floats(0, 2)),
    st.builds(Dropout, st.floats(0, 0.99)),
    st.builds(Dense, numbers, st.booleans()),
)
layers = convolutions() | poolings() | others


# ---------------------------------------------------------------- constructors


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Conv2D(0, 3), ValueError, "filters must be a whole number of at leas"),
        (lambda: Conv2D(6.0, 3), TypeError, "filters must be a whole number .* 6.0"),
        (lambda: Conv2D(True, 3), TypeError, "filters must be .* not True"),
        (lambda: Conv2D("6", 3), TypeError, "filters must be .* not '6'"),
        (lambda: Conv2D(2**40, 3), ValueError, "filters can be at most"),
        (lambda: Conv2D(6, 0), ValueError, "kernel_size must be .* not 0"),
        (lambda: Conv2D(6, (3, 3, 3)), ValueError, "kernel_size .* not 3 values"),
        (lambda: Conv2D(6, (3, 2.5)), TypeError, "kernel_size must be .* not 2.5"),
        (lambda: Conv2D(6, None), TypeError, r"kernel_size .* \(height, width\) pair"),
        (lambda: Conv2D(6, 3, stride=0), ValueError, "stride must be .* not 0"),
        (lambda: Conv2D(6, 3, padding=-1), ValueError, "padding must .* at least 0"),
        (lambda: Conv2D(6, 3, padding="smae"), ValueError, "'same'.* not 'smae'"),
        (lambda: Conv2D(6, 3, dilation=0), ValueError, "dilation must be .* not 0"),
        (lambda: Conv2D(6, 2**20, dilation=2**20), ValueError, "spans more than"),
        (lambda: Conv2D(6, 3, groups=4), ValueError, "4 does not divide 6"),
        (lambda: Conv2D(6, 3, bias=1), TypeError, "bias must be True or False, not 1"),
        (lambda: MaxPool2D(0), ValueError, "MaxPool2D: size must be .* not 0"),
        (lambda: MaxPool2D(2, stride=0), ValueError, "stride must be .* not 0"),
        (lambda: AvgPool2D(2, padding="same"), TypeError, "padding must be a whole"),
        (lambda: MaxPool2D(3, padding=2), ValueError, "half of size.*use padding=1"),
        (lambda: AvgPool2D((4, 1), padding=1), ValueError, "half .* use padding=0"),
        (lambda: Dense(0), ValueError, "Dense: units must be .* not 0"),
        (lambda: Dense(10, bias=None), TypeError, "bias must be True or False"),
        (lambda: LeakyReLU(-0.1), ValueError, "negative_slope must be at least 0"),
        (lambda: LeakyReLU(math.nan), ValueError, "negative_slope must be finite"),
        (lambda: LeakyReLU("0.1"), TypeError, "negative_slope must be a number"),
        (lambda: Dropout(1), ValueError, "at least 0 and below 1, not 1.0"),
        (lambda: Dropout(-0.5), ValueError, "rate must be at least 0"),
        (lambda: Dropout(10**400), ValueError, "rate must be finite"),
        (lambda: Dropout(True), TypeError, "rate must be a number, not True"),
    ],
)
def test_constructors_refuse_in_words(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_refusals_quote_no_more_than_a_line() -> None:
    with pytest.raises(TypeError) as caught:
        Dense("x" * 10_000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
    with pytest.raises(ValueError, match="enormous"):
        Dense(10**5000)


def test_numpy_integers_and_lists_are_kept_as_plain_ones() -> None:
    layer = Conv2D(np.int64(6), [np.int8(5), 3])  # type: ignore[arg-type, list-item]
    assert layer == Conv2D(6, (5, 3))
    assert type(layer.filters) is int
    assert json.dumps(layer.to_config())


def test_layers_are_frozen_and_hashable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Conv2D(6, 5).filters = 7  # type: ignore[misc]
    assert len({Conv2D(6, 5), Conv2D(6, 5), MaxPool2D(2), AvgPool2D(2)}) == 3
    assert Tanh() != ScaledTanh()


@pytest.mark.parametrize(
    "call",
    [
        *("Conv2D(6, 5)", "Conv2D(8, (1, 3), stride=2, padding='same', bias=False)"),
        *("MaxPool2D(2)", "AvgPool2D(3, stride=2, padding=1)", "Dense(120)"),
        *("LeakyReLU(0.2)", "Dropout(0.4)", "Tanh()", "Flatten()", "Dropout()"),
    ],
)
def test_repr_is_the_call_a_user_writes(call: str) -> None:
    assert repr(eval(call)) == call


@given(layers)
def test_configs_survive_json(layer: Layer) -> None:
    config = json.loads(json.dumps(layer.to_config()))
    assert layer_from_config(config) == layer
    assert eval(repr(layer)) == layer


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "described by its kind, one of Conv2D, MaxPool2D"),
        ([], "described by its kind"),
        ({}, "described by its kind"),
        ({"kind": "Layer"}, "described by its kind"),
        ({"kind": ["Conv2D"]}, "described by its kind"),
        ({"kind": "Conv2D"}, "Not a valid Conv2D: .*filters"),
        ({"kind": "ReLU", "slope": 1}, "ReLU has no setting 'slope'"),
        ({"kind": "ReLU", 3: 1}, "ReLU has no setting 3"),
        ({"kind": "Dense", "units": "10"}, "Not a valid Dense: .*whole number"),
        ({"kind": "Dense", "units": -1}, "units must be"),
        ({"kind": "Dropout", "rate": float("nan")}, "rate must be finite"),
        ({"kind": "MaxPool2D", "size": 2, "padding": "same"}, "Not a valid MaxPool2D"),
    ],
)
def test_hostile_configs_are_value_errors(config: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer_from_config(config)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
settings = ["filters", "kernel_size", "size", "units", "rate", "padding", "stride"]


@given(
    st.sampled_from(["Conv2D", "MaxPool2D", "Dense", "Dropout", "Flatten", "Window"]),
    st.dictionaries(st.sampled_from(settings), json_values, max_size=4),
)
def test_any_config_gives_a_layer_or_a_value_error(
    kind: str, config: dict[str, object]
) -> None:
    try:
        layer = layer_from_config({"kind": kind, **config})
    except ValueError:
        return
    assert type(layer).__name__ == kind


# ------------------------------------------------------- what stacks resolve to


@given(convolutions() | poolings(), st.integers(1, 30), st.integers(1, 30))
def test_output_size_counts_the_positions_of_the_window(
    layer: Layer, height: int, width: int
) -> None:
    channels = getattr(layer, "groups", 1)
    resolved, refusal = resolved_or_refused([layer], (height, width, channels))
    if refusal:
        assert "needs an input of at least" in refusal
        return
    (one,) = resolved
    window = one.window
    assert window is not None
    for axis, length in enumerate((height, width)):
        before, after = window.padding[2 * axis : 2 * axis + 2]
        reach = (window.kernel[axis] - 1) * window.dilation[axis]
        starts = range(-before, length + after - reach, window.stride[axis])
        assert one.output_shape[axis] == len(starts) > 0
        if getattr(layer, "padding", 0) == "same":
            assert len(starts) == math.ceil(length / window.stride[axis])
            assert 0 <= after - before <= 1


@given(
    st.lists(layers, min_size=1, max_size=6),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6)),
)
def test_any_stack_resolves_or_says_which_layer_does_not_fit(
    stack: list[Layer], input_shape: tuple[int, int, int]
) -> None:
    resolved, refusal = resolved_or_refused(stack, input_shape)
    if refusal:
        found = re.search(r"at layer (\d+) \(([a-z]+)\d+\) needs .* gets .*; ", refusal)
        assert found, refusal
        culprit = stack[int(found[1]) - 1]
        assert culprit.kind == found[2]
        assert refusal.startswith(repr(culprit))
        return
    shape: tuple[int, ...] = input_shape
    for one, layer in zip(resolved, stack, strict=True):
        assert one.layer is layer
        assert one.input_shape == shape
        assert all(length >= 1 for length in one.output_shape)
        slides = isinstance(layer, Conv2D | MaxPool2D | AvgPool2D)
        assert (one.window is not None) == slides
        shape = one.output_shape

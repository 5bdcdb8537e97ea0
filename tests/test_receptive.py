"""Receptive fields: the lecture's numbers, and every pixel against boolean masks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from striate.errors import ShapeError, UsageError
from striate.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    ResolvedLayer,
    resolve,
)
from striate.receptive import ReceptiveField, depth_to_see, receptive_field

LENET5 = resolve(
    [
        *(Conv2D(6, 5), ReLU(), MaxPool2D(2), Conv2D(16, 5), ReLU(), MaxPool2D(2)),
        *(Flatten(), Dense(120), ReLU(), Dense(84), ReLU(), Dense(10)),
    ],
    (32, 32, 1),
)


def last_field(
    layers: list[Layer], input_shape: tuple[int, int, int]
) -> ReceptiveField:
    return receptive_field(resolve(layers, input_shape), -1)


# ------------------------------------------------------------ the lecture's numbers


@pytest.mark.parametrize("layers", [1, 2, 3, 10, 150])
def test_m2_stacked_3x3_convolutions_see_2n_plus_1(layers: int) -> None:
    field = last_field([Conv2D(1, 3, padding=1)] * layers, (400, 400, 1))
    assert field.size == (2 * layers + 1, 2 * layers + 1)
    assert field.jump == (1, 1)


def test_m2_four_layers_of_1x3_see_1x9() -> None:
    assert last_field([Conv2D(1, (1, 3))] * 4, (20, 20, 1)).size == (1, 9)


def test_m2_300_pixels_take_150_layers() -> None:
    assert depth_to_see(300, Conv2D(1, 3)) == 150
    assert depth_to_see(301, Conv2D(1, 3)) == 150
    assert depth_to_see(302, Conv2D(1, 3)) == 151


@pytest.mark.parametrize("layers", range(1, 10))
def test_m3_stacked_2x2_with_stride_2_see_2_to_the_n(layers: int) -> None:
    field = last_field([Conv2D(1, 2, stride=2)] * layers, (512, 512, 1))
    assert field.size == field.jump == (2**layers, 2**layers)
    assert field.units == (512 // 2**layers, 512 // 2**layers)
    for row in range(field.units[0]):  # the patches do not overlap
        top, _, bottom, _ = field.box(row, 0)
        assert (top, bottom) == (row * 2**layers, (row + 1) * 2**layers)


def test_global_average_sees_all_that_the_whole_map_sees() -> None:
    field = last_field([Conv2D(4, 3, stride=2), GlobalAvgPool2D()], (9, 8, 1))
    assert (field.size, field.jump, field.units) == ((9, 7), (0, 0), (1, 1))
    assert field.box() == (0, 0, 9, 7)


def test_m3_300_pixels_take_9_layers() -> None:
    assert depth_to_see(300, Conv2D(1, 2, stride=2)) == 9


def test_m7_lenet5_sees_the_whole_digit() -> None:
    fields = {one.name: receptive_field(LENET5, one.name) for one in LENET5}
    found = [(fields[name].size[0], fields[name].jump[0]) for name in list(fields)[:6]]
    assert found == [(5, 1), (5, 1), (6, 2), (14, 2), (14, 2), (16, 4)]
    for name in ("flatten1", "dense1", "relu3", "dense3"):
        assert fields[name].size == (32, 32)
        assert fields[name].units == (1, 1)
        assert fields[name].jump == (0, 0)
        assert fields[name].box() == (0, 0, 32, 32)


# -------------------------------------------------- every unit against boolean masks


@st.composite
def windows(draw: st.DrawFn) -> Layer:
    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.tuples(st.integers(low, high), st.integers(low, high)))

    if draw(st.booleans()):
        size = pair(1, 3)
        padding = (
            draw(st.integers(0, size[0] // 2)),
            draw(st.integers(0, size[1] // 2)),
        )
        pooling = draw(st.sampled_from([MaxPool2D, AvgPool2D]))
        return pooling(size, pair(1, 3), padding)
    same = draw(st.booleans())
    return Conv2D(1, pair(1, 3), pair(1, 3), "same" if same else pair(0, 2), pair(1, 3))


stacks = st.lists(st.one_of(windows(), st.just(ReLU())), min_size=1, max_size=4)
sizes = st.integers(1, 11)


def resolved_or_skip(
    stack: list[Layer], height: int, width: int
) -> tuple[ResolvedLayer, ...]:
    try:
        return resolve(stack, (height, width, 1))
    except ShapeError:
        assume(False)
        raise


def seen_pixels(resolved: tuple[ResolvedLayer, ...]) -> NDArray[np.bool_]:
    """Return for every unit of the last map which pixels reach it: (H', W', H, W)."""
    height, width, _ = resolved[0].input_shape
    pixels = height * width
    seen = np.eye(pixels, dtype=bool).reshape(height, width, height, width)
    for one in resolved:
        if one.window is None:
            continue
        top, bottom, left, right = one.window.padding
        padded = np.pad(seen, ((top, bottom), (left, right), (0, 0), (0, 0)))
        rows, columns, _ = one.output_shape
        (down, along), (dy, dx) = one.window.stride, one.window.dilation
        seen = np.zeros((rows, columns, height, width), dtype=bool)
        for y in range(one.window.kernel[0]):
            for x in range(one.window.kernel[1]):
                taps = padded[y * dy :: down, x * dx :: along][:rows, :columns]
                seen |= taps
    return seen


def bounds(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


@given(stacks, sizes, sizes)
def test_clipped_boxes_bound_what_reaches_each_unit(
    stack: list[Layer], height: int, width: int
) -> None:
    resolved = resolved_or_skip(stack, height, width)
    field = receptive_field(resolved, -1)
    seen = seen_pixels(resolved)
    assert field.units == seen.shape[:2]
    assert field.input_size == (height, width)
    for row in range(field.units[0]):
        for column in range(field.units[1]):
            assert field.box(row, column) == bounds(seen[row, column])
            np.testing.assert_array_equal(field.pixels(row, column), seen[row, column])
    assert field.box_of_all() == bounds(seen.any((0, 1)))


@given(stacks, sizes, sizes)
def test_flat_layers_see_what_all_units_see_together(
    stack: list[Layer], height: int, width: int
) -> None:
    resolved = resolved_or_skip([*stack, Flatten(), Dense(3)], height, width)
    spatial = resolved[:-2]
    for layer in ("flatten1", "dense1"):
        field = receptive_field(resolved, layer)
        assert field.box() == bounds(seen_pixels(spatial).any((0, 1)))
        before = receptive_field(spatial, -1)
        corners = (before.box(0, 0, clip=False), field.box(clip=False))
        assert corners[0][:2] == corners[1][:2] == field.start
        end = before.box(before.units[0] - 1, before.units[1] - 1, clip=False)
        assert end[2:] == corners[1][2:]


def pixels_without_borders(
    resolved: tuple[ResolvedLayer, ...], axis: int, unit: int
) -> set[int]:
    """Return the pixels of one axis that a unit sees if no map ever ended."""
    *below, last = resolved
    if last.window is None:
        reached = {unit}
    else:
        first = unit * last.window.stride[axis] - last.window.padding[2 * axis]
        step, taps = last.window.dilation[axis], last.window.kernel[axis]
        reached = {first + tap * step for tap in range(taps)}
    if not below:
        return reached
    return set().union(
        *(pixels_without_borders(tuple(below), axis, one) for one in reached)
    )


@given(stacks, sizes, sizes)
def test_size_start_and_jump_are_those_of_endless_maps(
    stack: list[Layer], height: int, width: int
) -> None:
    resolved = resolved_or_skip(stack, height, width)
    field = receptive_field(resolved, -1)
    for axis in (0, 1):
        first = pixels_without_borders(resolved, axis, 0)
        second = pixels_without_borders(resolved, axis, 1)
        assert field.start[axis] == min(first)
        assert field.size[axis] == max(first) + 1 - min(first)
        assert field.jump[axis] == min(second) - min(first)
        assert field.center[axis] == (min(first) + max(first)) / 2
    top, left, bottom, right = field.box(0, 0, clip=False)
    assert (top, left) == field.start
    assert (bottom - top, right - left) == field.size


def test_a_stride_and_a_later_padding_hide_the_last_pixel() -> None:
    """2x2 patches of 5 pixels leave the fifth out, whatever comes after."""
    field = last_field([MaxPool2D(2), Conv2D(1, 3, padding=1)], (5, 5, 1))
    assert field.box(1, 1) == (0, 0, 4, 4)
    assert field.box(1, 1, clip=False) == (0, 0, 6, 6)


# --------------------------------------------------------------------- asking for it


def test_networks_stacks_names_and_indices_are_the_same_question() -> None:
    network = SimpleNamespace(resolved=LENET5)
    field = receptive_field(network, "pool2")
    assert field == receptive_field(LENET5, 5) == receptive_field(LENET5, -7)
    assert field.box(4, 4) == (16, 16, 32, 32)


@pytest.mark.parametrize(
    ("layer", "message"),
    [("conv9", "no layer 'conv9'; the layers are conv1, relu1"), (40, "index 40")],
)
def test_unknown_layers_are_named(layer: str | int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        receptive_field(LENET5, layer)


def test_units_outside_of_the_map_are_refused() -> None:
    field = receptive_field(LENET5, "conv1")
    with pytest.raises(ShapeError, match=r"no unit \(28, 0\) in a map of 28x28; rows"):
        field.box(28, 0)
    with pytest.raises(ShapeError, match=r"no unit \(0, 1\) in a map of 1x1"):
        receptive_field(LENET5, "dense1").box(0, 1)
    with pytest.raises(ValueError, match=r"column must be .* at least 0, not -1"):
        field.box(0, -1)
    with pytest.raises(TypeError, match=r"row must be a whole number .* not 0.5"):
        field.box(0.5, 0)  # type: ignore[arg-type]


@given(
    st.integers(1, 60),
    st.lists(st.builds(Conv2D, st.just(1), st.integers(2, 4)), min_size=1, max_size=2),
    st.booleans(),
)
def test_depth_to_see_is_the_least_that_does(
    size: int, block: list[Layer], pooled: bool
) -> None:
    block = [*block, MaxPool2D(2)] if pooled else block
    depth = depth_to_see(size, block)

    def seen(times: int) -> int:
        if times == 0:
            return 1
        field = last_field(block * times, (2500, 2500, 1))
        return field.size[0]

    assert seen(depth) >= size
    assert depth == 0 or seen(depth - 1) < size


def test_depth_to_see_answers_for_both_axes_or_says_never() -> None:
    assert depth_to_see((3, 9), Conv2D(1, 3)) == 4
    assert depth_to_see((1, 9), Conv2D(1, (1, 3))) == 4
    with pytest.raises(ValueError, match="never sees more than one pixel of the heig"):
        depth_to_see(9, Conv2D(1, (1, 3)))
    with pytest.raises(ValueError, match="never sees more"):
        depth_to_see(9, [ReLU(), Dense(10)])
    with pytest.raises(TypeError, match=r"layers\[0\] is the class ReLU"):
        depth_to_see(9, [ReLU])  # type: ignore[list-item]

"""Receptive fields: which pixels of the image a unit sees, in exact arithmetic.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019; the lecture's M2 and M3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .arguments import Pair, both, number_or_pair, spell, whole_number
from .errors import ShapeError
from .resolve import Layer, ResolvedLayer, check_layers, find_layer
from .window import Window

Mask = NDArray[np.bool_]


class Resolved(Protocol):
    """A network, as far as receptive fields care."""

    @property
    def resolved(self) -> tuple[ResolvedLayer, ...]:
        """The network's layers with every shape settled."""
        ...


@dataclass(frozen=True)
class ReceptiveField:
    """What the units of one layer see of the image; pairs are (height, width).

    `size` is in pixels, `jump` the step from one unit's field to its neighbour's,
    `start` the first pixel (row, column) of unit (0, 0)'s field, negative where that
    is padding; `units` is the size of the layer's map. From Flatten on there is the
    one unit (0, 0): it stands for all, sees what any of them sees, and has jump 0.
    """

    size: tuple[int, int]
    jump: tuple[int, int]
    start: tuple[int, int]
    units: tuple[int, int]
    input_size: tuple[int, int]
    path: tuple[ResolvedLayer, ...] = field(repr=False, compare=False)
    """All layers up to this one, in the order they are computed in."""

    @property
    def center(self) -> tuple[float, float]:
        """The middle of unit (0, 0)'s field, (row, column): start + (size - 1) / 2.

        In pixels, whose own middles are whole numbers; padding is counted. The middle
        of unit (i, j)'s field is i and j times `jump` further.
        """
        return middle(self.size, self.start)

    def box(
        self, row: int = 0, column: int = 0, clip: bool = True
    ) -> tuple[int, int, int, int]:
        """Return the half-open pixel box (top, left, bottom, right) that a unit sees.

        Clipped, it bounds the pixels of the image that truly reach the unit, and is
        empty (top == bottom) if only padding does; with `clip=False` it is the whole
        field, padding included. Raises ShapeError for units the layer does not have.

        >>> from striate.layers import Conv2D, resolve
        >>> field = receptive_field(resolve([Conv2D(1, 3, padding=1)], (8, 8, 1)), 0)
        >>> field.box(0, 4), field.box(0, 4, clip=False)
        ((0, 3, 2, 6), (-1, 3, 2, 6))
        """
        row, column = self._checked(row, column)
        if not clip:
            top, left = (
                first + unit * step
                for first, unit, step in zip(
                    self.start, (row, column), self.jump, strict=True
                )
            )
            return top, left, top + self.size[0], left + self.size[1]
        return _bounds(*self._seen(row, column))

    def box_of_all(self) -> tuple[int, int, int, int]:
        """Return the half-open pixel box that all units of the map see together.

        It bounds the pixels of the image that truly reach any of them.

        >>> from striate.layers import Conv2D, resolve
        >>> receptive_field(resolve([Conv2D(1, 2, stride=2)], (5, 8, 1)), 0).box_of_all()
        (0, 0, 4, 8)
        """
        return _bounds(*self._seen(_ALL, _ALL))

    def pixels(self, row: int = 0, column: int = 0) -> Mask:
        """Return which pixels of the image reach a unit, as a mask (height, width).

        The `box` bounds them and holds others too where dilation or a stride wider
        than the kernel leaves gaps, or where branches see different places. Below a max
        pooling it is every pixel that can reach the unit in some image. Raises
        ShapeError for units the layer does not have.

        >>> from striate.layers import Conv2D, resolve
        >>> field = receptive_field(resolve([Conv2D(1, 2, dilation=3)], (5, 5, 1)), 0)
        >>> field.pixels(1, 0).astype(int)
        array([[0, 0, 0, 0, 0],
               [1, 0, 0, 1, 0],
               [0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0],
               [1, 0, 0, 1, 0]])
        """
        row, column = self._checked(row, column)
        if self._branches:
            return self._reaching((row, column), axes=(0, 1))
        pixels: Mask = np.logical_and.outer(*self._seen(row, column))
        return pixels

    def _checked(self, row: int, column: int) -> tuple[int, int]:
        row = whole_number("ReceptiveField", "row", row, minimum=0)
        column = whole_number("ReceptiveField", "column", column, minimum=0)
        if row >= self.units[0] or column >= self.units[1]:
            raise ShapeError(
                f"There is no unit ({row}, {column}) in a map of "
                f"{spell(self.units)}; rows go from 0 to {self.units[0] - 1}, "
                f"columns from 0 to {self.units[1] - 1}."
            )
        return row, column

    @property
    def _branches(self) -> bool:
        return any(len(one.inputs) > 1 for one in self.path)

    def _seen(self, row: int | slice, column: int | slice) -> tuple[Mask, Mask]:
        """Return which rows and which columns of the image hold what units see.

        Through a chain of windows every row meets every column. What branches see
        together is no such product, so their axes go the way back together.
        """
        if self._branches:
            pixels = self._reaching((row, column), axes=(0, 1))
            rows, columns = (np.logical_or.reduce(pixels, axis=axis) for axis in (1, 0))
            return rows, columns
        return self._reaching((row,), axes=(0,)), self._reaching((column,), axes=(1,))

    def _reaching(self, units: tuple[int | slice, ...], axes: tuple[int, ...]) -> Mask:
        """Walk back to the image along some axes, leaving out the padding of every map.

        Cutting the whole field at the image's border would not do: what a stride
        drops at the end of one map can lie where a later map has its padding.
        """
        alone = np.zeros([self.units[axis] for axis in axes], np.bool_)
        alone[units] = True
        masks = {self.path[-1].index: alone}
        for one in reversed(self.path):
            mask = masks.pop(one.index, None)
            if mask is None:
                continue  # of a branch beside the one that leads here
            if one.window is not None:
                for place, axis in enumerate(axes):
                    length = one.input_shape[axis]
                    mask = _read(one.window, axis, mask, place, length)
            elif len(one.output_shape) < len(one.input_shape):  # one unit for them all
                mask = np.ones([one.input_shape[axis] for axis in axes], np.bool_)
            for index in one.inputs:
                masks[index] = mask | masks[index] if index in masks else mask
        return masks[-1]


def receptive_field(
    network: Resolved | Sequence[ResolvedLayer], layer: str | int
) -> ReceptiveField:
    """Return what the units of a layer see: size, jump and start, per axis.

    `network` is a Network or what `resolve` returned; `layer` a name or an index.
    Raises UsageError, naming the layers there are, for one there is not.

    >>> from striate.layers import Conv2D, MaxPool2D, resolve
    >>> stack = resolve([Conv2D(6, 5), MaxPool2D(2), Conv2D(16, 5)], (32, 32, 1))
    >>> receptive_field(stack, "conv2")
    ReceptiveField(size=(14, 14), jump=(2, 2), start=(0, 0), units=(10, 10),
                   input_size=(32, 32))
    """
    resolved = network if isinstance(network, Sequence) else network.resolved
    end = find_layer(resolved, layer)
    path = tuple(resolved[: end.index + 1])
    height, width, _ = resolved[0].input_shape
    (rows, row_jump, top), (columns, column_jump, left) = (
        _fields(path, axis)[-1] for axis in (0, 1)
    )
    flat = len(end.output_shape) == 1
    return ReceptiveField(
        size=(rows, columns),
        jump=(row_jump, column_jump),
        start=(top, left),
        units=(1, 1) if flat else (end.output_shape[0], end.output_shape[1]),
        input_size=(height, width),
        path=path,
    )


def all_fields(
    resolved: Sequence[ResolvedLayer],
) -> Iterator[tuple[tuple[int, int], tuple[int, int], tuple[int, int]]]:
    """Yield size, jump and start of every layer's field, in one walk over them."""
    rows, columns = (_fields(resolved, axis) for axis in (0, 1))
    for down, across in zip(rows, columns, strict=True):
        size, jump, start = zip(down, across, strict=True)
        yield size, jump, start


def middle(size: tuple[int, int], start: tuple[int, int]) -> tuple[float, float]:
    """Return where a field has its middle, in pixels whose own are whole numbers.

    >>> middle((2, 5), (0, -2))
    (0.5, 0.0)
    """
    (rows, columns), (top, left) = size, start
    return top + (rows - 1) / 2, left + (columns - 1) / 2


def depth_to_see(size: Pair, block: Layer | Sequence[Layer]) -> int:
    """Return how often `block` must be stacked until one unit sees all of an object.

    `size` is the object's in pixels, one number or (height, width); `block` is one
    layer or several. This is the lecture's question in reverse (M2, M3). Raises
    ValueError for blocks that never see more, however many there are.

    >>> from striate.layers import Conv2D
    >>> depth_to_see(300, Conv2D(1, 3)), depth_to_see(300, Conv2D(1, 2, stride=2))
    (150, 9)
    """
    wanted = both(number_or_pair("depth_to_see", "size", size))
    layers = check_layers([block] if isinstance(block, Layer) else block)
    deepest = 0
    for axis, name in ((0, "height"), (1, "width")):
        growth, factor, _ = _stacked(layers, _PIXEL, axis)
        if growth == 1 < wanted[axis]:
            raise ValueError(
                f"depth_to_see: {layers} never sees more than one pixel of the "
                f"{name}, however many are stacked; give it a larger kernel."
            )
        seen, jump, depth = 1, 1, 0
        while seen < wanted[axis]:
            seen, jump, depth = seen + (growth - 1) * jump, jump * factor, depth + 1
        deepest = max(deepest, depth)
    return deepest


Field = tuple[int, int, int]
"""Size, jump and start along one axis."""


def _fields(path: Sequence[ResolvedLayer], axis: int) -> list[Field]:
    """Return what every layer sees along one axis, each from the layers it reads."""
    fields: list[Field] = []
    for one in path:
        field = _union([fields[at] if at >= 0 else _PIXEL for at in one.inputs])
        if one.window is not None:
            field = _through(one.window, field, axis)
        if len(one.output_shape) < len(one.input_shape):
            size, jump, start = field
            field = size + (one.input_shape[axis] - 1) * jump, 0, start
        fields.append(field)
    return fields


def _stacked(layers: Sequence[Layer], field: Field, axis: int) -> Field:
    """Return what a stack sees whose input sees `field`, on a map of any size."""
    for layer in layers:
        if layer.branches:
            field = _union([_stacked(one, field, axis) for one in layer.branches])
        elif window := layer.window(1, 1):
            field = _through(window, field, axis)
    return field


def _union(fields: Sequence[Field]) -> Field:
    """Return what branches see together; their units are the same steps apart."""
    start = min(start for _, _, start in fields)
    end = max(start + size for size, _, start in fields)
    return end - start, fields[0][1], start


def _through(window: Window, field: Field, axis: int) -> Field:
    """Return what a window's units see, of units that see `field`."""
    size, jump, start = field
    return (
        size + (window.extent[axis] - 1) * jump,
        jump * window.stride[axis],
        start - window.padding[2 * axis] * jump,
    )


def _read(window: Window, axis: int, units: Mask, place: int, length: int) -> Mask:
    """Return which places of a map its window's `units` read, along one axis.

    That is axis `place` of the mask; the map is `length` long there.
    """
    above = np.moveaxis(units, place, 0)
    below = np.zeros((length, *above.shape[1:]), np.bool_)
    stride = window.stride[axis]
    for tap in range(window.kernel[axis]):
        offset = tap * window.dilation[axis] - window.padding[2 * axis]
        first = max(0, -(offset // stride))  # the units whose tap is not in padding
        last = min(len(above) - 1, (length - 1 - offset) // stride)
        if first <= last:
            taps = slice(first * stride + offset, last * stride + offset + 1, stride)
            below[taps] |= above[first : last + 1]
    return np.moveaxis(below, 0, place)


def _bounds(rows: Mask, columns: Mask) -> tuple[int, int, int, int]:
    """Return the half-open box around these rows and columns; zeros if there are none."""
    down, across = np.flatnonzero(rows), np.flatnonzero(columns)
    if not down.size or not across.size:
        return 0, 0, 0, 0
    return int(down[0]), int(across[0]), int(down[-1]) + 1, int(across[-1]) + 1


_ALL = slice(None)
_PIXEL: Field = (1, 1, 0)

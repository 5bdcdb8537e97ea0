"""Receptive fields: which pixels of the image a unit sees, in exact arithmetic.

Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural
Networks", Distill 2019; the lecture's M2 and M3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .arguments import Pair, both, number_or_pair, spell, whole_number
from .errors import ShapeError
from .resolve import Layer, ResolvedLayer, check_layers, find_layer
from .window import Window


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
    """The convolutions and poolings between the image and the layer, first to last."""

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
        row = whole_number("ReceptiveField.box", "row", row, minimum=0)
        column = whole_number("ReceptiveField.box", "column", column, minimum=0)
        if row >= self.units[0] or column >= self.units[1]:
            raise ShapeError(
                f"There is no unit ({row}, {column}) in a map of "
                f"{spell(self.units)}; rows go from 0 to {self.units[0] - 1}, "
                f"columns from 0 to {self.units[1] - 1}."
            )
        span = self._seen if clip else self._whole
        (top, bottom), (left, right) = span(0, row), span(1, column)
        if clip and (top == bottom or left == right):
            return 0, 0, 0, 0
        return top, left, bottom, right

    def _whole(self, axis: int, unit: int) -> tuple[int, int]:
        first = self.start[axis] + unit * self.jump[axis]
        return first, first + self.size[axis]

    def _seen(self, axis: int, unit: int) -> tuple[int, int]:
        """Walk back to the image along one axis, leaving the padding of every map out.

        Cutting the whole field at the image's border would not do: what a stride
        drops at the end of one map can lie where a later map has its padding.
        """
        places = {unit}
        if self.jump[axis] == 0:
            last = self.path[-1].output_shape if self.path else self.input_size
            places = set(range(last[axis]))
        for one in reversed(self.path):
            assert one.window is not None
            stride, dilation = one.window.stride[axis], one.window.dilation[axis]
            before, taps = one.window.padding[2 * axis], one.window.kernel[axis]
            reached = (
                place * stride - before + tap * dilation
                for place in places
                for tap in range(taps)
            )
            places = {at for at in reached if 0 <= at < one.input_shape[axis]}
        return (min(places), max(places) + 1) if places else (0, 0)


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
    path = tuple(one for one in resolved[: end.index + 1] if one.window)
    height, width, _ = resolved[0].input_shape
    last = path[-1].output_shape[:2] if path else (height, width)
    axes = [_field([one.window for one in path if one.window], axis) for axis in (0, 1)]
    if flat := len(end.output_shape) == 1:
        axes = [
            (size + (units - 1) * jump, 0, start)
            for (size, jump, start), units in zip(axes, last, strict=True)
        ]
    (rows, row_jump, top), (columns, column_jump, left) = axes
    return ReceptiveField(
        size=(rows, columns),
        jump=(row_jump, column_jump),
        start=(top, left),
        units=(1, 1) if flat else (last[0], last[1]),
        input_size=(height, width),
        path=path,
    )


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
    windows = [window for layer in layers if (window := layer.window(1, 1))]
    deepest = 0
    for axis, name in ((0, "height"), (1, "width")):
        growth, factor, _ = _field(windows, axis)
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


def _field(windows: Sequence[Window], axis: int) -> tuple[int, int, int]:
    """Return size, jump and start along one axis of what the last window sees."""
    size, jump, start = 1, 1, 0
    for window in windows:
        size += (window.extent[axis] - 1) * jump
        start -= window.padding[2 * axis] * jump
        jump *= window.stride[axis]
    return size, jump, start

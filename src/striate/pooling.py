"""Poolings: windows without weights that look at each channel alone (M5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .arguments import Pair, both, number_or_pair, store
from .resolve import Layer, ResolvedLayer, Shape, needs_volume, too_small
from .window import Window, each_side


@dataclass(frozen=True, repr=False)
class _Pooling(Layer):
    """What the two poolings share: a window that looks at each channel alone (M5)."""

    kind: ClassVar[str] = "pool"
    size: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def __post_init__(self) -> None:
        owner = type(self).__name__
        store(self, "size", number_or_pair(owner, "size", self.size))
        if self.stride is not None:
            store(self, "stride", number_or_pair(owner, "stride", self.stride))
        padding = number_or_pair(owner, "padding", self.padding, minimum=0)
        store(self, "padding", padding)
        for size, border in zip(both(self.size), both(padding), strict=True):
            if border > size // 2:
                raise ValueError(
                    f"{owner}: padding must be at most half of size, but is "
                    f"{self.padding} with size {self.size}; use padding={size // 2} "
                    "or less, or every pixel of a patch could be padding."
                )

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        if len(shape) != 3:
            return needs_volume(shape)
        return too_small(self.window(*shape[:2]), shape, "take a smaller size", earlier)

    def window(self, height: int, width: int) -> Window:
        size = both(self.size)
        stride = size if self.stride is None else both(self.stride)
        return Window(size, stride, (1, 1), each_side(self.padding))

    def output_shape(self, shape: Shape) -> Shape:
        height, width, channels = shape
        return (*self.window(height, width).output_size(height, width), channels)


class MaxPool2D(_Pooling):
    """Maximum of every patch of `size`, channel by channel (lecture: pooling, M5).

    `stride` is `size` unless given. Padding counts as minus infinity, ties go to the
    first pixel in row-major order, and a NaN in a patch is its maximum.

    >>> MaxPool2D(2).output_shape((200, 200, 64))
    (100, 100, 64)
    """


class AvgPool2D(_Pooling):
    """Average of every patch of `size`, channel by channel (lecture: pooling, M5).

    `stride` is `size` unless given. Padding is zeros, and these are counted, as with
    PyTorch's count_include_pad.

    >>> AvgPool2D(3, stride=2, padding=1).output_shape((7, 7, 16))
    (4, 4, 16)
    """


class GlobalAvgPool2D(Layer):
    """Average of every whole map, one number a channel: H x W x C becomes (C,).

    Each unit sees all that any unit of its map saw, and the classifier after it has
    few weights, whatever the size of the image (Lin, Chen and Yan, "Network in
    network", 2014).

    >>> GlobalAvgPool2D().output_shape((8, 8, 64))
    (64,)
    """

    kind: ClassVar[str] = "pool"

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        return None if len(shape) == 3 else needs_volume(shape)

    def output_shape(self, shape: Shape) -> Shape:
        return shape[2:]

"""The window that convolutions and poolings slide over an image: its geometry."""

from __future__ import annotations

from dataclasses import dataclass

from .arguments import Pair, both


@dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or pooling; pairs are (height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    """Rows and columns added around the image: (top, bottom, left, right)."""

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns from the first to the last tap, dilation included."""
        (rows, columns), (down, right) = self.kernel, self.dilation
        return (rows - 1) * down + 1, (columns - 1) * right + 1

    @property
    def smallest_input(self) -> tuple[int, int]:
        """Height and width of the smallest image the padded window fits into."""
        (rows, columns), (top, bottom, left, right) = self.extent, self.padding
        return max(1, rows - top - bottom), max(1, columns - left - right)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Positions of the window in an image; what is left over is dropped (floor)."""
        (rows, columns), (top, bottom, left, right) = self.extent, self.padding
        return (
            (height + top + bottom - rows) // self.stride[0] + 1,
            (width + left + right - columns) // self.stride[1] + 1,
        )


def each_side(padding: Pair) -> tuple[int, int, int, int]:
    """Spread a padding of (rows, columns) over (top, bottom, left, right)."""
    rows, columns = both(padding)
    return rows, rows, columns, columns


def same_padding(
    length: int, kernel: int, stride: int, dilation: int
) -> tuple[int, int]:
    """Return TensorFlow's "same" padding (before, after) of one axis.

    The output is length / stride, rounded up; an odd pixel goes after.

    >>> same_padding(32, kernel=5, stride=2, dilation=1)
    (1, 2)
    """
    covered = (-(-length // stride) - 1) * stride + (kernel - 1) * dilation + 1
    total = max(covered - length, 0)
    return total // 2, total - total // 2

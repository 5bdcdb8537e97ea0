"""Convolution: what the layer is, and what it does to a shape (M1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .arguments import (
    LARGEST,
    Pair,
    both,
    number_or_pair,
    shown,
    store,
    truth,
    whole_number,
)
from .resolve import Layer, ResolvedLayer, Shape, WeightSpec, needs_volume, too_small
from .window import Window, each_side, same_padding


@dataclass(frozen=True, repr=False)
class Conv2D(Layer):
    """Convolution: every filter's dot product with every patch, plus its bias (M1).

    A volume of H x W x C becomes H' x W' x `filters`; parameters are
    (kernel height * kernel width * C / groups + 1) * filters. `padding` is rows and
    columns of zeros on each side, or "valid" (none), or "same" (as in TensorFlow: the
    output is the input divided by the stride, rounded up, and an odd row or column
    of padding goes to the bottom or right). Weights are (filters, C / groups,
    kernel height, kernel width). Raises TypeError or ValueError for arguments that
    mean nothing.

    >>> Conv2D(6, kernel_size=(5, 3), padding="same")
    Conv2D(6, (5, 3), padding='same')
    """

    kind: ClassVar[str] = "conv"
    filters: int
    kernel_size: Pair
    stride: Pair = 1
    padding: Pair | str = 0
    dilation: Pair = 1
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        store(self, "filters", whole_number("Conv2D", "filters", self.filters))
        for name in ("kernel_size", "stride", "dilation"):
            store(self, name, number_or_pair("Conv2D", name, getattr(self, name)))
        store(self, "groups", whole_number("Conv2D", "groups", self.groups))
        truth("Conv2D", "bias", self.bias)
        if not isinstance(self.padding, str):
            padding = number_or_pair("Conv2D", "padding", self.padding, minimum=0)
            store(self, "padding", padding)
        elif self.padding not in ("valid", "same"):
            raise ValueError(
                "Conv2D: padding must be 'valid', 'same', a whole number or a "
                f"(height, width) pair, not {shown(self.padding)}."
            )
        if self.filters % self.groups:
            raise ValueError(
                f"Conv2D: groups must divide filters, but {self.groups} does not "
                f"divide {self.filters}; choose filters that are a multiple of groups."
            )
        if max(self.window(1, 1).extent) > LARGEST:
            raise ValueError(
                f"Conv2D: kernel_size {self.kernel_size} with dilation "
                f"{self.dilation} spans more than {LARGEST} pixels; lessen one."
            )

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        if len(shape) != 3:
            return needs_volume(shape)
        if shape[2] % self.groups:
            shared = math.gcd(shape[2], self.filters)
            fitting = [n for n in range(1, min(shared, 64) + 1) if shared % n == 0]
            return (
                f"needs channels that groups={self.groups} divides but gets "
                f"{shape[2]}; choose groups from {', '.join(map(str, fitting))}"
            )
        window = self.window(*shape[:2])
        enough = (window.extent[0] // 2, window.extent[1] // 2)
        padding = enough[0] if enough[0] == enough[1] else enough
        verb = "add" if self.padding in (0, "valid") else "use"
        return too_small(window, shape, f"{verb} padding={padding}", earlier)

    def window(self, height: int, width: int) -> Window:
        kernel, stride, dilation = map(
            both, (self.kernel_size, self.stride, self.dilation)
        )
        padding = (0, 0, 0, 0)
        if self.padding == "same":
            top, bottom = same_padding(height, kernel[0], stride[0], dilation[0])
            left, right = same_padding(width, kernel[1], stride[1], dilation[1])
            padding = (top, bottom, left, right)
        elif not isinstance(self.padding, str):
            padding = each_side(self.padding)
        return Window(kernel, stride, dilation, padding)

    def output_shape(self, shape: Shape) -> Shape:
        height, width, _ = shape
        return (*self.window(height, width).output_size(height, width), self.filters)

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        per_filter = (shape[2] // self.groups, *both(self.kernel_size))
        fan_in = math.prod(per_filter)
        weight = WeightSpec("weight", (self.filters, *per_filter), fan_in)
        bias = WeightSpec("bias", (self.filters,), fan_in)
        return (weight, bias) if self.bias else (weight,)

    def multiply_adds(self, shape: Shape) -> int:
        return math.prod(self.output_shape(shape)) * self.weights(shape)[0].fan_in

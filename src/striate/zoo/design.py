"""Which network sees all of an object: the lecture's question in reverse (M2, M3).

Layers of stride 1 answer it, and take many. Beside them stand the networks that reach
the same in fewer layers, each with what it costs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..arguments import Pair, both, number_or_pair, real_number, spell, whole_number
from ..engine.compute import make_plan
from ..errors import ShapeError, UsageError
from ..layers import (
    BatchNorm,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    ReLU,
    ResolvedLayer,
    resolve,
)
from ..receptive import ReceptiveField, depth_to_see, receptive_field
from ..resolve import MOST_LAYERS

BATCH = 32  # images; what memory for training is told of
LARGEST = 4096  # pixels of an object, whose images fit into no network that is small
WIDEST = 128  # channels; more cost time and, on few images, accuracy
_TRIED, _COARSE = 8, 64  # sizes of input tried for each step between units; for a side
_RECORDS = 3  # of a convolution: itself, its normalisation, its activation
_DEEPER = 4  # layers at most that are added where the size of the input is given

Sides = tuple[int, int]


@dataclass(frozen=True)
class Kind:
    """A way to stack layers until one unit sees enough.

    `step` is the stride of a layer, or of the pooling after it; `dilated` says that the
    steps between the taps of a kernel double instead.
    """

    title: str
    step: int = 1
    pooled: bool = False
    dilated: bool = False
    kernel: int | None = None


KINDS = {
    "plain": Kind("{kernel}, stride 1"),
    "dilated": Kind("{kernel}, dilation 1, 2, 4 ...", dilated=True),
    "strided": Kind("{kernel}, stride 2", step=2),
    "patches": Kind("{kernel}, stride 2", step=2, kernel=2),
    "pooled": Kind("{kernel}, then 2x2 max pooling", step=2, pooled=True),
}
"""The networks that are compared, by name."""

RECOMMENDED = "pooled"


@dataclass(frozen=True)
class Design:
    """A network, untrained, one of whose units sees all of an object.

    `depth` counts its convolutions; `layers` are all it consists of, the last two a
    classifier on the mean of every map.
    """

    kind: str
    object_size: Sides
    kernel_size: Sides
    depth: int
    layers: tuple[Layer, ...]
    input_shape: tuple[int, int, int]

    @property
    def title(self) -> str:
        """What is stacked, in words."""
        return KINDS[self.kind].title.format(kernel=spell(self.kernel_size))

    @cached_property
    def resolved(self) -> tuple[ResolvedLayer, ...]:
        """All layers in their places."""
        return resolve(self.layers, self.input_shape)

    @cached_property
    def field(self) -> ReceptiveField:
        """What the units of the last map see."""
        return receptive_field(self.resolved, len(self.resolved) - 3)

    @property
    def anywhere(self) -> Sides:
        """The largest (height, width) that one unit sees whole wherever it stands.

        Fields are `jump` pixels apart, so what is larger can lie between two of them.
        """
        rows, columns = (
            max(size - jump + 1, 1)
            for size, jump in zip(self.field.size, self.field.jump, strict=True)
        )
        return rows, columns

    @property
    def parameters(self) -> int:
        """How many numbers it learns."""
        return sum(one.parameters for one in self.resolved)

    @property
    def multiply_adds(self) -> int:
        """Products of convolutions and the dense layer for one image."""
        return sum(one.multiply_adds for one in self.resolved)

    @cached_property
    def memory(self) -> tuple[int, int]:
        """Bytes that the engine takes: to predict one image, to train on `BATCH`.

        By one thread, for activations and their gradients, besides weights and images.
        """
        plan = make_plan(self.resolved)
        return plan.bytes(1, 1, False), plan.bytes(BATCH, 1, True)


def design(
    kind: str,
    object_size: Pair,
    kernel_size: Pair = 3,
    *,
    input_shape: tuple[int, int, int] | None = None,
    classes: int = 10,
    width: int = 16,
    growth: float = 2.0,
) -> Design:
    """Return the shallowest network of a kind that sees all of an object.

    One unit of its last map sees the whole object where that stands in the middle of
    the input. Convolutions are padded, normalised (BatchNorm) and rectified (ReLU).

    Arguments:
        kind: "plain" (stride 1), "dilated" (steps between taps 1, 2, 4 ...), "strided"
            (stride 2), "patches" (2 x 2 with stride 2) or "pooled" (stride 1, each
            followed by 2 x 2 max pooling).
        object_size: pixels, one number or (height, width).
        kernel_size: likewise; not that of "patches".
        input_shape: (height, width, channels). By default of three channels and the
            object's size, rounded up to the next at which the depth of `depth_to_see`
            suffices; where it is given, layers are added until they do.
        classes: the units of the last layer.
        width: channels of the first convolution.
        growth: factor by which channels grow where the map gets smaller, up to 128.

    Raises ValueError for numbers that mean nothing, ShapeError where there is no such
    network, UsageError for another kind.
    Source: the lecture's M2 and M3.

    >>> [design(kind, 300).depth for kind in KINDS]
    [150, 8, 8, 9, 7]
    >>> pooled = design("pooled", 300)
    >>> pooled.field.size, pooled.field.jump, pooled.input_shape
    ((382, 382), (128, 128), (304, 304, 3))
    """
    if kind not in KINDS:
        raise UsageError(
            f"There is no kind {kind!r}; the kinds are {', '.join(KINDS)}."
        )
    wanted = both(number_or_pair("design", "object_size", object_size))
    if max(wanted) > LARGEST:
        raise ValueError(
            f"design: object_size can be at most {LARGEST} pixels a side but is "
            f"{spell(wanted)}; look for it in smaller images."
        )
    kernel = both(number_or_pair("design", "kernel_size", kernel_size))
    kernel = both(KINDS[kind].kernel or kernel)
    whole_number("design", "width", width)
    if not 1 <= real_number("design", "growth", growth) <= 4:
        raise ValueError(f"design: growth must be from 1 to 4, not {growth}.")
    depths = _depths(kind, wanted, kernel)
    if _RECORDS * max(depths) + 2 > MOST_LAYERS:
        raise ShapeError(
            f"{max(depths):,} layers of {spell(kernel)}, each with BatchNorm and ReLU, "
            f"are more than the {MOST_LAYERS:,} that a network can have."
        )

    def stacked(depths: Sides) -> list[Layer]:
        return _stacked(KINDS[kind], kernel, depths, width, growth)

    if input_shape is None:
        height, columns = _rounded(stacked(depths), wanted)
        shape = height, columns, 3
    else:
        shape = _checked_input(input_shape, wanted)
        depths = _deepened(stacked, depths, wanted, shape)
    layers = (*stacked(depths), GlobalAvgPool2D(), Dense(classes))
    return Design(kind, wanted, kernel, max(depths), layers, shape)


def _depths(kind: str, wanted: Sides, kernel: Sides) -> Sides:
    """How many layers see enough along each axis."""
    for side, taps, name in zip(wanted, kernel, ("height", "width"), strict=True):
        if taps == 1 < side:
            raise ValueError(
                f"design: kernels of {spell(kernel)} never see more than one pixel of "
                f"the {name}, however many are stacked; give a larger kernel."
            )
    if max(wanted) == 1:
        raise ValueError(
            "design: every network sees an object of one pixel; give a larger one."
        )
    if KINDS[kind].dilated:  # 1 + (taps - 1)(1 + 2 + 4 + ...) pixels
        rows, columns = (
            -(-(side - 1) // max(taps - 1, 1))
            for side, taps in zip(wanted, kernel, strict=True)
        )
        return rows.bit_length(), columns.bit_length()
    block = _block(KINDS[kind], kernel, (True, True), 1, 0)
    return depth_to_see((wanted[0], 1), block), depth_to_see((1, wanted[1]), block)


def _block(
    kind: Kind, kernel: Sides, active: tuple[bool, bool], filters: int, number: int
) -> list[Layer]:
    """A convolution, and its pooling, that steps along the axes that are active."""
    down, right = (kind.step if on else 1 for on in active)
    step: Pair = down if down == right else (down, right)
    taps: Pair = kernel[0] if kernel[0] == kernel[1] else kernel
    convolution = Conv2D(
        filters,
        taps,
        stride=1 if kind.pooled else step,
        padding="same",
        dilation=2**number if kind.dilated else 1,
        bias=False,  # the normalisation subtracts the mean
    )
    return [convolution, MaxPool2D(step)] if kind.pooled else [convolution]


def _stacked(
    kind: Kind, kernel: Sides, depths: Sides, width: int, growth: float
) -> list[Layer]:
    """All layers up to the last map."""
    layers: list[Layer] = []
    filters = float(width)
    for number in range(max(depths)):
        active = number < depths[0], number < depths[1]
        block = _block(kind, kernel, active, round(filters), number)
        layers += [block[0], BatchNorm(), ReLU(), *block[1:]]
        if kind.step > 1:
            filters = min(filters * growth, max(width, WIDEST))
    return layers


def _sees(layers: list[Layer], wanted: Sides, size: Sides) -> tuple[bool, bool]:
    """Whether a unit of the last map sees an object centred in an input, by axis."""
    field = receptive_field(resolve(layers, (*size, 1)), -1)
    places = [(room - side) // 2 for room, side in zip(size, wanted, strict=True)]
    # Of all units the one whose field ends soonest behind the object is the nearest.
    rows, columns = (
        min(max(-(-(place + side - whole - start) // jump), 0), units - 1)
        for place, side, whole, start, jump, units in zip(
            places,
            wanted,
            field.size,
            field.start,
            field.jump,
            field.units,
            strict=True,
        )
    )
    # The size of the field does not tell it: between unit and pixel may lie padding.
    pixels = field.pixels(rows, columns)
    down, right = (
        set(range(place, place + side)).issubset(np.flatnonzero(pixels.any(axis=axis)))
        for place, side, axis in zip(places, wanted, (1, 0), strict=True)
    )
    return down, right


def _rounded(layers: list[Layer], wanted: Sides) -> Sides:
    """The smallest input, in round numbers, in whose middle an object is seen whole."""
    field = receptive_field(resolve(layers, (*wanted, 1)), -1)
    size = list(wanted)
    for axis in (0, 1):
        jump, side = field.jump[axis], wanted[axis]
        round_number = max(1, jump // _TRIED, side // _COARSE)
        most = max(field.size[axis], side) + 2 * jump
        # It ends: an input as large as the field, of an odd number of steps, has a unit
        # in its middle that sees all of it. But where a field is hardly larger than the
        # object, round numbers can all miss that.
        while not _sees(layers, wanted, (size[0], size[1]))[axis]:
            if size[axis] >= most + round_number and round_number > 1:
                size[axis], round_number = side, round_number // 2
            size[axis] = (size[axis] // round_number + 1) * round_number
    return size[0], size[1]


def _deepened(
    stacked: Callable[[Sides], list[Layer]],
    depths: Sides,
    wanted: Sides,
    shape: tuple[int, int, int],
) -> Sides:
    """Depths from which on an object in the middle of a given input is seen whole."""
    with suppress(ShapeError):  # a map of one unit cannot be pooled
        for _ in range(_DEEPER):
            seen = _sees(stacked(depths), wanted, shape[:2])
            if all(seen):
                return depths
            rows, columns = (
                depth + (not enough) for depth, enough in zip(depths, seen, strict=True)
            )
            depths = rows, columns
    raise ShapeError(
        f"no unit sees all of an object of {spell(wanted)} in the middle of an input of "
        f"{spell(shape[:2])}; give a larger input, or leave it to the design."
    )


def _checked_input(shape: tuple[int, int, int], wanted: Sides) -> tuple[int, int, int]:
    height, width, channels = resolve([ReLU()], shape)[0].input_shape
    if height < wanted[0] or width < wanted[1]:
        raise ShapeError(
            f"an input of {height}x{width} pixels does not hold an object of "
            f"{spell(wanted)}; give a larger input, or a smaller object."
        )
    return height, width, channels

"""The layers: frozen records that say what each one is and does to a shape.

How they compute is the core's business; between the two stands only the plan.
Numbers for windows are one for both axes or (height, width) pairs, and mean what
they mean in PyTorch unless said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .arguments import (
    LARGEST,
    Pair,
    both,
    number_or_pair,
    real_number,
    shown,
    spell,
    truth,
    whole_number,
)
from .resolve import Layer, ResolvedLayer, Shape, WeightSpec, check_layers, resolve
from .window import Window, each_side, same_padding

__all__ = [
    "AvgPool2D",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "ReLU",
    "Residual",
    "ResolvedLayer",
    "ScaledTanh",
    "Sigmoid",
    "Tanh",
    "WeightSpec",
    "Window",
    "layer_from_config",
    "resolve",
]


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
        _store(self, "filters", whole_number("Conv2D", "filters", self.filters))
        for name in ("kernel_size", "stride", "dilation"):
            _store(self, name, number_or_pair("Conv2D", name, getattr(self, name)))
        _store(self, "groups", whole_number("Conv2D", "groups", self.groups))
        truth("Conv2D", "bias", self.bias)
        if not isinstance(self.padding, str):
            padding = number_or_pair("Conv2D", "padding", self.padding, minimum=0)
            _store(self, "padding", padding)
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
            return _needs_volume(shape)
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
        return _too_small(window, shape, f"{verb} padding={padding}", earlier)

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


@dataclass(frozen=True, repr=False)
class _Pooling(Layer):
    """What the two poolings share: a window that looks at each channel alone (M5)."""

    kind: ClassVar[str] = "pool"
    size: Pair
    stride: Pair | None = None
    padding: Pair = 0

    def __post_init__(self) -> None:
        owner = type(self).__name__
        _store(self, "size", number_or_pair(owner, "size", self.size))
        if self.stride is not None:
            _store(self, "stride", number_or_pair(owner, "stride", self.stride))
        padding = number_or_pair(owner, "padding", self.padding, minimum=0)
        _store(self, "padding", padding)
        for size, border in zip(both(self.size), both(padding), strict=True):
            if border > size // 2:
                raise ValueError(
                    f"{owner}: padding must be at most half of size, but is "
                    f"{self.padding} with size {self.size}; use padding={size // 2} "
                    "or less, or every pixel of a patch could be padding."
                )

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        if len(shape) != 3:
            return _needs_volume(shape)
        return _too_small(
            self.window(*shape[:2]), shape, "take a smaller size", earlier
        )

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
        return None if len(shape) == 3 else _needs_volume(shape)

    def output_shape(self, shape: Shape) -> Shape:
        return shape[2:]


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected: every unit's dot product with the whole input, plus its bias.

    Takes flat input (D,), gives (units,); weights are (units, D).

    >>> Dense(120).output_shape((400,))
    (120,)
    """

    kind: ClassVar[str] = "dense"
    units: int
    bias: bool = True

    def __post_init__(self) -> None:
        _store(self, "units", whole_number("Dense", "units", self.units))
        truth("Dense", "bias", self.bias)

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        if len(shape) == 1:
            return None
        return f"needs a flat input but gets {spell(shape)}; put Flatten() before it"

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        weight = WeightSpec("weight", (self.units, shape[0]), shape[0])
        bias = WeightSpec("bias", (self.units,), shape[0])
        return (weight, bias) if self.bias else (weight,)

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.units


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Brings every channel to mean 0 and variance 1, then scales and shifts it.

    While training by the statistics of the batch, of which running averages are kept,
    running = (1 - `momentum`) * running + momentum * batch; else by those. A volume is
    normalised channel by channel over images, rows and columns, a flat input unit by
    unit. `epsilon` is added to the variance. The scale (weight) starts at 1, the shift
    (bias) at 0. Sample weights do not count here. As PyTorch's BatchNorm2d and
    BatchNorm1d (Ioffe and Szegedy, 2015).

    >>> BatchNorm(momentum=0.05)
    BatchNorm(0.05)
    """

    kind: ClassVar[str] = "bn"
    momentum: float = 0.1
    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        momentum = real_number("BatchNorm", "momentum", self.momentum)
        if not 0 < momentum <= 1:
            raise ValueError(
                f"BatchNorm: momentum must be above 0 and at most 1, not {momentum}; "
                "it is the share of the newest batch in the running statistics."
            )
        epsilon = real_number("BatchNorm", "epsilon", self.epsilon)
        if not 1e-12 <= epsilon <= 1:
            raise ValueError(
                f"BatchNorm: epsilon must be from 1e-12 to 1, not {epsilon}; it keeps "
                "the division by the root of a variance of zero from failing."
            )
        _store(self, "momentum", momentum)
        _store(self, "epsilon", epsilon)

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        each = shape[-1:]
        return (
            WeightSpec("weight", each, 1, start=1.0),
            WeightSpec("bias", each, 1, start=0.0),
            WeightSpec("running_mean", each, 1, start=0.0, trainable=False),
            WeightSpec("running_var", each, 1, start=1.0, trainable=False),
        )


DEEPEST = 16
"""Blocks in blocks; keeps all that walks through them far from Python's own limit."""


@dataclass(frozen=True, repr=False)
class Residual(Layer):
    """The sum of what `layers` make of the input and of what `shortcut` makes of it.

    Without a shortcut the input itself is added, which must have the shape that leaves
    the layers (He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    2016). In a network both branches' layers are counted on and named as all others,
    those of the shortcut last, followed by the sum: add1.

    >>> block = Residual([Conv2D(8, 3, padding=1), ReLU()], shortcut=[Conv2D(8, 1)])
    >>> [one.name for one in resolve([block, ReLU()], (16, 16, 3))]
    ['conv1', 'relu1', 'conv2', 'add1', 'relu2']
    """

    kind: ClassVar[str] = "add"
    layers: Sequence[Layer]
    shortcut: Sequence[Layer] = ()

    def __post_init__(self) -> None:
        for name in ("layers", "shortcut"):
            value = getattr(self, name)
            empty = isinstance(value, list | tuple) and not value
            if empty and name == "layers":
                raise ValueError(
                    "Residual: layers must hold at least one layer, not none; without "
                    "any the input would be added to itself."
                )
            _store(self, name, () if empty else tuple(check_layers(value)))
        if self.depth > DEEPEST:
            raise ValueError(
                f"Residual: blocks may lie in one another up to {DEEPEST} deep, not "
                f"{self.depth}; put them one after the other."
            )

    @property
    def depth(self) -> int:
        """How many blocks lie in one another, this one counted."""
        layers = (layer for branch in self.branches for layer in branch)
        return 1 + max(
            (layer.depth for layer in layers if isinstance(layer, Residual)), default=0
        )

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        return tuple(self.layers), tuple(self.shortcut)

    def joining_problem(self, shape: Shape, ends: Sequence[Shape]) -> str | None:
        main, short = ends
        if main == short:
            return None
        return (
            f"needs the same shape from its layers and its shortcut but gets "
            f"{spell(main)} and {spell(short)}; {_projection(shape, main)}"
        )

    def output_shape(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    def to_config(self) -> dict[str, Any]:
        return {"kind": "Residual"} | {
            name: [layer.to_config() for layer in branch]
            for name, branch in zip(("layers", "shortcut"), self.branches, strict=True)
        }

    def __repr__(self) -> str:
        shortcut = f", shortcut={list(self.shortcut)}" if self.shortcut else ""
        return f"Residual({list(self.layers)}{shortcut})"


class ReLU(Layer):
    """max(x, 0), value by value; NaN stays NaN."""

    kind: ClassVar[str] = "relu"


@dataclass(frozen=True, repr=False)
class LeakyReLU(Layer):
    """x where it is positive and `negative_slope` * x elsewhere."""

    kind: ClassVar[str] = "leakyrelu"
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        slope = real_number("LeakyReLU", "negative_slope", self.negative_slope)
        if slope < 0:
            raise ValueError(
                f"LeakyReLU: negative_slope must be at least 0, not {slope}."
            )
        _store(self, "negative_slope", slope)


class Tanh(Layer):
    """tanh(x), value by value."""

    kind: ClassVar[str] = "tanh"


class ScaledTanh(Layer):
    """1.7159 * tanh(2x/3), the squashing function of LeNet-5 (LeCun et al., 1998)."""

    kind: ClassVar[str] = "tanh"


class Sigmoid(Layer):
    """1 / (1 + exp(-x)), value by value."""

    kind: ClassVar[str] = "sigmoid"


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """While training, zero each value with probability `rate` and scale up the rest.

    What stays is divided by 1 - rate, so nothing changes when predicting
    (Srivastava et al., 2014).
    """

    kind: ClassVar[str] = "dropout"
    rate: float = 0.5

    def __post_init__(self) -> None:
        rate = real_number("Dropout", "rate", self.rate)
        if not 0 <= rate < 1:
            raise ValueError(
                f"Dropout: rate must be at least 0 and below 1, not {rate}; "
                "it is the share of values that are dropped."
            )
        _store(self, "rate", rate)


class Flatten(Layer):
    """A volume as one vector, in channel, row, column order (as PyTorch's C,H,W).

    >>> Flatten().output_shape((5, 5, 16))
    (400,)
    """

    kind: ClassVar[str] = "flatten"

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)


_BY_NAME: dict[str, type[Layer]] = {
    layer.__name__: layer
    for layer in (
        *(Conv2D, MaxPool2D, AvgPool2D, GlobalAvgPool2D, Dense, ReLU, LeakyReLU),
        *(Tanh, ScaledTanh, Sigmoid, Dropout, Flatten, BatchNorm, Residual),
    )
}


def layer_from_config(config: object) -> Layer:
    """Return the layer whose `to_config()` this is; ValueError if it is none.

    >>> layer_from_config({"kind": "Conv2D", "filters": 6, "kernel_size": [5, 3]})
    Conv2D(6, (5, 3))
    """
    settings: dict[str, Any] = dict(config) if isinstance(config, Mapping) else {}
    kind = settings.pop("kind", None)
    layer = _BY_NAME.get(kind) if isinstance(kind, str) else None
    if layer is None:
        raise ValueError(
            f"A layer is described by its kind, one of {', '.join(_BY_NAME)}, and "
            f"its settings, not by {shown(config)}."
        )
    if unknown := settings.keys() - {field.name for field in fields(layer)}:
        names = ", ".join(sorted(map(shown, unknown)))
        raise ValueError(f"{kind} has no setting {names}.")
    try:
        if layer is Residual:
            settings = {
                name: [layer_from_config(one) for one in branch]
                for name, branch in settings.items()
            }
        return layer(**settings)
    except TypeError as error:
        raise ValueError(f"Not a valid {kind}: {error}") from None


def _store(layer: Layer, name: str, value: object) -> None:
    """Keep a checked value: plain ints and tuples, whatever kind the user gave."""
    object.__setattr__(layer, name, value)


def _projection(shape: Shape, wanted: Shape) -> str:
    """Say which shortcut brings `shape` to the shape that is wanted."""
    if len(wanted) == 1:
        flatten = "Flatten(), " if len(shape) == 3 else ""
        return f"give shortcut=[{flatten}Dense({wanted[0]})]"
    if len(shape) == 1:
        return "leave Flatten() to what follows"
    strides = []
    for given, length in zip(shape[:2], wanted[:2], strict=True):
        fitting = (s for s in range(1, given + 1) if (given - 1) // s + 1 == length)
        strides.append(next(fitting, None))
    if None in strides:
        return (
            "pad its layers so that the size stays, or give a shortcut that ends in "
            f"{spell(wanted)}"
        )
    down, right = strides
    stride = (
        ""
        if strides == [1, 1]
        else f", stride={down if down == right else (down, right)}"
    )
    return f"give shortcut=[Conv2D({wanted[2]}, 1{stride})]"


def _needs_volume(shape: Shape) -> str:
    return (
        "needs a volume of height x width x channels but gets a flat vector of "
        f"{shape[0]} values; put it before Flatten()"
    )


def _too_small(
    window: Window, shape: Shape, remedy: str, earlier: Sequence[ResolvedLayer]
) -> str | None:
    height, width = window.smallest_input
    if height <= shape[0] and width <= shape[1]:
        return None
    shrunk = any(one.window and max(one.window.stride) > 1 for one in earlier)
    other = "drop a pooling layer" if shrunk else "give a larger input_shape"
    return (
        f"needs an input of at least {height}x{width} but gets "
        f"{spell(shape[:2])}; {remedy} or {other}"
    )

"""What a layer is, and the one walk that settles every shape of a network.

Everything that follows (plan, summary, receptive fields, model files) reads the
numbers settled here and infers none of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar

from .arguments import LARGEST, shown, spell, whole_number
from .errors import ShapeError, UsageError
from .window import Window

Shape = tuple[int, ...]
"""(height, width, channels) of a volume, or (length,) of a flat vector."""

MOST_VALUES = 2**40
"""Values a layer may put out or learn; keeps every product within 64 bits."""

MOST_LAYERS = 10_000
"""Ten times the deepest known; hostile files could name millions in a few bytes each."""


@dataclass(frozen=True)
class WeightSpec:
    """One array of learned numbers; `fan_in` counts the inputs of one output.

    They start at random by their `fan_in` unless `start` says with what. Those that are
    not `trainable` are measured while training (running statistics): they have no
    gradient and do not count as parameters.
    """

    name: str
    shape: Shape
    fan_in: int
    start: float | None = None
    trainable: bool = True

    @property
    def size(self) -> int:
        """How many numbers the array holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, repr=False)
class Layer:
    """The base of all layers: frozen settings, and what they do to a shape."""

    kind: ClassVar[str] = ""
    """What layers are named and counted by: conv1, conv2, pool1, ..."""

    @property
    def branches(self) -> tuple[tuple[Layer, ...], ...]:
        """Stacks that all read the layer's input and whose ends it joins, if any."""
        return ()

    def joining_problem(self, shape: Shape, ends: Sequence[Shape]) -> str | None:
        """Say why branches from `shape` with these ends cannot be joined, as problem."""
        return None

    def problem(self, shape: Shape, earlier: Sequence[ResolvedLayer]) -> str | None:
        """Say why an input of this shape cannot enter and what to do; None if it can.

        The sentence goes on after the layer's name: "needs ... but gets ...; do ...".
        """
        return None

    def window(self, height: int, width: int) -> Window | None:
        """Return the window that slides over an image of this size, if any does."""
        return None

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that leaves the layer when `shape` enters it."""
        return shape

    def weights(self, shape: Shape) -> tuple[WeightSpec, ...]:
        """Return the learned arrays, named within the layer: weight, then bias."""
        return ()

    def multiply_adds(self, shape: Shape) -> int:
        """Return the products one image costs; only learned weights count."""
        return 0

    def to_config(self) -> dict[str, Any]:
        """Return the settings as JSON can hold them; `layer_from_config` reverses it.

        >>> from striate.layers import MaxPool2D
        >>> MaxPool2D(2).to_config()
        {'kind': 'MaxPool2D', 'size': 2, 'stride': None, 'padding': 0}
        """
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {"kind": type(self).__name__} | {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values
        }

    def __repr__(self) -> str:
        """Return the constructor call a user would write, defaults left out."""
        parts = []
        for position, field in enumerate(fields(self)):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            first = position == 0 or field.default is MISSING
            parts.append(repr(value) if first else f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclass(frozen=True)
class ResolvedLayer:
    """A layer in its place: name, shapes, weights and cost, all settled."""

    index: int
    name: str
    layer: Layer
    inputs: tuple[int, ...]
    """Indices of the layers it reads; -1 is the image."""
    input_shape: Shape
    output_shape: Shape
    weights: tuple[WeightSpec, ...]
    multiply_adds: int
    window: Window | None

    @property
    def parameters(self) -> int:
        """How many numbers the layer learns."""
        return sum(weight.size for weight in self.weights if weight.trainable)

    @property
    def statistics(self) -> int:
        """How many numbers it measures while training, and keeps."""
        return sum(weight.size for weight in self.weights if not weight.trainable)


def resolve(
    layers: Iterable[Layer], input_shape: Sequence[int]
) -> tuple[ResolvedLayer, ...]:
    """Settle names, shapes, windows, weights and cost of a stack of layers.

    `input_shape` is (height, width, channels) of the images. Raises ShapeError, in
    words, where a layer does not fit what reaches it, and TypeError for things that
    are not layers. Output sizes follow PyTorch: what is left over is dropped.
    The layers of branches stand in the order they are computed in, followed by the
    layer that joins them.

    >>> from striate.layers import Conv2D, Dense, Flatten, MaxPool2D
    >>> stack = [Conv2D(6, 5), MaxPool2D(2), Flatten(), Dense(10)]
    >>> for one in resolve(stack, (32, 32, 1)):
    ...     print(one.name, one.output_shape, one.parameters, one.multiply_adds)
    conv1 (28, 28, 6) 156 117600
    pool1 (14, 14, 6) 0 0
    flatten1 (1176,) 0 0
    dense1 (10,) 11770 11760
    """
    walk = _Walk(_image_shape(input_shape))
    walk.follow(check_layers(layers), -1)
    return tuple(walk.resolved)


class _Walk:
    """Settles one layer after the other, each from what it reads."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape
        self.counts: Counter[str] = Counter()
        self.resolved: list[ResolvedLayer] = []
        self.strides = {-1: (1, 1)}
        """By index: pixels of the image from one unit to the next."""

    def shape(self, index: int) -> Shape:
        return self.image_shape if index < 0 else self.resolved[index].output_shape

    def follow(self, layers: Sequence[Layer], source: int) -> int:
        """Settle a stack that reads the layer `source`; return where it ends."""
        for layer in layers:
            ends = tuple(self.follow(branch, source) for branch in layer.branches)
            source = self.settle(layer, source, ends)
        return source

    def settle(self, layer: Layer, source: int, ends: tuple[int, ...]) -> int:
        """Settle one layer after its branches, if it has any; return its index."""
        index = len(self.resolved)
        if index == MOST_LAYERS:
            raise ShapeError(
                f"A network can have at most {MOST_LAYERS:,} layers, each of which takes "
                "memory whatever it computes, but gets more; leave some out."
            )
        self.counts[layer.kind] += 1
        name = f"{layer.kind}{self.counts[layer.kind]}"
        inputs = ends or (source,)
        shape = self.shape(inputs[0])
        call = shown(layer) if ends else repr(layer)
        subject = f"{call} at layer {index + 1} ({name})"
        if ends:
            shapes = [self.shape(end) for end in ends]
            problem = layer.joining_problem(self.shape(source), shapes)
            problem = problem or self.unequal_strides(ends)
        else:
            problem = layer.problem(shape, self.resolved)
        if problem:
            hint = _channels_first_hint(self.image_shape)
            raise ShapeError(f"{subject} {problem}{hint}.")
        output = shape if ends else layer.output_shape(shape)
        weights = tuple(
            replace(weight, name=f"{name}.{weight.name}")
            for weight in layer.weights(shape)
        )
        _refuse_giants(subject, output, weights)
        window = layer.window(*shape[:2]) if len(shape) == 3 else None
        cost = layer.multiply_adds(shape)
        self.resolved.append(
            ResolvedLayer(
                index, name, layer, inputs, shape, output, weights, cost, window
            )
        )
        down, right = self.strides[inputs[0]]
        across = window.stride if window else (1, 1)
        self.strides[index] = down * across[0], right * across[1]
        return index

    def unequal_strides(self, ends: Sequence[int]) -> str | None:
        """Units that do not see the same places make no sense as a sum."""
        shape = self.shape(ends[0])
        strides = [self.strides[end] for end in ends]
        for axis in (0, 1) if len(shape) == 3 else ():
            if shape[axis] > 1 and len({stride[axis] for stride in strides}) > 1:
                steps = " and ".join(map(spell, strides))
                return (
                    f"needs branches whose units lie at the same places but gets "
                    f"steps of {steps} pixels; give both the same strides"
                )
        return None


def flat_order(resolved: Iterable[ResolvedLayer]) -> tuple[WeightSpec, ...]:
    """Return all weights in their order in the network's weight vector.

    Layer by layer, but running statistics behind all that is trainable.
    """
    weights = [weight for one in resolved for weight in one.weights]
    return tuple(sorted(weights, key=lambda weight: not weight.trainable))


def find_layer(resolved: Sequence[ResolvedLayer], layer: str | int) -> ResolvedLayer:
    """Return the layer of this name or index (counted from 0; from the end if < 0)."""
    names = ", ".join(one.name for one in resolved)
    if isinstance(layer, str):
        for one in resolved:
            if one.name == layer:
                return one
        raise UsageError(f"There is no layer {shown(layer)}; the layers are {names}.")
    if isinstance(layer, bool) or not hasattr(layer, "__index__"):
        raise TypeError(
            f"A layer is chosen by its name or index, not {shown(layer)}; "
            f"the layers are {names}."
        )
    if not -len(resolved) <= layer < len(resolved):
        raise UsageError(
            f"There is no layer with index {shown(layer)}; the {len(resolved)} layers, "
            f"from 0 to {len(resolved) - 1}, are {names}."
        )
    return resolved[layer]


def _image_shape(input_shape: object) -> tuple[int, int, int]:
    example = "for instance (32, 32, 1) for grey or (32, 32, 3) for colour images"
    if not isinstance(input_shape, list | tuple):
        raise TypeError(
            f"input_shape must be (height, width, channels), {example}, "
            f"not {shown(input_shape)}."
        )
    if len(input_shape) != 3:
        raise ShapeError(
            f"input_shape must be (height, width, channels), {example}, "
            f"not {shown(tuple(input_shape))}."
        )
    height, width, channels = (
        whole_number("input_shape", name, value)
        for name, value in zip(
            ("height", "width", "channels"), input_shape, strict=True
        )
    )
    return height, width, channels


def check_layers(layers: object) -> list[Layer]:
    """Return the layers as a list, or say which of them is none."""
    if isinstance(layers, Layer | str) or not isinstance(layers, Iterable):
        raise TypeError(f"layers must be a list of layers, not {shown(layers)}.")
    stack = list(layers)
    if not stack:
        raise ShapeError("A network needs at least one layer; the list is empty.")
    known = {name.lower(): name for name in _names(Layer) if name[0] != "_"}
    for index, layer in enumerate(stack):
        if isinstance(layer, Layer) and layer.kind:
            continue
        remedy = "take one of " + ", ".join(known.values())
        if isinstance(layer, str):
            what = f"the string {shown(layer)}, not a layer"
            if match := known.get(layer.lower()):
                remedy = f"write {match}(...)"
        elif isinstance(layer, type) and issubclass(layer, Layer):
            what = f"the class {layer.__name__}, not a layer"
            remedy = f"write {layer.__name__}(...)"
        else:
            what = f"{shown(layer)} of type {type(layer).__qualname__}, not a layer"
        raise TypeError(f"layers[{index}] is {what}; {remedy}.")
    return stack


def _names(base: type[Layer]) -> list[str]:
    below = (name for one in base.__subclasses__() for name in _names(one))
    return [*below] or [base.__name__]


def _channels_first_hint(input_shape: tuple[int, int, int]) -> str:
    """Name the usual slip behind a shape error: channels put first, as in PyTorch."""
    channels, height, width = input_shape
    if channels > 4 or width <= 4:
        return ""
    return (
        f" (input_shape is (height, width, channels); "
        f"did you mean {(height, width, channels)}?)"
    )


def _refuse_giants(
    subject: str, output: Shape, weights: tuple[WeightSpec, ...]
) -> None:
    if max(output) > LARGEST or math.prod(output) > MOST_VALUES:
        raise ShapeError(
            f"{subject} would put out {spell(output)} values, more than a network "
            "can hold; use smaller images, less padding or fewer filters."
        )
    for weight in weights:
        if weight.size > MOST_VALUES:
            raise ShapeError(
                f"{subject} would learn {spell(weight.shape)} weights, more than "
                "any memory holds; use fewer filters or units."
            )


def needs_volume(shape: Shape) -> str:
    """Say, as a layer's problem, that a flat vector cannot enter a layer of volumes."""
    return (
        "needs a volume of height x width x channels but gets a flat vector of "
        f"{shape[0]} values; put it before Flatten()"
    )


def too_small(
    window: Window, shape: Shape, remedy: str, earlier: Sequence[ResolvedLayer]
) -> str | None:
    """Say, as a layer's problem, that no window fits into the shape; None if one does."""
    height, width = window.smallest_input
    if height <= shape[0] and width <= shape[1]:
        return None
    shrunk = any(one.window and max(one.window.stride) > 1 for one in earlier)
    other = "drop a pooling layer" if shrunk else "give a larger input_shape"
    return (
        f"needs an input of at least {height}x{width} but gets "
        f"{spell(shape[:2])}; {remedy} or {other}"
    )

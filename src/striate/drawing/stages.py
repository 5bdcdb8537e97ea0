"""What of a network is drawn: its volumes in a row, and the shortcuts beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from ..layers import (
    Conv2D,
    Dense,
    Flatten,
    GlobalAvgPool2D,
    MaxPool2D,
    Residual,
)
from ..resolve import ResolvedLayer, Shape


@dataclass(frozen=True)
class Stage:
    """A volume: the layer that makes it, and those that change it value by value.

    Activations, normalisations and Dropout change no shape, and Flatten no value, so
    they have no volume of their own.
    """

    making: ResolvedLayer | None
    """The layer that makes the volume; None for the image."""
    shape: Shape
    changing: tuple[ResolvedLayer, ...] = ()
    """Those that change it after that."""

    @property
    def layers(self) -> tuple[ResolvedLayer, ...]:
        """All layers of the stage, in the order they are computed in."""
        return (*filter(None, [self.making]), *self.changing)

    @property
    def name(self) -> str:
        """The name of the layer that makes the volume."""
        return self.making.name if self.making else "input"

    @property
    def kind(self) -> str:
        """The kind of that layer; "" for the image."""
        return self.making.layer.kind if self.making else ""

    @property
    def last(self) -> str:
        """The name of the last layer that leaves it in this shape."""
        same = [one.name for one in self.layers if one.output_shape == self.shape]
        return same[-1] if same else "input"

    @property
    def size(self) -> str:
        """The volume's size as the figure of LeNet-5 writes it.

        >>> [Stage(None, shape).size for shape in ((28, 28, 6), (32, 32, 1), (84,))]
        ['6 @ 28 × 28', '32 × 32', '84']
        """
        if len(self.shape) == 1:
            return f"{self.shape[0]:,}"
        height, width, channels = self.shape
        maps = "" if channels == 1 else f"{channels:,} @ "
        return f"{maps}{height} × {width}"

    @property
    def operation(self) -> str:
        """What makes this volume of the one before, in words."""
        return operation(self.making) if self.making else ""


@dataclass(frozen=True)
class Arc:
    """A shortcut from one stage to a later one, to which it is added.

    `operation` says what it does on the way, "" where it only passes on; `level` is how
    many shortcuts lie within it.
    """

    source: int
    target: int
    operation: str
    level: int


def stages_of(
    resolved: Sequence[ResolvedLayer],
) -> tuple[tuple[Stage, ...], tuple[Arc, ...]]:
    """Return a network's volumes in the order they are made in, and its shortcuts.

    >>> from striate.zoo import lenet5
    >>> [stage.name for stage in stages_of(lenet5().resolved)[0]]
    ['input', 'conv1', 'pool1', 'conv2', 'pool2', 'dense1', 'dense2', 'dense3']
    """
    sums = [one for one in resolved if len(one.inputs) > 1]
    # The layers of a shortcut stand between the end of the other branch and the sum.
    aside = {index for one in sums for index in range(one.inputs[0] + 1, one.index)}
    stages, arcs = [Stage(None, resolved[0].input_shape)], list[Arc]()
    place = {-1: 0}
    for one in resolved:
        if one.index in aside:
            continue
        at = place[one.inputs[0]]
        merged = _keeps_volume(one, last=one is resolved[-1])
        if len(one.inputs) > 1:
            shortcut = resolved[one.inputs[0] + 1 : one.index]
            source = place[shortcut[0].inputs[0] if shortcut else one.inputs[1]]
            merged = source < at
            target = at if merged else at + 1
            arcs.append(
                Arc(source, target, _shortcut_words(shortcut), _level(source, arcs))
            )
        if merged:
            stages[at] = replace(stages[at], changing=(*stages[at].changing, one))
        else:
            stages.append(Stage(one, one.output_shape))
        place[one.index] = len(stages) - 1
    return tuple(stages), tuple(arcs)


def volumes_of(resolved: Sequence[ResolvedLayer]) -> tuple[tuple[Stage, Stage], ...]:
    """Return every volume after the one it is made of, those on shortcuts as well.

    Unlike in a drawing a sum is a volume of its own, beside what either way adds to it.

    >>> from striate.layers import Conv2D, ReLU, Residual, resolve
    >>> block = Residual([Conv2D(4, 3, padding=1)], shortcut=[Conv2D(4, 1)])
    >>> for before, stage in volumes_of(resolve([block, ReLU()], (8, 8, 1))):
    ...     print(before.name, [one.name for one in stage.layers])
    input ['conv1']
    input ['conv2']
    conv1 ['add1', 'relu1']
    """
    volumes = [(Stage(None, resolved[0].input_shape),) * 2]
    place = {-1: 0}
    for one in resolved:
        source = one.inputs[0]
        at = place[source]
        before, stage = volumes[at]
        newest = stage.layers[-1].index if stage.layers else -1
        # What a second way reads is not changed by the first one.
        changes = len(one.inputs) == 1 and source == newest
        if changes and _keeps_volume(one, last=one is resolved[-1]):
            volumes[at] = before, replace(stage, changing=(*stage.changing, one))
        else:
            at = len(volumes)
            volumes.append((stage, Stage(one, one.output_shape)))
        place[one.index] = at
    return tuple(volumes[1:])


def operation(one: ResolvedLayer) -> str:
    """Say what a layer does to the volume that enters it, in the lecture's words."""
    layer, window = one.layer, one.window
    details = []
    if isinstance(layer, Dense):
        return "full connection"
    if isinstance(layer, Flatten):
        return "one long vector"
    if isinstance(layer, Residual):
        return "sum"
    if isinstance(layer, GlobalAvgPool2D):
        return "mean of every map"
    if window is None:
        return type(layer).__name__
    name = "max pooling" if isinstance(layer, MaxPool2D) else "average pooling"
    steps: tuple[int, int] = window.kernel
    if isinstance(layer, Conv2D):
        alone = 1 < layer.groups == one.input_shape[2]
        name = "depthwise convolution" if alone else "convolution"
        details += [f"{layer.groups} groups"] if layer.groups > 1 and not alone else []
        steps = (1, 1)
    details += [f"stride {_pair(window.stride)}"] if window.stride != steps else []
    if window.dilation != (1, 1):
        details.append(f"dilation {_pair(window.dilation)}")
    kernel = f"{window.kernel[0]} × {window.kernel[1]}"
    return ", ".join([f"{kernel} {name}", *details])


def _level(source: int, arcs: Sequence[Arc]) -> int:
    """How many shortcuts lie in each other within one that begins at `source`."""
    within = takewhile(lambda arc: arc.source >= source, reversed(arcs))
    return 1 + max((arc.level for arc in within), default=-1)


def _pair(steps: tuple[int, int]) -> str:
    return str(steps[0]) if steps[0] == steps[1] else f"{steps[0]} × {steps[1]}"


def _keeps_volume(one: ResolvedLayer, last: bool) -> bool:
    """Whether what leaves a layer is drawn as what entered it."""
    if isinstance(one.layer, Flatten):
        return not last
    makes_values = isinstance(one.layer, Dense) or one.window is not None
    return not makes_values and one.output_shape == one.input_shape


def _shortcut_words(shortcut: Sequence[ResolvedLayer]) -> str:
    """What a shortcut does, by those of its layers that make a volume."""
    making = [one for one in shortcut if not _keeps_volume(one, last=False)]
    if len(making) > 1:
        return f"{len(making)} layers, {making[0].name} to {making[-1].name}"
    return operation(making[0]) if making else ""
